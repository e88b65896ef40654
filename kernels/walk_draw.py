"""The walk of draws: from a generator to slots and weights."""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    floats_at,
    integers_at,
    stack_integers,
)
from kernels.atomics import compare_and_swap, fetch_add, load
from kernels.codes import EMPTY, HELD_BACK, NO_PRIORITY, NOT_WHOLE
from kernels.handle import (
    AGAIN,
    BETA_FIRST,
    BETA_LAST,
    BETA_STEPS,
    GENERATOR,
    LIMITS,
    NORMALISE,
    NOTICED,
    PRIORITY,
    ROWS,
    SAMPLES,
    STRATIFIED,
    STREAMS,
    VIEW,
    handle_float,
    handle_heads,
    handle_levels,
    handle_line,
    handle_minima,
    handle_records,
    handle_tree,
)
from kernels.jit import kernel
from kernels.minimum import minimum_of
from kernels.random import random_below, random_claim
from kernels.rows import AHEAD, record_prefetch
from kernels.tree import tree_get, tree_total
from kernels.tree_draw import tree_find, tree_find_many
from kernels.uniform import uniform_draw, uniform_size
from kernels.walk_limit import claims_back, sample_claim
from kernels.weights import BATCH_LARGEST, BUFFER_LARGEST, weights_of, weights_scale
from kernels.window import AT_ONCE, row_prefetch, slot_whole, slots_whole

#: Tries of one draw before the batch is given up; each fails only when a writer passed by.
TRIES = 1000
#: Batches after which a reader looks whether a process has died.
WATCH = 1 << 10


@kernel
def draw_counted(handle: np.ndarray, rows: int) -> int:
    """
    Count a batch that is drawn.

    Parameters
    ----------
    handle : (words,) int64
        Its counters are *written*, unless it says that rows are drawn in place of others.
    rows : int

    Returns
    -------
    int
        Batches drawn before, by all processes.

    Notes
    -----
    Units: rows and batches.
    Cost: two atomic additions.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    samples = handle_line(handle, SAMPLES)
    if handle[AGAIN] != 0:
        # Beta grows with batches: rows that are drawn again belong to the one before.
        return max(load(samples, 1) - 1, 0)
    fetch_add(samples, 0, rows)
    batches = fetch_add(samples, 1, 1)
    if batches & (WATCH - 1) == 0:
        handle[NOTICED] = 1
    return batches


@kernel
def draw_begun(handle: np.ndarray, rows: int) -> bool:
    """
    Begin to draw, where the buffer is limited.

    Parameters
    ----------
    handle : (words,) int64
        The balance of its block is *written*, unless rows are drawn in place of others.
    rows : int

    Returns
    -------
    bool
        False: held back.

    Notes
    -----
    Units: rows.
    Cost: sample_claim; a look at the handle where nothing is limited.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[LIMITS] == 0 or handle[AGAIN] != 0:
        return True
    return sample_claim(handle, rows) != HELD_BACK


@kernel
def draw_undone(handle: np.ndarray, rows: int) -> None:
    """
    Give back what draw_begun has claimed.

    Parameters
    ----------
    handle : (words,) int64
        The balance of its block is *written*, unless rows are drawn in place of others.
    rows : int

    Notes
    -----
    Units: rows.
    Cost: one atomic addition.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[AGAIN] == 0:
        claims_back(handle, 0, rows)


@kernel
def uniform_again(handle: np.ndarray, slots: np.ndarray, counter: int) -> bool:
    """
    Draw anew in place of slots that a view cannot begin with.

    Parameters
    ----------
    handle : (words,) int64
    slots : (n,) int64, written
        As uniform_draw gave them.
    counter : int
        The first of n that it was given. What is drawn anew goes by a seed that follows from a
        draw's own counter: none is claimed, so that who has to try again shifts no later draws.

    Returns
    -------
    bool
        False: there seems to be no slot that it can begin with.

    Notes
    -----
    Units: slots.
    Cost: as many draws as there are rows to one that may be drawn, on average.
    Errors: as returned; where there is but one such slot, with a chance below 1e-17.
    Sharing: any number of readers beside writers.
    Source: rejection keeps the draw uniform, von Neumann (1951), Various techniques used in
    connection with random digits.
    """
    heads = handle_heads(handle)
    generator = handle_line(handle, GENERATOR)
    page = stack_integers()
    tries = integers_at(address_of(page), AT_ONCE)
    draw = slots_whole(handle, slots, 0)
    while draw < slots.size:
        most = max(TRIES, 40 * uniform_size(heads, handle[ROWS]))
        left = most
        seed = random_below(generator[0], counter + draw, 1 << 62)
        while not slot_whole(handle, slots[draw]):
            if left <= 0:
                return False
            if uniform_draw(heads, handle[ROWS], seed, most - left, tries) == 0:
                # Cleared meanwhile.
                return False
            for turn in range(AT_ONCE):
                row_prefetch(handle, tries[turn])
            for turn in range(AT_ONCE):
                slots[draw] = tries[turn]
                if slot_whole(handle, slots[draw]):
                    break
            left -= AT_ONCE
        draw = slots_whole(handle, slots, draw + 1)
    return True


@kernel
def draw_uniform(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> int:
    """
    Draw slots uniformly, with replacement; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    int
        1, by which the weights were divided; EMPTY, NOT_WHOLE or HELD_BACK where none was drawn.

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    if uniform_size(handle_heads(handle), handle[ROWS]) == 0:
        # Before a counter is claimed: what was refused must not shift later draws.
        return EMPTY
    if not draw_begun(handle, slots.size):
        return HELD_BACK
    generator = handle_line(handle, GENERATOR)
    counter = random_claim(generator, slots.size)
    if uniform_draw(handle_heads(handle), handle[ROWS], generator[0], counter, slots) == 0:
        draw_undone(handle, slots.size)
        return EMPTY
    if handle[VIEW] == 0:
        # The first rows that will be copied: their lines come while the caller gets on.
        records = handle_records(handle)
        for draw in range(min(AHEAD, slots.size)):
            record_prefetch(records, slots[draw])
    if handle[VIEW] != 0 and not uniform_again(handle, slots, counter):
        # If nobody has claimed others since: what was refused must not shift later draws.
        compare_and_swap(generator, 1, counter + slots.size, counter)
        draw_undone(handle, slots.size)
        return NOT_WHOLE
    for draw in range(slots.size):
        weights[draw] = np.float32(1.0)
    draw_counted(handle, slots.size)
    return 1


