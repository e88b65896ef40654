"""
The walk of draws by rank: sort if it is time, draw ranks, look at their rows, weigh them.

What an order does not know yet is put right where it can be. A row that is gone is drawn anew, and
so is a row whose priority fell, in as many cases as its rank fell; one whose priority rose keeps
its rank until the next sort.
"""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    floats_at,
    prefetch,
    stack_integers,
    stack_numbers,
)
from kernels.atomics import fence, fetch_add, load
from kernels.codes import EMPTY, HELD_BACK, NO_PRIORITY, NOT_WHOLE
from kernels.handle import (
    AGAIN,
    DEPTH,
    GENERATOR,
    NORMALISE,
    PRIORITY,
    ROWS,
    STRATIFIED,
    TREE,
    VIEW,
    handle_heads,
    handle_levels,
    handle_line,
    handle_tree,
)
from kernels.jit import kernel
from kernels.power import exp2, log2
from kernels.random import random_below, random_claim, random_unit
from kernels.ranks import (
    COUNT,
    LAST,
    SLOT_BITS,
    SLOT_MASK,
    bucket_mass,
    bucket_prefetch,
    rank_bucket,
    ranks_find,
)
from kernels.tree import tree_get, tree_total
from kernels.tree_draw import tree_edge
from kernels.uniform import uniform_size
from kernels.walk_draw import beta_after, draw_begun, draw_counted, draw_undone
from kernels.walk_order import (
    BATCHES,
    ENTERED,
    SORTS,
    VERSION,
    fresh_count,
    fresh_slot,
    handle_guide,
    handle_masses,
    handle_ranks,
    order_due,
    order_entries,
    order_line,
    order_refresh,
    order_starts,
    slot_fresh,
)
from kernels.weights import BATCH_LARGEST, BUFFER_LARGEST, weights_scale

#: Draws of one row before the order is sorted anew, and before the batch is given up after that.
TRIES = 1000
#: Draws of one row in vain after which to look whether rows came meanwhile.
LOOK = 16
#: Batches that two sorts overtook before one is taken as it is: its slots are good, its weights
#: may be those of another order.
OVERTAKEN = 100
#: Random numbers of a draw: its rank, which row of the rank's bucket, whether that stays.
NUMBERS = 3


@kernel
def handle_leaves(handle: np.ndarray) -> int:
    """Say where the leaves lie, an address."""
    return handle[TREE] + handle_levels(handle)[handle[DEPTH] - 1] * 64


@kernel
def ranked_weights(
    masses: np.ndarray, reference: float, beta: float, weights: np.ndarray, count: int
) -> float:
    """
    Compute (mass / reference) ** -beta.

    Parameters
    ----------
    masses : (n,) float64
        Of the rows drawn, above zero.
    reference : float
        total / size for plain weights, the smallest mass to normalise by the buffer's largest.
    beta : float
    weights : (n,) float32, written
    count : int
        How many, at most n.

    Returns
    -------
    float
        The largest of them, for weights_scale.

    Notes
    -----
    Units: none.
    Cost: a logarithm and a power of 2 each.
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.4.
    """
    middle = log2(reference)
    largest = np.float32(0.0)
    for draw in range(count):
        weights[draw] = np.float32(exp2(-beta * (log2(masses[draw]) - middle)))
    for draw in range(count):
        largest = max(largest, weights[draw])
    return np.float64(largest)


@kernel
def row_mass(
    handle: np.ndarray, sorts: int, slot: int, bucket: int, fresh: int, number: int
) -> float:
    """
    Say with which mass a row was drawn that a rank gave; 0: not at all.

    Parameters
    ----------
    handle : (words,) int64
    sorts : int
    slot : int
    bucket : int
        Of the row at the sort; -1 for a fresh one.
    fresh : int
        Fresh rows.
    number : int
        A counter of the generator, for a row whose priority fell since.

    Returns
    -------
    float

    Notes
    -----
    Units: as the masses of ranks; of fresh rows alone, 1 each.
    Cost: the leaf, and a few loads.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own. Drawn with the mass of its old rank and kept with the quotient of the two, a row
    is drawn with that of its new one: rejection, von Neumann (1951), Various techniques used in
    connection with random digits.
    """
    leaf = tree_get(handle_tree(handle), handle_levels(handle), slot)
    if leaf <= 0 or (bucket >= 0 and slot_fresh(handle, sorts, slot)):
        return 0.0
    line = order_line(handle, sorts)
    if line[COUNT] == 0:
        return 1.0
    masses = handle_masses(handle)
    starts = order_starts(handle, sorts)
    then = bucket
    if bucket < 0:
        then = line[ENTERED]
        mass = np.float64(masses[min(fresh, masses.size - 1)]) / np.float64(fresh)
    else:
        mass = bucket_mass(masses, starts, bucket, fresh)
    now = rank_bucket(leaf)
    if now <= then:
        return mass
    fallen = bucket_mass(masses, starts, max(min(now, line[LAST]), 0), fresh)
    if fallen >= mass:
        return mass
    chance = random_unit(handle_line(handle, GENERATOR)[0], number)
    return fallen if chance * mass < fallen else 0.0


