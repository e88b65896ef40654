"""
Windows: which rows around a drawn row belong to what a view makes of it.

Two rows of a stream are of one episode where both are whole and their steps lie as far apart as
their tickets. So one look at the last row of a window tells of all between: rows are written in
order, and overwritten in order.
"""

from typing import Any

import numpy as np

from kernels.addresses import integers_at, load_int32, prefetch
from kernels.atomics import load
from kernels.handle import (
    HEADS,
    RECORDS,
    ROWS,
    STREAMS,
    VIEW,
    WIDTH,
    handle_heads,
    handle_records,
    handle_view,
)
from kernels.jit import kernel
from kernels.ring import LINE, SHIFT, ring_read, ring_ticket
from kernels.view import (
    AHEAD,
    BURN_IN,
    ENDED,
    ENDED_BITS,
    EPISODE,
    FLAGS,
    PERIOD,
    STACK,
    STEP_ADDRESS,
    STEP_SHIFT,
    STEP_STRIDE,
)

#: Slots that are asked for at once.
AT_ONCE = 16


@kernel
def slot_beside(first: int, rows: int, slot: int, distance: int) -> int:
    """
    Say which slot lies so many tickets from a slot of its stream.

    Parameters
    ----------
    first : int
        The stream's first slot.
    rows : int
        Slots of a stream.
    slot : int
    distance : int
        -rows < distance < rows.

    Returns
    -------
    int

    Notes
    -----
    Units: slots.
    Cost: O(1), without a division.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    beside = slot + distance
    if beside >= first + rows:
        return beside - rows
    if beside < first:
        return beside + rows
    return beside


@kernel
def step_of(view: np.ndarray, slot: int) -> int:
    """
    Read the number of a row: its step, and how the episode ended with it.

    Parameters
    ----------
    view : (64,) int64
    slot : int

    Returns
    -------
    int
        step << 2 | truncated << 1 | terminated, of whatever row is there.

    Notes
    -----
    Units: steps of an episode; 0 is the reset.
    Cost: one load.
    Errors: none.
    Sharing: any number of readers; the slot's word says whether the row was whole.
    Source: own.
    """
    return np.int64(load_int32(view[STEP_ADDRESS] + slot * view[STEP_STRIDE]))


@kernel
def row_stands(handle: np.ndarray, slot: int, ticket: int) -> bool:
    """
    Say whether a ticket is so old that its row should be overwritten by now.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Any of the stream's.
    ticket : int

    Returns
    -------
    bool
        True: if its row is there, then because a writer died with the ticket that was to come in
        its place; rows after it may be gone.

    Notes
    -----
    Units: tickets.
    Cost: one load.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    rows = handle[ROWS]
    stream = 0 if handle[STREAMS] == 1 else slot // rows
    return ticket < load(handle_heads(handle), stream * LINE) - rows


