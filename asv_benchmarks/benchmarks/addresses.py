"""kernels.addresses: copying the bytes of a field."""

import numpy as np

from kernels.addresses import address_of, copy
from kernels.jit import kernel

from . import OPERATIONS, Timed


@kernel
def copy_many(to: np.ndarray, source: np.ndarray, size: int, count: int) -> None:
    # Neighbouring places of a small block: the copy is measured, and not the memory.
    places = source.size - size
    for turn in range(count):
        place = turn * 64 % places
        copy(address_of(to) + place, address_of(source) + place, size)


class Copy(Timed):
    """`copy`, the sizes of its cases; a million copies inside the first-level cache."""

    params = ([1, 4, 8, 12, 32, 100, 256, 1024],)
    param_names = ("bytes",)

    def setup(self, size: int) -> None:
        self.source = np.ones(8192, np.uint8)
        self.to = np.zeros(8192, np.uint8)
        copy_many(self.to, self.source, size, 1)

    def time_copy(self, size: int) -> None:
        copy_many(self.to, self.source, size, OPERATIONS)
