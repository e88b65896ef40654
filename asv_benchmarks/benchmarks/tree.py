"""kernels.tree: leaves set, and all the sums above them."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_below, random_claim
from kernels.tree import (
    TOP,
    tree_add,
    tree_exchange,
    tree_flush,
    tree_gather,
    tree_get,
    tree_prefetch,
    tree_rebuild,
    tree_set,
    tree_total,
    tree_verify,
)

from . import BATCHES, CAPACITIES, ENDS, OPERATIONS, Timed
from .workload import generator, tree_with_priorities


@kernel
def set_many(
    tree: np.ndarray, levels: np.ndarray, line: np.ndarray, capacity: int, count: int
) -> None:
    counter = random_claim(line, count)
    for turn in range(count):
        leaf = random_below(line[0], counter + turn, capacity)
        tree_set(tree, levels, leaf, 1 + (counter + turn & 0xFFFFF))


@kernel
def get_many(
    tree: np.ndarray, levels: np.ndarray, line: np.ndarray, capacity: int, count: int
) -> int:
    counter = random_claim(line, count)
    total = 0
    for turn in range(count):
        total += tree_get(tree, levels, random_below(line[0], counter + turn, capacity))
    return total


@kernel
def total_many(tree: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(count):
        total ^= tree_total(tree)
    return total


@kernel
def update_many(
    tree: np.ndarray, levels: np.ndarray, line: np.ndarray, leaves: np.ndarray, count: int
) -> None:
    # A batch as a learner gives it back: lines asked for first, the two top levels added last.
    capacity = tree_leaves(levels)
    sums = np.zeros(TOP, np.int64)
    done = 0
    while done < count:
        counter = random_claim(line, leaves.size)
        for row in range(leaves.size):
            leaves[row] = random_below(line[0], counter + row, capacity)
            tree_prefetch(tree, levels, leaves[row])
        for row in range(leaves.size):
            value = 1 + (counter + row & 0xFFFFF)
            difference = tree_exchange(tree, levels, leaves[row], value)
            tree_add(tree, levels, leaves[row], difference, 2)
            tree_gather(levels, leaves[row], difference, sums)
        tree_flush(tree, levels, sums)
        done += leaves.size


@kernel
def tree_leaves(levels: np.ndarray) -> int:
    return (levels[levels.size - 1] - levels[levels.size - 2]) * 8


class Tree(Timed):
    """A million leaves at random."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.line = generator()
        self.capacity = capacity
        set_many(self.tree, self.levels, self.line, capacity, 1)
        get_many(self.tree, self.levels, self.line, capacity, 1)

    def time_set(self, capacity: int) -> None:
        set_many(self.tree, self.levels, self.line, capacity, OPERATIONS)

    def time_get(self, capacity: int) -> None:
        get_many(self.tree, self.levels, self.line, capacity, OPERATIONS)


class Total(Timed):
    """A million looks at the root."""

    def setup(self) -> None:
        self.tree, _ = tree_with_priorities(1000)
        total_many(self.tree, 1)

    def time_total(self) -> None:
        total_many(self.tree, OPERATIONS)


class Update(Timed):
    """A million leaves at random, in batches: prefetch, exchange, add, gather, flush."""

    params = (ENDS, BATCHES)
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.line = generator()
        self.leaves = np.zeros(batch, np.int64)
        update_many(self.tree, self.levels, self.line, self.leaves, 1)

    def time_update(self, capacity: int, batch: int) -> None:
        update_many(self.tree, self.levels, self.line, self.leaves, OPERATIONS)


class Whole(Timed):
    """One call over the whole tree, as it is."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        assert tree_verify(self.tree, self.levels) == 0

    def time_rebuild(self, capacity: int) -> None:
        tree_rebuild(self.tree, self.levels)

    def time_verify(self, capacity: int) -> None:
        tree_verify(self.tree, self.levels)
