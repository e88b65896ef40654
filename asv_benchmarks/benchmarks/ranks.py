"""kernels.ranks and kernels.walk_order: sorting by leaves, and draws by rank."""

import functools
import itertools

import numpy as np

import replay
from kernels.addresses import STACK
from kernels.jit import kernel
from kernels.random import random_below
from kernels.ranks import (
    CELLS,
    STARTS,
    ranks_clear,
    ranks_collect,
    ranks_find,
    ranks_guide,
    ranks_masses,
    ranks_sort,
)
from kernels.walk_order import order_refresh

from . import BATCHES, CALLS, CAPACITIES, OPERATIONS, Timed, unless_quick
from .workload import FIELDS, fill, tree_with_priorities


@kernel
def find_many(
    masses: np.ndarray, guide: np.ndarray, prefixes: np.ndarray, found: np.ndarray, count: int
) -> None:
    for first in range(0, count, prefixes.size):
        for draw in range(prefixes.size):
            prefixes[draw] = random_below(1, first + draw, masses[masses.size - 1])
        ranks_find(masses, guide, prefixes, found, prefixes.size)


class Masses(Timed):
    """The masses of all ranks, once for each opening that draws."""

    params = (CAPACITIES,)
    param_names = ("ranks",)

    def setup(self, ranks: int) -> None:
        self.masses = np.zeros(ranks + 1, np.int64)
        ranks_masses(self.masses, 0.7)

    def time_masses(self, ranks: int) -> None:
        ranks_masses(self.masses, 0.7)


class Find(Timed):
    """A million prefixes, drawn and found."""

    params = (CAPACITIES,)
    param_names = ("ranks",)

    def setup(self, ranks: int) -> None:
        self.masses = np.zeros(ranks + 1, np.int64)
        self.guide = np.zeros(CELLS + 1, np.int64)
        ranks_masses(self.masses, 0.7)
        ranks_guide(self.masses, self.guide)
        self.prefixes, self.found = np.zeros((2, STACK), np.int64)
        self.find(1)

    def find(self, count: int) -> None:
        find_many(self.masses, self.guide, self.prefixes, self.found, count)

    def time_find(self, ranks: int) -> None:
        self.find(OPERATIONS)


class Sort(Timed):
    """All rows, once; NumPy's own sort of the leaves beside it."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.leaves = self.tree[self.levels[-2] :].reshape(-1)[:capacity].copy()
        self.entries, self.order = np.zeros((2, capacity), np.int64)
        self.starts, self.line = np.zeros(STARTS, np.int64), np.zeros(8, np.int64)
        self.time_sort(capacity)

    def time_sort(self, capacity: int) -> None:
        starts, line = self.starts, self.line
        ranks_clear(starts, line)
        ranks_collect(self.tree, self.levels, 0, capacity, self.entries, starts, line)
        ranks_sort(self.entries, starts, line, self.order)

    def time_argsort(self, capacity: int) -> None:
        np.argsort(-self.leaves)


@functools.cache
def ranked_buffer(capacity: int) -> replay.ReplayBuffer:
    """Make a full buffer, once for all timings of a process."""
    buffer = replay.ReplayBuffer(capacity, FIELDS, sampler=replay.Ranked(refresh=None), seed=1)
    fill(buffer)
    return buffer


class Refresh(Timed):
    """A new order for a full buffer."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.buffer = ranked_buffer(capacity)
        self.buffer.sample(1)
        self.time_refresh(capacity)

    def time_refresh(self, capacity: int) -> None:
        order_refresh(self.buffer.handle)


class Sample(Timed):
    """A thousand batches, with no sort among them."""

    params = (CAPACITIES, BATCHES)
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        self.buffer = ranked_buffer(capacity)
        self.out = self.buffer.sample(batch)

    def time_sample(self, capacity: int, batch: int) -> None:
        sample = self.buffer.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Learn(Timed):
    """A thousand batches whose priorities are set anew, and the sorts that this brings."""

    params = (CAPACITIES, unless_quick([32, 256], [32]))
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        self.buffer = ranked_buffer(capacity)
        self.out = self.buffer.sample(batch)
        self.priorities = np.random.default_rng(3).exponential(size=(16, batch))

    def time_learn(self, capacity: int, batch: int) -> None:
        buffer, out = self.buffer, self.out
        for turn in range(CALLS):
            buffer.sample(batch, out=out)
            buffer.update_priorities(out.ids, self.priorities[turn & 15])
