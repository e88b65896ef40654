"""The walk of a leaf whose row is gone: back to what its slot says."""

import numpy as np

from kernels.atomics import fetch_add, load, store
from kernels.handle import (
    MINIMA,
    PRIORITY,
    VIEW,
    handle_levels,
    handle_line,
    handle_member,
    handle_minima,
    handle_records,
    handle_tree,
)
from kernels.jit import kernel
from kernels.members import DOUBT, INSIDE, member_enter, member_leave
from kernels.minimum import minimum_update
from kernels.tree import tree_add, tree_exchange
from kernels.walk_new import leaf_new
from kernels.window import slot_whole


@kernel
def leaf_swap(handle: np.ndarray, slot: int, value: int) -> int:
    """
    Set a leaf, and count the leaves above 0 where there is a view.

    Parameters
    ----------
    handle : (words,) int64
        The leaf is *written*; its ancestors still lack the difference.
    slot : int
    value : int
        0 or more.

    Returns
    -------
    int
        The difference, to be given to tree_add.

    Notes
    -----
    Units: leaf units.
    Cost: an atomic exchange; an addition where a leaf becomes 0 or ceases to be.
    Errors: none.
    Sharing: any number of writers, learners and repairers.
    Source: own.
    """
    difference = tree_exchange(handle_tree(handle), handle_levels(handle), slot, value)
    if handle[VIEW] != 0:
        change = np.int64(value > 0) - np.int64(value - difference > 0)
        if change != 0:
            fetch_add(handle_line(handle, PRIORITY), 2, change)
    return difference


@kernel
def leaf_entry(handle: np.ndarray, slot: int) -> int:
    """
    Say which leaf a slot has whose row nobody has set a priority for.

    Parameters
    ----------
    handle : (words,) int64
    slot : int

    Returns
    -------
    int
        That of new rows; 0 where the slot is empty, or a view cannot draw its row.

    Notes
    -----
    Units: leaf units.
    Cost: a load or two; with a view as slot_whole.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    records = handle_records(handle)
    if load(records, slot * records.shape[1]) == 0 or not slot_whole(handle, slot):
        return 0
    return leaf_new(handle)


@kernel
def leaf_exchange(handle: np.ndarray, slot: int) -> int:
    """
    Set a leaf to the priority of new rows, or to 0 where its row may not be drawn.

    Parameters
    ----------
    handle : (words,) int64
        The leaf is *written*; its ancestors still lack the difference.
    slot : int

    Returns
    -------
    int
        The difference, to be given to tree_add.

    Notes
    -----
    Units: leaf units.
    Cost: an atomic exchange or a few.
    Errors: none.
    Sharing: any number of writers, learners and repairers, each of whom looks at the slot's word
    after setting the leaf: the last one to set it has seen the last word.
    Source: own.
    """
    records = handle_records(handle)
    at = slot * records.shape[1]
    difference = 0
    while True:
        word = load(records, at)
        value = leaf_entry(handle, slot)
        difference += leaf_swap(handle, slot, value)
        if load(records, at) == word and leaf_entry(handle, slot) == value:
            return difference


@kernel
def leaf_settle(handle: np.ndarray, slot: int) -> None:
    """
    Set a leaf as leaf_exchange does, and all that lies above it.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity).
    Errors: none.
    Sharing: as leaf_exchange.
    Source: own.
    """
    member_enter(handle_member(handle), INSIDE)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    store(handle_member(handle), DOUBT, -(slot + 1))
    difference = leaf_exchange(handle, slot)
    if difference != 0:
        tree_add(tree, levels, slot, difference, 0)
        if handle[MINIMA] != 0:
            minimum_update(handle_minima(handle), tree, levels, slot)
    store(handle_member(handle), DOUBT, 0)
    member_leave(handle_member(handle), INSIDE)
