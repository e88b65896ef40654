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
    PAGE,
    address_of,
    copy,
    copy_32,
    copy_any,
    integers_at,
    load_int32,
    load_int64,
    load_uint8,
    prefetch,
    stack_integers,
    stack_page,
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

#: Rows that are copied at a time, and how many rows before its turn a row's lines are asked for.
AT_ONCE = 32
AHEAD = 16
#: Words of the widest record that is copied whole before its fields are.
STAGED = 64

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
def copy_many(to: int, step: int, source: int, stride: int, size: int, count: int) -> None:
    """
    Copy pieces of one size, with the switch on it outside the loop.

    Parameters
    ----------
    to : int
        Address of the first piece's place, *written*.
    step : int
        From one place to the next.
    source : int
        Address of the first piece.
    stride : int
        From one piece to the next.
    size : int
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * size).
    Errors: none; addresses are trusted.
    Sharing: as copy.
    Source: own.
    """
    if size == 4:
        for here in range(count):
            store_int32(to + here * step, load_int32(source + here * stride))
    elif size == 8:
        for here in range(count):
            store_int64(to + here * step, load_int64(source + here * stride))
    elif size == 1:
        for here in range(count):
            store_uint8(to + here * step, load_uint8(source + here * stride))
    elif size == 32:
        for here in range(count):
            copy_32(to + here * step, source + here * stride)
    else:
        for here in range(count):
            copy(to + here * step, source + here * stride, size)


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
        else:
            copy_many(to, stride, source, size, size, count)
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
    record_prefetch(records, slot)
    for field in range(plan.shape[0]):
        if not field_packed(plan, records, field):
            column_prefetch(plan, field, slot)


@kernel
def column_prefetch(plan: np.ndarray, field: int, slot: int) -> None:
    """Ask for the first lines of a row of a wide column."""
    start = plan[field, ADDRESS] + slot * plan[field, STRIDE]
    prefetch(start)
    prefetch(start + min(plan[field, SIZE] - 1, 64))


@kernel
def record_prefetch(records: np.ndarray, slot: int) -> None:
    """
    Ask for the lines of a record.

    Parameters
    ----------
    records : (slots, width) int64
    slot : int

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: a prefetch for every 64 bytes begun, and one for the last line.
    Errors: none.
    Sharing: reads nothing.
    Source: own.
    """
    width = records.shape[1] * 8
    line = address_of(records) + slot * width
    last = line + width - 1
    while line < last:
        prefetch(line)
        line += 64
    prefetch(last)


@kernel
def field_packed(plan: np.ndarray, records: np.ndarray, field: int) -> bool:
    """Say whether a field lies in the records: its first bytes do in the first one."""
    return 0 <= plan[field, ADDRESS] - address_of(records) < records.shape[1] * 8


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
    # By positions from 0 on: of others the compiler would ask whether they are below 0.
    here = integers_at(address_of(slots) + first * 8, count)
    to += first * size
    if size == 4:
        for row in range(count):
            store_int32(to + row * 4, load_int32(base + here[row] * stride))
    elif size == 8:
        for row in range(count):
            store_int64(to + row * 8, load_int64(base + here[row] * stride))
    elif size == 1:
        for row in range(count):
            store_uint8(to + row, load_uint8(base + here[row] * stride))
    elif size == 32:
        for row in range(count):
            copy_32(to + row * 32, base + here[row] * stride)
    else:
        for row in range(count):
            copy(to + row * size, base + here[row] * stride, size)


@kernel
def record_copy(to: int, source: int, width: int) -> None:
    """
    Copy a record.

    Parameters
    ----------
    to : int
        Address, *written*.
    source : int
        Address.
    width : int
        Bytes, a multiple of 8, above 0.

    Notes
    -----
    Units: bytes.
    Cost: a move for every 32 bytes begun; the last ones of them overlap.
    Errors: none; addresses are trusted.
    Sharing: as copy.
    Source: own.
    """
    done = 0
    while done < width - 32:
        copy_32(to + done, source + done)
        done += 32
    if width >= 32:
        copy_32(to + width - 32, source + width - 32)
    else:
        while done < width:
            store_int64(to + done, load_int64(source + done))
            done += 8


@kernel
def rows_stage(
    records: np.ndarray, slots: np.ndarray, ahead: np.ndarray, page: int, words: np.ndarray
) -> None:
    """
    Copy the records of several slots, and ask for those of others.

    Parameters
    ----------
    records : (slots, width) int64
    slots : (n,) int64
    ahead : (m,) int64
        Slots whose turn comes later, n or fewer.
    page : int
        Address of n records that are *written*; 0: none are copied, their words are looked at.
    words : (64,) int64, written
        The sequence words; 0 where a slot held no whole row.

    Notes
    -----
    Units: records.
    Cost: O(n * width).
    Errors: none; addresses are trusted.
    Sharing: as rows_get.
    Source: own.
    """
    base = address_of(records)
    width = records.shape[1] * 8
    for row in range(slots.size):
        # One record at a time: the processor drops what it is asked for faster than it can fetch.
        if row < ahead.size:
            record_prefetch(records, ahead[row])
        slot = slots[row]
        word = ring_read(records, slot)
        if page != 0:
            record_copy(page, base + slot * width, width)
            page += width
            if not ring_unchanged(records, slot, word):
                word = 0
        words[row] = word


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
    Cost: O(n * bytes of a row). Each row's lines are asked for AHEAD rows before. A record of
    STAGED words or fewer is copied whole, between two looks at its word, and taken apart in the
    first cache; of a wider one, and of columns, each field is copied from where it lies.
    Errors: as returned.
    Sharing: any number of readers beside writers; no row is ever torn.
    Source: seqlock, as ring_take.
    """
    words = stack_integers()
    page = stack_page()
    base = address_of(records)
    width = records.shape[1] * 8
    staged = 0
    most = AT_ONCE
    if width <= STAGED * 8:
        staged = address_of(page)
        most = min(most, PAGE * 8 // width)
    missed = 0
    soon = min(slots.size, AHEAD)
    for row in range(soon):
        record_prefetch(records, slots[row])
    for field in range(plan.shape[0]):
        if not field_packed(plan, records, field):
            for row in range(soon):
                column_prefetch(plan, field, slots[row])
    first = 0
    while first < slots.size:
        count = min(slots.size - first, most)
        here = integers_at(address_of(slots) + first * 8, count)
        left = min(max(slots.size - first - AHEAD, 0), count)
        ahead = integers_at(address_of(here) + AHEAD * 8, left)
        rows_stage(records, here, ahead, staged, words)
        apart = staged == 0
        for field in range(plan.shape[0]):
            at = plan[field, ADDRESS]
            stride = plan[field, STRIDE]
            size = plan[field, SIZE]
            if staged != 0 and 0 <= at - base < width:
                copy_many(
                    targets[field] + first * size, size, staged + at - base, stride, size, count
                )
                continue
            apart = True
            for row in range(left):
                column_prefetch(plan, field, ahead[row])
            rows_field(targets[field], at, stride, size, slots, first, count)
        for row in range(count):
            slot = here[row]
            word = words[row]
            # What was staged has been looked at again.
            if word != 0 and (not apart or ring_unchanged(records, slot, word)):
                ticket = ring_ticket(word)
                here[row] = ticket if streams == 1 else ticket * streams + slot // rows
            else:
                here[row] = MISSED
                missed += 1
        first += count
    return missed
