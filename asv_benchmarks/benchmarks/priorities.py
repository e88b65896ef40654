"""kernels.priorities: from |TD error| to a leaf."""

import numpy as np

from kernels.jit import kernel
from kernels.priorities import (
    leaf_of,
    leaf_priority,
    priority_ceiling,
    priority_check,
    priority_leaf,
    priority_scale,
)

from . import OPERATIONS, Timed

CAPACITY = 1_000_000


@kernel
def leaf_many(errors: np.ndarray, alpha: float, leaves: np.ndarray, count: int) -> None:
    for _ in range(0, count, errors.size):
        for turn in range(errors.size):
            leaves[turn] = priority_leaf(errors[turn], alpha, CAPACITY)


@kernel
def leaf_of_many(errors: np.ndarray, alpha: float, leaves: np.ndarray, count: int) -> None:
    scale = np.float64(priority_scale(CAPACITY))
    ceiling = np.float64(priority_ceiling(CAPACITY))
    for _ in range(0, count, errors.size):
        for turn in range(errors.size):
            leaves[turn] = leaf_of(errors[turn], alpha, scale, ceiling)


@kernel
def leaf_priority_many(leaves: np.ndarray, alpha: float, errors: np.ndarray, count: int) -> None:
    for _ in range(0, count, leaves.size):
        for turn in range(leaves.size):
            errors[turn] = leaf_priority(leaves[turn], alpha, CAPACITY)


@kernel
def check_many(errors: np.ndarray, count: int) -> int:
    wrong = 0
    for _ in range(0, count, errors.size):
        wrong += priority_check(errors)[0]
    return wrong


class Priorities(Timed):
    """A million priorities; alpha 1 needs no power."""

    params = ([0.6, 1.0],)
    param_names = ("alpha",)

    def setup(self, alpha: float) -> None:
        self.errors = np.random.default_rng(1).exponential(size=1000)
        self.leaves = np.zeros(1000, np.int64)
        leaf_of_many(self.errors, alpha, self.leaves, 1)
        leaf_many(self.errors, alpha, self.leaves, 1)
        leaf_priority_many(self.leaves, alpha, self.errors, 1)

    def time_leaf(self, alpha: float) -> None:
        leaf_many(self.errors, alpha, self.leaves, OPERATIONS)

    def time_leaf_of(self, alpha: float) -> None:
        leaf_of_many(self.errors, alpha, self.leaves, OPERATIONS)

    def time_leaf_priority(self, alpha: float) -> None:
        leaf_priority_many(self.leaves, alpha, self.errors, OPERATIONS)


class Check(Timed):
    """A million priorities looked through, a thousand at a time."""

    def setup(self) -> None:
        self.errors = np.random.default_rng(1).exponential(size=1000)
        check_many(self.errors, 1)

    def time_check(self) -> None:
        check_many(self.errors, OPERATIONS)
