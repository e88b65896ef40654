"""
The smallest leaf above zero, for weights that the largest of the whole buffer normalises.

    minima (lines, 8)   the lines of the prefix-sum tree, without those of its leaves
      entry j of level d    the smallest entry above zero of line j of level d + 1, whose last
                            level is the tree's leaves; NONE where all are zero
"""

import numpy as np

from kernels.atomics import exchange, load
from kernels.faults import MINIMUM, fault_point
from kernels.jit import kernel
from kernels.tree import FAN

#: Larger than any leaf.
NONE = (1 << 63) - 1


@kernel
def minimum_line(words: np.ndarray, line: int) -> int:
    """
    Find the smallest entry above zero of a line.

    Parameters
    ----------
    words : (lines, 8) int64
        Minima or leaves.
    line : int

    Returns
    -------
    int
        NONE where there is none.

    Notes
    -----
    Units: as the leaves.
    Cost: one cache line.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    smallest = NONE
    for entry in range(FAN):
        value = load(words, line * FAN + entry)
        if 0 < value < smallest:
            smallest = value
    return smallest


@kernel
def minimum_update(minima: np.ndarray, tree: np.ndarray, levels: np.ndarray, leaf: int) -> None:
    """
    Bring the minima above a leaf up to date, after the leaf was set.

    Parameters
    ----------
    minima : (lines, 8) int64, written
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    leaf : int

    Notes
    -----
    Units: as the leaves.
    Cost: O(log capacity) at most; it ends at the first minimum that stays as it was.
    Errors: none.
    Sharing: any number of writers. Who stores a minimum looks at the line again after: the last to
    store has seen every entry of it.
    Source: own.
    """
    node = leaf >> 3
    for level in range(levels.size - 3, -1, -1):
        entry = levels[level] * FAN + node
        below = tree if level == levels.size - 3 else minima
        line = levels[level + 1] + node
        smallest = minimum_line(below, line)
        changed = False
        while load(minima, entry) != smallest:
            # No plain store: it may wait in its processor's buffer during the second look.
            exchange(minima, entry, smallest)
            fault_point(MINIMUM)
            # Though it may end as it was: another writer may have seen it and gone further up.
            changed = True
            smallest = minimum_line(below, line)
        if not changed:
            return
        node >>= 3


@kernel
def minimum_rebuild(minima: np.ndarray, tree: np.ndarray, levels: np.ndarray) -> None:
    """
    Compute every minimum anew from the leaves.

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
    Sharing: nobody else may set leaves meanwhile.
    Source: own.
    """
    for level in range(levels.size - 3, -1, -1):
        below = tree if level == levels.size - 3 else minima
        lines = levels[level + 1] - levels[level]
        for entry in range(lines * FAN):
            line = levels[level + 1] + entry
            smallest = minimum_line(below, line) if line < levels[level + 2] else NONE
            minima[levels[level] + entry // FAN, entry % FAN] = smallest


@kernel
def minimum_of(minima: np.ndarray, tree: np.ndarray, levels: np.ndarray) -> int:
    """
    Give the smallest leaf above zero.

    Parameters
    ----------
    minima : (lines, 8) int64
    tree : (lines, 8) int64
    levels : (depth + 1,) int64

    Returns
    -------
    int
        NONE where every leaf is zero.

    Notes
    -----
    Units: as the leaves.
    Cost: one cache line.
    Errors: none.
    Sharing: any number of readers.
    Source: own; OpenAI Baselines keeps a second segment tree for the same purpose.
    """
    return minimum_line(tree if levels.size == 2 else minima, 0)