@kernel
def row_follows(handle: np.ndarray, slot: int, ticket: int, step: int, distance: int) -> bool:
    """
    Say whether the row so many tickets from a row is stored and of the same episode.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        The row's.
    ticket : int
        The row's.
    step : int
        The row's.
    distance : int
        -rows < distance < rows.

    Returns
    -------
    bool

    Notes
    -----
    Units: tickets.
    Cost: two loads, of one line.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    beside = slot_beside(first, rows, slot, distance)
    records = handle_records(handle)
    if load(records, beside * records.shape[1]) != (ticket + distance + 1) << SHIFT:
        return False
    return step_of(handle_view(handle), beside) >> STEP_SHIFT == step + distance


@kernel
def rows_follow(
    handle: np.ndarray, slot: int, ticket: int, step: int, distance: int, depth: int
) -> bool:
    """
    Say whether a row, and so many before it, are stored and of one episode.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a later row of the episode, or of that one.
    ticket : int
        That row's.
    step : int
        That row's.
    distance : int
        From it to the row, 0 or less.
    depth : int
        1 or more; distance - depth is above -rows.

    Returns
    -------
    bool

    Notes
    -----
    Units: tickets.
    Cost: three loads. Where the oldest one stands beyond its time, two a row: those after it may
    have been overwritten before it.
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own.
    """
    oldest = distance - depth
    if not row_follows(handle, slot, ticket, step, oldest):
        return False
    if row_stands(handle, slot, ticket + oldest):
        for between in range(oldest + 1, min(distance + 1, 0)):
            if not row_follows(handle, slot, ticket, step, between):
                return False
    return True


@kernel
def row_cut(handle: np.ndarray, slot: int, ticket: int, step: int, distance: int) -> bool:
    """
    Say whether an episode has no row at a ticket and never will.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a row of it.
    ticket : int
        The row's.
    step : int
        The row's.
    distance : int
        To the ticket that follows the last row known of the episode; below the rows of a stream.

    Returns
    -------
    bool

    Notes
    -----
    Units: tickets.
    Cost: two loads.
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own.
    """
    rows = handle[ROWS]
    first = slot - slot % rows
    records = handle_records(handle)
    wanted = ticket + distance
    beside = slot_beside(first, rows, slot, distance)
    # Before the word: a writer that has claimed a later ticket is done with this one.
    head = load(handle_heads(handle), first // rows * LINE)
    if load(records, beside * records.shape[1]) == (wanted + 1) << SHIFT:
        return step_of(handle_view(handle), beside) >> STEP_SHIFT != step + distance
    # It found no slot for that ticket, or another writer died with it.
    return head > wanted + 1


@kernel
def episode_rest(
    handle: np.ndarray, slot: int, ticket: int, step: int, most: int
) -> tuple[int, bool]:
    """
    Count the steps of an episode from a row on.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a whole row.
    ticket : int
        The row's.
    step : int
        The row's.
    most : int
        To be counted, 1 or more and below the rows of a stream.

    Returns
    -------
    tuple
        How many are stored, the row's own among them, `most` of them or fewer; and whether the
        episode is over after them.

    Notes
    -----
    Units: steps.
    Cost: two looks where there are as many as asked for, else O(log most).
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own; the search is Bentley and Yao (1976), An Almost Optimal Algorithm for Unbounded
    Searching.
    """
    low = 0
    if most > 1 and row_follows(handle, slot, ticket, step, most - 1):
        low = most - 1
    else:
        # The row at `low` is of the episode, the one at `high` is not.
        reach = 1
        while reach < most and row_follows(handle, slot, ticket, step, reach):
            low = reach
            reach <<= 1
        high = min(reach, most)
        while high - low > 1:
            middle = (low + high) >> 1
            if row_follows(handle, slot, ticket, step, middle):
                low = middle
            else:
                high = middle
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    last = slot_beside(first, rows, slot, low)
    if step_of(handle_view(handle), last) & ENDED_BITS != 0:
        return low + 1, True
    return low + 1, row_cut(handle, slot, ticket, step, low + 1)


@kernel
def window_steps(handle: np.ndarray, slot: int, ticket: int, step: int) -> int:
    """
    Count the steps of the window that begins with a row.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a whole row.
    ticket : int
        The row's.
    step : int
        The row's, 1 or more.

    Returns
    -------
    int
        Those that the episode has, AHEAD at most, or with ENDED all of them; 0 where the window is
        not whole: the episode goes on, and not all of it is stored yet.

    Notes
    -----
    Units: steps.
    Cost: as episode_rest.
    Errors: as returned.
    Sharing: as episode_rest.
    Source: own.
    """
    view = handle_view(handle)
    ahead = view[AHEAD]
    if view[FLAGS] & (EPISODE | ENDED) == 0:
        if ahead == 1 or row_follows(handle, slot, ticket, step, ahead - 1):
            return ahead
    most = handle[ROWS] - 1 if view[FLAGS] & ENDED != 0 else ahead
    count, over = episode_rest(handle, slot, ticket, step, most)
    return count if over else 0


@kernel
def window_begins(view: np.ndarray, step: int) -> bool:
    """
    Say whether a window can begin with a step.

    Parameters
    ----------
    view : (64,) int64
    step : int

    Returns
    -------
    bool

    Notes
    -----
    Units: steps of an episode; 0 is the reset.
    Cost: O(1), a division with PERIOD.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    return step > 0 and (view[PERIOD] == 1 or (step - 1) % view[PERIOD] == 0)


@kernel
def window_look(handle: np.ndarray) -> Any:
    """Unpack what window_full looks at: a loop over rows does so once, a tuple of numbers."""
    view = handle_view(handle)
    return (
        view[FLAGS] & (EPISODE | ENDED) == 0,
        handle[RECORDS],
        handle[WIDTH],
        handle[HEADS],
        handle[STREAMS],
        handle[ROWS],
        view[STEP_ADDRESS],
        view[STEP_STRIDE],
        view[STACK],
        view[AHEAD] - 1,
    )


@kernel
def window_full(look: Any, stream: int, slot: int, word: int, step: int) -> bool:
    """
    Say whether the commonest window begins with a row: AHEAD steps of one episode, all stored.

    Parameters
    ----------
    look : tuple
        See window_look.
    stream : int
        The slot's.
    slot : int
    word : int
        What ring_read gave for the slot, not 0.
    step : int
        The row's, of which window_begins is true.

    Returns
    -------
    bool
        False: none, or not one of this kind; window_of says.

    Notes
    -----
    Units: steps.
    Cost: two looks at other rows, one where AHEAD is 1. Small enough to become a part of its
    callers, which window_of is not.
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own.
    """
    common, records_at, width, heads_at, streams, rows, steps_at, stride, stack, ahead = look
    if not common:
        return False
    records = integers_at(records_at, streams * rows * width)
    heads = integers_at(heads_at, streams * LINE)
    back = min(step, stack)
    beside = slot_beside(stream * rows, rows, slot, -back)
    if load(records, beside * width) != word - (back << SHIFT):
        return False
    if load_int32(steps_at + beside * stride) >> STEP_SHIFT != step - back:
        return False
    if ring_ticket(word) - back < load(heads, stream * LINE) - rows:
        # As row_stands: what lies between may be gone.
        return False
    if ahead == 0:
        return True
    beside = slot_beside(stream * rows, rows, slot, ahead)
    if load(records, beside * width) != word + (ahead << SHIFT):
        return False
    return load_int32(steps_at + beside * stride) >> STEP_SHIFT == step + ahead