@kernel
def rows_pick(
    handle: np.ndarray,
    sorts: int,
    fresh: int,
    counter: int,
    found: np.ndarray,
    buckets: np.ndarray,
    count: int,
) -> None:
    """
    Go from ranks to rows, any of those that share a rank's bucket.

    Parameters
    ----------
    handle : (words,) int64
    sorts : int
    fresh : int
        Fresh rows, which have the first ranks.
    counter : int
        Of the first draw; each has three.
    found : (n,) int64, written
        Ranks, the first is 0; slots after.
    buckets : (n,) int64, written
        The bucket of each row at the sort; -1 for a fresh one.
    count : int
        How many, at most n.

    Notes
    -----
    Units: slots.
    Cost: two looks at the order each; what comes next is asked for.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    seed = handle_line(handle, GENERATOR)[0]
    starts = order_starts(handle, sorts)
    order = order_entries(handle, sorts)
    masses = handle_masses(handle)
    base = address_of(order)
    for draw in range(count):
        if found[draw] >= fresh:
            prefetch(base + (found[draw] - fresh) * 8)
    for draw in range(count):
        number = counter + draw * NUMBERS + 1
        if found[draw] < fresh:
            buckets[draw] = -1
            found[draw] = fresh_slot(handle, sorts, random_below(seed, number, fresh))
        else:
            bucket = order[min(found[draw] - fresh, order.size - 1)] >> SLOT_BITS
            start = starts[bucket]
            place = start + random_below(seed, number, starts[bucket + 1] - start)
            buckets[draw] = bucket
            # A thread that sorts over this order meanwhile may have left anything here.
            found[draw] = min(place, order.size - 1)
            prefetch(base + found[draw] * 8)
            bucket_prefetch(masses, starts, bucket, fresh)
    leaves = handle_leaves(handle)
    for draw in range(count):
        if buckets[draw] >= 0:
            found[draw] = order[found[draw]] & SLOT_MASK
        prefetch(leaves + found[draw] * 8)


@kernel
def ranked_draw(
    handle: np.ndarray,
    sorts: int,
    counter: int,
    beta: float,
    slots: np.ndarray,
    weights: np.ndarray,
) -> float:
    """
    Draw a batch by an order.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written* where a row must be drawn again.
    sorts : int
        That were finished: says which order.
    counter : int
        The first of three for each draw.
    beta : float
    slots : (n,) int64, written
    weights : (n,) float32, written
        Not yet divided by their largest.

    Returns
    -------
    float
        The largest weight; 0 where rows came meanwhile, and it is better to begin again;
        NO_PRIORITY where TRIES draws found no row.

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw, 64 of them interleaved; more draws for rows that are gone, or whose priority
    fell, since the sort.
    Errors: as returned.
    Sharing: any number of readers beside writers; what a thread that sorts over the order leaves
    of it leads to slots too.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.3: one draw from each of
    n segments of equal probability. What is drawn again comes from all of them, so that each row
    keeps its probability.
    """
    line = order_line(handle, sorts)
    masses = handle_masses(handle)
    guide = handle_guide(handle)
    starts = order_starts(handle, sorts)
    generator = handle_line(handle, GENERATOR)
    stored = line[COUNT]
    fresh = fresh_count(handle, sorts)
    ranks = min(stored + fresh, masses.size - 1)
    if ranks == 0:
        return np.float64(NO_PRIORITY)
    # Before the first sort all rows are fresh, and equal.
    total = masses[ranks] if stored != 0 else fresh
    size = max(uniform_size(handle_heads(handle), handle[ROWS]), 1)
    if handle[VIEW] != 0:
        size = max(load(handle_line(handle, PRIORITY), 2), 1)
    reference = np.float64(total) / np.float64(size)
    if handle[NORMALISE] == BUFFER_LARGEST:
        reference = 1.0
        if stored != 0:
            reference = bucket_mass(masses, starts, max(line[LAST], 0), fresh)
    prefixes = stack_integers()
    found = stack_integers()
    buckets = stack_integers()
    places = stack_integers()
    drawn = stack_numbers()
    most = 0.0
    edge = 0
    first = 0
    while first < slots.size:
        piece = min(slots.size - first, STACK)
        number = counter + first * NUMBERS
        for draw in range(piece):
            places[draw] = draw
            low = 0
            width = total
            if handle[STRATIFIED] != 0:
                after = tree_edge(total, first + draw + 1, slots.size)
                # With less total than draws a part can be empty: then its draw is a plain one.
                if after > edge:
                    low = edge
                    width = after - edge
                edge = after
            prefixes[draw] = low + random_below(generator[0], number + draw * NUMBERS, width)
        left = piece
        tries = 0
        while left != 0:
            if stored != 0:
                ranks_find(masses, guide, prefixes, found, left)
            else:
                for draw in range(left):
                    found[draw] = 0
            rows_pick(handle, sorts, fresh, number, found, buckets, left)
            kept = 0
            for draw in range(left):
                stays = number + draw * NUMBERS + 2
                mass = row_mass(handle, sorts, found[draw], buckets[draw], fresh, stays)
                if mass > 0.0:
                    slots[first + places[draw]] = found[draw]
                    drawn[places[draw]] = mass
                else:
                    places[kept] = places[draw]
                    kept += 1
            left = kept
            if left != 0:
                tries += 1
                if tries == TRIES:
                    return np.float64(NO_PRIORITY)
                if tries % LOOK == 0 and fresh_count(handle, sorts) != fresh:
                    # Writers may have passed over all of the order since its rows were counted.
                    return 0.0
                number = random_claim(generator, left * NUMBERS)
                for draw in range(left):
                    prefix = random_below(generator[0], number + draw * NUMBERS, total)
                    prefixes[draw] = prefix
        part = floats_at(address_of(weights) + first * 4, piece)
        most = max(most, ranked_weights(drawn, reference, beta, part, piece))
        first += piece
    return most


@kernel
def draw_ranked(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> float:
    """
    Draw slots by the ranks of their leaves, and compute their weights.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*, and its order where that is sorted anew. Says beta and how it
        grows with the batches drawn, whether each draw comes from a stratum of its own, and what
        normalises the weights.
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
    Cost: O(1) a draw, O(slots filled) in a batch that sorts.
    Errors: as returned.
    Sharing: any number of readers beside writers, the threads of one process among them.
    Source: Schaul et al. (2016), Prioritized Experience Replay, sections 3.3 and 3.4.
    """
    if uniform_size(handle_heads(handle), handle[ROWS]) == 0:
        return np.float64(EMPTY)
    # With a view a row has no priority before its window is whole: one may come by itself.
    nothing = np.float64(NO_PRIORITY if handle[VIEW] == 0 else NOT_WHOLE)
    if tree_total(handle_tree(handle)) < 1:
        return nothing
    if not draw_begun(handle, slots.size):
        return np.float64(HELD_BACK)
    ranks = handle_ranks(handle)
    if handle[AGAIN] == 0 and order_due(handle):
        order_refresh(handle)
    beta = beta_after(handle, draw_counted(handle, slots.size))
    counter = random_claim(handle_line(handle, GENERATOR), slots.size * NUMBERS)
    most = 0.0
    turn = 0
    renewed = False
    while True:
        sorts = load(ranks, SORTS)
        line = order_line(handle, sorts)
        version = load(line, VERSION)
        most = ranked_draw(handle, sorts, counter, beta, slots, weights)
        # What was read of the order must be read before its version is read again.
        fence()
        overtaken = version & 1 != 0 or load(line, VERSION) != version
        turn += 1
        if (overtaken or most == 0.0) and turn < OVERTAKEN:
            continue
        if most > 0.0 or renewed:
            break
        # Most of the order is gone: what there is to be drawn, a new one shows.
        renewed = order_refresh(handle) or turn >= OVERTAKEN
    if most <= 0.0:
        draw_undone(handle, slots.size)
        return nothing
    if handle[AGAIN] == 0:
        fetch_add(ranks, BATCHES, 1)
    if handle[NORMALISE] != BATCH_LARGEST:
        return 1.0
    weights_scale(weights, most)
    return most
