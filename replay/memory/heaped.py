"""
Options of heaped fields, whose rows differ in the bytes that they are stored in.

A ragged field's rows differ in length, a compressed field's in what compression makes of them.
Their bytes lie in a ring of bytes, whose room is given in bytes or as an expected ratio.
"""

import math
from typing import Any

import numpy as np

from kernels.heap import MOST_BYTES
from replay.errors import FieldError

COMPRESSIONS = ("lz4",)
#: Of a ragged field, where nothing else is said.
LONGEST = 1024
#: What the largest row is to the stored rows' average, where nothing else is said.
RATIO = 4.0
#: What fields of text are given as, by what they are called.
TEXTS = {"bytes": bytes, "str": str}
_MOST_ROOM = 1 << 62


def check_compression(compression: Any) -> None:
    """
    Refuse a compression that there is not.

    Raises
    ------
    FieldError
    """
    known = isinstance(compression, str) and compression in COMPRESSIONS
    if compression is not None and not known:
        raise FieldError(
            f"compression is {compression!r}, there is {', '.join(map(repr, COMPRESSIONS))}"
        )


def check_longest(longest: Any, unit: int) -> int:
    """
    Check how long a row of a ragged field may be.

    Parameters
    ----------
    longest : int or None
        Elements; None: `LONGEST`.
    unit : int
        Bytes of an element.

    Raises
    ------
    FieldError
    """
    most = MOST_BYTES // unit
    chosen = LONGEST if longest is None else longest
    if not isinstance(chosen, (int, np.integer)) or isinstance(chosen, bool):
        raise FieldError(f"longest is {longest!r}, it must be an int")
    if not 1 <= chosen <= most:
        left_out = " where it is left out" if longest is None else ""
        raise FieldError(
            f"longest is {chosen}{left_out}, it must be from 1 to {most}, of {unit} bytes each"
        )
    return int(chosen)


def check_ratio(ratio: Any) -> float:
    """
    Check how much smaller than the largest row the stored rows are expected to be.

    Raises
    ------
    FieldError
    """
    if not isinstance(ratio, (int, float, np.integer, np.floating)) or isinstance(ratio, bool):
        raise FieldError(f"ratio is {ratio!r}, it must be a number")
    try:
        chosen = float(ratio)
    except OverflowError:
        chosen = math.inf
    if not 0 < chosen < math.inf:
        raise FieldError(f"ratio is {ratio}, it must be above 0 and finite")
    return chosen


def check_room(room: Any, nbytes: int) -> int:
    """
    Check the bytes that all stored rows have together.

    Parameters
    ----------
    room : int
    nbytes : int
        Of the largest row.

    Raises
    ------
    FieldError
    """
    if not isinstance(room, (int, np.integer)) or isinstance(room, bool):
        raise FieldError(f"room is {room!r}, it must be an int")
    if not nbytes <= room <= _MOST_ROOM:
        raise FieldError(
            f"room is {room} bytes, it must be from {nbytes}, one row of the largest size, to "
            f"{_MOST_ROOM}"
        )
    return int(room)
