"""
The prefix-sum tree: eight int64 children to a node, one cache line each.

    tree (lines, 8)
      lines [levels[0], levels[1])      one line: the sums of the lines of level 1
      ...
      lines [levels[d], levels[d + 1])  entry j (over the level's lines) sums line j of level d + 1
      lines [levels[depth - 1], levels[depth])   the leaves

Leaf i is entry i of the last level; its ancestor at level d is entry i >> 3 (depth - 1 - d).
Entries are integers, so additions commute exactly: writers add their differences in any order and
every node ends as the sum of its children. A leaf holds at most 2**tree_leaf_bits(capacity), which
keeps the total at 2**62 at most.
"""

import numpy as np

from kernels.addresses import address_of, prefetch
from kernels.atomics import exchange, fetch_add, load
from kernels.faults import ANCESTOR, FLUSHED, LEAF, fault_point
from kernels.jit import kernel

#: Children of a node: int64 words of a cache line.
FAN = 8
#: Entries of level 1; a batch sums its differences for the two top levels here, and adds once.
TOP = FAN * FAN
_LINE_BYTES = 64


@kernel
def tree_levels(capacity: int) -> np.ndarray:
    """
    Say at which line each level begins.

    Parameters
    ----------
    capacity : int
        Leaves, 1 or more.

    Returns
    -------
    (depth + 1,) int64
        Level 0 is the top; the last number is how many lines there are.

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: O(log capacity); allocates, for setting up alone.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    depth = 1
    lines = (capacity + FAN - 1) // FAN
    while lines > 1:
        lines = (lines + FAN - 1) // FAN
        depth += 1
    levels = np.zeros(depth + 1, np.int64)
    lines = (capacity + FAN - 1) // FAN
    for level in range(depth - 1, -1, -1):
        levels[level + 1] = lines
        lines = (lines + FAN - 1) // FAN
    for level in range(1, depth + 1):
        levels[level] += levels[level - 1]
    return levels


@kernel
def tree_leaf_bits(capacity: int) -> int:
    """
    Say how many bits a leaf may have so that all of them sum to 2**62 at most.

    Parameters
    ----------
    capacity : int
        Leaves, 1 or more.

    Returns
    -------
    int

    Notes
    -----
    Units: bits.
    Cost: O(log capacity).
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    bits = 62
    while capacity > 1:
        capacity = (capacity + 1) // 2
        bits -= 1
    return bits


@kernel
def tree_total(tree: np.ndarray) -> int:
    """
    Sum all leaves.

    Parameters
    ----------
    tree : (lines, 8) int64

    Returns
    -------
    int

    Notes
    -----
    Units: as the leaves.
    Cost: one cache line.
    Errors: none.
    Sharing: any number of readers; beside writers, a value between two of theirs.
    Source: own.
    """
    total = 0
    for child in range(FAN):
        total += load(tree, child)
    return total


@kernel
def tree_get(tree: np.ndarray, levels: np.ndarray, leaf: int) -> int:
    """
    Read a leaf.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    leaf : int
        0 <= leaf < capacity.

    Returns
    -------
    int

    Notes
    -----
    Units: as the leaves.
    Cost: one load.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    return load(tree, levels[levels.size - 2] * FAN + leaf)


@kernel
def tree_exchange(tree: np.ndarray, levels: np.ndarray, leaf: int, value: int) -> int:
    """
    Write a leaf and say by how much it grew; the ancestors still lack that much.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    leaf : int
        0 <= leaf < capacity.
    value : int
        0 <= value <= 2**tree_leaf_bits(capacity).

    Returns
    -------
    int
        To be given to tree_add.

    Notes
    -----
    Units: as the leaves.
    Cost: one atomic exchange.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    difference = value - exchange(tree, levels[levels.size - 2] * FAN + leaf, value)
    fault_point(LEAF)
    return difference


