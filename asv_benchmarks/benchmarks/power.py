"""kernels.power: logarithms and powers by polynomials, beside the C library's."""

import numpy as np

from kernels.jit import kernel
from kernels.power import exp2, log2, power

from . import OPERATIONS, Timed

# Results are stored, not summed: a sum of floats has an order, which keeps LLVM from vectorising.


@kernel
def log2_many(values: np.ndarray, results: np.ndarray, count: int) -> None:
    for _ in range(0, count, values.size):
        for turn in range(values.size):
            results[turn] = log2(values[turn])


@kernel
def exp2_many(values: np.ndarray, results: np.ndarray, count: int) -> None:
    for _ in range(0, count, values.size):
        for turn in range(values.size):
            results[turn] = exp2(values[turn])


@kernel
def power_many(values: np.ndarray, exponent: float, results: np.ndarray, count: int) -> None:
    for _ in range(0, count, values.size):
        for turn in range(values.size):
            results[turn] = power(values[turn], exponent)


@kernel
def libm_many(values: np.ndarray, exponent: float, results: np.ndarray, count: int) -> None:
    for _ in range(0, count, values.size):
        for turn in range(values.size):
            results[turn] = values[turn] ** exponent


class Power(Timed):
    """A million numbers."""

    def setup(self) -> None:
        self.values = np.random.default_rng(1).exponential(size=1000) + 1e-6
        self.results = np.zeros(1000)
        log2_many(self.values, self.results, 1)
        exp2_many(self.values, self.results, 1)
        power_many(self.values, 0.6, self.results, 1)
        libm_many(self.values, 0.6, self.results, 1)

    def time_log2(self) -> None:
        log2_many(self.values, self.results, OPERATIONS)

    def time_exp2(self) -> None:
        exp2_many(self.values, self.results, OPERATIONS)

    def time_power(self) -> None:
        power_many(self.values, 0.6, self.results, OPERATIONS)

    def time_power_of_the_c_library(self) -> None:
        libm_many(self.values, 0.6, self.results, OPERATIONS)
