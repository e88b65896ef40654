"""What goes beside plain draws: distinct rows, the newest row, several buffers, priorities."""

import functools
import itertools

import numpy as np

import replay
from kernels.jit import kernel
from kernels.walk_distinct import draw_distinct
from replay import priorities

from . import BATCHES, CALLS, OPERATIONS, SEVERAL, Timed, unless_quick
from .workload import FIELDS, fill, full_buffer

CAPACITY = unless_quick(100_000, 10_000)

SAMPLERS = {
    "distinct": replay.Uniform(replace=False),
    "combined uniform": replay.Combined(of=replay.Uniform()),
    "combined distinct": replay.Combined(of=replay.Uniform(replace=False)),
    "combined prioritized": replay.Combined(of=replay.Proportional(alpha=0.6, beta=0.4)),
}


@functools.cache
def buffer_of(sampler: str, capacity: int) -> replay.ReplayBuffer:
    """Make a full buffer, once for all timings of a process."""
    buffer = replay.ReplayBuffer(capacity, FIELDS, sampler=SAMPLERS[sampler], seed=1)
    fill(buffer)
    return buffer


@kernel
def distinct_many(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> float:
    total = 0.0
    for _ in range(0, count, slots.size):
        total += draw_distinct(handle, slots, weights)
    return total


class Distinct(Timed):
    """A million slots without replacement, from rows of which a batch is this part."""

    params = (SEVERAL, unless_quick([1.0, 0.51, 0.5, 0.1, 0.01], [1.0, 0.1]))
    param_names = ("batch", "part")

    def setup(self, batch: int, part: float) -> None:
        self.buffer = buffer_of("distinct", int(batch / part))
        self.handle = self.buffer.handle
        self.slots, self.weights = np.zeros(batch, np.int64), np.zeros(batch, np.float32)
        distinct_many(self.handle, self.slots, self.weights, 1)

    def time_draw(self, batch: int, part: float) -> None:
        distinct_many(self.handle, self.slots, self.weights, OPERATIONS)


class Sample(Timed):
    """A thousand batches out of a full buffer."""

    params = (list(SAMPLERS), BATCHES)
    param_names = ("sampler", "batch")

    def setup(self, sampler: str, batch: int) -> None:
        self.buffer = buffer_of(sampler, CAPACITY)
        self.out = self.buffer.sample(batch)

    def time_given_arrays(self, sampler: str, batch: int) -> None:
        sample, out = self.buffer.sample, self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Mixture(Timed):
    """A thousand batches out of so many full buffers."""

    params = (unless_quick([1, 2, 4], [2]), SEVERAL)
    param_names = ("buffers", "batch")

    def setup(self, buffers: int, batch: int) -> None:
        parts = [full_buffer("uniform", CAPACITY - part) for part in range(buffers)]
        self.mixture = replay.Mixture(parts)
        self.out = self.mixture.sample(batch)

    def time_new_arrays(self, buffers: int, batch: int) -> None:
        sample = self.mixture.sample
        for _ in itertools.repeat(None, CALLS):
            sample(batch)

    def time_given_arrays(self, buffers: int, batch: int) -> None:
        sample, out = self.mixture.sample, self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Priorities(Timed):
    """A thousand times priorities out of TD errors; those of sequences have 80 steps each."""

    params = (["absolute", "clipped", "lap", "sequence"], BATCHES)
    param_names = ("function", "batch")

    def setup(self, function: str, batch: int) -> None:
        shape = (batch, 80) if function == "sequence" else (batch,)
        self.errors = np.random.default_rng(1).standard_normal(shape, np.float32)
        self.function = getattr(priorities, function)

    def time_function(self, function: str, batch: int) -> None:
        given, errors = self.function, self.errors
        for _ in itertools.repeat(None, CALLS):
            given(errors)
