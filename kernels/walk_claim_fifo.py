"""The walk of claims: rows off a stream's cursor or ranges, by compare-and-swap, and back."""

import numpy as np

from kernels.atomics import compare_and_swap, load
from kernels.fifo import (
    COMING,
    COUNT_BITS,
    CURSOR,
    GAPS_END,
    GONE,
    GROWING,
    MOST,
    RANGES,
    READY,
    fifo_lose,
    range_leave,
    range_pack,
    ticket_state,
    tickets_lost,
)
from kernels.handle import ROWS, STREAMS, VIEW, handle_cursors, handle_heads, handle_records
from kernels.jit import kernel
from kernels.ring import LINE, SHIFT, ring_span


@kernel
def fifo_look(
    handle: np.ndarray,
    stream: int,
    first: int,
    end: int,
    ids: np.ndarray,
    given: int,
    want: int,
) -> tuple[int, int, int, int, int]:
    """
    Find the rows that come next in a range of tickets, up to the second gap.

    Parameters
    ----------
    handle : (words,) int64
    stream : int
    first : int
    end : int
        Behind the range.
    ids : (n,) int64, written
        From place `given` on; nowhere where that is below 0.
    given : int
    want : int
        Rows to be found at most, 1 or more.

    Returns
    -------
    tuple of int
        How many were found; from where to where tickets are passed whose rows are still to come,
        which are those before the first row; the ticket behind the last row; and how many tickets
        were met that are GONE. Where nothing is found, the ticket is the first that may still be.

    Notes
    -----
    Units: tickets.
    Cost: a ticket_state each.
    Errors: none.
    Sharing: any number of consumers beside writers; nothing is claimed.
    Source: own.
    """
    found = 0
    lost = 0
    before = 0
    gap = first
    gap_end = first
    ticket = first
    # Slots are counted along with the tickets: a division costs more than a look.
    wrap = (stream + 1) * handle[ROWS]
    slot = wrap - handle[ROWS] + ticket % handle[ROWS]
    records = handle_records(handle)
    width = records.shape[1]
    while ticket < end and found < want:
        state = READY
        if handle[VIEW] != 0 or load(records, slot * width) != (ticket + 1) << SHIFT:
            state = ticket_state(handle, slot, ticket)
        if state == COMING and found == 0 and gap_end == gap:
            gap = ticket
            before = lost
            limit = min(end, ticket + MOST)
            while ticket < limit and ticket_state(handle, slot, ticket) == COMING:
                ticket += 1
                slot = slot + 1 if slot + 1 < wrap else wrap - handle[ROWS]
            gap_end = ticket
            continue
        if state == COMING or state == GROWING:
            break
        if state == READY:
            if given >= 0:
                ids[given + found] = ticket * handle[STREAMS] + stream
            found += 1
        elif state == GONE:
            lost += 1
        ticket += 1
        slot = slot + 1 if slot + 1 < wrap else wrap - handle[ROWS]
    if found == 0 and gap_end > gap:
        return 0, gap, gap, gap, before
    return found, gap, gap_end, ticket, lost


