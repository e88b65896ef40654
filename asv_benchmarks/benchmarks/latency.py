"""Calls one by one: the middle one and the one of a hundred that takes longest."""

import time
from collections.abc import Callable

import numpy as np

from . import ENDS, SAMPLERS
from .workload import full_buffer, rows

#: Calls before the first that counts.
WARM_UP = 1_000


def percentile(call: Callable[[], object], calls: int, percent: float) -> float:
    """Time calls one by one, in ns; two readings of the clock are inside each."""
    clock = time.perf_counter_ns
    taken = np.zeros(calls, np.int64)
    for _ in range(WARM_UP):
        call()
    for turn in range(calls):
        start = clock()
        call()
        taken[turn] = clock() - start
    return float(np.percentile(taken, percent))


class Latency:
    """Of `add` and of `sample(256)` into new arrays, on a full buffer."""

    params = (SAMPLERS, ENDS)
    param_names = ("sampler", "capacity")
    unit = "ns"

    def setup(self, sampler: str, capacity: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        self.row = tuple(column[0] for column in rows(1).values())

    def add(self) -> None:
        self.buffer.add(*self.row)

    def sample(self) -> None:
        self.buffer.sample(256)

    def track_add_p50(self, sampler: str, capacity: int) -> float:
        return percentile(self.add, 50_000, 50)

    def track_add_p99(self, sampler: str, capacity: int) -> float:
        return percentile(self.add, 50_000, 99)

    def track_sample_256_p50(self, sampler: str, capacity: int) -> float:
        return percentile(self.sample, 10_000, 50)

    def track_sample_256_p99(self, sampler: str, capacity: int) -> float:
        return percentile(self.sample, 10_000, 99)
