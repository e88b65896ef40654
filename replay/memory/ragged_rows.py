"""Rows of different lengths on their way in: from what users write to arrays."""

import itertools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from replay.errors import FieldError
from replay.memory.ragged import FLAT_TYPES, PADDED_TYPES

if TYPE_CHECKING:
    from replay.memory.fields import Field

_UINT8 = np.dtype(np.uint8)


class RaggedRows:
    """
    Rows of a ragged field that were found to fit, each an array of its own.

    Parameters
    ----------
    field : Field
    rows : list of (k, *shape) ndarray
        Of the field's dtype.
    """

    def __init__(self, field: "Field", rows: list[npt.NDArray[Any]]) -> None:
        self.field = field
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def pad(self, first: int, into: npt.NDArray[Any]) -> None:
        """
        Copy rows into an array of rows of the largest size, and leave what is behind their ends.

        Parameters
        ----------
        first : int
            The first of them.
        into : (n, longest, *shape) ndarray, written
            From its beginning, as many rows as there are or as it has room for.
        """
        for place, row in enumerate(self.rows[first : first + len(into)]):
            into[place, : len(row)] = row

    def padded(self) -> npt.NDArray[Any]:
        """Copy all rows into one array, (n, longest, *shape), unset behind their ends."""
        made = np.empty((len(self.rows), *self.field.shape), self.field.dtype)
        self.pad(0, made)
        return made


def one_row(field: "Field", name: str, value: Any) -> tuple[npt.NDArray[Any], int]:
    """
    Make an array out of one row of a ragged field, or say why it is none.

    Parameters
    ----------
    field : Field
    name : str
        For the message.
    value : array-like, bytes, str, or one row of a `Padded`

    Returns
    -------
    tuple of (k, *shape) ndarray, C-contiguous, and int
        The row and its length.

    Raises
    ------
    FieldError
    """
    if isinstance(value, PADDED_TYPES):
        row = field.convert(name, _cut(name, value))
        if field.text == "str":
            _check_text(name, row)
        return row, len(row)
    if field.text == "str":
        value = _encoded(name, value)
    elif field.text == "bytes":
        value = _bytes(name, value)
    row = value if _fits(field, value) else field.convert(name, value)
    return row, len(row)


def _fits(field: "Field", value: Any) -> bool:
    """Say whether a value is a row already: the usual one must not be looked at for long."""
    return (
        type(value) is np.ndarray
        and value.dtype == field.dtype
        and value.ndim == len(field.shape)
        and value.shape[1:] == field.shape[1:]
        and len(value) <= field.longest
        and value.flags.c_contiguous
    )


def many_rows(
    field: "Field", name: str, value: Any
) -> tuple[npt.NDArray[Any] | RaggedRows, npt.NDArray[np.int64]]:
    """
    Make arrays out of rows of a ragged field, or say which of them is none and why.

    Parameters
    ----------
    field : Field
    name : str
        For the message.
    value : list or tuple of rows, `Padded`, `Flat`, or array of rows of one length

    Returns
    -------
    tuple of (n, longest, *shape) ndarray or RaggedRows, and (n,) int64 ndarray
        The rows and their lengths.

    Raises
    ------
    FieldError
    """
    if isinstance(value, PADDED_TYPES):
        return _padded(field, name, value)
    if isinstance(value, FLAT_TYPES):
        rows = _split(name, value)
    elif isinstance(value, (str, bytes, bytearray, memoryview, Mapping, set)) or not (
        isinstance(value, Collection) and getattr(value, "shape", None) != ()
    ):
        raise FieldError(
            f"field {name!r} is a single {type(value).__name__}, extend takes a list of rows, a "
            "replay.Padded or a replay.Flat"
        )
    else:
        rows = list(value)
        made = RaggedRows(field, [_numbered(field, name, *row) for row in enumerate(rows)])
        return made, _lengths(made.rows)
    return _taken(field, name, rows)


def _numbered(field: "Field", name: str, number: int, value: Any) -> npt.NDArray[Any]:
    """Take one of many rows, with its number in the message."""
    try:
        return one_row(field, name, value)[0]
    except FieldError as error:
        raise FieldError(f"row {number}: {error}") from None


