"""The walk of repair: from a member that died to its slots, the counts and the sums."""

import numpy as np

from kernels.addresses import integers_at, lines_at
from kernels.atomics import fetch_add, load
from kernels.dictionary import WORDS, dictionary_free
from kernels.handle import (
    HEAP,
    MINIMA,
    PRIORITY,
    READY,
    ROWS,
    STREAMS,
    TREE,
    VIEW,
    handle_heads,
    handle_heap,
    handle_levels,
    handle_line,
    handle_members,
    handle_minima,
    handle_records,
    handle_tree,
)
from kernels.heap import (
    COUNT,
    DICTIONARY_AT,
    LINE_WORDS,
    LINES,
    WRITING,
    WRITING_AT,
    writing_free,
)
from kernels.jit import kernel
from kernels.members import INSIDE, members_quiet
from kernels.repair import minimum_mend, ring_free, ring_recount, tree_mend
from kernels.ring import LINE, ring_locate, ring_ticket
from kernels.tree import tree_get
from kernels.walk_leaf import leaf_settle
from kernels.window import slot_whole

#: Passes over the tree until one finds nothing to correct.
PASSES = 8


@kernel
def heap_repair(heap: np.ndarray, writer: int) -> None:
    """
    Give back what a dead member held of the heap: bytes it had claimed, a dictionary.

    Parameters
    ----------
    heap : (words,) int64
        What it points at is *written*.
    writer : int
        The number of one who is known to be dead.

    Notes
    -----
    Units: none.
    Cost: a load a line.
    Errors: none.
    Sharing: one repairer of this member, beside any number of writers and readers.
    Source: own.
    """
    writing_free(lines_at(heap[WRITING_AT], WRITING, LINE), writer)
    for place in range(heap[COUNT]):
        dictionary = heap[LINES + place * LINE_WORDS + DICTIONARY_AT]
        if dictionary != 0:
            dictionary_free(integers_at(dictionary, WORDS), writer)


@kernel
def slots_repair(handle: np.ndarray, writer: int, first: int, count: int) -> int:
    """
    Empty the slots that a dead member was filling, and give back the bytes it had claimed.

    Parameters
    ----------
    handle : (words,) int64
        The records it points at are *written*.
    writer : int
        The number of one who is known to be dead.
    first : int
    count : int
        Slots to look at.

    Returns
    -------
    int
        Slots freed.

    Notes
    -----
    Units: slots.
    Cost: O(count).
    Errors: none.
    Sharing: one repairer of this member, beside any number of writers and readers.
    Source: own.
    """
    records = handle_records(handle)
    if first == 0 and handle[HEAP] != 0:
        heap_repair(handle_heap(handle), writer)
    freed = 0
    for slot in range(first, first + count):
        freed += np.int64(ring_free(records, slot, writer))
    return freed


