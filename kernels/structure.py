"""Whether Python's and NumPy's objects lie in memory as `kernels.objects` reads them."""

import ctypes
import sys
import weakref
from typing import Any, NamedTuple

import numpy as np

from kernels import handle
from kernels.handle import LONG_DIGITS
from kernels.methods import ARRAY_WEAK, LIST_ITEMS, LIST_SIZE, REFERENCES
from kernels.objects import (
    ARRAY_DATA,
    ARRAY_DESCR,
    ARRAY_DIMS,
    ARRAY_FLAGS,
    ARRAY_NDIM,
    COUNT_IS_SIGNED,
    COUNT_IS_TAGGED,
    DIGITS,
    ITEMS,
    NUMBER,
    SIZE_OF_TUPLE,
    TYPE,
)


def structure() -> dict[int, int]:
    """
    Verify every offset into Python's and NumPy's structures that `kernels.objects` uses.

    Returns
    -------
    dict of int to int
        The words of a handle, LONG_DIGITS to DESCR_INT64; empty where the interpreter or NumPy
        lays its objects out in another way, and the plain path has to serve.
    """
    if sys.implementation.name != "cpython" or sys.byteorder != "little":
        return {}
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return {}
    probe = np.arange(6, dtype=np.float32).reshape(2, 3)
    items = (probe, 1.5, 7)
    word = _peek
    expected: list[tuple[Any, Any]] = [
        (word(id(items) + TYPE), id(tuple)),
        (word(id(items) + SIZE_OF_TUPLE), 3),
        *((word(id(items) + ITEMS + 8 * place), id(item)) for place, item in enumerate(items)),
        (word(id(probe) + TYPE), id(np.ndarray)),
        (word(id(probe) + ARRAY_DATA), probe.ctypes.data),
        (word(id(probe) + ARRAY_NDIM) & 0xFFFFFFFF, 2),
        (word(word(id(probe) + ARRAY_DIMS)), 2),
        (word(word(id(probe) + ARRAY_DIMS) + 8), 3),
        (word(id(probe) + ARRAY_DESCR), id(np.dtype(np.float32))),
        (word(id(probe) + ARRAY_FLAGS) & 0xFFFFFFFF, probe.flags.num),
    ]
    for number in (0.0, -1.5, 1e300):
        expected.append((_peek_float(id(number) + NUMBER), number))
    for scalar_type in (
        np.bool_,
        np.int8,
        np.uint16,
        np.int64,
        np.float32,
        np.float64,
        np.complex64,
    ):
        scalar = scalar_type(1)
        size = scalar.dtype.itemsize
        expected.append((ctypes.string_at(id(scalar) + NUMBER, size), scalar.tobytes()))
        expected.append((word(id(scalar) + TYPE), id(scalar_type)))
    if any(seen != wanted for seen, wanted in expected):
        return {}
    for layout in (COUNT_IS_SIGNED, COUNT_IS_TAGGED):
        words = {
            handle.LONG_DIGITS: layout,
            handle.TYPE_ARRAY: id(np.ndarray),
            handle.TYPE_FLOAT: id(float),
            handle.TYPE_INT: id(int),
            handle.TYPE_FLOAT64: id(np.float64),
            handle.TYPE_INT64: id(np.int64),
            handle.TRUE: id(True),
            handle.FALSE: id(False),
            handle.DESCR_FLOAT32: id(np.dtype(np.float32)),
            handle.DESCR_FLOAT64: id(np.dtype(np.float64)),
            handle.DESCR_INT64: id(np.dtype(np.int64)),
        }
        if _integers_read(words):
            return words
    return {}


def _peek(address: int) -> int:
    return ctypes.c_int64.from_address(address).value


def _peek_float(address: int) -> float:
    return ctypes.c_double.from_address(address).value


def _integers_read(words: dict[int, int]) -> bool:
    """Say whether object_integer's arithmetic, done here in Python, reads a set of integers."""
    for number in (0, 1, -1, 5, 255, -256, 257, 2**30 - 1, 2**30, -(2**30), 2**59, -(2**60) + 1):
        count = _peek(id(number) + NUMBER)
        negative = count < 0
        if words[LONG_DIGITS] == COUNT_IS_TAGGED:
            negative = count & 3 == 2
            count >>= 3
        elif negative:
            count = -count
        if not 0 <= count <= 2:
            return False
        value = 0
        for digit in range(count):
            at = id(number) + DIGITS + 4 * digit
            value |= ctypes.c_int32.from_address(at).value << (30 * digit)
        if (-value if negative else value) != number:
            return False
    return True


#: Below lies nothing that could be read.
_LOWEST = 1 << 16


class _Pair(NamedTuple):
    first: Any
    second: Any


def methods_hold() -> bool:
    """
    Verify what `kernels.methods` reads besides, where `structure` holds.

    Returns
    -------
    bool
        False: no kernel may be called as a method.
    """
    # Each held by the list alone.
    kept: list[Any] = [np.zeros(3), _Pair(1.5, None)]
    array, pair = id(kept[0]), id(kept[1])
    items = _peek(id(kept) + LIST_ITEMS)
    if items < _LOWEST or items % 8 != 0:
        # No address at all.
        return False

    def references(thing: int) -> int:
        return ctypes.c_int32.from_address(thing + REFERENCES).value

    expected = [
        (_peek(id(kept) + LIST_SIZE), 2),
        (_peek(items), array),
        (_peek(items + 8), pair),
        (references(array), 1),
        (references(pair), 1),
        (_peek(pair + TYPE), id(_Pair)),
        (_peek(pair + SIZE_OF_TUPLE), 2),
        (_peek(pair + ITEMS + 8), id(None)),
        (_peek(array + ARRAY_WEAK), 0),
    ]
    others = [kept[0][1:], memoryview(kept[0]), kept[1]]
    expected += [(references(array), 3), (references(pair), 2)]
    others.clear()
    expected += [(references(array), 1), (references(pair), 1)]
    watcher = weakref.ref(kept[0])
    expected += [(_peek(array + ARRAY_WEAK), id(watcher)), (references(array), 1)]
    return all(seen == wanted for seen, wanted in expected)
