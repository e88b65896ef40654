"""The walk of drawn rows that have fields of the heap: copied, unpacked and checked."""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    integers_at,
    stack_integers,
)
from kernels.atomics import fence
from kernels.handle import (
    FIELDS,
    ROWS,
    STREAMS,
    handle_at,
    handle_heap,
    handle_plan,
    handle_records,
)
from kernels.heap import (
    REQUEST_COUNT,
    REQUEST_EACH,
    REQUEST_KIN,
    REQUEST_LANES,
    REQUEST_LINE,
    REQUEST_STACK,
    REQUEST_TO,
    heap_stands,
)
from kernels.jit import kernel
from kernels.ring import ring_read, ring_ticket, ring_unchanged
from kernels.rows import (
    ADDRESS,
    DAMAGED,
    HEAPED,
    MISSED,
    SIZE,
    STRIDE,
    rows_field,
    rows_prefetch,
)
from kernels.walk_heap_get import lanes_unpack


@kernel
def fields_fill(
    plan: np.ndarray, targets: np.ndarray, slots: np.ndarray, first: int, count: int
) -> int:
    """
    Copy all fields of several slots, and unpack those of the heap.

    Parameters
    ----------
    plan : (fields, 16) int64
    targets : (fields,) int64
        Addresses of the arrays that are *written*.
    slots : (n,) int64
    first : int
        Position in `slots` to begin at.
    count : int
        At most 64.

    Returns
    -------
    int
        A bit a row, set where the bytes were not those of a row.

    Notes
    -----
    Units: bytes.
    Cost: as rows_field and lanes_unpack.
    Errors: as returned; bytes that are written meanwhile are none, too.
    Sharing: as rows_get.
    Source: own.
    """
    damaged = 0
    for field in range(plan.shape[0]):
        size = plan[field, SIZE]
        if plan[field, HEAPED] == 0:
            base = plan[field, ADDRESS]
            rows_field(targets[field], base, plan[field, STRIDE], size, slots, first, count)
            continue
        request = stack_integers()
        request[REQUEST_LINE] = plan[field, HEAPED]
        request[REQUEST_TO] = targets[field] + first * size
        request[REQUEST_LANES] = address_of(slots) + first * 8
        request[REQUEST_COUNT] = count
        request[REQUEST_EACH] = 1
        request[REQUEST_STACK] = 1
        request[REQUEST_KIN] = 0
        damaged |= lanes_unpack(address_of(request))
    return damaged


@kernel
def heap_gather(handle_address: int, targets_address: int, slots_address: int, count: int) -> int:
    """
    Copy the rows of slots into arrays, and turn the slots into ids, as rows_get does.

    Parameters
    ----------
    handle_address : int
        Of (words,) int64.
    targets_address : int
        Of (fields,) int64, addresses of the arrays that are *written*.
    slots_address : int
        Of (count,) int64, *written*: slots; after, the ids of their rows, or MISSED where a slot
        held no whole row; DAMAGED less the slot, where its bytes are none that a row can have.
    count : int

    Returns
    -------
    int
        How many were missed.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: as rows_get, and lanes_unpack for fields of the heap.
    Errors: as returned.
    Sharing: any number of readers beside writers; no row is ever torn.
    Source: as rows_get.
    """
    handle = handle_at(handle_address)
    fields = handle[FIELDS]
    plan = handle_plan(handle)
    records = handle_records(handle)
    heap = handle_heap(handle)
    rows = handle[ROWS]
    streams = handle[STREAMS]
    targets = integers_at(targets_address, fields)
    slots = integers_at(slots_address, count)
    words = stack_integers()
    missed = 0
    for first in range(0, count, STACK):
        some = min(count - first, STACK)
        for row in range(some):
            rows_prefetch(plan, records, slots[first + row])
        for row in range(some):
            words[row] = ring_read(records, slots[first + row])
        damaged = fields_fill(plan, targets, slots, first, some)
        # The copies' loads must be done before it is asked whose the bytes are.
        fence()
        for row in range(some):
            slot = slots[first + row]
            whole = words[row] != 0 and heap_stands(heap, slot)
            whole = whole and ring_unchanged(records, slot, words[row])
            if whole and damaged >> row & 1 == 0:
                slots[first + row] = ring_ticket(words[row]) * streams + slot // rows
                continue
            slots[first + row] = DAMAGED - slot if whole else MISSED
            missed += 1
    return missed
