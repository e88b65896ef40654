"""kernels.weights: importance-sampling weights."""

import numpy as np

from kernels.jit import kernel
from kernels.weights import weights_of, weights_scale

from . import BATCHES, OPERATIONS, Timed


@kernel
def weights_many(leaves: np.ndarray, weights: np.ndarray, count: int) -> float:
    largest = 0.0
    for _ in range(0, count, leaves.size):
        largest += weights_of(leaves, 1e6, 0.4, weights, leaves.size)
    return largest


@kernel
def scale_many(weights: np.ndarray, largest: float, count: int) -> None:
    # An argument: LLVM would leave out a division by a constant 1.
    for _ in range(0, count, weights.size):
        weights_scale(weights, largest)


class Weights(Timed):
    """A million weights, in batches."""

    params = (BATCHES,)
    param_names = ("batch",)

    def setup(self, batch: int) -> None:
        self.leaves = np.random.default_rng(1).integers(1, 1 << 20, size=batch)
        self.weights = np.ones(batch, np.float32)
        weights_many(self.leaves, self.weights, 1)
        scale_many(self.weights, 1.0, 1)

    def time_of(self, batch: int) -> None:
        weights_many(self.leaves, self.weights, OPERATIONS)

    def time_scale(self, batch: int) -> None:
        scale_many(self.weights, 1.0, OPERATIONS)
