"""Padded rows packed: from rows of one size and lengths to rows right behind each other."""

import numpy as np

from kernels.addresses import copy_any
from kernels.jit import kernel


@kernel
def ragged_offsets(lengths: np.ndarray, longest: int, offsets: np.ndarray) -> int:
    """
    Say where each row begins once it lies right behind the one before.

    Parameters
    ----------
    lengths : (n,) int64
        One below 0 counts as 0, one above `longest` as that.
    longest : int
    offsets : (n + 1,) int64, written

    Returns
    -------
    int
        Where the last one ends.

    Notes
    -----
    Units: elements.
    Cost: O(n).
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: own.
    """
    total = 0
    for row in range(lengths.size):
        offsets[row] = total
        total += min(max(lengths[row], 0), longest)
    offsets[lengths.size] = total
    return total


@kernel
def ragged_pack(values: int, stride: int, unit: int, offsets: np.ndarray, to: int) -> None:
    """
    Copy padded rows to where they lie right behind each other.

    Parameters
    ----------
    values : int
        Address of the first row.
    stride : int
        Bytes from one row to the next.
    unit : int
        Bytes of an element.
    offsets : (n + 1,) int64
        As ragged_offsets gave them; a row ends where the next one begins.
    to : int
        Address of offsets[n] elements, which are *written*.

    Notes
    -----
    Units: bytes, offsets in elements.
    Cost: O(bytes of the rows); what lies behind their ends is not touched.
    Errors: none; addresses are trusted.
    Sharing: the bytes are the caller's.
    Source: own.
    """
    for row in range(offsets.size - 1):
        start = offsets[row] * unit
        size = offsets[row + 1] * unit - start
        if size > 0:
            copy_any(to + start, values + row * stride, size)
