"""
Draws from the prefix-sum tree: the leaf in whose share of the total a prefix falls.

A prefix is an integer of [0, total), so no rounding can fall off the end, and a leaf of value v is
found by exactly v of them.
"""

import numpy as np

from kernels.addresses import address_of, load_int64, prefetch
from kernels.jit import kernel
from kernels.random import random_below
from kernels.tree import FAN

#: Prefixes that rise, from which the two top levels are gone through once for all.
TOGETHER = 16
_LINE_BYTES = 64


@kernel
def tree_step(tree: np.ndarray, line: int, remainder: int) -> tuple[int, int]:
    """
    Go down one level.

    Parameters
    ----------
    tree : (lines, 8) int64
    line : int
    remainder : int
        The prefix less all that lies left of this line.

    Returns
    -------
    tuple of int
        The child of this line, 0 to 7, and the remainder inside that child.

    Notes
    -----
    Units: as the leaves.
    Cost: one cache line, no branch.
    Errors: none; beside writers the child is the last one at most, and the caller sees at the leaf
    that the remainder does not fit.
    Sharing: any number of readers.
    Source: own.
    """
    # Which half, which pair, which one: three comparisons that become masks, no branch to miss.
    at = address_of(tree) + line * _LINE_BYTES
    half = load_int64(at) + load_int64(at + 8) + load_int64(at + 16) + load_int64(at + 24)
    passed = np.int64(remainder >= half)
    remainder -= half & -passed
    child = passed << 2
    pair = load_int64(at + child * 8) + load_int64(at + child * 8 + 8)
    passed = np.int64(remainder >= pair)
    remainder -= pair & -passed
    child += passed << 1
    one = load_int64(at + child * 8)
    passed = np.int64(remainder >= one)
    return child + passed, remainder - (one & -passed)


@kernel
def tree_rising(prefixes: np.ndarray, count: int) -> bool:
    """Say whether none of the first prefixes is below the one before it, as strata give them."""
    rising = True
    for draw in range(1, count):
        rising &= prefixes[draw - 1] <= prefixes[draw]
    return rising


@kernel
def tree_find_top(
    tree: np.ndarray, levels: np.ndarray, prefixes: np.ndarray, leaves: np.ndarray, count: int
) -> None:
    """
    Go down the two top levels with prefixes that rise.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
        Of three levels or more.
    prefixes : (n,) int64, written
        As tree_find_many, none below the one before it.
    leaves : (n,) int64, written
        Entries of level 1.
    count : int
        How many, at most n.

    Notes
    -----
    Units: as the leaves.
    Cost: a step for each of the 64 entries of level 1 at most, and one a prefix.
    Errors: none; beside writers as tree_step.
    Sharing: as tree_find_many.
    Source: own.
    """
    base = address_of(tree)
    first = base + levels[1] * _LINE_BYTES
    after = base + levels[2] * _LINE_BYTES
    last = (levels[2] - levels[1]) * FAN - 1
    entry = 0
    passed = 0
    value = load_int64(first)
    for draw in range(count):
        prefix = prefixes[draw]
        while prefix - passed >= value and entry < last:
            passed += value
            entry += 1
            value = load_int64(first + entry * 8)
        prefixes[draw] = prefix - passed
        leaves[draw] = entry
        prefetch(after + entry * _LINE_BYTES)


@kernel
def tree_find(tree: np.ndarray, levels: np.ndarray, prefix: int) -> tuple[int, int]:
    """
    Find the leaf in whose share of the total a prefix falls.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    prefix : int
        0 <= prefix < total.

    Returns
    -------
    tuple of int
        The leaf and the remainder inside it. Without writers 0 <= remainder < the leaf's value;
        where that does not hold, or the leaf is past the capacity, draw again.

    Notes
    -----
    Units: as the leaves.
    Cost: O(log capacity) cache lines, one after the other; tree_find_many overlaps them.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: Schaul et al. (2016), Prioritized Experience Replay, B.2.1.
    """
    leaf = 0
    for level in range(levels.size - 1):
        # Writers may take a sum below the prefix: the last child is not always there.
        line = min(levels[level] + leaf, levels[level + 1] - 1)
        child, prefix = tree_step(tree, line, prefix)
        leaf = leaf * FAN + child
    return leaf, prefix


@kernel
def tree_find_many(
    tree: np.ndarray, levels: np.ndarray, prefixes: np.ndarray, leaves: np.ndarray, count: int
) -> None:
    """
    Find the leaves of many prefixes, level by level.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    prefixes : (n,) int64, written
        Each 0 <= prefix < total; the remainders after, as tree_find gives them.
    leaves : (n,) int64, written
    count : int
        How many, at most n; 32 to 64 keep enough cache misses under way.

    Notes
    -----
    Units: as the leaves.
    Cost: O(count log capacity); each level's lines are asked for while the others are searched.
    Prefixes that rise go down the two top levels together, see tree_find_top.
    Errors: none.
    Sharing: `prefixes` and `leaves` are the caller's; any number of readers beside writers.
    Source: own; tree_find is its plain form.
    """
    base = address_of(tree)
    lowest = levels.size - 2
    level = 0
    if count >= TOGETHER and lowest >= 2 and tree_rising(prefixes, count):
        tree_find_top(tree, levels, prefixes, leaves, count)
        level = 2
    else:
        for draw in range(count):
            leaves[draw] = 0
    while level <= lowest:
        # Read once: for all the compiler knows, a store to `leaves` could change them.
        start = levels[level]
        after = levels[level + 1]
        for draw in range(count):
            leaf = leaves[draw]
            line = min(start + leaf, after - 1)
            child, prefixes[draw] = tree_step(tree, line, prefixes[draw])
            leaf = leaf * FAN + child
            leaves[draw] = leaf
            if level < lowest:
                prefetch(base + (after + leaf) * _LINE_BYTES)
        level += 1


@kernel
def tree_prefix(total: int, seed: int, counter: int) -> int:
    """
    Draw a prefix of [0, total).

    Parameters
    ----------
    total : int
        1 or more.
    seed : int
    counter : int

    Returns
    -------
    int

    Notes
    -----
    Units: as the leaves.
    Cost: one draw.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    return random_below(seed, counter, total)


@kernel
def tree_stratum(total: int, seed: int, counter: int, draw: int, draws: int) -> int:
    """
    Draw a prefix of the `draw`-th of `draws` equal parts of [0, total).

    Parameters
    ----------
    total : int
        1 or more.
    seed : int
    counter : int
    draw : int
        0 <= draw < draws.
    draws : int

    Returns
    -------
    int

    Notes
    -----
    Units: as the leaves.
    Cost: one draw and a division.
    Errors: none; where the total is below `draws` a part may be empty, and its draw comes from
    the whole.
    Sharing: a pure function.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.3 and B.2.1: one draw
    from each of k ranges of equal mass.
    """
    first = tree_edge(total, draw, draws)
    after = tree_edge(total, draw + 1, draws)
    if after <= first:
        return random_below(seed, counter, total)
    return first + random_below(seed, counter, after - first)


@kernel
def tree_edge(total: int, draw: int, draws: int) -> int:
    """
    Say where the `draw`-th of `draws` equal parts of [0, total) begins.

    Parameters
    ----------
    total : int
    draw : int
        0 <= draw <= draws.
    draws : int
        1 <= draws < 2**31.

    Returns
    -------
    int
        floor(total * draw / draws).

    Notes
    -----
    Units: as the leaves.
    Cost: two divisions.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    # Whole parts and the rest apart: total * draw would pass 2**63.
    whole = total // draws
    rest = total - whole * draws
    return whole * draw + rest * draw // draws
