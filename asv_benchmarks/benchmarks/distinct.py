"""kernels.distinct: the table that keeps a batch from drawing a slot twice."""

import numpy as np

from kernels.distinct import distinct_add, distinct_begin, distinct_slots
from kernels.jit import kernel
from kernels.random import random_below, random_claim

from . import OPERATIONS, SEVERAL, Timed
from .workload import generator

SLOTS = 1_000_000


@kernel
def add_many(line: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        distinct_begin(slots, weights, 0)
        counter = random_claim(line, slots.size)
        place = 0
        while place < slots.size:
            slot = random_below(line[0], counter + place, SLOTS)
            while not distinct_add(slots, weights, place, slot):
                slot += 1
            place += 1
        distinct_slots(slots)
        total += slots[0]
    return total


class Distinct(Timed):
    """A million slots at random, in batches: put into the table, and taken out at its end."""

    params = (SEVERAL,)
    param_names = ("batch",)

    def setup(self, batch: int) -> None:
        self.line = generator()
        self.slots, self.weights = np.zeros(batch, np.int64), np.zeros(batch, np.float32)
        add_many(self.line, self.slots, self.weights, 1)

    def time_add(self, batch: int) -> None:
        add_many(self.line, self.slots, self.weights, OPERATIONS)
