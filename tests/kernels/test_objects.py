"""Python objects read in place: what is taken has NumPy's bytes, all else is left alone."""

import ctypes
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import handle as words
from kernels import structure as structures
from kernels.jit import INTERPRETED, entry_point, kernel
from kernels.objects import (
    ALIGNED,
    C_CONTIGUOUS,
    WRITEABLE,
    array_data,
    array_rows,
    integer_fits,
    object_address,
    object_integer,
    object_scalar,
    object_source,
    object_type,
    tuple_item,
    tuple_size,
)
from kernels.rows import DESCR, DIMS, KIND, KINDS, NDIM, PLAN_WIDTH, SCALAR, SIZE
from kernels.structure import structure

FOUND = structure()
HANDLE = np.zeros(64, np.int64)
for word, value in FOUND.items():
    HANDLE[word] = value

pytestmark = pytest.mark.skipif(not FOUND, reason="objects lie in another way here")


def plan_of(dtype, shape=()):
    dtype = np.dtype(dtype)
    plan = np.zeros((1, PLAN_WIDTH), np.int64)
    plan[0, SIZE] = dtype.itemsize * int(np.prod(shape, dtype=int))
    plan[0, KIND] = KINDS.index(dtype.str)
    plan[0, DESCR] = id(dtype)
    plan[0, SCALAR] = id(dtype.type)
    plan[0, NDIM] = len(shape)
    plan[0, DIMS : DIMS + len(shape)] = shape
    return plan


def scalar_bytes(thing, kind):
    """Give the bytes that a field of this type would take from an object; None for none."""
    number = np.zeros(1, np.int64)
    address = object_scalar(HANDLE, plan_of(kind), 0, id(thing), number.ctypes.data)
    return ctypes.string_at(address, np.dtype(kind).itemsize) if address else None


def test_structure_holds_on_cpython():
    """A skip of this file on the interpreter it was made for would be silent."""
    assert sys.implementation.name != "cpython" or FOUND
    assert FOUND[words.TYPE_FLOAT] == id(float)
    layout = (
        structures.COUNT_IS_TAGGED if sys.version_info >= (3, 12) else structures.COUNT_IS_SIGNED
    )
    assert FOUND[words.LONG_DIGITS] == layout


@pytest.mark.parametrize(
    ("place", "name", "wrong"),
    [
        (sys, "byteorder", "big"),
        (structures, "ITEMS", 16),
        (structures, "ARRAY_DATA", 24),
        (structures, "ARRAY_DESCR", 48),
        (structures, "ARRAY_FLAGS", 60),
        (structures, "ARRAY_DIMS", 40),
        (structures, "DIGITS", 28),
    ],
)
def test_structure_finds_an_offset_that_does_not_hold(monkeypatch, place, name, wrong):
    monkeypatch.setattr(place, name, wrong)
    assert structure() == {}


def test_structure_wants_cpython_with_its_lock(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert structure() == {}
    monkeypatch.undo()
    monkeypatch.setattr(sys.implementation, "name", "other")
    assert structure() == {}


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.one_of(st.integers(-300, 300), st.integers(-(2**60), 2**60), st.integers()))
def test_integers_of_60_bits_are_read_and_larger_ones_refused(number):
    fits, value = object_integer(HANDLE, id(number))
    assert fits == (abs(number) < 2**60)
    assert value == (number if fits else 0)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(-(2**63), 2**63 - 1))
def test_numpy_integers_of_64_bits_are_read(number):
    thing = np.int64(number)
    assert tuple(object_integer(HANDLE, id(thing))) == (True, number)


EDGES = [(sign, step) for sign in (1, -1) for step in (-1, 0, 1)]
INTEGERS = [kind for kind in KINDS if kind[1] in "iu"]


class Whole(int):
    pass


OTHERS = [True, None, 1.5, "1", b"1", np.int32(1), np.bool_(True), [1], (1,), int, Whole(3)]


@pytest.mark.parametrize("thing", OTHERS, ids=repr)
def test_no_other_object_is_an_integer(thing):
    assert tuple(object_integer(HANDLE, id(thing))) == (False, 0)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from([s * 2**n + d for n in (7, 8, 15, 16, 31, 32, 62) for s, d in EDGES]),
    ),
    st.sampled_from(INTEGERS),
)
def test_an_integer_fits_its_type_as_numpy_has_it(number, kind):
    limits = np.iinfo(np.dtype(kind))
    fits = integer_fits(number, KINDS.index(kind))
    assert fits == (int(limits.min) <= number <= int(limits.max))


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-300, 70000),
    st.integers(-(2**61), 2**65),
    st.floats(),
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 3.4028234663852886e38, 3.5e38, 1e39, -1e39, 1e-50]),
)


