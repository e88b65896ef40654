"""
Rows of different lengths as batches hold them: padded, with lengths, or flat, with offsets.

Each form has a type for numbers, one for bytes and one for text, which differ in what `tolist`
makes of a row. All are plain named tuples, and so pytrees to JAX and PyTorch.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.jit import INTERPRETED, entry_point
from kernels.ragged import ragged_offsets, ragged_pack
from replay.progress import compiling


class Padded(NamedTuple):
    """
    Rows in one array, each as long as the longest one may be.

    With a view's axes, as of a stack or of time, those lie behind that of the rows, in `values` as
    in `lengths`.

    Parameters
    ----------
    values : (n, longest, *shape) ndarray
        Zeros lie behind the end of each row.
    lengths : (n,) int64 ndarray
        Elements of each row.
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]

    def tolist(self) -> list[Any]:
        """Give each row as an array, a view; in a list an axis, where a view has more of them."""
        return _padded_rows(self, _same)

    def __repr__(self) -> str:
        return _shown(self)


class PaddedBytes(NamedTuple):
    """
    As `Padded`, of bytes.

    Parameters
    ----------
    values : (n, longest) uint8 ndarray
    lengths : (n,) int64 ndarray
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]

    def tolist(self) -> list[Any]:
        """Give each row as bytes; in a list an axis, where a view has more of them."""
        return _padded_rows(self, _bytes)

    def __repr__(self) -> str:
        return _shown(self)


class PaddedStr(NamedTuple):
    """
    As `Padded`, of text in UTF-8.

    Parameters
    ----------
    values : (n, longest) uint8 ndarray
    lengths : (n,) int64 ndarray
        Bytes of each row.
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]

    def tolist(self) -> list[Any]:
        """Give each row as a str; in a list an axis, where a view has more of them."""
        return _padded_rows(self, _str)

    def __repr__(self) -> str:
        return _shown(self)


class Flat(NamedTuple):
    """
    Rows in one array, one right behind the other.

    Row i is values[offsets[i] : offsets[i + 1]]. With a view's axes, as of a stack or of time, the
    rows are counted as the lengths of a `Padded` are ordered, the last axis first.

    Parameters
    ----------
    values : (elements, *shape) ndarray
    offsets : (n + 1,) int64 ndarray
        Where each row begins, and last where they all end.
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def tolist(self) -> list[Any]:
        """Give each row as an array, a view."""
        return _flat_rows(self, _same)

    def __repr__(self) -> str:
        return _shown(self)


class FlatBytes(NamedTuple):
    """
    As `Flat`, of bytes.

    Parameters
    ----------
    values : (bytes,) uint8 ndarray
    offsets : (n + 1,) int64 ndarray
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def tolist(self) -> list[bytes]:
        """Give each row as bytes."""
        return _flat_rows(self, _bytes)

    def __repr__(self) -> str:
        return _shown(self)


class FlatStr(NamedTuple):
    """
    As `Flat`, of text in UTF-8.

    Parameters
    ----------
    values : (bytes,) uint8 ndarray
    offsets : (n + 1,) int64 ndarray
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def tolist(self) -> list[str]:
        """Give each row as a str."""
        return _flat_rows(self, _str)

    def __repr__(self) -> str:
        return _shown(self)


#: By the text of a field.
PADDED: dict[str | None, Any] = {None: Padded, "bytes": PaddedBytes, "str": PaddedStr}
FLAT: dict[str | None, Any] = {None: Flat, "bytes": FlatBytes, "str": FlatStr}
#: For isinstance.
PADDED_TYPES = tuple(PADDED.values())
FLAT_TYPES = tuple(FLAT.values())


def flattened(
    values: npt.NDArray[Any], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """
    Put padded rows one right behind the other.

    Parameters
    ----------
    values : (*rows, longest, *shape) ndarray, C-contiguous
        What lies behind the end of a row is not read.
    lengths : (*rows) int64 ndarray, C-contiguous

    Returns
    -------
    tuple of (elements, *shape) ndarray and (rows + 1,) int64 ndarray
        The rows and their offsets.
    """
    count, pack = _entries()
    longest, *shape = values.shape[lengths.ndim :]
    offsets = np.empty(lengths.size + 1, np.int64)
    total = count(lengths.reshape(-1), longest, offsets)
    packed = np.empty((total, *shape), values.dtype)
    if total:
        unit = packed.nbytes // total
        pack(values.ctypes.data, longest * unit, unit, offsets, packed.ctypes.data)
    return packed, offsets


@functools.cache
def _entries() -> tuple[Callable[..., int], Callable[..., None]]:
    """Compile or load the kernels of `flattened`, which run without the interpreter's lock."""
    counting = packing = None
    if not INTERPRETED:
        from numba import types

        words, whole = types.Array(types.int64, 1, "C"), types.int64
        counting, packing = (words, whole, words), (whole, whole, whole, words, whole)
    with compiling() as ready:
        count = entry_point(ragged_offsets, counting, nogil=True)
        pack = entry_point(ragged_pack, packing, nogil=True)
        ready("ragged_pack")
    return count, pack


def _same(row: Any) -> Any:
    return row


def _bytes(row: Any) -> bytes:
    return np.asarray(row).tobytes()


def _str(row: Any) -> str:
    return _bytes(row).decode()


def _padded_rows(padded: Any, made: Callable[[Any], Any]) -> list[Any]:
    values, lengths = padded
    if len(lengths.shape) > 1:
        inner = type(padded)
        return [_padded_rows(inner(*both), made) for both in zip(values, lengths, strict=True)]
    ends = lengths.tolist()
    return [made(row[:end]) for row, end in zip(values, ends, strict=True)]


def _flat_rows(flat: Any, made: Callable[[Any], Any]) -> list[Any]:
    values, ends = flat.values, flat.offsets.tolist()
    return [made(values[start:end]) for start, end in itertools.pairwise(ends)]


def _shown(batch: Any) -> str:
    parts = ", ".join(
        f"{name}={value.dtype}{list(value.shape)}"
        if hasattr(value, "dtype")
        else f"{name}={value}"
        for name, value in zip(batch._fields, batch, strict=True)
    )
    return f"{type(batch).__name__}({parts})"
