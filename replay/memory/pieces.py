"""Rows as kernels take them, a piece at a time: addresses, with ragged rows padded."""

from typing import Any

import numpy as np
import numpy.typing as npt

from replay.memory.ragged_rows import RaggedRows

#: Bytes that the padded rows of a piece take at most, unless one row alone takes more.
SCRATCH = 1 << 22


class Pieces:
    """
    Rows of all fields of a buffer.

    Padded, rows of different lengths may be many times as large as they are, so that only a few
    of them are padded at once.

    Parameters
    ----------
    rows : list of ndarray or RaggedRows
        Those of each field, of its dtype and C-contiguous.
    sizes : list of int
        Bytes of a row of each field, of the longest one where they differ.
    """

    def __init__(self, rows: list[Any], sizes: list[int]) -> None:
        self._rows = rows
        self._sizes = np.array(sizes, np.int64)
        self._scratch: dict[int, npt.NDArray[Any]] = {}
        self._most: int | None = None
        ragged = [place for place, row in enumerate(rows) if isinstance(row, RaggedRows)]
        if ragged:
            self._most = max(SCRATCH // sum(sizes[place] for place in ragged), 1)
            for place in ragged:
                field, count = rows[place].field, min(self._most, len(rows[place]))
                self._scratch[place] = np.empty((count, *field.shape), field.dtype)

    def behind(self, first: int, count: int) -> tuple[npt.NDArray[np.int64], int]:
        """
        Lay out rows for a kernel.

        Parameters
        ----------
        first : int
            The first of them.
        count : int
            How many are wanted.

        Returns
        -------
        tuple of (fields,) int64 ndarray and int
            The addresses, until the next call, and how many rows there are: 1 or more.
        """
        starts = np.empty(len(self._rows), np.int64)
        for place, rows in enumerate(self._rows):
            if isinstance(rows, RaggedRows):
                rows.pad(first, self._scratch[place])
                starts[place] = self._scratch[place].ctypes.data
            else:
                starts[place] = rows.ctypes.data + first * self._sizes[place]
        return starts, count if self._most is None else min(count, self._most)
