"""
The walk of a step's leaves: which rows may be drawn once a step is added, and which no more.

A leaf is above 0 where its row may be drawn: where the window that the view needs around it is
whole. A step can complete the window of the row AHEAD of steps before it, its episode's last one
those of all since. The row that it overwrites is missed by those whose stacks reach back to it.
"""

import numpy as np

from kernels.atomics import load
from kernels.handle import (
    MINIMA,
    ROWS,
    STREAMS,
    handle_levels,
    handle_minima,
    handle_records,
    handle_tree,
    handle_view,
)
from kernels.jit import kernel
from kernels.minimum import minimum_update
from kernels.ring import SHIFT
from kernels.tree import tree_add, tree_get
from kernels.view import (
    AHEAD,
    BURN_IN,
    ENDED,
    ENDED_BITS,
    EPISODE,
    FLAGS,
    PERIOD,
    STACK,
    STEP_SHIFT,
)
from kernels.walk_leaf import leaf_swap
from kernels.walk_new import leaf_new
from kernels.window import row_follows, rows_follow, slot_beside, step_of

#: Tickets below a row among which the one before it is looked for.
HOLES = 64


@kernel
def leaf_put(handle: np.ndarray, slot: int, value: int) -> None:
    """
    Set the leaf of a slot and all that lies above it.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
    value : int
        0 or more.

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity); nothing but the exchange where the leaf was the same.
    Errors: none.
    Sharing: any number of writers; the caller has entered.
    Source: own.
    """
    difference = leaf_swap(handle, slot, value)
    if difference != 0:
        tree = handle_tree(handle)
        levels = handle_levels(handle)
        tree_add(tree, levels, slot, difference, 0)
        if handle[MINIMA] != 0:
            minimum_update(handle_minima(handle), tree, levels, slot)


@kernel
def leaf_enter(handle: np.ndarray, slot: int, value: int) -> None:
    """
    Set the first leaf of a slot whose window has become whole, unless it has one.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
    value : int
        0 sets none.

    Notes
    -----
    Units: leaf units.
    Cost: as leaf_put; a load where the leaf is there already.
    Errors: none.
    Sharing: as leaf_put.
    Source: own.
    """
    if value != 0 and tree_get(handle_tree(handle), handle_levels(handle), slot) == 0:
        leaf_put(handle, slot, value)


@kernel
def leaf_begin(handle: np.ndarray, slot: int, ticket: int, step: int, back: int) -> int:
    """
    Say the first leaf of a row whose window is whole but for what lies before it.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a later row of its episode, or of its own.
    ticket : int
        That row's.
    step : int
        That row's.
    back : int
        How many steps before that row it lies; with the rows before it that it needs, fewer than a
        stream has.

    Returns
    -------
    int
        That of new rows; 0 where no window begins with it.

    Notes
    -----
    Units: leaf units.
    Cost: a few loads.
    Errors: none.
    Sharing: the one writer of the stream.
    Source: own.
    """
    view = handle_view(handle)
    begun = step - back
    if begun < 1:
        return 0
    if view[PERIOD] != 1 and (begun - 1) % view[PERIOD] != 0:
        return 0
    if not rows_follow(handle, slot, ticket, step, -back, min(begun, view[STACK])):
        return 0
    return leaf_new(handle)


@kernel
def leaves_close(handle: np.ndarray, slot: int, ticket: int, step: int) -> None:
    """
    Set the leaves of the rows whose windows end with an episode, but for the last row's.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
        Of the episode's last row.
    ticket : int
        The row's.
    step : int
        The row's, 1 or more.

    Notes
    -----
    Units: leaf units.
    Cost: O(AHEAD log capacity), with ENDED of the episode's steps, with EPISODE of one.
    Errors: none.
    Sharing: the one writer of the stream; the caller has entered.
    Source: own.
    """
    view = handle_view(handle)
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    flags = view[FLAGS]
    back = max(view[BURN_IN], 1)
    last = min(view[AHEAD] - 2, step - 1)
    if flags & EPISODE != 0:
        if step > view[AHEAD]:
            return
        back = max(step - 1, 1)
        last = step - 1
    elif flags & ENDED != 0:
        # Where the reset is stored no stack reaches back behind it.
        last = step - 1 if step < rows else min(step - 1, rows - 1 - view[STACK])
    while back <= last:
        value = leaf_begin(handle, slot, ticket, step, back)
        leaf_enter(handle, slot_beside(first, rows, slot, -back), value)
        back += 1