def plain_bytes(number, kind):
    """Give NumPy's bytes of a number, None where the type does not hold it."""
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        fits = isinstance(number, bool)
    elif dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = not isinstance(number, float) and limits.min <= number <= limits.max
    else:
        fits = True
        with np.errstate(over="ignore"):
            fits = np.isfinite(dtype.type(number)) or not np.isfinite(float(number))
    return np.array(number, dtype).tobytes() if fits else None


@settings(deadline=None, max_examples=800, derandomize=True)
@given(SCALARS, st.sampled_from(KINDS))
def test_python_numbers_become_numpys_bytes_or_are_left_alone(number, kind):
    seen = scalar_bytes(number, kind)
    expected = plain_bytes(number, kind)
    if seen is None:
        # Left to the path that converts or explains: what does not fit, and rare cases.
        huge = abs(number) >= 2**60 or abs(number) > 3.4028234663852886e38
        assert expected is None or kind in ("<f2", "<c8", "<c16") or huge
    elif number != number:
        assert np.isnan(np.frombuffer(seen, kind)[0])
    else:
        assert seen == expected


@pytest.mark.parametrize("kind", KINDS)
def test_scalars_of_the_fields_own_type_are_taken_as_they_are(kind):
    scalar_type = np.dtype(kind).type
    for number in (0, 1, 3):
        thing = scalar_type(number)
        assert scalar_bytes(thing, kind) == thing.tobytes()


def test_a_large_unsigned_scalar_is_taken_as_it_is():
    thing = np.uint64(2**64 - 1)
    assert scalar_bytes(thing, "<u8") == thing.tobytes()
    assert scalar_bytes(thing, "<i8") is None
    assert scalar_bytes(np.int64(-1), "<u8") is None


REFUSED = [None, "1.0", b"1", [1.0], (1.0,), 1j, np.array(1.0), np.array([1.0]), object, float]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thing", REFUSED, ids=repr)
def test_no_other_object_is_a_number(thing, kind):
    assert scalar_bytes(thing, kind) is None


def source_of(array, dtype, shape, used=0):
    number, page = np.zeros(1, np.int64), np.full(512, -1, np.int64)
    plan = plan_of(dtype, shape)
    address = object_source(HANDLE, plan, 0, id(array), number.ctypes.data, page, used)
    return address, page


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", [(4,), (2, 3), (1,), (0,), (2, 1, 2, 1, 2, 1, 2, 1)])
def test_a_row_of_the_very_type_and_shape_is_read_where_it_lies(dtype, shape):
    row = np.ones(shape, dtype)
    assert source_of(row, dtype, shape)[0] == row.ctypes.data
    many = np.ones((3, *shape), dtype)
    assert source_of(many[2], dtype, shape)[0] == many[2].ctypes.data


class Special(np.ndarray):
    pass


ODD_ROWS = [
    np.ones((3, 2), np.float32),
    np.ones(6, np.float32),
    np.ones((2, 3, 1), np.float32),
    np.ones((2, 4), np.float32),
    np.float32(1),
    np.ones((), np.float32),
    np.ones((2, 6), np.float32)[:, ::2],
    np.ones((3, 2), np.float32).T,
    np.ones((2, 3), ">f4"),
    np.ones((2, 3), np.int32),
    np.ones((2, 3), np.float32).view(Special),
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
    1.0,
    None,
]


@pytest.mark.parametrize("row", ODD_ROWS, ids=lambda row: type(row).__name__)
def test_any_other_row_is_left_alone(row):
    assert source_of(row, np.float32, (2, 3))[0] == 0


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.lists(st.floats(), min_size=5, max_size=5), st.integers(0, 512))
def test_float64_rows_become_float32_in_the_page(numbers, used):
    row = np.array(numbers)
    address, page = source_of(row, np.float32, (5,), used)
    with np.errstate(over="ignore"):
        single = row.astype(np.float32)
    # 20 bytes take three words; numbers just above the largest are left to the other path.
    grown = np.isfinite(row) & (np.abs(row) > np.finfo(np.float32).max)
    if used > 509 or grown.any():
        assert address == 0
    else:
        assert address == page.ctypes.data + used * 8
        seen = np.frombuffer(page.tobytes(), np.float32, 5, used * 8)
        assert np.array_equal(seen, single, equal_nan=True)
        assert (page[:used] == -1).all()
        assert (page[used + 3 :] == -1).all()


