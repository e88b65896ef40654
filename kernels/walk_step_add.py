"""The walk of added steps: as that of rows, one at a time, by the one writer of the stream."""

import numpy as np

from kernels.addresses import address_of, integers_at
from kernels.atomics import fetch_add, load
from kernels.codes import HELD_BACK, NOTICE
from kernels.faults import COPIED, COUNTED, fault_point
from kernels.handle import (
    HEAP,
    LIMITS,
    NOTICED,
    ROWS,
    STREAMS,
    TOKEN,
    TREE,
    WRITER,
    handle_heads,
    handle_member,
    handle_plan,
    handle_records,
)
from kernels.jit import kernel
from kernels.members import INSIDE, member_enter, member_leave
from kernels.ring import (
    BURNT,
    LINE,
    NOT_TAKEN,
    STEPS,
    TAKEN_EMPTY,
    ring_claim,
    ring_commit,
    ring_current,
    ring_filled,
    ring_take,
)
from kernels.rows import SIZE, rows_put
from kernels.walk_add import PATIENCE, REFUSAL, WATCH, heap_call, heap_settle, slot_release
from kernels.walk_limit import insert_claim
from kernels.walk_step import leaf_enter, leaves_complete, step_leaves


@kernel
def stream_mine(handle: np.ndarray, stream: int) -> bool:
    """
    Say whether a stream is still the handle's writer's.

    Parameters
    ----------
    handle : (words,) int64
    stream : int

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: one load.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    return load(handle_heads(handle), stream * LINE + STEPS) == handle[TOKEN]


@kernel
def rows_step(
    handle: np.ndarray, sources: np.ndarray, stream: int, count: int, ids: np.ndarray
) -> int:
    """
    Store the rows of steps, one after the other.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*. Has a view and a writer's token.
    sources : (fields,) int64
        Addresses of each field's rows.
    stream : int
    count : int
        1 or more.
    ids : (count,) int64, written

    Returns
    -------
    int
        How many were stored: fewer than `count` where no slot of the stream is to be had, or the
        stream has another writer by now.

    Notes
    -----
    Units: rows.
    Cost: O(bytes of a row) each; with priorities as step_leaves.
    Errors: as returned.
    Sharing: the one writer of the stream, beside those of others. It looks for its token before a
    claim, whose loss would cut the episode of a newer writer, and after it, since that one may
    have come in between. The commit comes last, as in rows_add.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    plan = handle_plan(handle)
    rows = handle[ROWS]
    burnt = 0
    refused = 0
    stored = 0
    while stored < count and burnt + refused < PATIENCE and stream_mine(handle, stream):
        ticket = ring_claim(heads, stream, 1)
        if ticket & (WATCH - 1) == 0:
            handle[NOTICED] = 1
        slot = stream * rows + ticket % rows
        taken = ring_take(records, slot, ticket, handle[WRITER])
        if taken == NOT_TAKEN:
            burnt += 1
            continue
        mine = stream_mine(handle, stream) and ring_current(heads, stream, ticket)
        if mine:
            rows_put(plan, sources, stored, slot)
            if handle[HEAP] != 0:
                code = heap_call(handle, sources, stored, slot)
                mine = code == 1
                refused += REFUSAL if code == 0 else 0
        if not mine:
            slot_release(handle, stream, slot, np.int64(taken == TAKEN_EMPTY))
            burnt += 1
            continue
        fault_point(COPIED)
        leaf = 0
        if handle[TREE] != 0:
            member_enter(handle_member(handle), INSIDE)
            leaf = step_leaves(handle, slot, ticket)
        if taken == TAKEN_EMPTY:
            ring_filled(heads, stream, 1)
            fault_point(COUNTED)
        ring_commit(records, slot, ticket)
        if handle[HEAP] != 0:
            heap_settle(handle, ticket, slot)
        if handle[TREE] != 0:
            # Again, for a learner that was late, see leaves_complete; so for the row's own.
            leaves_complete(handle, slot, ticket)
            leaf_enter(handle, slot, leaf)
            member_leave(handle_member(handle), INSIDE)
        ids[stored] = ticket * handle[STREAMS] + stream
        stored += 1
    if burnt != 0:
        fetch_add(heads, stream * LINE + BURNT, burnt)
        handle[NOTICED] = 1
    return stored


@kernel
def rows_spread(handle: np.ndarray, sources: np.ndarray, streams: np.ndarray) -> int:
    """
    Store the rows of steps, each in a stream of its own.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    sources : (fields,) int64, written
        Addresses of each field's rows; moved on.
    streams : (n,) int64, written
        Which stream takes a row, below 0 where none does; after, the ids of those that were
        stored.

    Returns
    -------
    int
        n, or the first row that found no slot; NOTICE in place of n; HELD_BACK where nothing was
        done. A limiter has counted all that were to be stored: who gives up gives the rest back.

    Notes
    -----
    Units: rows.
    Cost: rows_step a row.
    Errors: as returned.
    Sharing: the one writer of these streams.
    Source: own.
    """
    plan = handle_plan(handle)
    if handle[LIMITS] != 0:
        wanted = 0
        for row in range(streams.size):
            wanted += np.int64(streams[row] >= 0)
        if wanted != 0 and insert_claim(handle, wanted) == HELD_BACK:
            return HELD_BACK
    for row in range(streams.size):
        if streams[row] >= 0:
            stored = integers_at(address_of(streams) + row * 8, 1)
            if rows_step(handle, sources, streams[row], 1, stored) == 0:
                return row
        for field in range(plan.shape[0]):
            sources[field] += plan[field, SIZE]
    return NOTICE if handle[NOTICED] != 0 else streams.size
