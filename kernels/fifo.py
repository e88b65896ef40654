"""
Each row once: a cursor for each stream, and what it left behind.

    cursors[stream]     one cache line a stream
      word 0        the cursor: the next ticket to be given out
      word 1        lost: tickets that were passed for ever without a row being given out
      words 2 to 7  ranges of tickets below the cursor that are still to be given out; 0: none

    range           first << 14 | count
                    the same below 0: not to be given out yet, see fifo_claim

Whoever moves the cursor past a ticket, or takes it off a range, by one compare-and-swap, owns its
row, and nobody else ever will.

A ticket that is claimed by its writer, with no row yet, looks the same whether the row comes in a
microsecond, or never: the writer was killed before it took the slot, or found it taken and burnt
the ticket. A later row of the stream says nothing, where several writers share it. So a ticket
like that is neither given out nor passed for ever: where there are rows behind it, it is left in a
range, and given out from there as soon as its row has come. One whose row never comes stays there
until a newer ticket has its slot. Four ranges of a stream may be of this sort. The others are for
rows that a consumer has to give back, because those that it wanted with them went to another one.
"""

import numpy as np

from kernels.atomics import compare_and_swap, fetch_add, load
from kernels.handle import (
    ROWS,
    VIEW,
    handle_cursors,
    handle_heads,
    handle_records,
    handle_view,
)
from kernels.jit import kernel
from kernels.ring import BASE, FLOOR, HEAD, LINE, SHIFT, ring_span, ring_ticket
from kernels.view import AHEAD, EPISODE, FLAGS, PERIOD, STACK, STEP_SHIFT
from kernels.walk_limit import claims_back
from kernels.window import row_follows, rows_follow, slot_whole, step_of, window_steps

CURSOR = 0
LOST = 1
RANGES = 2
#: Behind the ranges of tickets that have no row yet.
GAPS_END = 6

#: Bits of a range that count its tickets.
COUNT_BITS = 14
MOST = (1 << COUNT_BITS) - 1

#: States of a ticket.
READY = 0
#: Its row may come yet.
COMING = 1
#: The row is there, and the window that begins with it may become whole.
GROWING = 2
#: No window will ever begin with its row.
UNFIT = 3
#: A newer ticket has its slot.
GONE = 4


@kernel
def ticket_passed(handle: np.ndarray, stream: int, ticket: int) -> bool:
    """
    Say whether a row that is not whole under a view never will be.

    Parameters
    ----------
    handle : (words,) int64
        Of a buffer with a view.
    stream : int
    ticket : int
        Its row is stored.

    Returns
    -------
    bool
        True: no window begins with it. False: the episode goes on behind the row, and not all that
        the window needs is stored yet.

    Notes
    -----
    Units: tickets.
    Cost: as slot_whole.
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream: rows come in order, so an
    older one that is not there will not come.
    Source: own.
    """
    view = handle_view(handle)
    slot = stream * handle[ROWS] + ticket % handle[ROWS]
    step = step_of(view, slot) >> STEP_SHIFT
    if step < 1 or (step - 1) % view[PERIOD] != 0:
        return True
    if not rows_follow(handle, slot, ticket, step, 0, min(step, view[STACK])):
        return True
    if view[FLAGS] & EPISODE != 0 and row_follows(handle, slot, ticket, step, view[AHEAD]):
        # Its episode is longer than those that are given out.
        return True
    # With so few steps that burning in takes all of them, the window ends with the episode.
    return window_steps(handle, slot, ticket, step) != 0


