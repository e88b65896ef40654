"""RateLimiter: adds and samples that it lets pass, and those that it holds back."""

import itertools

import numpy as np

import replay

from . import CALLS, Timed, unless_quick
from .workload import FIELDS, fill, row_of

CAPACITY = unless_quick(100_000, 1_000)

#: Twenty rows are drawn for each that is added, and a million calls in a row may pass.
LOOSE = replay.RateLimiter(20, tolerance=1e9)


class Limiter(Timed):
    """A thousand calls with a limiter that holds nobody back, and without."""

    params = (["none", "loose"],)
    param_names = ("limiter",)

    def setup(self, limiter: str) -> None:
        given = LOOSE if limiter == "loose" else None
        self.buffer = replay.ReplayBuffer(CAPACITY, FIELDS, limiter=given, seed=1)
        fill(self.buffer)
        self.row = tuple(row_of().values())
        self.buffer.add(*self.row)
        self.out = self.buffer.sample(32)

    def teardown(self, limiter: str) -> None:
        self.buffer.close()

    def time_add(self, limiter: str) -> None:
        add, row = self.buffer.add, self.row
        for _ in itertools.repeat(None, CALLS):
            add(*row)

    def time_sample_32(self, limiter: str) -> None:
        sample, out = self.buffer.sample, self.out
        for _ in itertools.repeat(None, CALLS):
            sample(32, out=out)


class HeldBack(Timed):
    """A thousand samples that are refused at once."""

    def setup(self) -> None:
        limiter = replay.RateLimiter(1, min_size=100, tolerance=1)
        self.buffer = replay.ReplayBuffer(1_000, {"reward": np.float32}, limiter=limiter, seed=1)
        self.buffer.add(0.0)

    def teardown(self) -> None:
        self.buffer.close()

    def time_refused(self) -> None:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, CALLS):
            try:
                sample(1, timeout=0)
            except replay.WaitTimeoutError:
                continue
            raise AssertionError("the limiter let a sample pass")