@kernel
def tree_add(tree: np.ndarray, levels: np.ndarray, leaf: int, difference: int, top: int) -> None:
    """
    Add a leaf's difference to its ancestors, from its parent up to level `top`.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    leaf : int
    difference : int
        What tree_exchange gave.
    top : int
        0 for all ancestors; 2 leaves the two top levels to tree_flush.

    Notes
    -----
    Units: as the leaves.
    Cost: an atomic addition a level.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    for level in range(levels.size - 3, top - 1, -1):
        entry = leaf >> (3 * (levels.size - 2 - level))
        fetch_add(tree, levels[level] * FAN + entry, difference)
        fault_point(ANCESTOR)


@kernel
def tree_set(tree: np.ndarray, levels: np.ndarray, leaf: int, value: int) -> None:
    """
    Set one leaf and all the sums above it.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    leaf : int
        0 <= leaf < capacity.
    value : int
        0 <= value <= 2**tree_leaf_bits(capacity).

    Notes
    -----
    Units: as the leaves.
    Cost: an atomic exchange and an atomic addition a level, O(log capacity).
    Errors: none.
    Sharing: any number of writers; exact in any order.
    Source: own; sum trees for replay: Schaul et al. (2016), Prioritized Experience Replay, B.2.1.
    """
    difference = tree_exchange(tree, levels, leaf, value)
    if difference != 0:
        tree_add(tree, levels, leaf, difference, 0)


@kernel
def tree_fill(tree: np.ndarray, levels: np.ndarray, first: int, count: int, value: int) -> None:
    """
    Set leaves that follow each other to one value.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    first : int
        0 <= first, first + count <= capacity.
    count : int
    value : int
        0 <= value <= 2**tree_leaf_bits(capacity).

    Notes
    -----
    Units: as the leaves.
    Cost: an atomic exchange a leaf, and an atomic addition a level for each line of leaves.
    Errors: none.
    Sharing: any number of writers; exact in any order.
    Source: own.
    """
    total = 0
    for leaf in range(first, first + count):
        total += tree_exchange(tree, levels, leaf, value)
        if leaf & (FAN - 1) == FAN - 1 or leaf == first + count - 1:
            if total != 0:
                tree_add(tree, levels, leaf, total, 0)
            total = 0


@kernel
def tree_gather(levels: np.ndarray, leaf: int, difference: int, sums: np.ndarray) -> None:
    """
    Note a leaf's difference for the two top levels; tree_flush adds the notes.

    Parameters
    ----------
    levels : (depth + 1,) int64
        Of three levels or more: with fewer, the leaves would be among the top ones.
    leaf : int
    difference : int
    sums : (64,) int64, written
        Zeros at first, one for each entry of level 1.

    Notes
    -----
    Units: as the leaves.
    Cost: one addition.
    Errors: none.
    Sharing: `sums` is the caller's own.
    Source: own.
    """
    sums[leaf >> (3 * (levels.size - 3))] += difference


@kernel
def tree_flush(tree: np.ndarray, levels: np.ndarray, sums: np.ndarray) -> None:
    """
    Add a batch's differences to the two top levels.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64
    sums : (64,) int64, written
        As tree_gather left them; zeros after.

    Notes
    -----
    Units: as the leaves.
    Cost: an atomic addition for each sum that is not zero, at most 72. Two writers that add these
    levels leaf by leaf would pass their lines to and fro at each.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    for entry in range(FAN):
        total = 0
        for child in range(FAN):
            difference = sums[entry * FAN + child]
            if difference != 0:
                fetch_add(tree, levels[1] * FAN + entry * FAN + child, difference)
                fault_point(FLUSHED)
                sums[entry * FAN + child] = 0
                total += difference
        if total != 0:
            fetch_add(tree, entry, total)
            fault_point(FLUSHED)


@kernel
def tree_prefetch(tree: np.ndarray, levels: np.ndarray, leaf: int) -> None:
    """
    Ask for the lines of a leaf and of its parent; the levels above stay in cache by themselves.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    leaf : int

    Notes
    -----
    Units: none.
    Cost: two prefetches.
    Errors: none.
    Sharing: reads nothing.
    Source: own.
    """
    depth = levels.size - 1
    base = address_of(tree)
    prefetch(base + (levels[depth - 1] + (leaf >> 3)) * _LINE_BYTES)
    if depth > 1:
        prefetch(base + (levels[depth - 2] + (leaf >> 6)) * _LINE_BYTES)


@kernel
def tree_rebuild(tree: np.ndarray, levels: np.ndarray) -> None:
    """
    Compute every sum anew from the leaves.

    Parameters
    ----------
    tree : (lines, 8) int64, written
    levels : (depth + 1,) int64

    Notes
    -----
    Units: as the leaves.
    Cost: O(capacity).
    Errors: none.
    Sharing: nobody else may set leaves meanwhile.
    Source: own.
    """
    for level in range(levels.size - 3, -1, -1):
        for line in range(levels[level], levels[level + 1]):
            for child in range(FAN):
                below = levels[level + 1] + (line - levels[level]) * FAN + child
                total = 0
                if below < levels[level + 2]:
                    for entry in range(FAN):
                        total += tree[below, entry]
                tree[line, child] = total


@kernel
def tree_verify(tree: np.ndarray, levels: np.ndarray) -> int:
    """
    Count the entries that are not the sum of their children, or are negative.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64

    Returns
    -------
    int
        0 in a whole tree; what a process that was killed between leaf and root left behind else.

    Notes
    -----
    Units: entries.
    Cost: O(capacity).
    Errors: none.
    Sharing: beside writers it counts their unfinished additions.
    Source: own.
    """
    wrong = 0
    for level in range(levels.size - 1):
        for line in range(levels[level], levels[level + 1]):
            for child in range(FAN):
                if tree[line, child] < 0:
                    wrong += 1
                elif level < levels.size - 2:
                    below = levels[level + 1] + (line - levels[level]) * FAN + child
                    total = 0
                    if below < levels[level + 2]:
                        for entry in range(FAN):
                            total += tree[below, entry]
                    if total != tree[line, child]:
                        wrong += 1
    return wrong
