"""The walk of draws without replacement: from a generator to slots that all differ."""

import numpy as np

from kernels.atomics import compare_and_swap, load
from kernels.codes import EMPTY, HELD_BACK, NOT_WHOLE, TOO_FEW, TOO_LARGE
from kernels.distinct import MOST, distinct_add, distinct_begin, distinct_has, distinct_slots
from kernels.handle import (
    GENERATOR,
    ROWS,
    SAMPLER,
    STREAMS,
    VIEW,
    handle_heads,
    handle_line,
    handle_records,
)
from kernels.jit import kernel
from kernels.random import random_below, random_claim
from kernels.ring import ring_span
from kernels.uniform import uniform_size, uniform_slot
from kernels.walk_draw import draw_begun, draw_counted, draw_undone
from kernels.window import slot_whole

#: Word of the handle: so many slots, the batch's first, are there already; no other may be one.
KEPT = SAMPLER
#: What a draw's seed grows by at each further try.
_TURN = 0x51ED270B


@kernel
def slot_drawable(handle: np.ndarray, slot: int) -> bool:
    """
    Say whether a slot holds a row, and all that the view needs around it is stored.

    Parameters
    ----------
    handle : (words,) int64
    slot : int

    Returns
    -------
    bool
        True also for one that a writer is filling, where there is no view: whoever gathers it
        waits a moment, and a batch of the whole buffer is not refused beside writers.

    Notes
    -----
    Units: slots.
    Cost: one load; with a view, slot_whole.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    if handle[VIEW] != 0:
        return slot_whole(handle, slot)
    records = handle_records(handle)
    return load(records, slot * records.shape[1]) != 0


@kernel
def drawable_count(handle: np.ndarray) -> int:
    """
    Count the rows that may be drawn.

    Parameters
    ----------
    handle : (words,) int64

    Returns
    -------
    int

    Notes
    -----
    Units: rows.
    Cost: a look at each row that is stored.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    rows = handle[ROWS]
    count = 0
    for stream in range(handle[STREAMS]):
        ticket, live = ring_span(handle_heads(handle), stream, rows)
        for row in range(live):
            count += np.int64(slot_drawable(handle, stream * rows + (ticket + row) % rows))
    return count


@kernel
def draw_sparsely(
    handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, kept: int, size: int, counter: int
) -> bool:
    """
    Draw slots one by one, anew where one was drawn already or may not be.

    Parameters
    ----------
    handle : (words,) int64
    slots : (n,) int64, written
        A table with the first `kept` slots, see `distinct`.
    weights : (n,) float32, written
    kept : int
    size : int
        Tickets that can be live.
    counter : int
        The first of n - kept counters.

    Returns
    -------
    bool
        False: there were as many tries as there are rows, and a look at every row is no dearer.

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw where most rows are neither drawn nor barred, and no more than O(size).
    Errors: as returned. The slots of a batch that was drawn to its end are as likely as any
    others: the tries tell no row from the next.
    Sharing: any number of readers beside writers; the arrays are the caller's.
    Source: own; rejection.
    """
    heads = handle_heads(handle)
    rows = handle[ROWS]
    seed = handle_line(handle, GENERATOR)[0]
    full = size == handle[STREAMS] * rows
    place = kept
    turn = 0
    for _ in range(size):
        # A seed of its own, so that a second try meets no other counter's draw.
        slot = random_below(seed ^ (turn * _TURN), counter + place - kept, size)
        if not full:
            slot = uniform_slot(heads, rows, slot)
        turn += 1
        # Without a view whoever gathers looks at the slot: a look here would wait for memory.
        whole = handle[VIEW] == 0 or slot_whole(handle, slot)
        if whole and distinct_add(slots, weights, place, slot):
            place += 1
            turn = 0
            if place == slots.size:
                return True
    return False


@kernel
def draw_densely(
    handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, kept: int, size: int, counter: int
) -> int:
    """
    Draw slots in one look at every row.

    Parameters
    ----------
    handle : (words,) int64
    slots : (n,) int64, written
        A table with the first `kept` slots, see `distinct`.
    weights : (n,) float32
    kept : int
    size : int
        Tickets that can be live.
    counter : int
        The first of size + n - kept counters.

    Returns
    -------
    int
        From how many rows was drawn; below n - kept there were too few, and nothing is drawn.

    Notes
    -----
    Units: slots.
    Cost: O(size).
    Errors: as returned.
    Sharing: any number of readers beside writers; the arrays are the caller's. A slot is looked at
    once, so none comes twice, whatever writers do.
    Source: Vitter (1985), Random Sampling with a Reservoir, section 2, algorithm R; shuffled as in
    Knuth (1998), The Art of Computer Programming, volume 2, section 3.4.2, algorithm P.
    """
    heads = handle_heads(handle)
    rows = handle[ROWS]
    seed = handle_line(handle, GENERATOR)[0]
    wanted = slots.size - kept
    found = 0
    for stream in range(handle[STREAMS]):
        ticket, live = ring_span(heads, stream, rows)
        for row in range(live):
            slot = stream * rows + (ticket + row) % rows
            if found == size or not slot_drawable(handle, slot):
                continue
            if kept != 0 and distinct_has(slots, weights, slot):
                continue
            place = found
            if found >= wanted:
                place = random_below(seed, counter + found, found + 1)
            if place < wanted:
                slots[kept + place] = slot
            found += 1
    if found < wanted:
        return found
    # The reservoir leaves rows where they came in first; a part of a batch is to be fair as well.
    for place in range(wanted - 1, 0, -1):
        other = random_below(seed, counter + size + place, place + 1)
        slot = slots[kept + place]
        slots[kept + place] = slots[kept + other]
        slots[kept + other] = slot
    return found


@kernel
def draw_distinct(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> float:
    """
    Draw slots uniformly, without replacement; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*. Its word KEPT says how many of `slots` are there already.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    float
        1, by which the weights were divided. EMPTY, NOT_WHOLE, HELD_BACK, TOO_FEW less the rows
        that may be drawn, or TOO_LARGE less the rows that a batch can have: nothing was drawn.

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw where a batch is a small part of the rows, else O(rows).
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own; draw_sparsely and draw_densely say theirs.
    """
    kept = handle[KEPT]
    wanted = slots.size - kept
    most = min(handle[STREAMS] * handle[ROWS], MOST)
    if slots.size > most:
        return np.float64(TOO_LARGE - most)
    size = uniform_size(handle_heads(handle), handle[ROWS])
    if size == 0:
        return np.float64(EMPTY)
    if size < slots.size:
        return np.float64(TOO_FEW - drawable_count(handle))
    if not draw_begun(handle, wanted):
        return np.float64(HELD_BACK)
    generator = handle_line(handle, GENERATOR)
    claimed = wanted
    counter = random_claim(generator, wanted)
    distinct_begin(slots, weights, kept)
    drawn = False
    if 2 * slots.size <= size:
        drawn = draw_sparsely(handle, slots, weights, kept, size, counter)
    if not drawn:
        distinct_slots(slots)
        distinct_begin(slots, weights, kept)
        claimed += size + wanted
        after = random_claim(generator, size + wanted)
        found = draw_densely(handle, slots, weights, kept, size, after)
        if found < wanted:
            # What was refused must not shift later draws; where others drew meanwhile it may.
            compare_and_swap(generator, 1, counter + claimed, counter)
            draw_undone(handle, wanted)
            return np.float64(NOT_WHOLE if found + kept == 0 else TOO_FEW - found - kept)
    distinct_slots(slots)
    for draw in range(slots.size):
        weights[draw] = np.float32(1.0)
    draw_counted(handle, wanted)
    return 1.0
