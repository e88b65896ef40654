"""
Python objects read in place: the rows of a call without a call per argument.

Handing an array to a compiled function costs tens of nanoseconds, and an attribute of it more. The
kernels of `object_calls` are given the arguments' tuple itself and read the structures of CPython
and NumPy: a tuple's items, a float's or integer's number, an array's address, shape and dtype.
`kernels.structure` verifies every offset used here before the first buffer is made. Where one does
not hold (another interpreter, a build without the GIL), nothing here runs, and the plain path
serves.

Anything but the plainest object (an exact ndarray of the very dtype, contiguous, of the right
shape; a Python or NumPy scalar that fits) gives address 0: the caller then takes the path that
converts or explains.
"""

from typing import Any

import numpy as np

from kernels.addresses import (
    address_of,
    load_float64,
    load_int32,
    load_int64,
    store_float32,
    store_float64,
    store_int64,
)
from kernels.handle import (
    DESCR_FLOAT64,
    FALSE,
    LONG_DIGITS,
    TRUE,
    TYPE_ARRAY,
    TYPE_FLOAT,
    TYPE_FLOAT64,
    TYPE_INT,
    TYPE_INT64,
)
from kernels.heap import UNIT
from kernels.jit import INTERPRETED, kernel
from kernels.rows import DESCR, DIMS, HEAPED, KIND, KINDS, NDIM, SCALAR, SIZE

TYPE = 8
SIZE_OF_TUPLE = 16
ITEMS = 24
NUMBER = 16
DIGITS = 24
ARRAY_DATA = 16
ARRAY_NDIM = 24
ARRAY_DIMS = 32
ARRAY_DESCR = 56
ARRAY_FLAGS = 64
C_CONTIGUOUS = 0x0001
ALIGNED = 0x0100
WRITEABLE = 0x0400

#: Where an integer keeps its digit count: a signed count, or a tag of count << 3 | sign.
COUNT_IS_SIGNED = 0
COUNT_IS_TAGGED = 1

KIND_BOOL = KINDS.index("|b1")
KIND_FIRST_INT = KINDS.index("|i1")
KIND_LAST_INT = KINDS.index("<u8")
KIND_INT64 = KINDS.index("<i8")
KIND_FLOAT32 = KINDS.index("<f4")
KIND_FLOAT64 = KINDS.index("<f8")
_LARGEST_FLOAT32 = 3.4028234663852886e38
_INFINITY = float("inf")

if INTERPRETED:

    def object_address(thing: Any) -> int:
        return id(thing)

    object_type: Any = None

else:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import NativeValue, intrinsic, models, register_model, unbox

    class ObjectType(types.Opaque):
        """Any Python object, as the address it lies at."""

        def __init__(self) -> None:
            super().__init__(name="kernels.objects.ObjectType")

    @register_model(ObjectType)
    class _ObjectModel(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, frontend_type: Any) -> None:
            super().__init__(manager, frontend_type, ir.IntType(64))

    @unbox(ObjectType)
    def _unbox_object(typ: Any, thing: Any, c: Any) -> Any:
        # No reference is taken: the caller's tuple keeps the object for as long as the call lasts.
        return NativeValue(c.builder.ptrtoint(thing, ir.IntType(64)))

    object_type = ObjectType()

    @intrinsic
    def object_address(typingctx, thing):  # type: ignore[no-untyped-def]
        """Give the address of an object."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return args[0]

        return types.int64(thing), codegen


@kernel
def tuple_size(items: int) -> int:
    """Count the items of a tuple, given its address."""
    return load_int64(items + SIZE_OF_TUPLE)


@kernel
def tuple_item(items: int, position: int) -> int:
    """Give the address of a tuple's item, given the tuple's."""
    return load_int64(items + ITEMS + position * 8)


@kernel
def array_rows(
    handle: np.ndarray, thing: int, descr: int, flags: int, plan: np.ndarray, field: int
) -> int:
    """
    Count the rows of an array of one field's rows.

    Parameters
    ----------
    handle : (words,) int64
    thing : int
        Address of any object.
    descr : int
        Address of the dtype that it must have.
    flags : int
        NumPy's flags that it must have.
    plan : (fields, 16) int64
    field : int
        Whose shape a row has; -1 for single numbers.

    Returns
    -------
    int
        -1 where the object is anything but such an array.

    Notes
    -----
    Units: rows.
    Cost: a few loads.
    Errors: as returned.
    Sharing: reads alone; the caller holds the object.
    Source: NumPy C API, PyArrayObject.
    """
    if load_int64(thing + TYPE) != handle[TYPE_ARRAY]:
        return -1
    if load_int64(thing + ARRAY_DESCR) != descr:
        return -1
    if load_int32(thing + ARRAY_FLAGS) & flags != flags:
        return -1
    ndim = plan[field, NDIM] if field >= 0 else 0
    if load_int32(thing + ARRAY_NDIM) != ndim + 1:
        return -1
    dims = load_int64(thing + ARRAY_DIMS)
    for axis in range(ndim):
        if load_int64(dims + 8 + axis * 8) != plan[field, DIMS + axis]:
            return -1
    return load_int64(dims)


@kernel
def array_columns(handle: np.ndarray, thing: int, flags: int, plan: np.ndarray, field: int) -> int:
    """
    Count the columns of an array whose first axis is time, and whose second one is rows.

    Parameters
    ----------
    handle : (words,) int64
    thing : int
        Address of any object.
    flags : int
        NumPy's flags that it must have.
    plan : (fields, 16) int64
    field : int
        Whose dtype it has; of its shape the first size is that of the first axis.

    Returns
    -------
    int
        -1 where the object is anything but such an array.

    Notes
    -----
    Units: rows.
    Cost: a few loads.
    Errors: as returned.
    Sharing: reads alone; the caller holds the object.
    Source: as array_rows.
    """
    if load_int64(thing + TYPE) != handle[TYPE_ARRAY]:
        return -1
    if load_int64(thing + ARRAY_DESCR) != plan[field, DESCR]:
        return -1
    if load_int32(thing + ARRAY_FLAGS) & flags != flags:
        return -1
    ndim = plan[field, NDIM]
    if load_int32(thing + ARRAY_NDIM) != ndim + 1:
        return -1
    dims = load_int64(thing + ARRAY_DIMS)
    if load_int64(dims) != plan[field, DIMS]:
        return -1
    for axis in range(1, ndim):
        if load_int64(dims + 8 + axis * 8) != plan[field, DIMS + axis]:
            return -1
    return load_int64(dims + 8)


@kernel
def array_data(thing: int) -> int:
    """Give the address of an array's first element, given the array's."""
    return load_int64(thing + ARRAY_DATA)


@kernel
def object_integer(handle: np.ndarray, thing: int) -> tuple[bool, int]:
    """
    Read an int of at most 60 bits or a numpy.int64.

    Parameters
    ----------
    handle : (words,) int64
    thing : int
        Address of any object.

    Returns
    -------
    tuple
        Whether it is one, and its value.

    Notes
    -----
    Units: none.
    Cost: a few loads.
    Errors: as returned.
    Sharing: reads alone; the caller holds the object.
    Source: CPython, Include/cpython/longintrepr.h: digits of 30 bits.
    """
    kind = load_int64(thing + TYPE)
    if kind == handle[TYPE_INT64]:
        return True, load_int64(thing + NUMBER)
    if kind != handle[TYPE_INT]:
        return False, 0
    count = load_int64(thing + NUMBER)
    negative = count < 0
    if handle[LONG_DIGITS] == COUNT_IS_TAGGED:
        negative = count & 3 == 2
        count >>= 3
    elif negative:
        count = -count
    if count > 2:
        return False, 0
    value = 0
    if count > 0:
        value = load_int32(thing + DIGITS)
    if count > 1:
        value |= load_int32(thing + DIGITS + 4) << 30
    return True, -value if negative else value


@kernel
def integer_fits(value: int, kind: int) -> bool:
    """
    Say whether an integer type holds a value.

    Parameters
    ----------
    value : int
    kind : int
        Position in KINDS, of an integer type.

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: two comparisons.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    # i1 u1 i2 u2 ...: signed at even distance from the first, two of each width.
    position = kind - KIND_FIRST_INT
    bits = 8 << (position >> 1)
    if position & 1 == 1:
        return value >= 0 and (bits == 64 or value >> bits == 0)
    return bits == 64 or -(1 << (bits - 1)) <= value < 1 << (bits - 1)