@kernel
def leaves_repair(handle: np.ndarray, first: int, count: int) -> int:
    """
    Clear the leaves of empty slots.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    first : int
    count : int
        Slots to look at.

    Returns
    -------
    int
        Leaves cleared.

    Notes
    -----
    Units: leaves.
    Cost: O(count), O(log capacity) more each.
    Errors: none.
    Sharing: any number of writers, readers, learners and repairers. A pass of its own: of one who
    dies between the emptying of a slot and the clearing of its leaf nothing else tells.
    Source: own.
    """
    if handle[TREE] == 0:
        return 0
    records = handle_records(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    width = records.shape[1]
    cleared = 0
    for slot in range(first, first + count):
        if load(records, slot * width) == 0 and tree_get(tree, levels, slot) != 0:
            leaf_settle(handle, slot)
            cleared += 1
    return cleared


@kernel
def doubt_repair(handle: np.ndarray, doubt: int) -> bool:
    """
    Set a leaf that a dead member may have set for a row which was gone.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    doubt : int
        Word DOUBT of the member's line, whatever it holds.

    Returns
    -------
    bool
        Whether the leaf was set anew.

    Notes
    -----
    Units: none.
    Cost: O(log capacity).
    Errors: none.
    Sharing: any number of writers, readers, learners and repairers.
    Source: own.
    """
    if handle[TREE] == 0 or doubt == 0:
        return False
    streams = handle[STREAMS]
    rows = handle[ROWS]
    slot = -doubt - 1
    if doubt > 0:
        slot, ticket = ring_locate(doubt - 1, streams, rows)
        records = handle_records(handle)
        word = load(records, slot * records.shape[1])
        if word & 1 == 0 and ring_ticket(word) == ticket and slot_whole(handle, slot):
            # It is the row that the priority was for.
            return False
    if slot >= streams * rows:
        return False
    leaf_settle(handle, slot)
    return True


@kernel
def counts_repair(handle: np.ndarray) -> bool:
    """
    Correct how many slots of each stream hold a row.

    Parameters
    ----------
    handle : (words,) int64
        The heads it points at are *written*.

    Returns
    -------
    bool
        False: not all could be; come again.

    Notes
    -----
    Units: slots.
    Cost: O(slots).
    Errors: as returned.
    Sharing: one repairer at a time, beside any number of writers and readers.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    members = handle_members(handle)
    ready = handle_line(handle, READY)
    done = True
    for stream in range(handle[STREAMS]):
        if not ring_recount(heads, records, members, ready, stream, handle[ROWS]):
            done = False
    return done


@kernel
def drawable_repair(handle: np.ndarray) -> bool:
    """
    Correct how many leaves are above 0, which is counted where there is a view.

    Parameters
    ----------
    handle : (words,) int64
        The control line it points at is *written*.

    Returns
    -------
    bool
        False: somebody was inside all the time. Weights that nothing normalises are off then, by
        one part in as many rows.

    Notes
    -----
    Units: leaves.
    Cost: O(slots).
    Errors: as returned.
    Sharing: as tree_mend.
    Source: own.
    """
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    members = handle_members(handle)
    ready = handle_line(handle, READY)
    line = handle_line(handle, PRIORITY)
    for _ in range(PASSES):
        quiet = members_quiet(members, ready, INSIDE)
        counted = load(line, 2)
        found = 0
        for leaf in range(handle[STREAMS] * handle[ROWS]):
            found += np.int64(tree_get(tree, levels, leaf) > 0)
        if quiet >= 0 and members_quiet(members, ready, INSIDE) == quiet:
            fetch_add(line, 2, found - counted)
            return True
    return False


@kernel
def leaves_trim(handle: np.ndarray) -> int:
    """
    Clear the leaves of rows that the view cannot draw, and count those above 0 anew.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.

    Returns
    -------
    int
        Leaves cleared.

    Notes
    -----
    Units: leaves.
    Cost: O(slots), O(log capacity) more each.
    Errors: none.
    Sharing: as leaves_repair. For what was loaded: its writers went on while it was saved, so a
    window may end behind what the snapshot holds.
    Source: own.
    """
    if handle[TREE] == 0 or handle[VIEW] == 0:
        return 0
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    cleared = 0
    for slot in range(handle[STREAMS] * handle[ROWS]):
        if tree_get(tree, levels, slot) != 0 and not slot_whole(handle, slot):
            leaf_settle(handle, slot)
            cleared += 1
    drawable_repair(handle)
    return cleared


@kernel
def sums_repair(handle: np.ndarray) -> int:
    """
    Correct the sums and the minima of the priority tree.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.

    Returns
    -------
    int
        Sums corrected; -1: not all could be; come again.

    Notes
    -----
    Units: entries.
    Cost: O(slots), twice.
    Errors: as returned.
    Sharing: one repairer at a time, beside any number of writers, readers and learners.
    Source: own.
    """
    if handle[TREE] == 0:
        return 0
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    members = handle_members(handle)
    ready = handle_line(handle, READY)
    total = 0
    for _ in range(PASSES):
        mended = tree_mend(tree, levels, members, ready)
        if mended < 0:
            return -1
        total += mended
        if mended == 0:
            break
    if handle[MINIMA] != 0:
        minimum_mend(handle_minima(handle), tree, levels)
    if handle[VIEW] != 0:
        drawable_repair(handle)
    return total
