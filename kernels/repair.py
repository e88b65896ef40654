"""
Repair of what a dead process left behind, beside others that go on.

A slot that it was filling is emptied. Counts and sums that it may have left between two steps are
computed anew and corrected at a moment when nobody else is between such steps; where there is no
such moment (a process is stopped inside), they stay as they are and the caller comes again: the
ring and the tree work meanwhile, with a slot more or less to count and a draw to repeat.
"""

import numpy as np

from kernels.atomics import compare_and_swap, exchange, fetch_add, load
from kernels.faults import FREED, MENDED, MINIMUM, RECOUNTED, fault_point
from kernels.jit import INTERPRETED, kernel
from kernels.members import CLEARING, INSIDE, members_quiet
from kernels.minimum import minimum_line
from kernels.ring import FILLED, HELD, LINE, WRITERS, ring_floor, ring_ticket
from kernels.tree import FAN

#: Looks for a moment at which nobody is inside, some milliseconds of them.
TRIES = 4 if INTERPRETED else 1 << 14


@kernel
def ring_free(records: np.ndarray, slot: int, writer: int) -> bool:
    """
    Empty a slot that a dead writer was filling.

    Parameters
    ----------
    records : (slots, width) int64, written
    slot : int
    writer : int
        The number of one who is known to be dead.

    Returns
    -------
    bool
        Whether it was so.

    Notes
    -----
    Units: none.
    Cost: a load; a compare-and-swap where it was so.
    Errors: none.
    Sharing: any number of writers and readers.
    Source: own.
    """
    at = slot * records.shape[1]
    word = load(records, at)
    if word & 1 == 0 or word >> 2 & (WRITERS - 1) != writer:
        return False
    freed = compare_and_swap(records, at, word, 0)
    fault_point(FREED)
    return freed


@kernel
def ring_recount(
    heads: np.ndarray,
    records: np.ndarray,
    members: np.ndarray,
    ready: np.ndarray,
    stream: int,
    rows: int,
) -> bool:
    """
    Correct the number of slots of a stream that hold a row.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    records : (slots, width) int64
    members : (1024, 8) int64
    ready : (8,) int64
        As members_quiet.
    stream : int
    rows : int
        Slots of a stream.

    Returns
    -------
    bool
        False: others filled first slots or cleared rows meanwhile; come again.

    Notes
    -----
    Units: slots.
    Cost: O(rows).
    Errors: as returned.
    Sharing: one repairer at a time, beside any number of writers: a writer counts a slot while its
    word is odd and says that nothing was held, so one that is counted and not yet seen, or seen
    and not yet counted, shows in a word or in a number that changed.
    Source: own.
    """
    # First: rows that go and rows that come after it must not add up to no change.
    quiet = members_quiet(members, ready, CLEARING)
    before = load(heads, stream * LINE + FILLED)
    base = ring_floor(heads, stream)
    width = records.shape[1]
    holding = 0
    for slot in range(stream * rows, (stream + 1) * rows):
        word = load(records, slot * width)
        if word & 1 != 0 and (word & HELD == 0 or ring_ticket(word) < base):
            return False
        if word != 0:
            holding += 1
    # Here too, and before the second look: without a clear the number only grows, so no row came
    # meanwhile. A row that came and one that is cleared after that look would hide each other.
    if load(heads, stream * LINE + FILLED) != before:
        return False
    if quiet < 0 or members_quiet(members, ready, CLEARING) != quiet:
        return False
    if ring_floor(heads, stream) != base:
        return False
    recounted = compare_and_swap(heads, stream * LINE + FILLED, before, holding)
    fault_point(RECOUNTED)
    return recounted


@kernel
def tree_lack(tree: np.ndarray, entry: int, line: int) -> int:
    """
    Say by how much an entry differs from the line that it sums.

    Parameters
    ----------
    tree : (lines, 8) int64
    entry : int
        Flat index.
    line : int

    Returns
    -------
    int
        The line's sum less the entry.

    Notes
    -----
    Units: as the leaves.
    Cost: two cache lines.
    Errors: none.
    Sharing: beside writers it may count their unfinished additions.
    Source: own.
    """
    lack = -load(tree, entry)
    for child in range(FAN):
        lack += load(tree, line * FAN + child)
    return lack


@kernel
def tree_mend(tree: np.ndarray, levels: np.ndarray, members: np.ndarray, ready: np.ndarray) -> int:
    """
    Correct every sum that a dead process left between a leaf and the root.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    members : (1024, 8) int64
        Those of the dead were zeroed.
    ready : (8,) int64
        As members_quiet.

    Returns
    -------
    int
        Sums that were corrected; -1: somebody was inside all the time, come again.

    Notes
    -----
    Units: entries.
    Cost: O(capacity * members); a wait of milliseconds at most, where somebody is always inside.
    Errors: as returned.
    Sharing: one repairer at a time, beside any number of writers and learners. A difference counts
    only if nobody was inside while it was taken; an addition that comes after commutes with it.
    Source: own.
    """
    mended = 0
    for level in range(levels.size - 3, -1, -1):
        for node in range(levels[level + 2] - levels[level + 1]):
            entry = levels[level] * FAN + node
            line = levels[level + 1] + node
            # A difference of zero too: what a writer is about to add may hide what is missing.
            taken = False
            for _ in range(TRIES):
                quiet = members_quiet(members, ready, INSIDE)
                lack = tree_lack(tree, entry, line)
                taken = quiet >= 0 and members_quiet(members, ready, INSIDE) == quiet
                if taken:
                    if lack != 0:
                        fetch_add(tree, entry, lack)
                        fault_point(MENDED)
                        mended += 1
                    break
            if not taken:
                return -1
    return mended


@kernel
def minimum_mend(minima: np.ndarray, tree: np.ndarray, levels: np.ndarray) -> None:
    """
    Correct every minimum that a dead process left behind.

    Parameters
    ----------
    minima : (lines, 8) int64, written
    tree : (lines, 8) int64
    levels : (depth + 1,) int64

    Notes
    -----
    Units: as the leaves.
    Cost: O(capacity).
    Errors: none.
    Sharing: any number of writers, by the rule of minimum_update.
    Source: own.
    """
    for level in range(levels.size - 3, -1, -1):
        below = tree if level == levels.size - 3 else minima
        for node in range(levels[level + 2] - levels[level + 1]):
            entry = levels[level] * FAN + node
            smallest = minimum_line(below, levels[level + 1] + node)
            while load(minima, entry) != smallest:
                exchange(minima, entry, smallest)
                fault_point(MINIMUM)
                smallest = minimum_line(below, levels[level + 1] + node)