@kernel
def draw_again(handle: np.ndarray, prefix: int, counter: int) -> tuple[int, int]:
    """
    Draw one slot in proportion until leaf and remainder agree.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*.
    prefix : int
        Tried first.
    counter : int
        Unused counters are claimed as needed.

    Returns
    -------
    tuple of int
        The slot and its leaf; the leaf is 0 when no priority is left.

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a try; a second try only when a writer passed by.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    generator = handle_line(handle, GENERATOR)
    capacity = handle[STREAMS] * handle[ROWS]
    for _ in range(TRIES):
        leaf, remainder = tree_find(tree, levels, prefix)
        handle[NOTICED] = 1
        if leaf < capacity:
            value = tree_get(tree, levels, leaf)
            if 0 <= remainder < value:
                return leaf, value
        total = tree_total(tree)
        if total < 1:
            break
        counter = random_claim(generator, 1)
        prefix = random_below(generator[0], counter, total)
    return 0, 0


@kernel
def beta_after(handle: np.ndarray, batches: int) -> float:
    """
    Say the beta of a batch.

    Parameters
    ----------
    handle : (words,) int64
    batches : int
        Drawn before it, by all processes.

    Returns
    -------
    float

    Notes
    -----
    Units: none.
    Cost: O(1).
    Errors: none.
    Sharing: a pure function.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.4: linear annealing.
    """
    first = handle_float(handle, BETA_FIRST)
    last = handle_float(handle, BETA_LAST)
    share = min(np.float64(batches) / handle_float(handle, BETA_STEPS), 1.0)
    return first + (last - first) * share


@kernel
def draw_proportional(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> float:
    """
    Draw slots in proportion to their leaves, and compute their weights.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*. Says beta and how it grows with the batches drawn, whether
        each draw comes from a stratum of its own, and what normalises the weights.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    float
        By what the weights were divided, for rows that must be drawn again: above zero. EMPTY,
        NO_PRIORITY, NOT_WHOLE or HELD_BACK where nothing was drawn.

    Notes
    -----
    Units: slots.
    Cost: O(log capacity) a draw, 64 of them interleaved.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, lines 8 to 10.
    """
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    capacity = handle[STREAMS] * handle[ROWS]
    size = uniform_size(handle_heads(handle), handle[ROWS])
    if size == 0:
        return np.float64(EMPTY)
    total = tree_total(tree)
    if total < 1:
        # With a view a row has no priority before its window is whole: one may come by itself.
        return np.float64(NO_PRIORITY if handle[VIEW] == 0 else NOT_WHOLE)
    if not draw_begun(handle, slots.size):
        return np.float64(HELD_BACK)
    beta = beta_after(handle, draw_counted(handle, slots.size))
    stratified = handle[STRATIFIED]
    normalise = handle[NORMALISE]
    generator = handle_line(handle, GENERATOR)
    counter = random_claim(generator, slots.size)
    if handle[VIEW] != 0:
        size = max(load(handle_line(handle, PRIORITY), 2), 1)
    reference = np.float64(total) / np.float64(size)
    if normalise == BUFFER_LARGEST:
        reference = np.float64(minimum_of(handle_minima(handle), tree, levels))
    prefixes = stack_integers()
    leaves = stack_integers()
    # While the weights are computed the rows' lines come; a view looks at others first.
    records = handle_records(handle)
    asked = handle[VIEW] == 0
    most = 0.0
    # The parts' edges as tree_edge gives them, without its divisions: what they leave is summed.
    whole = total // slots.size
    rest = total - whole * slots.size
    left = 0
    edge = 0
    first = 0
    while first < slots.size:
        count = min(slots.size - first, STACK)
        for draw in range(count):
            here = counter + first + draw
            if stratified != 0:
                after = edge + whole
                left += rest
                if left >= slots.size:
                    left -= slots.size
                    after += 1
                # With less total than draws a part can be empty: then its draw is a plain one.
                low = edge if after > edge else 0
                width = after - edge if after > edge else total
                prefixes[draw] = low + random_below(generator[0], here, width)
                edge = after
            else:
                prefixes[draw] = random_below(generator[0], here, total)
        tree_find_many(tree, levels, prefixes, leaves, count)
        for draw in range(count):
            slot = leaves[draw]
            value = 0
            if slot < capacity:
                value = tree_get(tree, levels, slot)
            if prefixes[draw] < 0 or prefixes[draw] >= value:
                slot, value = draw_again(handle, total, counter)
                if value == 0:
                    draw_undone(handle, slots.size)
                    return np.float64(NO_PRIORITY)
            slots[first + draw] = slot
            leaves[draw] = value
            if asked:
                record_prefetch(records, slot)
        piece = floats_at(address_of(weights) + first * 4, count)
        most = max(most, weights_of(leaves, reference, beta, piece, count))
        first += count
    if normalise != BATCH_LARGEST:
        return 1.0
    weights_scale(weights, most)
    return most
