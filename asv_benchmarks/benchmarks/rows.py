"""kernels.rows: a transition's bytes into slots and out of them."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_below, random_claim
from kernels.ring import SHIFT
from kernels.rows import ADDRESS, PLAN_WIDTH, SIZE, STRIDE, rows_get, rows_plan, rows_put

from . import BATCHES, CAPACITIES, ENDS, OPERATIONS, Timed
from .workload import generator, rows

#: Where each field of workload.FIELDS lies in a record, behind its sequence word.
OFFSETS = {"obs": 16, "action": 8, "reward": 80, "next_obs": 48, "terminated": 84}
#: Words of a packed record.
PACKED = 11
#: Words of a record that holds the sequence word alone, on a line of its own.
APART = 8


@kernel
def put_many(plan: np.ndarray, sources: np.ndarray, slots: int, count: int) -> None:
    slot = 0
    for _ in range(count):
        rows_put(plan, sources, 0, slot)
        slot += 1
        if slot == slots:
            slot = 0


@kernel
def get_many(
    plan: np.ndarray,
    records: np.ndarray,
    targets: np.ndarray,
    slots: np.ndarray,
    line: np.ndarray,
    count: int,
) -> int:
    missed = 0
    done = 0
    while done < count:
        counter = random_claim(line, slots.size)
        for draw in range(slots.size):
            slots[draw] = random_below(line[0], counter + draw, records.shape[0])
        missed += rows_get(plan, records, records.shape[0], 1, targets, slots)
        done += slots.size
    return missed


class Storage:
    """Slots of 77 bytes: `packed` into one record each, or in `columns`, an array a field."""

    def __init__(self, layout: str, slots: int) -> None:
        first = rows(1)
        self.records = np.zeros((slots, PACKED if layout == "packed" else APART), np.int64)
        self.records[:, 0] = np.arange(1, slots + 1) << SHIFT
        self.plan = np.zeros((len(first), PLAN_WIDTH), np.int64)
        self.columns = []
        for field, (name, row) in enumerate(first.items()):
            if layout == "packed":
                self.plan[field, ADDRESS] = self.records.ctypes.data + OFFSETS[name]
                self.plan[field, STRIDE] = PACKED * 8
                self.plan[field, SIZE] = row.nbytes
            else:
                column = np.ones((slots, *row.shape[1:]), row.dtype)
                rows_plan(self.plan, field, column)
                self.columns.append(column)


class Put(Timed):
    """A million rows, slot after slot."""

    params = (["packed", "columns"], CAPACITIES)
    param_names = ("layout", "capacity")

    def setup(self, layout: str, capacity: int) -> None:
        self.storage = Storage(layout, capacity)
        self.row = rows(1)
        self.sources = np.array([column.ctypes.data for column in self.row.values()])
        put_many(self.storage.plan, self.sources, capacity, 1)

    def time_put(self, layout: str, capacity: int) -> None:
        put_many(self.storage.plan, self.sources, capacity, OPERATIONS)


class Get(Timed):
    """A million rows at random, in batches; the draws are inside."""

    params = (["packed", "columns"], ENDS, BATCHES)
    param_names = ("layout", "capacity", "batch")

    def setup(self, layout: str, capacity: int, batch: int) -> None:
        self.storage = Storage(layout, capacity)
        self.batch = rows(batch)
        self.targets = np.array([column.ctypes.data for column in self.batch.values()])
        self.slots = np.zeros(batch, np.int64)
        self.line = generator()
        self.get(1)

    def get(self, count: int) -> None:
        storage = self.storage
        missed = get_many(
            storage.plan, storage.records, self.targets, self.slots, self.line, count
        )
        assert missed == 0

    def time_get(self, layout: str, capacity: int, batch: int) -> None:
        self.get(OPERATIONS)
