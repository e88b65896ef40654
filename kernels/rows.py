"""
Rows in and out: the bytes of a transition between its fields' arrays and its slot.

A plan says where each field lies. Field f of slot s is the plan[f, SIZE] bytes at
plan[f, ADDRESS] + s * plan[f, STRIDE]; packed fields share a record, a wide field has a column of
its own, and one kernel serves every schema. Sources and targets are addresses of the first row,
rows one after the other.

    plan (fields, 16) int64
      ADDRESS STRIDE SIZE     of the field's bytes
      KIND                    its type, a position in KINDS
      DESCR SCALAR            addresses of its NumPy dtype and scalar type, for `objects`
      NDIM DIMS ...           its shape, at most 8 dimensions
      HEAPED                  where its rows lie in the heap: address of its line of the heap's
                              words, see `heap`; 0: in the column that ADDRESS says

Addresses are of this process: a plan is made anew wherever a block is mapped.
"""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    copy,
    copy_32,
    copy_any,
    load_int32,
    load_int64,
    load_uint8,
    prefetch,
    stack_integers,
    store_int32,
    store_int64,
    store_uint8,
)
from kernels.faults import COPYING, fault_point
from kernels.jit import kernel
from kernels.ring import ring_read, ring_ticket, ring_unchanged

ADDRESS = 0
STRIDE = 1
SIZE = 2
KIND = 3
DESCR = 4
SCALAR = 5
NDIM = 6
DIMS = 7
MOST_DIMS = 8
HEAPED = 15
PLAN_WIDTH = 16

#: The types a field can have, as NumPy's array protocol writes them; KIND is a position in it.
KINDS = (
    "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8",
    "<c16",
)  # fmt: skip

#: What `rows_get` leaves in place of an id whose row was not whole.
MISSED = -1
#: And others, less the slot, of one that is whole and cannot be unpacked.
DAMAGED = -2


