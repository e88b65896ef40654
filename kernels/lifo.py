"""Draws of the newest rows, newest first."""

import numpy as np

from kernels.atomics import load
from kernels.codes import EMPTY, HELD_BACK, TOO_FEW
from kernels.handle import ROWS, STREAMS, VIEW, handle_heads, handle_records
from kernels.jit import kernel
from kernels.ring import SHIFT, ring_locate, ring_span
from kernels.uniform import uniform_size
from kernels.walk_draw import draw_begun, draw_counted, draw_undone
from kernels.window import slot_whole


@kernel
def row_before(handle: np.ndarray, stream: int, ticket: int) -> int:
    """
    Find the newest row of a stream below a ticket that may be drawn.

    Parameters
    ----------
    handle : (words,) int64
    stream : int
    ticket : int
        -1: the newest of all.

    Returns
    -------
    int
        Its ticket; -1: there is none.

    Notes
    -----
    Units: tickets.
    Cost: a load, and with a view slot_whole, for each row that is looked at.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    rows = handle[ROWS]
    records = handle_records(handle)
    oldest, live = ring_span(handle_heads(handle), stream, rows)
    if ticket < 0:
        ticket = oldest + live
    while ticket > oldest:
        ticket -= 1
        slot = stream * rows + ticket % rows
        if load(records, slot * records.shape[1]) != (ticket + 1) << SHIFT:
            continue
        if handle[VIEW] == 0 or slot_whole(handle, slot):
            return ticket
    return -1


@kernel
def lifo_find(handle: np.ndarray, ids: np.ndarray) -> int:
    """
    Find the newest rows: the newest of each stream, then the second newest of each, and so on.

    Parameters
    ----------
    handle : (words,) int64
    ids : (n,) int64, written

    Returns
    -------
    int
        How many there are, n at most.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: row_before each.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    streams = handle[STREAMS]
    found = 0
    for stream in range(streams):
        if found == ids.size:
            break
        newest = row_before(handle, stream, -1)
        if newest >= 0:
            ids[found] = newest * streams + stream
            found += 1
    # Who was dealt from last time, and how far, stands in the ids themselves.
    turn = 0
    while turn < found and found < ids.size:
        stream = ids[turn] % streams
        older = row_before(handle, stream, ids[turn] // streams)
        if older >= 0:
            ids[found] = older * streams + stream
            found += 1
        turn += 1
    return found


@kernel
def draw_lifo(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> int:
    """
    Draw the newest slots, newest first; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        Its counters are *written*.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    int
        1, by which the weights were divided. EMPTY, TOO_FEW less the number of rows that may be
        drawn, or HELD_BACK: nothing was drawn.

    Notes
    -----
    Units: slots.
    Cost: lifo_find.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    if uniform_size(handle_heads(handle), handle[ROWS]) == 0:
        return EMPTY
    if not draw_begun(handle, slots.size):
        return HELD_BACK
    found = lifo_find(handle, slots)
    if found < slots.size:
        draw_undone(handle, slots.size)
        return TOO_FEW - found
    for row in range(slots.size):
        slots[row] = ring_locate(slots[row], handle[STREAMS], handle[ROWS])[0]
        weights[row] = np.float32(1.0)
    draw_counted(handle, slots.size)
    return 1
