"""kernels.limit: the one word that adds and samples are held to."""

import numpy as np

from kernels.jit import kernel
from kernels.limit import HIGH, LEAST, LOW, PER_INSERT, PER_SAMPLE, limit_insert, limit_sample

from . import OPERATIONS, Timed


@kernel
def turns_many(line: np.ndarray, limits: np.ndarray, count: int) -> int:
    begun = 0
    for _ in range(count):
        begun += np.int64(limit_insert(line, limits, 1, 1))
        begun += np.int64(limit_sample(line, limits, 1, 1))
    return begun


@kernel
def refused_many(line: np.ndarray, limits: np.ndarray, count: int) -> int:
    begun = 0
    for _ in range(count):
        begun += np.int64(limit_insert(line, limits, 1, 1))
    return begun


class Limit(Timed):
    """A million adds and as many samples that may begin; a million adds that may not."""

    def setup(self) -> None:
        self.line = np.zeros(8, np.int64)
        self.limits = np.zeros(5, np.int64)
        self.limits[[PER_INSERT, PER_SAMPLE, LOW, HIGH, LEAST]] = 1, 1, -8, 8, 1
        self.full = np.full(8, 8, np.int64)
        assert turns_many(self.line, self.limits, 1) == 2
        assert refused_many(self.full, self.limits, 1) == 0

    def time_insert_and_sample(self) -> None:
        turns_many(self.line, self.limits, OPERATIONS)

    def time_refused(self) -> None:
        refused_many(self.full, self.limits, OPERATIONS)