@kernel
def object_scalar(
    handle: np.ndarray, plan: np.ndarray, field: int, thing: int, number: int
) -> int:
    """
    Say where the bytes of a single number lie, ready for its field.

    Parameters
    ----------
    handle : (words,) int64
    plan : (fields, 16) int64
    field : int
        A field of shape ().
    thing : int
        Address of any object.
    number : int
        Address of 8 bytes, *written* where the number must be converted.

    Returns
    -------
    int
        An address; 0 where the object is no scalar that fits without loss of range.

    Notes
    -----
    Units: none.
    Cost: a few loads.
    Errors: as returned.
    Sharing: the 8 bytes are the caller's.
    Source: own.
    """
    kind = plan[field, KIND]
    of = load_int64(thing + TYPE)
    if of == plan[field, SCALAR]:
        return thing + NUMBER
    if of == handle[TYPE_FLOAT] or of == handle[TYPE_FLOAT64]:
        value = load_float64(thing + NUMBER)
        if kind == KIND_FLOAT32:
            # A finite number that float32 would turn into infinity is the other path's to explain.
            if _LARGEST_FLOAT32 < abs(value) < _INFINITY:
                return 0
            store_float32(number, value)
            return number
        if kind == KIND_FLOAT64:
            return thing + NUMBER
        return 0
    whole = 0
    if thing == handle[TRUE]:
        whole = 1
    elif thing != handle[FALSE]:
        if kind == KIND_BOOL:
            return 0
        fits, whole = object_integer(handle, thing)
        if not fits:
            return 0
    if kind == KIND_FLOAT32:
        store_float32(number, np.float64(whole))
        return number
    if kind == KIND_FLOAT64:
        store_float64(number, np.float64(whole))
        return number
    if kind == KIND_BOOL or (
        KIND_FIRST_INT <= kind <= KIND_LAST_INT and integer_fits(whole, kind)
    ):
        # Little-endian: the low bytes come first, whatever the width.
        store_int64(number, whole)
        return number
    return 0


