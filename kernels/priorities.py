"""
Priorities: from |TD error| to p**alpha as a leaf of the prefix-sum tree.

A leaf is p**alpha in fixed point. Its bits follow from the capacity (`tree_leaf_bits`), and so
does the scale: 2**HEADROOM is the largest p**alpha that fits, so the grid is as fine as the
capacity allows (2**-28 at a million rows).
"""

import numpy as np

from kernels.jit import kernel
from kernels.power import power
from kernels.tree import tree_leaf_bits

#: p**alpha up to 2**14 is kept; more saturates and is counted.
HEADROOM = 14

OK = 0
NOT_FINITE = 1
NEGATIVE = 2


@kernel
def priority_ceiling(capacity: int) -> int:
    """
    Say the largest leaf.

    Parameters
    ----------
    capacity : int
        Leaves, 1 or more.

    Returns
    -------
    int

    Notes
    -----
    Units: leaf units, 1 / priority_scale of p**alpha.
    Cost: O(log capacity).
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    return 1 << tree_leaf_bits(capacity)


@kernel
def priority_scale(capacity: int) -> int:
    """
    Say which leaf stands for p**alpha = 1.

    Parameters
    ----------
    capacity : int
        Leaves, 1 <= capacity <= 2**48.

    Returns
    -------
    int

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity).
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    return 1 << (tree_leaf_bits(capacity) - HEADROOM)


@kernel
def priority_check(priorities: np.ndarray) -> tuple[int, int]:
    """
    Look for a priority that cannot be one.

    Parameters
    ----------
    priorities : (n,) float

    Returns
    -------
    tuple of int
        OK, NOT_FINITE or NEGATIVE, and the position of the first such number.

    Notes
    -----
    Units: none.
    Cost: O(n).
    Errors: as returned.
    Sharing: reads alone.
    Source: own.
    """
    for position in range(priorities.size):
        value = priorities[position]
        if not np.isfinite(value):
            return NOT_FINITE, position
        if value < 0:
            return NEGATIVE, position
    return OK, 0


@kernel
def priority_leaf(priority: float, alpha: float, capacity: int) -> int:
    """
    Turn a priority into a leaf.

    Parameters
    ----------
    priority : float
        Finite, 0 or more.
    alpha : float
        0 draws all positive priorities alike, 1 in proportion.
    capacity : int
        Leaves of the tree.

    Returns
    -------
    int
        0 for priority 0; at least 1 for any other; at most priority_ceiling(capacity).

    Notes
    -----
    Units: priority_scale(capacity) a unit of p**alpha.
    Cost: one power.
    Errors: none.
    Sharing: a pure function.
    Source: Schaul et al. (2016), Prioritized Experience Replay, equation 1.
    """
    scale = np.float64(priority_scale(capacity))
    return leaf_of(priority, alpha, scale, np.float64(priority_ceiling(capacity)))


@kernel
def leaf_of(priority: float, alpha: float, scale: float, ceiling: float) -> int:
    """
    Turn a priority into a leaf, with the scale and the ceiling at hand.

    Parameters
    ----------
    priority : float
    alpha : float
    scale : float
        priority_scale(capacity).
    ceiling : float
        priority_ceiling(capacity).

    Returns
    -------
    int

    Notes
    -----
    Units: as priority_leaf.
    Cost: as priority_leaf, without the logarithm of the capacity.
    Errors: none.
    Sharing: a pure function.
    Source: as priority_leaf.
    """
    # The first minimum keeps the product finite: NumPy's scalars warn where it is not.
    scaled = min(power(priority, alpha), ceiling) * scale
    leaf = np.int64(min(max(scaled + 0.5, 1.0), ceiling))
    return leaf if priority > 0.0 else 0


@kernel
def leaf_priority(leaf: int, alpha: float, capacity: int) -> float:
    """
    Turn a leaf back into the priority that it was set from.

    Parameters
    ----------
    leaf : int
    alpha : float
        Above 0: with alpha 0 every positive priority has the same leaf.
    capacity : int
        Leaves of the tree.

    Returns
    -------
    float

    Notes
    -----
    Units: as the priorities given.
    Cost: one power.
    Errors: none; a saturated leaf gives the largest priority that fits.
    Sharing: a pure function.
    Source: own.
    """
    if leaf == 0:
        return 0.0
    return power(np.float64(leaf) / np.float64(priority_scale(capacity)), 1.0 / alpha)