def _taken(
    field: "Field", name: str, rows: list[npt.NDArray[Any]]
) -> tuple[RaggedRows, npt.NDArray[np.int64]]:
    """Convert the rows of a batch: arrays, also of a field of text."""
    made = RaggedRows(field, [field.convert(name, row) for row in rows])
    if field.text == "str":
        for row in made.rows:
            _check_text(name, row)
    return made, _lengths(made.rows)


def _padded(
    field: "Field", name: str, value: Any
) -> tuple[npt.NDArray[Any] | RaggedRows, npt.NDArray[np.int64]]:
    lengths = _integers(name, "lengths", value.lengths)
    if isinstance(value.values, RaggedRows):
        return value.values, lengths
    values = np.asarray(value.values)
    if values.ndim < 2 or len(values) != lengths.size:
        raise FieldError(
            f"field {name!r} is a Padded of values of shape {values.shape}, and {lengths.size} "
            "lengths: it must be a row a length"
        )
    most = values.shape[1]
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= most:
        wrong = lengths[(lengths < 0) | (lengths > most)][0]
        raise FieldError(
            f"field {name!r} is a Padded with a length of {wrong}, its rows have 0 to {most} "
            "elements"
        )
    if values.shape[1:] == field.shape and values.dtype == field.dtype and field.text != "str":
        # As batches give them: no row is looked at.
        return np.require(values, requirements=("C", "A")), lengths
    rows = [row[:end] for row, end in zip(values, lengths.tolist(), strict=True)]
    return _taken(field, name, rows)


def _split(name: str, flat: Any) -> list[npt.NDArray[Any]]:
    """Give the rows of a `Flat` as views."""
    values, offsets = np.asarray(flat.values), _integers(name, "offsets", flat.offsets)
    whole = values.ndim > 0 and offsets.size > 0
    if not whole or offsets[0] < 0 or offsets[-1] > len(values) or (np.diff(offsets) < 0).any():
        raise FieldError(
            f"field {name!r} is a Flat of values of shape {values.shape}, its offsets must grow "
            "from 0 to the number of values"
        )
    ends = offsets.tolist()
    return [values[start:end] for start, end in itertools.pairwise(ends)]


def _cut(name: str, padded: Any) -> npt.NDArray[Any]:
    """Give one row of a `Padded` without what is behind its end."""
    values, length = np.asarray(padded.values), np.asarray(padded.lengths)
    if length.shape != () or length.dtype.kind not in "iu" or values.ndim < 1:
        raise FieldError(
            f"field {name!r} is a Padded of lengths of shape {length.shape}: one row has one "
            "length, an int"
        )
    if not 0 <= length <= len(values):
        raise FieldError(
            f"field {name!r} is a Padded with a length of {length}, it has {len(values)} elements"
        )
    return values[: int(length)]


def _integers(name: str, part: str, value: Any) -> npt.NDArray[np.int64]:
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise FieldError(
            f"field {name!r} has {part} of {array.dtype} and shape {array.shape}, they must be "
            "integers, (n,)"
        )
    # A copy: kernels run beside the caller's threads, who may write into it.
    return np.array(array, np.int64)


def _lengths(rows: list[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(len, rows), np.int64, len(rows))


def _encoded(name: str, value: Any) -> npt.NDArray[np.uint8]:
    if not isinstance(value, str):
        raise FieldError(f"field {name!r} is {_short(value)}, it must be a str")
    try:
        return np.frombuffer(value.encode(), np.uint8)
    except UnicodeEncodeError as error:
        raise FieldError(
            f"field {name!r} is {_short(value)}, which UTF-8 cannot hold: {error.reason} at "
            f"{error.start}"
        ) from None


def _bytes(name: str, value: Any) -> npt.NDArray[Any]:
    if isinstance(value, (bytes, bytearray)):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, memoryview):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype == _UINT8:
        return value
    raise FieldError(f"field {name!r} is {_short(value)}, it must be bytes or an array of uint8")


def _check_text(name: str, row: npt.NDArray[Any]) -> None:
    try:
        row.tobytes().decode()
    except UnicodeDecodeError as error:
        raise FieldError(
            f"field {name!r} is no UTF-8: {error.reason} at byte {error.start}"
        ) from None


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