@kernel
def rows_plan(plan: np.ndarray, field: int, column: np.ndarray) -> None:
    """
    Enter a field that lies in an array of its own, one row a slot.

    Parameters
    ----------
    plan : (fields, 16) int64, written
    field : int
    column : (slots, ...) any dtype that Numba knows, C-contiguous
        Float16 it does not: view such a column as int16.

    Notes
    -----
    Units: bytes.
    Cost: O(1).
    Errors: none.
    Sharing: the plan is the caller's; it must not outlive the column.
    Source: own.
    """
    size = column.itemsize * (column.size // max(column.shape[0], 1))
    plan[field, ADDRESS] = address_of(column)
    plan[field, STRIDE] = size
    plan[field, SIZE] = size


@kernel
def rows_put(plan: np.ndarray, sources: np.ndarray, row: int, slot: int) -> None:
    """
    Copy one row into its slot, but for fields of the heap.

    Parameters
    ----------
    plan : (fields, 16) int64
        The bytes it points at are *written*.
    sources : (fields,) int64
        Addresses of each field's rows.
    row : int
        Which of them.
    slot : int
        Taken by ring_take.

    Notes
    -----
    Units: bytes.
    Cost: a copy a field.
    Errors: none; addresses are trusted.
    Sharing: the slot is the caller's alone until ring_commit.
    Source: own.
    """
    for field in range(plan.shape[0]):
        if plan[field, HEAPED] != 0:
            continue
        size = plan[field, SIZE]
        to = plan[field, ADDRESS] + slot * plan[field, STRIDE]
        copy(to, sources[field] + row * size, size)
        fault_point(COPYING)


@kernel
def rows_put_many(plan: np.ndarray, sources: np.ndarray, row: int, slot: int, count: int) -> None:
    """
    Copy rows into slots that follow each other, field by field, but for fields of the heap.

    Parameters
    ----------
    plan : (fields, 16) int64
        The bytes it points at are *written*.
    sources : (fields,) int64
        Addresses of each field's rows.
    row : int
        The first of them.
    slot : int
        The first slot; all were taken by ring_take.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * bytes of a row); one memcpy for a field that has a column of its own.
    Errors: none; addresses are trusted.
    Sharing: the slots are the caller's alone until ring_commit.
    Source: own.
    """
    for field in range(plan.shape[0]):
        if plan[field, HEAPED] != 0:
            continue
        size = plan[field, SIZE]
        stride = plan[field, STRIDE]
        to = plan[field, ADDRESS] + slot * stride
        source = sources[field] + row * size
        if size == stride:
            copy_any(to, source, count * size)
        elif size == 4:
            for here in range(count):
                store_int32(to + here * stride, load_int32(source + here * 4))
        elif size == 8:
            for here in range(count):
                store_int64(to + here * stride, load_int64(source + here * 8))
        elif size == 1:
            for here in range(count):
                store_uint8(to + here * stride, load_uint8(source + here))
        elif size == 32:
            for here in range(count):
                copy_32(to + here * stride, source + here * 32)
        else:
            for here in range(count):
                copy(to + here * stride, source + here * size, size)
        fault_point(COPYING)


@kernel
def rows_prefetch(plan: np.ndarray, records: np.ndarray, slot: int) -> None:
    """
    Ask for the lines of a slot: its record, and the first ones of each wide column.

    Parameters
    ----------
    plan : (fields, 16) int64
    records : (slots, width) int64
    slot : int

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: a prefetch a line; the processor's own prefetcher follows a wide row once it runs.
    Errors: none.
    Sharing: reads nothing.
    Source: own.
    """
    width = records.shape[1] * 8
    start = address_of(records) + slot * width
    line = start
    while line < start + width:
        prefetch(line)
        line += 64
    prefetch(start + width - 1)
    for field in range(plan.shape[0]):
        # A packed field's first bytes lie in the first record; its lines were asked for already.
        if not 0 <= plan[field, ADDRESS] - address_of(records) < width:
            start = plan[field, ADDRESS] + slot * plan[field, STRIDE]
            prefetch(start)
            prefetch(start + min(plan[field, SIZE] - 1, 64))


@kernel
def rows_field(
    to: int, base: int, stride: int, size: int, slots: np.ndarray, first: int, count: int
) -> None:
    """
    Copy one field of several slots, with the switch on its size outside the loop.

    Parameters
    ----------
    to : int
        Address of the target's first row, *written* from row `first` on.
    base : int
        Address of slot 0's bytes.
    stride : int
    size : int
    slots : (n,) int64
    first : int
        Position in `slots` to begin at.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * size).
    Errors: none; addresses are trusted.
    Sharing: as rows_get.
    Source: own.
    """
    if size == 4:
        for row in range(first, first + count):
            store_int32(to + row * 4, load_int32(base + slots[row] * stride))
    elif size == 8:
        for row in range(first, first + count):
            store_int64(to + row * 8, load_int64(base + slots[row] * stride))
    elif size == 1:
        for row in range(first, first + count):
            store_uint8(to + row, load_uint8(base + slots[row] * stride))
    elif size == 32:
        for row in range(first, first + count):
            copy_32(to + row * 32, base + slots[row] * stride)
    else:
        for row in range(first, first + count):
            copy(to + row * size, base + slots[row] * stride, size)


@kernel
def rows_get(
    plan: np.ndarray,
    records: np.ndarray,
    rows: int,
    streams: int,
    targets: np.ndarray,
    slots: np.ndarray,
) -> int:
    """
    Copy the rows of slots into arrays, and turn the slots into ids.

    Parameters
    ----------
    plan : (fields, 16) int64
        With no fields of the heap: for those see `walk_heap_rows`.
    records : (slots, width) int64
        Word 0 of a record is its sequence word.
    rows : int
        Slots of a stream.
    streams : int
    targets : (fields,) int64
        Addresses of the arrays that are *written*, one row of plan[f, SIZE] bytes a slot.
    slots : (n,) int64, written
        Slots; after, the ids of their rows, or MISSED where a slot held no whole row.

    Returns
    -------
    int
        How many were missed; draw those again.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: O(n * bytes of a row). Rows are asked for 64 at a time, checked, copied field by field,
    and checked again.
    Errors: as returned.
    Sharing: any number of readers beside writers; no row is ever torn.
    Source: seqlock, as ring_take.
    """
    words = stack_integers()
    missed = 0
    first = 0
    while first < slots.size:
        count = min(slots.size - first, STACK)
        for row in range(count):
            rows_prefetch(plan, records, slots[first + row])
        for row in range(count):
            words[row] = ring_read(records, slots[first + row])
        for field in range(plan.shape[0]):
            rows_field(
                targets[field],
                plan[field, ADDRESS],
                plan[field, STRIDE],
                plan[field, SIZE],
                slots,
                first,
                count,
            )
        for row in range(count):
            slot = slots[first + row]
            if words[row] != 0 and ring_unchanged(records, slot, words[row]):
                ticket = ring_ticket(words[row])
                slots[first + row] = ticket if streams == 1 else ticket * streams + slot // rows
            else:
                slots[first + row] = MISSED
                missed += 1
        first += count
    return missed
