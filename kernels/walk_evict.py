"""The walk of rows that lose their bytes: newer ones need the room, the oldest go first."""

import numpy as np

from kernels.addresses import load_int64
from kernels.atomics import compare_and_swap, fetch_add, fetch_max, load
from kernels.faults import EVICTED, fault_point
from kernels.handle import (
    REDRAWS,
    ROWS,
    TREE,
    VIEW,
    handle_heads,
    handle_heap,
    handle_line,
    handle_member,
    handle_records,
)
from kernels.heap import BYTES, ENTRY_AT, ENTRY_STRIDE, LINES, ROOM
from kernels.jit import kernel
from kernels.members import CLEARING, INSIDE, member_enter, member_leave
from kernels.ring import FILLED, FLOOR, HEAD, LINE, SHIFT, ring_floor, ring_ticket
from kernels.walk_leaf import leaf_settle
from kernels.walk_step import leaves_lose


@kernel
def row_evict(handle: np.ndarray, stream: int, slot: int, word: int) -> bool:
    """
    Empty the slot of a row that has lost its bytes.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    stream : int
    slot : int
    word : int
        The row's sequence word, even.

    Returns
    -------
    bool
        False: another row has come, or is coming.

    Notes
    -----
    Units: rows.
    Cost: a compare-and-swap and an atomic addition or two; O(log capacity) with priorities.
    Errors: as returned.
    Sharing: any number of writers and readers, all of whom may come to the same row; with a view
    the one writer of the stream. The caller has announced that it is clearing.
    Source: as ring_clear.
    """
    records = handle_records(handle)
    if not compare_and_swap(records, slot * records.shape[1], word, 0):
        return False
    fault_point(EVICTED)
    fetch_add(handle_heads(handle), stream * LINE + FILLED, -1)
    fetch_add(handle_line(handle, REDRAWS), 1, 1)
    if handle[TREE] != 0:
        leaf_settle(handle, slot)
        if handle[VIEW] != 0:
            member_enter(handle_member(handle), INSIDE)
            leaves_lose(handle, slot)
            member_leave(handle_member(handle), INSIDE)
    return True


@kernel
def slot_lost(handle: np.ndarray, stream: int, slot: int) -> bool:
    """
    Empty a slot, if its row's bytes were claimed for newer ones.

    Parameters
    ----------
    handle : (words,) int64
        The heads and records it points at are *written*.
    stream : int
    slot : int

    Returns
    -------
    bool
        Whether such a row was there.

    Notes
    -----
    Units: bytes.
    Cost: three loads, and a compare-and-swap where there was one.
    Errors: none.
    Sharing: any number of writers and readers. For repair: such rows are left by one who dies
    between its claim of bytes and rows_evict.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    heap = handle_heap(handle)
    at = slot * records.shape[1]
    word = load(records, at)
    if word == 0 or word & 1 != 0:
        return False
    # If this is of a newer row by now, the swap finds another word.
    entry = load_int64(heap[LINES + ENTRY_AT] + slot * heap[LINES + ENTRY_STRIDE])
    if entry >= load(heads, stream * LINE + BYTES) - heap[ROOM]:
        return False
    if not compare_and_swap(records, at, word, 0):
        return False
    fault_point(EVICTED)
    fetch_add(heads, stream * LINE + FILLED, -1)
    return True


@kernel
def rows_evict(handle: np.ndarray, stream: int, ticket: int) -> None:
    """
    Empty the slots of a stream's rows whose bytes were claimed for newer ones, oldest first.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    stream : int
    ticket : int
        Of the caller, whose row is not committed.

    Notes
    -----
    Units: rows.
    Cost: two loads where nothing is to be done; row_evict a row.
    Errors: none.
    Sharing: any number of writers. An older row whose writer is inside is passed over: it may come
    below the floor, where it is drawn by its leaf at most, and found to have lost its bytes. Newer
    ones are looked at as well: who was stopped with an old ticket may be the last to claim bytes.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    heap = handle_heap(handle)
    rows = handle[ROWS]
    at = stream * LINE
    limit = load(heads, at + BYTES) - heap[ROOM]
    if limit <= 0:
        return
    width = records.shape[1]
    head = load(heads, at + HEAD)
    oldest = max(ring_floor(heads, stream), head - rows)
    passed = head
    announced = False
    while oldest < head:
        slot = stream * rows + oldest % rows
        word = load(records, slot * width)
        if word == (oldest + 1) << SHIFT:
            entry = heap[LINES + ENTRY_AT] + slot * heap[LINES + ENTRY_STRIDE]
            # If this is of a newer row by now, it is none of the bytes that are gone.
            if load_int64(entry) >= limit:
                break
        elif oldest >= ticket:
            # A row that is being written: whether it goes, those behind it tell.
            passed = min(passed, oldest)
            oldest += 1
            continue
        if not announced:
            # A recount that misses a slot that goes must not miss one that comes.
            member_enter(handle_member(handle), CLEARING)
            announced = True
        # First: no draw reaches below it, and of one that dies here repair does the rest.
        fetch_max(heads, at + FLOOR, oldest + 1)
        # Again, and those that were passed over: who commits after this look will see the floor,
        # see row_settle. An older row is that of a writer a round behind, who met a slot that was
        # emptied.
        for below in range(min(passed, oldest), oldest + 1):
            slot = stream * rows + below % rows
            word = load(records, slot * width)
            if word & 1 == 0 and 0 <= ring_ticket(word) <= below:
                row_evict(handle, stream, slot, word)
        passed = head
        oldest += 1
    if announced:
        member_leave(handle_member(handle), CLEARING)
