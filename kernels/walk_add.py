"""The walk of added rows: claim tickets, take slots, write, set the priority, count, commit."""

import numpy as np

from kernels.addresses import STACK, address_of, integers_at
from kernels.atomics import fetch_add
from kernels.entries import call_4
from kernels.faults import COPIED, COUNTED, fault_point
from kernels.handle import (
    HEAP,
    MINIMA,
    NOTICED,
    ROWS,
    STREAMS,
    TREE,
    WRITER,
    handle_heads,
    handle_levels,
    handle_member,
    handle_minima,
    handle_plan,
    handle_records,
    handle_tree,
)
from kernels.heap import PUT
from kernels.jit import kernel
from kernels.members import CLEARING, INSIDE, member_enter, member_leave
from kernels.minimum import minimum_update
from kernels.ring import (
    BURNT,
    LINE,
    NOT_TAKEN,
    TAKEN,
    TAKEN_EMPTY,
    ring_claim,
    ring_commit,
    ring_current,
    ring_filled,
    ring_release,
    ring_take,
)
from kernels.rows import rows_put, rows_put_many
from kernels.tree import tree_fill
from kernels.walk_leaf import leaf_settle
from kernels.walk_new import leaf_new

#: Burnt tickets after which a writer gives up. A live writer leaves its slot within microseconds,
#: or within milliseconds where the system takes its processor; a dead one never.
PATIENCE = 1 << 20
#: Burnt tickets that a row counts for which found a slot and no bytes: a long look at a heap that
#: writers hold who were stopped.
REFUSAL = PATIENCE >> 4
#: Tickets of a stream after which a writer looks whether a process has died.
WATCH = 1 << 16


@kernel
def slots_priority(handle: np.ndarray, slot: int, count: int) -> None:
    """
    Give the new rows of slots that follow each other their first priority.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
    count : int

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a line of 8 leaves.
    Errors: none.
    Sharing: any number of writers.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, line 6.
    """
    member_enter(handle_member(handle), INSIDE)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    tree_fill(tree, levels, slot, count, leaf_new(handle))
    if handle[MINIMA] != 0:
        minima = handle_minima(handle)
        for leaf in range(slot, slot + count):
            minimum_update(minima, tree, levels, leaf)
    member_leave(handle_member(handle), INSIDE)


@kernel
def slot_release(handle: np.ndarray, stream: int, slot: int, empty: int) -> None:
    """
    Give a taken slot back, empty.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    stream : int
    slot : int
    empty : int
        1: it held no row before.

    Notes
    -----
    Units: none.
    Cost: as ring_release; O(log capacity) with priorities.
    Errors: none.
    Sharing: the taker of the slot alone.
    Source: own.
    """
    # Announced: a recount that misses a slot that goes must not miss one that comes.
    member_enter(handle_member(handle), CLEARING)
    taken = TAKEN_EMPTY if empty != 0 else TAKEN
    ring_release(handle_heads(handle), handle_records(handle), stream, slot, taken)
    if handle[TREE] != 0:
        leaf_settle(handle, slot)
    member_leave(handle_member(handle), CLEARING)


@kernel
def heap_call(handle: np.ndarray, sources: np.ndarray, row: int, slot: int) -> int:
    """Store a row's fields of the heap, see heap_put."""
    put = integers_at(handle[HEAP], 1)[PUT]
    return call_4(put, address_of(handle), address_of(sources), row, slot)


@kernel
def heap_settle(handle: np.ndarray, ticket: int, slot: int) -> None:
    """Look whether a row that was committed has lost its bytes meanwhile, see heap_put."""
    call_4(integers_at(handle[HEAP], 1)[PUT], address_of(handle), 0, ticket, slot)


@kernel
def rows_add(
    handle: np.ndarray, sources: np.ndarray, stream: int, count: int, ids: np.ndarray
) -> int:
    """
    Store rows, one after the other.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    sources : (fields,) int64
        Addresses of each field's rows.
    stream : int
    count : int
        1 or more.
    ids : (count,) int64, written

    Returns
    -------
    int
        How many were stored: fewer than `count` where no slot of the stream is to be had.

    Notes
    -----
    Units: rows.
    Cost: O(count * bytes of a row), O(log capacity) more each with priorities.
    Errors: as returned.
    Sharing: any number of writers; each row is whole before it can be read. The commit comes last:
    a row whose writer dies before it never was.
    Source: own; ring_claim, ring_take and ring_commit say theirs.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    plan = handle_plan(handle)
    rows = handle[ROWS]
    # A part of the ring at most, so that one writer that is stopped leaves slots to the others.
    portion = min(max(rows >> 2, 1), STACK)
    if handle[HEAP] != 0:
        portion = 1
    burnt = 0
    refused = 0
    stored = 0
    claimed = 0
    ticket = 0
    while stored < count and burnt + refused < PATIENCE:
        if claimed == 0:
            # No more than the stream has slots: a batch must not lap itself inside a claim.
            claimed = min(count - stored, rows) if handle[HEAP] == 0 else 1
            ticket = ring_claim(heads, stream, claimed)
            if (ticket ^ (ticket + claimed)) & -WATCH != 0:
                handle[NOTICED] = 1
        place = ticket % rows
        slot = stream * rows + place
        # So many rows at a time, up to the end of the ring, are copied field by field.
        most = min(min(claimed, portion), rows - place)
        filled = 0
        got = 0
        while got < most:
            taken = ring_take(records, slot + got, ticket + got, handle[WRITER])
            if taken == NOT_TAKEN:
                break
            if not ring_current(heads, stream, ticket + got):
                slot_release(handle, stream, slot + got, np.int64(taken == TAKEN_EMPTY))
                break
            filled += np.int64(taken == TAKEN_EMPTY)
            got += 1
        if got == 1:
            rows_put(plan, sources, stored, slot)
            code = 1 if handle[HEAP] == 0 else heap_call(handle, sources, stored, slot)
            if code != 1:
                slot_release(handle, stream, slot, filled)
                got = 0
                filled = 0
                refused += REFUSAL if code == 0 else 0
        elif got != 0:
            rows_put_many(plan, sources, stored, slot, got)
        fault_point(COPIED)
        if got != 0 and handle[TREE] != 0:
            slots_priority(handle, slot, got)
        if filled != 0:
            ring_filled(heads, stream, filled)
            fault_point(COUNTED)
        for row in range(got):
            ring_commit(records, slot + row, ticket + row)
            if handle[HEAP] != 0:
                heap_settle(handle, ticket, slot)
            ids[stored + row] = (ticket + row) * handle[STREAMS] + stream
        if got == 0:
            burnt += 1
            got = 1
        else:
            stored += got
        ticket += got
        claimed -= got
    if burnt != 0:
        fetch_add(heads, stream * LINE + BURNT, burnt)
        handle[NOTICED] = 1
    return stored