@kernel
def ticket_state(handle: np.ndarray, slot: int, ticket: int) -> int:
    """
    Say what has become of a ticket.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        The ticket's.
    ticket : int
        0 or more, and below the stream's head.

    Returns
    -------
    int
        READY, COMING, GROWING, UNFIT or GONE.

    Notes
    -----
    Units: tickets.
    Cost: one load; with a view, slot_whole.
    Errors: none.
    Sharing: any number of readers beside writers. What is READY may be overwritten a moment later;
    UNFIT and GONE stay so.
    Source: own.
    """
    records = handle_records(handle)
    at = slot * records.shape[1]
    word = load(records, at)
    if ring_ticket(word) > ticket:
        return GONE
    if word != (ticket + 1) << SHIFT:
        return COMING
    if handle[VIEW] == 0:
        return READY
    whole = slot_whole(handle, slot)
    passed = not whole and ticket_passed(handle, slot // handle[ROWS], ticket)
    # What was looked at was this row, only if it is still there.
    if load(records, at) != word:
        return GONE
    if whole:
        return READY
    return UNFIT if passed else GROWING


@kernel
def range_pack(first: int, end: int) -> int:
    """Put the tickets from `first` to below `end`, MOST at most, into one word; 0 for none."""
    return first << COUNT_BITS | (end - first) if end > first else 0


@kernel
def tickets_lost(handle: np.ndarray, stream: int, first: int, end: int) -> int:
    """
    Count the tickets of a range that the ring has run over, or whose rows have lost their bytes;
    those that were cleared do not count.

    Parameters
    ----------
    handle : (words,) int64
    stream : int
    first : int
    end : int
        Behind the range.

    Returns
    -------
    int

    Notes
    -----
    Units: tickets.
    Cost: three loads.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    heads = handle_heads(handle)
    at = stream * LINE
    over = max(load(heads, at + HEAD) - handle[ROWS], load(heads, at + FLOOR))
    return max(min(end, over) - max(first, load(heads, at + BASE)), 0)


@kernel
def fifo_lose(handle: np.ndarray, stream: int, count: int) -> None:
    """
    Count tickets that were passed for ever.

    Parameters
    ----------
    handle : (words,) int64
        The cursors and the balance of its block are *written*.
    stream : int
    count : int

    Notes
    -----
    Units: tickets.
    Cost: two atomic additions.
    Errors: none.
    Sharing: any number of consumers. Where the buffer is limited the rows count as never added: no
    batch can make up for them, and writers would be held back a little more by each.
    Source: own.
    """
    if count > 0:
        fetch_add(handle_cursors(handle), stream * LINE + LOST, count)
        claims_back(handle, count, 0)


@kernel
def range_next(cursors: np.ndarray, stream: int, above: int) -> tuple[int, int]:
    """
    Find the range of a stream that comes next, by its tickets.

    Parameters
    ----------
    cursors : (streams, 8) int64
    stream : int
    above : int
        The range before, 0 for the first one.

    Returns
    -------
    tuple of int
        Its word, and the range; CURSOR and 0 where there is none.

    Notes
    -----
    Units: none.
    Cost: a few loads of one line.
    Errors: as returned.
    Sharing: any number of consumers.
    Source: own.
    """
    word = CURSOR
    lowest = 0
    for one in range(RANGES, LINE):
        value = load(cursors, stream * LINE + one)
        if value > above and (word == CURSOR or value < lowest):
            word = one
            lowest = value
    return word, lowest


@kernel
def range_leave(handle: np.ndarray, stream: int, value: int, words: int) -> int:
    """
    Put a range into a free word of a stream.

    Parameters
    ----------
    handle : (words,) int64
        The cursors of its block are *written*.
    stream : int
    value : int
        As range_pack gave it, or the same below 0.
    words : int
        Behind the last word that may be used.

    Returns
    -------
    int
        The word; CURSOR: none is free.

    Notes
    -----
    Units: words of a line.
    Cost: a few loads of one line, and a compare-and-swap.
    Errors: as returned.
    Sharing: any number of consumers. Ranges that the ring has run over make room. One below 0 is
    of a consumer that died since, or was slow enough to lose it.
    Source: own.
    """
    cursors = handle_cursors(handle)
    oldest = ring_span(handle_heads(handle), stream, handle[ROWS])[0]
    for word in range(RANGES, words):
        at = stream * LINE + word
        held = load(cursors, at)
        end = (abs(held) >> COUNT_BITS) + (abs(held) & MOST)
        if held != 0 and end <= oldest and compare_and_swap(cursors, at, held, 0):
            if held > 0:
                fifo_lose(handle, stream, tickets_lost(handle, stream, held >> COUNT_BITS, end))
            held = 0
        if held == 0 and compare_and_swap(cursors, at, 0, value):
            return word
    return CURSOR
