"""kernels.wide: rows such as images, out of memory into one place or two."""

import numpy as np

from kernels.addresses import address_of
from kernels.jit import kernel
from kernels.wide import copy_twice, copy_wide, head_prefetch

from . import Timed, unless_quick

#: Rows that are copied in one timing: milliseconds read as microseconds.
ROWS = 1_000
#: Bytes that no cache holds.
BYTES = unless_quick(1 << 27, 1 << 20)


@kernel
def wide_many(rows: np.ndarray, to: np.ndarray, places: np.ndarray) -> None:
    size = rows.shape[1]
    for turn in range(places.size - 1):
        head_prefetch(address_of(rows) + places[turn + 1] * size)
        copy_wide(
            address_of(to) + (turn & 31) * size, address_of(rows) + places[turn] * size, size
        )


@kernel
def twice_many(rows: np.ndarray, to: np.ndarray, places: np.ndarray) -> None:
    size = rows.shape[1]
    for turn in range(places.size - 1):
        head_prefetch(address_of(rows) + places[turn + 1] * size)
        first = address_of(to) + (turn & 31) * size
        copy_twice(first, first + 32 * size, address_of(rows) + places[turn] * size, size)


class Wide(Timed):
    """A thousand rows at random, the next one asked for meanwhile."""

    params = ([256, 7056, 28224],)
    param_names = ("bytes",)

    def setup(self, size: int) -> None:
        self.rows = np.ones((BYTES // size, size), np.uint8)
        self.to = np.zeros((64, size), np.uint8)
        self.places = np.random.default_rng(1).integers(0, len(self.rows), ROWS + 1)
        wide_many(self.rows, self.to, self.places[:2])
        twice_many(self.rows, self.to, self.places[:2])

    def time_to_one_place(self, size: int) -> None:
        wide_many(self.rows, self.to, self.places)

    def time_to_two_places(self, size: int) -> None:
        twice_many(self.rows, self.to, self.places)
