"""kernels.uniform: draws over the live rows of all streams."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_claim
from kernels.uniform import uniform_draw, uniform_size

from . import BATCHES, OPERATIONS, Timed
from .workload import generator

CAPACITY = 1_000_000


@kernel
def draw_many(
    heads: np.ndarray, rows: int, line: np.ndarray, slots: np.ndarray, count: int
) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        counter = random_claim(line, slots.size)
        total += uniform_draw(heads, rows, line[0], counter, slots)
    return total


@kernel
def size_many(heads: np.ndarray, rows: int, count: int) -> int:
    total = 0
    for _ in range(count):
        total ^= uniform_size(heads, rows)
    return total


class Draw(Timed):
    """A million slots, in batches, from a million rows."""

    params = ([1, 8], ["filling", "full"], BATCHES)
    param_names = ("streams", "ring", "batch")

    def setup(self, streams: int, ring: str, batch: int) -> None:
        self.rows = CAPACITY // streams
        self.heads = np.zeros((streams, 8), np.int64)
        self.heads[:, 0] = self.rows // 2 if ring == "filling" else self.rows
        self.line = generator()
        self.slots = np.zeros(batch, np.int64)
        draw_many(self.heads, self.rows, self.line, self.slots, 1)

    def time_draw(self, streams: int, ring: str, batch: int) -> None:
        draw_many(self.heads, self.rows, self.line, self.slots, OPERATIONS)


class Size(Timed):
    """A million counts of the live rows."""

    params = ([1, 8],)
    param_names = ("streams",)

    def setup(self, streams: int) -> None:
        self.heads = np.ones((streams, 8), np.int64)
        size_many(self.heads, CAPACITY // streams, 1)

    def time_size(self, streams: int) -> None:
        size_many(self.heads, CAPACITY // streams, OPERATIONS)