@kernel
def fifo_claim(
    handle: np.ndarray, stream: int, word: int, ids: np.ndarray, given: int, want: int
) -> int:
    """
    Take the next rows of a stream off its cursor, or off one of its ranges.

    Parameters
    ----------
    handle : (words,) int64
        The cursors of its block are *written*.
    stream : int
    word : int
        CURSOR, or that of a range.
    ids : (n,) int64, written
        From place `given` on.
    given : int
    want : int
        Rows to be taken at most, 1 or more.

    Returns
    -------
    int
        How many were taken; 0: there are none.

    Notes
    -----
    Units: rows.
    Cost: fifo_look and a compare-and-swap, again for each other claim that came between them.
    Errors: as returned.
    Sharing: any number of consumers beside writers. Tickets that are passed because their rows are
    still to come get their range before the cursor moves, with a sign that keeps the others from
    it, and lose the sign after: so none is in two places, and of a consumer that is killed in
    between nothing stays but a range that the ring runs over.
    Source: own.
    """
    cursors = handle_cursors(handle)
    heads = handle_heads(handle)
    at = stream * LINE + word
    while True:
        value = load(cursors, at)
        oldest, live = ring_span(heads, stream, handle[ROWS])
        first = value
        end = oldest + live
        if word != CURSOR:
            if value <= 0:
                return 0
            first = value >> COUNT_BITS
            end = min(first + (value & MOST), end)
        start = max(first, oldest)
        found, gap, gap_end, after, lost = fifo_look(handle, stream, start, end, ids, given, want)
        if found == 0 and (word == CURSOR or after == first):
            return 0
        lost += tickets_lost(handle, stream, first, min(start, end))
        keep = after
        left = range_pack(gap, gap_end)
        if word != CURSOR:
            keep = range_pack(after, first + (value & MOST))
            if keep == 0:
                keep = left
                left = 0
        place = 0
        if left != 0:
            place = range_leave(handle, stream, -left, GAPS_END)
            if place == CURSOR:
                return 0
        if compare_and_swap(cursors, at, value, keep):
            if left != 0:
                if not compare_and_swap(cursors, stream * LINE + place, -left, left):
                    lost += gap_end - gap
            fifo_lose(handle, stream, lost)
            if found != 0:
                return found
        elif left != 0:
            compare_and_swap(cursors, stream * LINE + place, -left, 0)


@kernel
def fifo_return(handle: np.ndarray, ids: np.ndarray, given: int) -> int:
    """
    Give claimed rows back, those claimed last before the others.

    Parameters
    ----------
    handle : (words,) int64
        The cursors of its block are *written*.
    ids : (n,) int64
        As fifo_claim gave them.
    given : int
        How many of them there are.

    Returns
    -------
    int
        How many of them, the first ones, could not be given back: other consumers have moved the
        cursor on, and no range of the stream is free.

    Notes
    -----
    Units: rows.
    Cost: a compare-and-swap for each run of tickets.
    Errors: as returned.
    Sharing: any number of consumers.
    Source: own.
    """
    cursors = handle_cursors(handle)
    streams = handle[STREAMS]
    while given > 0:
        stream = ids[given - 1] % streams
        end = ids[given - 1] // streams + 1
        count = 1
        while count < min(given, MOST) and ids[given - 1 - count] == ids[given - count] - streams:
            count += 1
        if not compare_and_swap(cursors, stream * LINE + CURSOR, end, end - count):
            if range_leave(handle, stream, range_pack(end - count, end), LINE) == CURSOR:
                return given
        given -= count
    return 0


@kernel
def fifo_ready(handle: np.ndarray, stream: int, want: int) -> int:
    """
    Count the rows of a stream that may be given out.

    Parameters
    ----------
    handle : (words,) int64
    stream : int
    want : int
        Where to stop.

    Returns
    -------
    int

    Notes
    -----
    Units: rows.
    Cost: a ticket_state for each that is counted, and for each that is passed.
    Errors: none.
    Sharing: any number of consumers beside writers; nothing is claimed.
    Source: own.
    """
    cursors = handle_cursors(handle)
    oldest, live = ring_span(handle_heads(handle), stream, handle[ROWS])
    nowhere = cursors[stream]
    count = 0
    for word in range(LINE):
        value = load(cursors, stream * LINE + word)
        first = value
        end = oldest + live
        if word != CURSOR:
            if word < RANGES or value <= 0:
                continue
            first = value >> COUNT_BITS
            end = min(first + (value & MOST), end)
        first = max(first, oldest)
        while count < want:
            found, _, _, first, _ = fifo_look(
                handle, stream, first, end, nowhere, -1, want - count
            )
            if found == 0:
                break
            count += found
    return count