def test_no_other_rows_are_converted():
    for dtype in sorted(set(KINDS) - {"<f4", "<f8"}):
        assert source_of(np.ones(3), dtype, (3,))[0] == 0
    assert source_of(np.ones(3, np.float32), np.float64, (3,))[0] == 0
    assert source_of(np.ones(2000), np.float32, (2000,))[0] == 0


def rows_of(array, dtype, shape, flags=C_CONTIGUOUS):
    return array_rows(HANDLE, id(array), id(np.dtype(dtype)), flags, plan_of(dtype, shape), 0)


def test_rows_of_an_array_are_counted():
    for count in (0, 1, 7):
        array = np.ones((count, 2, 3), np.float32)
        assert rows_of(array, np.float32, (2, 3)) == count
        assert array_data(id(array)) == array.ctypes.data
    ids = np.ones(5, np.int64)
    plan = plan_of(np.float32, (2, 3))
    assert array_rows(HANDLE, id(ids), id(ids.dtype), C_CONTIGUOUS, plan, -1) == 5


def test_rows_of_anything_else_are_not():
    good = np.ones((4, 2, 3), np.float32)
    frozen = good.copy()
    frozen.flags.writeable = False
    everything = C_CONTIGUOUS | ALIGNED | WRITEABLE
    assert rows_of(good, np.float32, (2, 3), everything) == 4
    assert rows_of(frozen, np.float32, (2, 3), everything) == -1
    unaligned = np.frombuffer(bytearray(97), np.float32, 24, 1).reshape(4, 2, 3)
    assert rows_of(unaligned, np.float32, (2, 3)) == 4
    assert rows_of(unaligned, np.float32, (2, 3), everything) == -1
    for odd in (good[0], good[:, :1], good[::2], good.astype(np.float64), good.tolist(), None, 4):
        assert rows_of(odd, np.float32, (2, 3)) == -1
    assert rows_of(good, np.float32, (3, 2)) == -1
    assert rows_of(good, np.float32, (2,)) == -1


def test_items_of_a_tuple_are_found():
    things = ("a", 2.5, None, np.ones(3))
    assert tuple_size(id(things)) == 4
    assert [tuple_item(id(things), place) for place in range(4)] == [id(t) for t in things]
    assert tuple_size(id(())) == 0


@kernel
def address_and_word(thing, handle):
    return object_address(thing), handle[0]


def test_a_kernel_is_handed_the_object_itself():
    handle = np.array([5], np.int64)
    signature = None if INTERPRETED else (object_type, numba.int64[::1])
    call = entry_point(address_and_word, signature)
    for thing in (("a", 1), 1.5, None, handle):
        assert tuple(call(thing, handle)) == (id(thing), 5)
    thing = [object()]
    before = sys.getrefcount(thing), sys.getrefcount(thing[0])
    for _ in range(100):
        call(thing, handle)
    assert (sys.getrefcount(thing), sys.getrefcount(thing[0])) == before


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(handle, plan, things, number, page):
        first = object_integer(handle, tuple_item(things, 0))
        scalar = object_scalar(handle, plan, 0, tuple_item(things, 1), number)
        row = object_source(handle, plan, 1, tuple_item(things, 2), number, page, 0)
        rows = array_rows(handle, tuple_item(things, 2), plan[1, 4], 1, plan, -1)
        data = array_data(tuple_item(things, 2))
        return tuple_size(things), first, scalar == number, row == data, rows, integer_fits(5, 1)

    things = (41, 2.5, np.ones(3, np.float32))
    plan = np.concatenate([plan_of(np.float32), plan_of(np.float32, (3,))])
    number, page = np.zeros(1, np.int64), np.zeros(512, np.int64)
    seen = user(HANDLE, plan, id(things), number.ctypes.data, page)
    assert seen == (3, (True, 41), True, True, 3, True)
    assert number.view(np.float32)[0] == 2.5
