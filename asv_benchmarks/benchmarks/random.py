"""kernels.random: draws from a counter."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_below, random_bits, random_claim, random_unit

from . import OPERATIONS, Timed
from .workload import generator


@kernel
def bits_many(line: np.ndarray, count: int) -> int:
    counter = random_claim(line, count)
    total = np.uint64(0)
    for draw in range(count):
        total ^= random_bits(line[0], counter + draw)
    return total


@kernel
def below_many(line: np.ndarray, count: int) -> int:
    counter = random_claim(line, count)
    total = 0
    for draw in range(count):
        total += random_below(line[0], counter + draw, 1_000_000)
    return total


@kernel
def unit_many(line: np.ndarray, count: int) -> float:
    counter = random_claim(line, count)
    total = 0.0
    for draw in range(count):
        total += random_unit(line[0], counter + draw)
    return total


@kernel
def claim_many(line: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(count):
        total += random_claim(line, 1)
    return total


class Random(Timed):
    """A million draws."""

    def setup(self) -> None:
        self.line = generator()
        for driver in (bits_many, below_many, unit_many, claim_many):
            driver(self.line, 1)

    def time_bits(self) -> None:
        bits_many(self.line, OPERATIONS)

    def time_below(self) -> None:
        below_many(self.line, OPERATIONS)

    def time_unit(self) -> None:
        unit_many(self.line, OPERATIONS)

    def time_claim(self) -> None:
        claim_many(self.line, OPERATIONS)
