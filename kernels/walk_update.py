"""The walk of priorities: from ids to slots, their words, leaves and sums."""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    load_float32,
    load_float64,
    prefetch,
    stack_integers,
    stack_numbers,
)
from kernels.atomics import fetch_add, fetch_max, load, store
from kernels.codes import REFUSED
from kernels.handle import (
    ALPHA,
    EPSILON,
    KEEP,
    MINIMA,
    PRIORITY,
    ROWS,
    SATURATED,
    STALE,
    STREAMS,
    UPDATES,
    VIEW,
    handle_float,
    handle_heads,
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
from kernels.priorities import leaf_of, priority_ceiling, priority_scale
from kernels.ring import LINE, ring_locate, ring_ticket
from kernels.tree import (
    TOP,
    tree_add,
    tree_exchange,
    tree_flush,
    tree_gather,
    tree_get,
    tree_prefetch,
)
from kernels.walk_leaf import leaf_exchange, leaf_swap
from kernels.window import slot_whole

#: How many rows before its turn a row's lines are asked for.
AHEAD = 8
#: Updates from which the two top levels are added once for all.
BATCHED = 16


@kernel
def priorities_read(
    address: int, itemsize: int, first: int, numbers: np.ndarray, count: int
) -> None:
    """
    Read priorities of an array of float32 or float64.

    Parameters
    ----------
    address : int
    itemsize : int
        4 or 8.
    first : int
        Position of the first one.
    numbers : (n,) float64, written
    count : int
        At most n.

    Notes
    -----
    Units: as they are.
    Cost: O(count).
    Errors: none; the address is trusted.
    Sharing: reads alone.
    Source: own.
    """
    if itemsize == 4:
        for row in range(count):
            numbers[row] = load_float32(address + (first + row) * 4)
    else:
        for row in range(count):
            numbers[row] = load_float64(address + (first + row) * 8)


@kernel
def update_prefetch(records: np.ndarray, tree: np.ndarray, levels: np.ndarray, slot: int) -> None:
    """Ask for the lines that the update of a slot's priority reads and writes."""
    prefetch(address_of(records) + slot * records.shape[1] * 8)
    tree_prefetch(tree, levels, slot)


@kernel
def priorities_update(handle: np.ndarray, ids: np.ndarray, priorities: int, itemsize: int) -> int:
    """
    Set the priorities of rows by id; ids of rows that are gone are skipped and counted.

    Gone are those that were overwritten, and with a view those whose windows are not whole.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*. Says alpha, and the epsilon added to each priority.
    ids : (n,) int64
        Where an id stands twice, its last priority wins.
    priorities : int
        Address of n numbers, finite and 0 or more.
    itemsize : int
        4 for float32, 8 for float64.

    Returns
    -------
    int
        How many were applied; REFUSED, with nothing changed, where a priority or an id cannot be.

    Notes
    -----
    Units: priorities before alpha.
    Cost: O(log capacity) each; lines are asked for some rows ahead, and the two top levels
    are added once a batch.
    Errors: as returned.
    Sharing: any number of learners beside writers. A row that is overwritten between the look at
    its word and the exchange of its leaf is found by a second look, and the new row gets the
    largest priority, as its writer gave it.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, lines 11 and 12.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    streams = handle[STREAMS]
    rows = handle[ROWS]
    numbers = stack_numbers()
    first = 0
    while first < ids.size:
        count = min(ids.size - first, STACK)
        priorities_read(priorities, itemsize, first, numbers, count)
        for row in range(count):
            if not (numbers[row] >= 0.0 and numbers[row] < np.inf) or ids[first + row] < 0:
                return REFUSED
            ticket = ids[first + row] if streams == 1 else ids[first + row] // streams
            if ticket >= load(heads, (ids[first + row] - ticket * streams) * LINE):
                return REFUSED
        first += count
    alpha = handle_float(handle, ALPHA)
    epsilon = handle_float(handle, EPSILON)
    scale = np.float64(priority_scale(streams * rows))
    ceiling = np.float64(priority_ceiling(streams * rows))
    # A small batch adds to few of the top entries twice, and clearing the sums costs too.
    batched = ids.size >= BATCHED and levels.size > 3
    viewed = handle[VIEW] != 0
    keep = handle_float(handle, KEEP)
    upper = stack_integers()
    if batched:
        for entry in range(TOP):
            upper[entry] = 0
    slots = stack_integers()
    leaves = stack_integers()
    words = stack_integers()
    width = records.shape[1]
    member = handle_member(handle)
    member_enter(member, INSIDE)
    largest = 0
    saturated = 0
    applied = 0
    first = 0
    while first < ids.size:
        count = min(ids.size - first, STACK)
        for row in range(count):
            slot, ticket = ring_locate(ids[first + row], streams, rows)
            slots[row] = slot
            words[row] = ticket
        for row in range(min(count, AHEAD)):
            update_prefetch(records, tree, levels, slots[row])
        priorities_read(priorities, itemsize, first, numbers, count)
        for row in range(count):
            leaves[row] = leaf_of(numbers[row] + epsilon, alpha, scale, ceiling)
        for row in range(count):
            # A few rows ahead: the processor drops what it is asked for faster than it can fetch.
            if row + AHEAD < count:
                update_prefetch(records, tree, levels, slots[row + AHEAD])
            slot = slots[row]
            word = load(records, slot * width)
            if word & 1 != 0 or ring_ticket(word) != words[row]:
                continue
            if viewed and not slot_whole(handle, slot):
                continue
            leaf = leaves[row]
            if keep != 0.0:
                leaf = max(leaf, np.int64(np.float64(tree_get(tree, levels, slot)) * keep))
            # Who is killed before the second look leaves word of it.
            store(member, DOUBT, ids[first + row] + 1)
            if viewed:
                difference = leaf_swap(handle, slot, leaf)
            else:
                difference = tree_exchange(tree, levels, slot, leaf)
            if load(records, slot * width) != word or (viewed and not slot_whole(handle, slot)):
                difference += leaf_exchange(handle, slot)
            else:
                applied += 1
                largest = max(largest, leaf)
                if leaf == np.int64(ceiling):
                    saturated += 1
            if difference != 0:
                if batched:
                    tree_add(tree, levels, slot, difference, 2)
                    tree_gather(levels, slot, difference, upper)
                else:
                    tree_add(tree, levels, slot, difference, 0)
                if handle[MINIMA] != 0:
                    minimum_update(handle_minima(handle), tree, levels, slot)
        first += count
    if batched:
        tree_flush(tree, levels, upper)
    store(member, DOUBT, 0)
    member_leave(member, INSIDE)
    fetch_max(handle_line(handle, PRIORITY), 0, largest)
    updates = handle_line(handle, UPDATES)
    fetch_add(updates, 0, applied)
    fetch_add(updates, 1, 1)
    if applied != ids.size:
        fetch_add(handle_line(handle, STALE), 0, ids.size - applied)
    if saturated != 0:
        fetch_add(handle_line(handle, SATURATED), 0, saturated)
    return applied
