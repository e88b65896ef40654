"""The walk of a leaf whose row is gone: back to what its slot says."""

import numpy as np

from kernels.atomics import load, store
from kernels.handle import (
    MINIMA,
    PRIORITY,
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


@kernel
def leaf_exchange(handle: np.ndarray, slot: int) -> int:
    """
    Set a leaf to the priority of new rows, or to 0 where its slot is empty.

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
    word = load(records, at)
    while True:
        value = load(handle_line(handle, PRIORITY), 0) if word != 0 else 0
        difference += tree_exchange(handle_tree(handle), handle_levels(handle), slot, value)
        after = load(records, at)
        if after == word:
            return difference
        word = after


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
