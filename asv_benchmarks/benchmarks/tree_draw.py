"""kernels.tree_draw: from a prefix to its leaf."""

import numpy as np

from kernels.addresses import STACK
from kernels.jit import kernel
from kernels.random import random_claim
from kernels.tree import tree_total
from kernels.tree_draw import tree_find, tree_find_many, tree_prefix, tree_stratum

from . import CAPACITIES, OPERATIONS, Timed
from .workload import generator, tree_with_priorities


@kernel
def find_many(tree: np.ndarray, levels: np.ndarray, line: np.ndarray, count: int) -> int:
    counter = random_claim(line, count)
    total = tree_total(tree)
    found = 0
    for draw in range(count):
        prefix = tree_prefix(total, line[0], counter + draw)
        leaf, _ = tree_find(tree, levels, prefix)
        found += leaf
    return found


@kernel
def find_interleaved(
    tree: np.ndarray,
    levels: np.ndarray,
    line: np.ndarray,
    prefixes: np.ndarray,
    leaves: np.ndarray,
    count: int,
) -> None:
    total = tree_total(tree)
    done = 0
    while done < count:
        counter = random_claim(line, prefixes.size)
        for draw in range(prefixes.size):
            prefixes[draw] = tree_prefix(total, line[0], counter + draw)
        tree_find_many(tree, levels, prefixes, leaves, prefixes.size)
        done += prefixes.size


@kernel
def prefix_many(line: np.ndarray, total: int, count: int) -> int:
    counter = random_claim(line, count)
    drawn = 0
    for draw in range(count):
        drawn ^= tree_prefix(total, line[0], counter + draw)
    return drawn


@kernel
def stratum_many(line: np.ndarray, total: int, count: int) -> int:
    counter = random_claim(line, count)
    drawn = 0
    for draw in range(count):
        drawn ^= tree_stratum(total, line[0], counter + draw, draw & 255, 256)
    return drawn


class Find(Timed):
    """A million draws in proportion, one by one."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.line = generator()
        find_many(self.tree, self.levels, self.line, 1)

    def time_find(self, capacity: int) -> None:
        find_many(self.tree, self.levels, self.line, OPERATIONS)


class FindMany(Timed):
    """A million draws in proportion, so many interleaved."""

    params = (CAPACITIES, [8, 32, STACK])
    param_names = ("capacity", "interleaved")

    def setup(self, capacity: int, interleaved: int) -> None:
        self.tree, self.levels = tree_with_priorities(capacity)
        self.line = generator()
        self.prefixes = np.zeros(interleaved, np.int64)
        self.leaves = np.zeros(interleaved, np.int64)
        self.find(1)

    def find(self, count: int) -> None:
        find_interleaved(self.tree, self.levels, self.line, self.prefixes, self.leaves, count)

    def time_find_many(self, capacity: int, interleaved: int) -> None:
        self.find(OPERATIONS)


class Prefix(Timed):
    """A million prefixes, of the whole and of strata."""

    def setup(self) -> None:
        self.line = generator()
        prefix_many(self.line, 1 << 40, 1)
        stratum_many(self.line, 1 << 40, 1)

    def time_prefix(self) -> None:
        prefix_many(self.line, 1 << 40, OPERATIONS)

    def time_stratum(self) -> None:
        stratum_many(self.line, 1 << 40, OPERATIONS)
