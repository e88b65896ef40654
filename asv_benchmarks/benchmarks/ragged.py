"""Kernels of padded rows: packing a batch."""

import numpy as np

from kernels.addresses import address_of
from kernels.jit import kernel
from kernels.ragged import ragged_offsets, ragged_pack

from . import Timed

LONGEST = 512
TURNS = 100


@kernel
def pack_all(values: np.ndarray, lengths: np.ndarray, packed: np.ndarray, turns: int) -> int:
    offsets = np.empty(lengths.size + 1, np.int64)
    total = 0
    for _ in range(turns):
        total += ragged_offsets(lengths, values.shape[1], offsets)
        ragged_pack(address_of(values), values.shape[1] * 4, 4, offsets, address_of(packed))
    return total


class Batch(Timed):
    """Rows of int32, half as long as the longest on average."""

    params = [32, 1024]  # noqa: RUF012  # asv reads it
    param_names = ("rows",)

    def setup(self, rows: int) -> None:
        self.values = np.ones((rows, LONGEST), np.int32)
        self.lengths = np.random.default_rng(0).integers(0, LONGEST + 1, rows)
        self.packed = np.zeros(rows * LONGEST, np.int32)
        pack_all(self.values, self.lengths, self.packed, 1)

    def time_pack(self, rows: int) -> None:
        pack_all(self.values, self.lengths, self.packed, TURNS)
