"""
The walk of the newest row: found before the rest of a batch is drawn, and put in at its end.

Both kernels take what a draw takes, and pass what they know in the last place: the slot, and by
what the weights of the rest were divided.
"""

import numpy as np

from kernels.addresses import address_of, floats_at, stack_integers
from kernels.atomics import fetch_add, load
from kernels.codes import EMPTY, HELD_BACK, NO_PRIORITY, NOT_WHOLE
from kernels.handle import (
    AGAIN,
    NORMALISE,
    PRIORITY,
    ROWS,
    SAMPLES,
    STREAMS,
    VIEW,
    handle_heads,
    handle_levels,
    handle_line,
    handle_minima,
    handle_records,
    handle_tree,
)
from kernels.jit import kernel
from kernels.minimum import minimum_of
from kernels.ring import ring_read, ring_span, ring_ticket
from kernels.tree import tree_get, tree_total
from kernels.uniform import uniform_size
from kernels.walk_draw import beta_after, draw_begun, draw_counted
from kernels.walk_limit import claims_back
from kernels.weights import BATCH_LARGEST, BUFFER_LARGEST, weights_of
from kernels.window import slot_whole


@kernel
def newest_slot(handle: np.ndarray, stream: int, passes: bool) -> int:
    """
    Find the newest row of a stream that may be drawn.

    Parameters
    ----------
    handle : (words,) int64
    stream : int
    passes : bool
        Whether rows of priority 0 are passed over; only where there is a priority tree.

    Returns
    -------
    int
        Its slot; -1 where there is none.

    Notes
    -----
    Units: slots.
    Cost: a few loads a row, as a rule of the first one; no more rows than the stream has.
    Errors: as returned. Rows in their writer's hands are passed over as well, and rows whose
    window is not whole.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    records = handle_records(handle)
    rows = handle[ROWS]
    first, count = ring_span(handle_heads(handle), stream, rows)
    for back in range(count):
        ticket = first + count - 1 - back
        slot = stream * rows + ticket % rows
        # An older ticket: of this one's writer nothing came. A newer: the stream was lapped.
        if ring_ticket(ring_read(records, slot)) < ticket:
            continue
        if passes and tree_get(handle_tree(handle), handle_levels(handle), slot) < 1:
            continue
        if handle[VIEW] == 0 or slot_whole(handle, slot):
            return slot
    return -1


@kernel
def newest_find(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> int:
    """
    Find the newest row of the stream whose turn it is.

    Parameters
    ----------
    handle : (words,) int64
    slots : (n,) int64
        The last is *written*; before, it says 1 where rows of priority 0 are passed over, else 0.
    weights : (n,) float32
        The last is *written*: 0, nothing was divided yet.

    Returns
    -------
    int
        1. EMPTY, NO_PRIORITY or NOT_WHOLE where there is none.

    Notes
    -----
    Units: slots.
    Cost: newest_slot, of further streams where the first has no such row.
    Errors: as returned.
    Sharing: any number of readers beside writers. Those that draw at the same moment may take the
    same turn.
    Source: Zhang and Sutton (2017), A Deeper Look at Experience Replay, section 4.
    """
    streams = handle[STREAMS]
    if uniform_size(handle_heads(handle), handle[ROWS]) == 0:
        return EMPTY
    passes = slots[slots.size - 1] != 0
    if passes and tree_total(handle_tree(handle)) < 1:
        return NO_PRIORITY
    batches = load(handle_line(handle, SAMPLES), 1)
    if handle[AGAIN] != 0:
        batches = max(batches - 1, 0)
    for turn in range(streams):
        slot = newest_slot(handle, (batches + turn) % streams, passes)
        if slot >= 0:
            slots[slots.size - 1] = slot
            weights[slots.size - 1] = np.float32(0.0)
            return 1
    return NOT_WHOLE


@kernel
def newest_count(handle: np.ndarray, rows: int) -> bool:
    """
    Count the newest row as drawn, with the rest of its batch or as all of it.

    Parameters
    ----------
    handle : (words,) int64
        Its counters and the balance are *written*, unless rows are drawn in place of others.
    rows : int
        Of the whole batch; all but one are counted already.

    Returns
    -------
    bool
        False: the limiter holds a batch of one row back.

    Notes
    -----
    Units: rows.
    Cost: two or three atomic additions.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[AGAIN] != 0:
        return True
    if rows == 1:
        if not draw_begun(handle, 1):
            return False
        draw_counted(handle, 1)
        return True
    # The batch has begun: an operation takes its whole size, whatever the balance is by now.
    claims_back(handle, 0, -1)
    fetch_add(handle_line(handle, SAMPLES), 0, 1)
    return True


