"""kernels.minimum: the smallest leaf above zero."""

import numpy as np

from kernels.jit import kernel
from kernels.minimum import minimum_of, minimum_rebuild, minimum_update
from kernels.random import random_below, random_claim
from kernels.tree import tree_exchange

from . import CAPACITIES, OPERATIONS, Timed
from .workload import generator, tree_with_priorities


@kernel
def update_many(
    minima: np.ndarray, tree: np.ndarray, levels: np.ndarray, line: np.ndarray, count: int
) -> None:
    counter = random_claim(line, count)
    capacity = (levels[levels.size - 1] - levels[levels.size - 2]) * 8
    for turn in range(count):
        leaf = random_below(line[0], counter + turn, capacity)
        tree_exchange(tree, levels, leaf, 1 + (counter + turn & 0xFFFFF))
        minimum_update(minima, tree, levels, leaf)


@kernel
def of_many(minima: np.ndarray, tree: np.ndarray, levels: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(count):
        total ^= minimum_of(minima, tree, levels)
    return total


class Minimum(Timed):
    """A million leaves exchanged at random, with the minima above; a million looks at the top."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.minima = np.zeros((self.levels[-2], 8), np.int64)
        self.line = generator()
        minimum_rebuild(self.minima, self.tree, self.levels)
        update_many(self.minima, self.tree, self.levels, self.line, 1)
        of_many(self.minima, self.tree, self.levels, 1)

    def time_exchange_and_update(self, capacity: int) -> None:
        update_many(self.minima, self.tree, self.levels, self.line, OPERATIONS)

    def time_of(self, capacity: int) -> None:
        of_many(self.minima, self.tree, self.levels, OPERATIONS)


class Whole(Timed):
    """One call over the whole tree, as it is."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.minima = np.zeros((self.levels[-2], 8), np.int64)
        minimum_rebuild(self.minima, self.tree, self.levels)

    def time_rebuild(self, capacity: int) -> None:
        minimum_rebuild(self.minima, self.tree, self.levels)
