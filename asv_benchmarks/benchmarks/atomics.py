"""kernels.atomics: one word that nobody else wants, and words all over a block."""

import numpy as np

from kernels.atomics import (
    compare_and_swap,
    exchange,
    fence,
    fetch_add,
    fetch_max,
    load,
    store,
)
from kernels.jit import kernel

from . import OPERATIONS, Timed

# `words` holds a power of two of them: a mask keeps the index inside.


@kernel
def load_many(words: np.ndarray, step: int, count: int) -> int:
    total = 0
    for turn in range(count):
        total += load(words, turn * step & (words.size - 1))
    return total


@kernel
def store_many(words: np.ndarray, step: int, count: int) -> None:
    for turn in range(count):
        store(words, turn * step & (words.size - 1), turn)


@kernel
def fetch_add_many(words: np.ndarray, step: int, count: int) -> None:
    for turn in range(count):
        fetch_add(words, turn * step & (words.size - 1), 1)


@kernel
def exchange_many(words: np.ndarray, step: int, count: int) -> int:
    total = 0
    for turn in range(count):
        total += exchange(words, turn * step & (words.size - 1), turn)
    return total


@kernel
def compare_and_swap_many(words: np.ndarray, step: int, count: int) -> int:
    swapped = 0
    for turn in range(count):
        index = turn * step & (words.size - 1)
        if compare_and_swap(words, index, load(words, index), turn):
            swapped += 1
    return swapped


@kernel
def fetch_max_many(words: np.ndarray, step: int, count: int) -> None:
    for turn in range(count):
        fetch_max(words, turn * step & (words.size - 1), turn)


@kernel
def fence_many(words: np.ndarray, step: int, count: int) -> int:
    total = 0
    for turn in range(count):
        total += words[turn * step & (words.size - 1)]
        fence()
    return total


class Atomics(Timed):
    """A million operations on one word, or each on the next of so many cache lines."""

    params = ([1, 1024, 131072],)
    param_names = ("lines",)

    def setup(self, lines: int) -> None:
        self.words = np.zeros(lines * 8, np.int64)
        self.step = 0 if lines == 1 else 8
        for driver in (
            load_many,
            store_many,
            fetch_add_many,
            exchange_many,
            compare_and_swap_many,
            fetch_max_many,
            fence_many,
        ):
            driver(self.words, self.step, 1)

    def time_load(self, lines: int) -> None:
        load_many(self.words, self.step, OPERATIONS)

    def time_store(self, lines: int) -> None:
        store_many(self.words, self.step, OPERATIONS)

    def time_fetch_add(self, lines: int) -> None:
        fetch_add_many(self.words, self.step, OPERATIONS)

    def time_exchange(self, lines: int) -> None:
        exchange_many(self.words, self.step, OPERATIONS)

    def time_compare_and_swap(self, lines: int) -> None:
        compare_and_swap_many(self.words, self.step, OPERATIONS)

    def time_fetch_max(self, lines: int) -> None:
        fetch_max_many(self.words, self.step, OPERATIONS)

    def time_plain_load_and_fence(self, lines: int) -> None:
        fence_many(self.words, self.step, OPERATIONS)