@kernel
def newest_put(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> float:
    """
    Put the newest row at the end of a batch whose weights are all 1.

    Parameters
    ----------
    handle : (words,) int64
        As newest_count has it.
    slots : (n,) int64
        The last is the newest row's.
    weights : (n,) float32
        The last is *written*.

    Returns
    -------
    float
        1, by which the weights were divided; HELD_BACK where n is 1 and the limiter forbids it.

    Notes
    -----
    Units: none.
    Cost: newest_count.
    Errors: as returned.
    Sharing: any number of readers beside writers; the arrays are the caller's.
    Source: as newest_find.
    """
    if not newest_count(handle, slots.size):
        return np.float64(HELD_BACK)
    weights[slots.size - 1] = np.float32(1.0)
    return 1.0


@kernel
def newest_put_proportional(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> float:
    """
    Put the newest row at the end of a batch, weighed as draw_proportional has weighed the rest.

    Parameters
    ----------
    handle : (words,) int64
        As newest_count has it. Says beta and what normalises the weights.
    slots : (n,) int64
        The last is the newest row's.
    weights : (n,) float32, written
        The last is by what the others were divided, 0 where there are none. They are *written*
        where the batch normalises and the newest row's weight is the largest.

    Returns
    -------
    float
        By what the weights are divided now; HELD_BACK where n is 1 and the limiter forbids it.

    Notes
    -----
    Units: none.
    Cost: newest_count, a leaf, and a logarithm and a power of 2; O(n) where the weight is the
    largest.
    Errors: as returned.
    Sharing: any number of readers beside writers; the arrays are the caller's.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.4.
    """
    if not newest_count(handle, slots.size):
        return np.float64(HELD_BACK)
    last = slots.size - 1
    divided = np.float64(weights[last])
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    # Of the batch that was counted last, as draw_counted gave it.
    batches = max(load(handle_line(handle, SAMPLES), 1) - 1, 0)
    size = uniform_size(handle_heads(handle), handle[ROWS])
    if handle[VIEW] != 0:
        size = load(handle_line(handle, PRIORITY), 2)
    reference = np.float64(max(tree_total(tree), 1)) / np.float64(max(size, 1))
    if handle[NORMALISE] == BUFFER_LARGEST:
        reference = np.float64(minimum_of(handle_minima(handle), tree, levels))
    leaves = stack_integers()
    # A learner may have set it to 0 since it was found.
    leaves[0] = max(tree_get(tree, levels, slots[last]), 1)
    newest = floats_at(address_of(weights) + last * 4, 1)
    weight = weights_of(leaves, reference, beta_after(handle, batches), newest, 1)
    if handle[NORMALISE] != BATCH_LARGEST:
        return 1.0
    if weight <= divided or handle[AGAIN] != 0:
        # Of rows that are drawn again the whole batch is settled, when all of it is there.
        weights[last] = np.float32(weight / divided)
        return divided
    for draw in range(last):
        weights[draw] = np.float32(np.float64(weights[draw]) * (divided / weight))
    weights[last] = np.float32(1.0)
    return weight
