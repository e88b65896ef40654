"""The walk of a priority back along its episode: the steps that led to it count as well."""

import numpy as np

from kernels.atomics import compare_and_swap, fetch_add, load, store
from kernels.handle import (
    DECAY,
    MINIMA,
    PRIORITY,
    REACH,
    ROWS,
    STREAMS,
    handle_float,
    handle_levels,
    handle_line,
    handle_member,
    handle_minima,
    handle_records,
    handle_tree,
    handle_view,
)
from kernels.jit import kernel
from kernels.members import DOUBT, INSIDE, member_enter, member_leave
from kernels.minimum import minimum_update
from kernels.ring import SHIFT, ring_locate
from kernels.tree import FAN, tree_add, tree_get
from kernels.view import STEP_SHIFT
from kernels.walk_leaf import leaf_settle
from kernels.window import row_follows, slot_beside, slot_whole, step_of


@kernel
def leaf_raise(handle: np.ndarray, slot: int, value: int) -> None:
    """
    Set a leaf to a value, unless it is as large already.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
    value : int
        1 or more.

    Notes
    -----
    Units: leaf units.
    Cost: a load; O(log capacity) where it is raised.
    Errors: none.
    Sharing: any number of writers and learners; the caller has entered. Compared and swapped, so
    that what another sets meanwhile is not made smaller.
    Source: own.
    """
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    before = tree_get(tree, levels, slot)
    while before < value:
        if compare_and_swap(tree, levels[levels.size - 2] * FAN + slot, before, value):
            if before == 0:
                fetch_add(handle_line(handle, PRIORITY), 2, 1)
            tree_add(tree, levels, slot, value - before, 0)
            if handle[MINIMA] != 0:
                minimum_update(handle_minima(handle), tree, levels, slot)
            return
        before = tree_get(tree, levels, slot)


@kernel
def leaves_decay(handle: np.ndarray, identity: int) -> None:
    """
    Pass the priority of a row back to the steps before it, less and less of it.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*. Says what share of its leaf the step before gets, and
        how far back it goes.
    identity : int
        Of a row that is stored.

    Notes
    -----
    Units: leaf units: a share of priorities to the power of alpha.
    Cost: O(REACH log capacity), less where priorities are as large already.
    Errors: none. A row that is overwritten meanwhile gets what its slot's row should have.
    Sharing: any number of learners beside writers; the caller has entered.
    Source: Brittain, Bertram, Yang and Wei (2019), Prioritized Sequence Experience Replay, section
    3: p[n - i] = max(p[n - i], rho ** i * p[n]) within a window.
    """
    records = handle_records(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    view = handle_view(handle)
    rows = handle[ROWS]
    slot, ticket = ring_locate(identity, handle[STREAMS], rows)
    leaf = tree_get(tree, levels, slot)
    step = step_of(view, slot) >> STEP_SHIFT
    if load(records, slot * records.shape[1]) != (ticket + 1) << SHIFT:
        return
    first = slot - slot % rows
    share = np.float64(leaf)
    member = handle_member(handle)
    for back in range(1, min(min(handle[REACH], step - 1), rows - 1) + 1):
        share *= handle_float(handle, DECAY)
        value = np.int64(share)
        if value < 1 or not row_follows(handle, slot, ticket, step, -back):
            return
        before = slot_beside(first, rows, slot, -back)
        if tree_get(tree, levels, before) >= value or not slot_whole(handle, before):
            continue
        store(member, DOUBT, -(before + 1))
        leaf_raise(handle, before, value)
        if not slot_whole(handle, before):
            leaf_settle(handle, before)
        store(member, DOUBT, 0)


@kernel
def priorities_decay(handle: np.ndarray, ids: np.ndarray) -> int:
    """
    Pass the priorities of rows back to the steps before them, after they were set.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    ids : (n,) int64
        Those that are no rows any more are skipped.

    Returns
    -------
    int
        n.

    Notes
    -----
    Units: rows.
    Cost: n times that of leaves_decay.
    Errors: none.
    Sharing: any number of learners beside writers.
    Source: as leaves_decay.
    """
    member = handle_member(handle)
    member_enter(member, INSIDE)
    for row in range(ids.size):
        if ids[row] >= 0:
            leaves_decay(handle, ids[row])
    member_leave(member, INSIDE)
    return ids.size
