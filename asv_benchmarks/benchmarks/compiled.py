"""kernels.walk_*: whole adds, batches and updates of a buffer, inside a compiled function."""

import numpy as np

from kernels.addresses import address_of
from kernels.jit import kernel
from kernels.walk_add import rows_add
from kernels.walk_draw import draw_proportional, draw_uniform
from kernels.walk_gather import rows_gather
from kernels.walk_update import priorities_update

from . import BATCHES, CAPACITIES, ENDS, OPERATIONS, SAMPLERS, Timed, unless_quick
from .workload import full_buffer, rows

#: Batches of ids that are used in turn, so that their leaves do not stay in the first cache.
TURNS = 64


@kernel
def add_many(handle: np.ndarray, sources: np.ndarray, ids: np.ndarray, count: int) -> int:
    stored = 0
    while stored < count:
        stored += rows_add(handle, sources, 0, ids.size, ids)
    return stored


@kernel
def sample_uniform(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int
) -> int:
    missed = 0
    for _ in range(0, count, slots.size):
        draw_uniform(handle, slots, weights)
        missed += rows_gather(handle, targets, slots)
    return missed


@kernel
def sample_proportional(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int
) -> int:
    missed = 0
    for _ in range(0, count, slots.size):
        draw_proportional(handle, slots, weights)
        missed += rows_gather(handle, targets, slots)
    return missed


@kernel
def update_many(handle: np.ndarray, ids: np.ndarray, priorities: np.ndarray, count: int) -> int:
    applied = 0
    turn = 0
    for _ in range(0, count, ids.shape[1]):
        applied += priorities_update(handle, ids[turn], address_of(priorities), 8)
        turn = (turn + 1) % ids.shape[0]
    return applied


def addresses(columns: list[np.ndarray]) -> np.ndarray:
    return np.array([column.ctypes.data for column in columns])


class Add(Timed):
    """A million rows into a full buffer, so many at a time."""

    params = (SAMPLERS, CAPACITIES, [1, 64])
    param_names = ("sampler", "capacity", "batch")

    def setup(self, sampler: str, capacity: int, batch: int) -> None:
        self.handle = full_buffer(sampler, capacity).handle
        self.columns = list(rows(batch).values())
        self.sources = addresses(self.columns)
        self.ids = np.zeros(batch, np.int64)
        add_many(self.handle, self.sources, self.ids, 1)

    def time_add(self, sampler: str, capacity: int, batch: int) -> None:
        add_many(self.handle, self.sources, self.ids, OPERATIONS)


class Sample(Timed):
    """A million rows out of a full buffer, in batches: drawn, copied, counted."""

    params = (unless_quick(SAMPLERS, ["uniform"]), ENDS, BATCHES)
    param_names = ("sampler", "capacity", "batch")

    def setup(self, sampler: str, capacity: int, batch: int) -> None:
        self.handle = full_buffer(sampler, capacity).handle
        self.columns = list(rows(batch).values())
        self.targets = addresses(self.columns)
        self.slots, self.weights = np.zeros(batch, np.int64), np.zeros(batch, np.float32)
        self.kernel = sample_uniform if sampler == "uniform" else sample_proportional
        self.sample(1)

    def sample(self, count: int) -> None:
        missed = self.kernel(self.handle, self.targets, self.slots, self.weights, count)
        assert missed == 0

    def time_sample(self, sampler: str, capacity: int, batch: int) -> None:
        self.sample(OPERATIONS)


class Update(Timed):
    """A million priorities, in batches."""

    params = (ENDS, BATCHES)
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        buffer = full_buffer("prioritized", capacity)
        self.handle = buffer.handle
        self.ids = np.stack([buffer.sample(batch).ids for _ in range(TURNS)])
        self.priorities = np.random.default_rng(1).exponential(size=batch)
        update_many(self.handle, self.ids, self.priorities, 1)

    def time_update(self, capacity: int, batch: int) -> None:
        update_many(self.handle, self.ids, self.priorities, OPERATIONS)