@kernel
def leaf_last(handle: np.ndarray, slot: int, ticket: int, step: int) -> int:
    """
    Say the first leaf of an episode's last row.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        The row's.
    ticket : int
        The row's.
    step : int
        The row's, 1 or more.

    Returns
    -------
    int
        That of new rows; 0 where no window begins with it.

    Notes
    -----
    Units: leaf units.
    Cost: a few loads.
    Errors: none.
    Sharing: the one writer of the stream.
    Source: own.
    """
    view = handle_view(handle)
    if view[BURN_IN] != 0 or (view[FLAGS] & EPISODE != 0 and step > 1):
        return 0
    return leaf_begin(handle, slot, ticket, step, 0)


@kernel
def leaves_cut(handle: np.ndarray, slot: int, ticket: int) -> None:
    """
    Set the leaves of rows whose windows end because the writer goes on elsewhere.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
        Of the row that does not continue what is before it.
    ticket : int
        The row's.

    Notes
    -----
    Units: leaf units.
    Cost: a load where the row before is an episode's end, else leaves_close.
    Errors: none.
    Sharing: the one writer of the stream; the caller has entered.
    Source: own.
    """
    view = handle_view(handle)
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    records = handle_records(handle)
    # Tickets in between may have found no slot, or died with their writer.
    for back in range(1, min(min(ticket, rows - 1), HOLES) + 1):
        last = slot_beside(first, rows, slot, -back)
        if load(records, last * records.shape[1]) != (ticket - back + 1) << SHIFT:
            continue
        number = step_of(view, last)
        step = number >> STEP_SHIFT
        if step > 0 and number & ENDED_BITS == 0:
            leaves_close(handle, last, ticket - back, step)
            if view[AHEAD] > 1 or view[FLAGS] & (EPISODE | ENDED) != 0:
                leaf_enter(handle, last, leaf_last(handle, last, ticket - back, step))
            # Of one that died with the step that was to make them long enough.
            for short in range(min(view[BURN_IN], step)):
                leaf_put(handle, slot_beside(first, rows, last, -short), 0)
        return


@kernel
def leaves_complete(handle: np.ndarray, slot: int, ticket: int) -> None:
    """
    Set the leaves of earlier rows whose windows a row makes whole.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
        Of the row.
    ticket : int
        The row's.

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a leaf that changes: one a step, AHEAD at an episode's end.
    Errors: none.
    Sharing: the one writer of the stream; the caller has entered. Called before the row's commit,
    so that a writer that dies leaves no row without its leaf, and after it: a learner that was
    late, with a priority for what was in one of these slots before, has set it to 0 if it has
    seen a window that lacked this row.
    Source: own.
    """
    view = handle_view(handle)
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    number = step_of(view, slot)
    step = number >> STEP_SHIFT
    if step == 0 or not row_follows(handle, slot, ticket, step, -1):
        leaves_cut(handle, slot, ticket)
    back = view[AHEAD] - 1
    if view[FLAGS] & (EPISODE | ENDED) == 0 and 0 < back < step:
        value = leaf_begin(handle, slot, ticket, step, back)
        leaf_enter(handle, slot_beside(first, rows, slot, -back), value)
    if step > 0 and number & ENDED_BITS != 0:
        leaves_close(handle, slot, ticket, step)


@kernel
def leaves_lose(handle: np.ndarray, slot: int) -> None:
    """
    Clear the leaves of rows whose stacks reach back to a row that is gone.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
        Of the row that is gone.

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a leaf that is cleared, STACK at most.
    Errors: none.
    Sharing: the one writer of the stream; the caller has entered.
    Source: own.
    """
    view = handle_view(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    rows = handle[ROWS]
    first = 0 if handle[STREAMS] == 1 else slot - slot % rows
    for ahead in range(1, min(view[STACK], rows - 1) + 1):
        beside = slot_beside(first, rows, slot, ahead)
        if tree_get(tree, levels, beside) != 0 and step_of(view, beside) >> STEP_SHIFT >= ahead:
            leaf_put(handle, beside, 0)


@kernel
def step_leaves(handle: np.ndarray, slot: int, ticket: int) -> int:
    """
    Set the leaves that change with a row, after it is written and before it is committed.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
        Taken by ring_take.
    ticket : int

    Returns
    -------
    int
        The row's own leaf.

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a leaf that changes: one or two a step, AHEAD at an episode's end.
    Errors: none. Who draws a row before the commit that completes its window draws again.
    Sharing: the one writer of the stream; the caller has entered.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, line 6: rows enter at
    the largest priority.
    """
    view = handle_view(handle)
    # Of the row that was here.
    leaves_lose(handle, slot)
    leaves_complete(handle, slot, ticket)
    number = step_of(view, slot)
    step = number >> STEP_SHIFT
    own = 0
    if step > 0:
        if view[FLAGS] & (EPISODE | ENDED) == 0 and view[AHEAD] == 1:
            own = leaf_begin(handle, slot, ticket, step, 0)
        elif number & ENDED_BITS != 0:
            own = leaf_last(handle, slot, ticket, step)
    leaf_put(handle, slot, own)
    return own