@kernel
def window_of(handle: np.ndarray, slot: int, word: int) -> tuple[int, int]:
    """
    Say what the window is that begins with a row.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
    word : int
        What ring_read gave for the slot, not 0.

    Returns
    -------
    tuple of int
        The row's step, and how many steps the window has: 0 where none begins there, or not all
        that it needs is stored.

    Notes
    -----
    Units: steps.
    Cost: as window_steps, and a look at the oldest row that is needed.
    Errors: as returned.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own.
    """
    view = handle_view(handle)
    step = step_of(view, slot) >> STEP_SHIFT
    if not window_begins(view, step):
        return step, 0
    ticket = ring_ticket(word)
    if not rows_follow(handle, slot, ticket, step, 0, min(step, view[STACK])):
        return step, 0
    count = window_steps(handle, slot, ticket, step)
    return step, count if count > view[BURN_IN] else 0


@kernel
def row_prefetch(handle: np.ndarray, slot: int) -> None:
    """
    Ask for what says which row of which episode a slot holds.

    Parameters
    ----------
    handle : (words,) int64
        With a view.
    slot : int

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: two prefetches.
    Errors: none; what lies beyond the ring's ends is asked for in vain.
    Sharing: reads nothing.
    Source: own.
    """
    view = handle_view(handle)
    prefetch(handle[RECORDS] + slot * handle[WIDTH] * 8)
    prefetch(view[STEP_ADDRESS] + slot * view[STEP_STRIDE])


@kernel
def window_prefetch(look: Any, slot: int) -> None:
    """
    Ask for what tells whether all that the view needs around a row is stored.

    Parameters
    ----------
    look : tuple
        See window_look.
    slot : int

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: four prefetches, six where AHEAD is not 1.
    Errors: none; what lies beyond the ring's ends is asked for in vain.
    Sharing: reads nothing.
    Source: own.
    """
    _, records, width, _, _, _, steps, stride, back, ahead = look
    prefetch(records + slot * width * 8)
    prefetch(steps + slot * stride)
    prefetch(records + (slot - back) * width * 8)
    prefetch(steps + (slot - back) * stride)
    if ahead != 0:
        prefetch(records + (slot + ahead) * width * 8)
        prefetch(steps + (slot + ahead) * stride)


@kernel
def slot_whole(handle: np.ndarray, slot: int) -> bool:
    """
    Say whether a slot may be drawn: whether all that the view needs around its row is stored.

    Parameters
    ----------
    handle : (words,) int64
    slot : int

    Returns
    -------
    bool
        True where no view asks for more than the row itself: the gather finds out whether that
        one is whole.

    Notes
    -----
    Units: slots.
    Cost: a look at the handle; with a view as window_of.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    if handle[VIEW] == 0:
        return True
    word = ring_read(handle_records(handle), slot)
    view = handle_view(handle)
    step = step_of(view, slot) >> STEP_SHIFT
    if word == 0 or not window_begins(view, step):
        return False
    look = window_look(handle)
    stream = 0 if handle[STREAMS] == 1 else slot // handle[ROWS]
    return window_full(look, stream, slot, word, step) or window_of(handle, slot, word)[1] != 0


@kernel
def slots_whole(handle: np.ndarray, slots: np.ndarray, first: int) -> int:
    """
    Say how far slots may be drawn, as slot_whole says of one.

    Parameters
    ----------
    handle : (words,) int64
        With a view.
    slots : (n,) int64
    first : int
        Position in `slots` to begin at.

    Returns
    -------
    int
        Position of the first one that may not be drawn; n: all may.

    Notes
    -----
    Units: slots.
    Cost: as slot_whole for each; lines are asked for AT_ONCE rows ahead.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    view = handle_view(handle)
    records = handle_records(handle)
    look = window_look(handle)
    streams = handle[STREAMS]
    rows = handle[ROWS]
    if first == 0:
        for place in range(min(AT_ONCE, slots.size)):
            window_prefetch(look, slots[place])
    for place in range(first, slots.size):
        if place + AT_ONCE < slots.size:
            window_prefetch(look, slots[place + AT_ONCE])
        slot = slots[place]
        word = ring_read(records, slot)
        step = step_of(view, slot) >> STEP_SHIFT
        if word == 0 or not window_begins(view, step):
            return place
        stream = 0 if streams == 1 else slot // rows
        if window_full(look, stream, slot, word, step):
            continue
        if window_of(handle, slot, word)[1] == 0:
            return place
    return slots.size