@kernel
def object_plainest(handle: int, line: int, thing: int, number: int) -> int:
    """
    Say where the bytes of a field's value lie, where it is what agents mostly pass.

    Parameters
    ----------
    handle : int
        Address of the handle's words.
    line : int
        Address of the field's line of the plan.
    thing : int
        Address of any object.
    number : int
        Address of 8 bytes, *written* where a number must be converted.

    Returns
    -------
    int
        An address; 0 where `object_source` has to look more closely.

    Notes
    -----
    Units: none.
    Cost: a dozen loads: of plain addresses, since handing on a view of the words costs more.
    Errors: as returned.
    Sharing: the 8 bytes are the caller's.
    Source: own.
    """
    of = load_int64(thing + TYPE)
    ndim = load_int64(line + NDIM * 8)
    if ndim == 0:
        kind = load_int64(line + KIND * 8)
        if of == load_int64(line + SCALAR * 8):
            return thing + NUMBER
        if of == load_int64(handle + TYPE_FLOAT * 8):
            value = load_float64(thing + NUMBER)
            if kind == KIND_FLOAT64:
                return thing + NUMBER
            if kind == KIND_FLOAT32 and abs(value) <= _LARGEST_FLOAT32:
                store_float32(number, value)
                return number
        elif kind == KIND_BOOL:
            if thing == load_int64(handle + TRUE * 8):
                store_int64(number, 1)
                return number
            if thing == load_int64(handle + FALSE * 8):
                store_int64(number, 0)
                return number
        elif kind == KIND_INT64 and of == load_int64(handle + TYPE_INT * 8):
            # No digit or one, and not below 0: counted as such, or by a tag.
            tagged = load_int64(handle + LONG_DIGITS * 8)
            digits = load_int64(thing + NUMBER)
            if digits == 1 << 3 * tagged:
                store_int64(number, load_int32(thing + DIGITS))
                return number
            if digits == tagged:
                store_int64(number, 0)
                return number
        return 0
    if of != load_int64(handle + TYPE_ARRAY * 8):
        return 0
    if load_int64(thing + ARRAY_DESCR) != load_int64(line + DESCR * 8):
        return 0
    if load_int32(thing + ARRAY_FLAGS) & C_CONTIGUOUS == 0:
        return 0
    if load_int32(thing + ARRAY_NDIM) != ndim:
        return 0
    dims = load_int64(thing + ARRAY_DIMS)
    for axis in range(ndim):
        if load_int64(dims + axis * 8) != load_int64(line + (DIMS + axis) * 8):
            return 0
    return load_int64(thing + ARRAY_DATA)


@kernel
def field_unit(plan: np.ndarray, field: int) -> int:
    """Say how many bytes an element of a ragged row has; 0: all rows are of one length."""
    line = plan[field, HEAPED]
    return load_int64(line + UNIT * 8) if line != 0 else 0


@kernel
def object_source(
    handle: np.ndarray,
    plan: np.ndarray,
    field: int,
    thing: int,
    number: int,
    page: np.ndarray,
    used: int,
) -> int:
    """
    Say where the bytes of one row of a field lie.

    Parameters
    ----------
    handle : (words,) int64
    plan : (fields, 16) int64
    field : int
    thing : int
        Address of any object.
    number : int
        Address of 8 bytes, *written*, for a number that must be converted.
    page : (512,) int64, written
        For a float64 row that must become float32.
    used : int
        Words of the page taken already.

    Returns
    -------
    int
        An address; 0 where the object is not of the field's shape and type.

    Notes
    -----
    Units: none.
    Cost: a few loads; a pass over the row where it is converted.
    Errors: as returned.
    Sharing: number and page are the caller's.
    Source: own.
    """
    if plan[field, NDIM] == 0:
        return object_scalar(handle, plan, field, thing, number)
    if load_int64(thing + TYPE) != handle[TYPE_ARRAY]:
        return 0
    if load_int32(thing + ARRAY_FLAGS) & C_CONTIGUOUS == 0:
        return 0
    if load_int32(thing + ARRAY_NDIM) != plan[field, NDIM]:
        return 0
    dims = load_int64(thing + ARRAY_DIMS)
    size = plan[field, SIZE]
    for axis in range(plan[field, NDIM]):
        length = load_int64(dims + axis * 8)
        if axis == 0 and length < plan[field, DIMS] and field_unit(plan, field) != 0:
            # A row of fewer elements than the longest.
            size = length * field_unit(plan, field)
        elif length != plan[field, DIMS + axis]:
            return 0
    descr = load_int64(thing + ARRAY_DESCR)
    if descr == plan[field, DESCR]:
        return array_data(thing)
    if descr != handle[DESCR_FLOAT64] or plan[field, KIND] != KIND_FLOAT32:
        return 0
    if (size + 7) // 8 > page.size - used:
        return 0
    data = array_data(thing)
    to = address_of(page) + used * 8
    for element in range(size // 4):
        value = load_float64(data + element * 8)
        if _LARGEST_FLOAT32 < abs(value) < _INFINITY:
            return 0
        store_float32(to + element * 4, value)
    return to
