"""
The composed kernels behind a buffer's methods, over a handle and addresses.

They are the walks in one piece: add (claim, write, commit, priority), draw, gather, update. Each
is made of the kernels of the other files, which an agent of one's own would call one by one.
"""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    floats_at,
    load_float32,
    load_float64,
    prefetch,
    stack_integers,
)
from kernels.atomics import fetch_add, fetch_max, load
from kernels.handle import (
    ALPHA,
    BETA_FIRST,
    BETA_LAST,
    BETA_STEPS,
    EPSILON,
    GENERATOR,
    MINIMA,
    NORMALISE,
    PRIORITY,
    REDRAWS,
    ROWS,
    SAMPLES,
    SATURATED,
    STALE,
    STRATIFIED,
    STREAMS,
    TREE,
    UPDATES,
    WRITER,
    handle_float,
    handle_heads,
    handle_levels,
    handle_line,
    handle_minima,
    handle_plan,
    handle_records,
    handle_tree,
)
from kernels.jit import kernel
from kernels.minimum import minimum_of, minimum_update
from kernels.priorities import leaf_of, priority_ceiling, priority_scale
from kernels.random import random_below, random_claim
from kernels.ring import (
    BURNT,
    LINE,
    NOT_TAKEN,
    TAKEN_EMPTY,
    ring_claim,
    ring_commit,
    ring_filled,
    ring_locate,
    ring_take,
    ring_ticket,
)
from kernels.rows import rows_get, rows_put, rows_put_many
from kernels.tree import (
    TOP,
    tree_add,
    tree_exchange,
    tree_fill,
    tree_flush,
    tree_gather,
    tree_get,
    tree_prefetch,
    tree_total,
)
from kernels.tree_draw import tree_edge, tree_find, tree_find_many
from kernels.uniform import uniform_draw, uniform_size
from kernels.weights import (
    BATCH_LARGEST,
    BUFFER_LARGEST,
    weights_of,
    weights_scale,
)

#: The arguments want the explaining path.
MISMATCH = -1
#: The block was closed.
CLOSED = -2
#: Nothing is stored.
EMPTY = -3
#: Every row has priority 0.
NO_PRIORITY = -4
#: Every slot of the stream is held by writers that never finished.
JAMMED = -5
#: A batch of ids and priorities holds one that cannot be.
REFUSED = -6

#: Updates from which the two top levels are added once for all.
BATCHED = 16

#: Tries of one draw before the batch is given up; each fails only when a writer passed by.
TRIES = 1000


#: Burnt tickets after which a writer gives up. A live writer leaves its slot within microseconds,
#: or within milliseconds where the system takes its processor; a dead one never.
PATIENCE = 1 << 20


@kernel
def slots_priority(handle: np.ndarray, slot: int, count: int) -> None:
    """
    Give the new rows of slots that follow each other the largest priority so far.

    Parameters
    ----------
    handle : (words,) int64
        The tree it points at is *written*.
    slot : int
    count : int

    Notes
    -----
    Units: leaf units.
    Cost: O(log capacity) a line of 8 leaves.
    Errors: none.
    Sharing: any number of writers.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, line 6.
    """
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    tree_fill(tree, levels, slot, count, load(handle_line(handle, PRIORITY), 0))
    if handle[MINIMA] != 0:
        minima = handle_minima(handle)
        for leaf in range(slot, slot + count):
            minimum_update(minima, tree, levels, leaf)


@kernel
def rows_add(
    handle: np.ndarray, sources: np.ndarray, stream: int, count: int, ids: np.ndarray
) -> int:
    """
    Store rows, one after the other.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    sources : (fields,) int64
        Addresses of each field's rows.
    stream : int
    count : int
        1 or more.
    ids : (count,) int64, written

    Returns
    -------
    int
        `count`, or JAMMED after fewer.

    Notes
    -----
    Units: rows.
    Cost: O(count * bytes of a row), O(log capacity) more each with priorities.
    Errors: as returned.
    Sharing: any number of writers; each row is whole before it can be read.
    Source: DESIGN of the ring: claim, write, commit.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    plan = handle_plan(handle)
    rows = handle[ROWS]
    filled = 0
    burnt = 0
    stored = 0
    claimed = 0
    ticket = 0
    while stored < count and burnt < PATIENCE:
        if claimed == 0:
            # No more than the stream has slots: a batch must not lap itself inside a claim.
            claimed = min(count - stored, rows)
            ticket = ring_claim(heads, stream, claimed)
        place = ticket % rows
        slot = stream * rows + place
        # So many rows at a time, up to the end of the ring, are copied field by field.
        most = min(min(claimed, STACK), rows - place)
        got = 0
        while got < most:
            taken = ring_take(records, slot + got, ticket + got, handle[WRITER])
            if taken == NOT_TAKEN:
                break
            filled += np.int64(taken == TAKEN_EMPTY)
            got += 1
        if got == 1:
            rows_put(plan, sources, stored, slot)
        elif got != 0:
            rows_put_many(plan, sources, stored, slot, got)
        for row in range(got):
            ring_commit(records, slot + row, ticket + row)
            ids[stored + row] = (ticket + row) * handle[STREAMS] + stream
        if got == 0:
            burnt += 1
            got = 1
        else:
            if handle[TREE] != 0:
                slots_priority(handle, slot, got)
            stored += got
        ticket += got
        claimed -= got
    if filled != 0:
        ring_filled(heads, stream, filled)
    if burnt != 0:
        fetch_add(heads, stream * LINE + BURNT, burnt)
    return stored if stored == count else JAMMED


@kernel
def rows_gather(handle: np.ndarray, targets: np.ndarray, slots: np.ndarray) -> int:
    """
    Copy the rows of slots into arrays, and turn the slots into ids.

    Parameters
    ----------
    handle : (words,) int64
    targets : (fields,) int64
        Addresses of the arrays that are *written*.
    slots : (n,) int64, written

    Returns
    -------
    int
        How many were missed, see rows_get.

    Notes
    -----
    Units: as rows_get.
    Cost: as rows_get.
    Errors: as returned.
    Sharing: as rows_get.
    Source: own.
    """
    missed = rows_get(
        handle_plan(handle),
        handle_records(handle),
        handle[ROWS],
        handle[STREAMS],
        targets,
        slots,
    )
    if missed != 0:
        fetch_add(handle_line(handle, REDRAWS), 0, missed)
    return missed


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
        n or EMPTY.

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
    generator = handle_line(handle, GENERATOR)
    counter = random_claim(generator, slots.size)
    if uniform_draw(handle_heads(handle), handle[ROWS], generator[0], counter, slots) == 0:
        return EMPTY
    for draw in range(slots.size):
        weights[draw] = np.float32(1.0)
    samples = handle_line(handle, SAMPLES)
    fetch_add(samples, 0, slots.size)
    fetch_add(samples, 1, 1)
    return slots.size


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
        By what the weights were divided, for rows that must be drawn again: above zero. EMPTY or
        NO_PRIORITY where nothing was drawn.

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
        return np.float64(NO_PRIORITY)
    samples = handle_line(handle, SAMPLES)
    fetch_add(samples, 0, slots.size)
    beta = beta_after(handle, fetch_add(samples, 1, 1))
    stratified = handle[STRATIFIED]
    normalise = handle[NORMALISE]
    generator = handle_line(handle, GENERATOR)
    counter = random_claim(generator, slots.size)
    reference = np.float64(total) / np.float64(size)
    if normalise == BUFFER_LARGEST:
        reference = np.float64(minimum_of(handle_minima(handle), tree, levels))
    prefixes = stack_integers()
    leaves = stack_integers()
    most = 0.0
    edge = 0
    first = 0
    while first < slots.size:
        count = min(slots.size - first, STACK)
        for draw in range(count):
            here = counter + first + draw
            if stratified != 0:
                after = tree_edge(total, first + draw + 1, slots.size)
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
                    return np.float64(NO_PRIORITY)
            slots[first + draw] = slot
            leaves[draw] = value
        piece = floats_at(address_of(weights) + first * 4, count)
        most = max(most, weights_of(leaves, reference, beta, piece, count))
        first += count
    if normalise != BATCH_LARGEST:
        return 1.0
    weights_scale(weights, most)
    return most


@kernel
def priority_at(address: int, position: int, itemsize: int) -> float:
    """
    Read one priority of an array of float32 or float64.

    Parameters
    ----------
    address : int
    position : int
    itemsize : int
        4 or 8.

    Returns
    -------
    float

    Notes
    -----
    Units: none.
    Cost: one load.
    Errors: none; the address is trusted.
    Sharing: reads alone.
    Source: own.
    """
    if itemsize == 4:
        return load_float32(address + position * 4)
    return load_float64(address + position * 8)


@kernel
def priorities_update(handle: np.ndarray, ids: np.ndarray, priorities: int, itemsize: int) -> int:
    """
    Set the priorities of rows by id; ids overwritten since are skipped and counted.

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
    Cost: O(log capacity) each; lines are asked for 64 rows at a time, and the two top levels are
    added once a batch.
    Errors: as returned.
    Sharing: any number of learners beside writers. A row that is overwritten between the look at
    its word and the exchange of its leaf is found by a second look, and the new row gets the
    largest priority, as its writer would have given it.
    Source: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, lines 11 and 12.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    streams = handle[STREAMS]
    rows = handle[ROWS]
    for position in range(ids.size):
        value = priority_at(priorities, position, itemsize)
        if not (value >= 0.0 and value < np.inf):
            return REFUSED
        if ids[position] < 0:
            return REFUSED
        ticket = ids[position] if streams == 1 else ids[position] // streams
        if ticket >= load(heads, (ids[position] - ticket * streams) * LINE):
            return REFUSED
    alpha = handle_float(handle, ALPHA)
    epsilon = handle_float(handle, EPSILON)
    scale = np.float64(priority_scale(streams * rows))
    ceiling = np.float64(priority_ceiling(streams * rows))
    # A small batch adds to few of the top entries twice, and clearing the sums costs too.
    batched = ids.size >= BATCHED and levels.size > 3
    upper = stack_integers()
    if batched:
        for entry in range(TOP):
            upper[entry] = 0
    slots = stack_integers()
    leaves = stack_integers()
    words = stack_integers()
    width = records.shape[1]
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
            prefetch(address_of(records) + slot * width * 8)
            tree_prefetch(tree, levels, slot)
        for row in range(count):
            value = priority_at(priorities, first + row, itemsize) + epsilon
            leaves[row] = leaf_of(value, alpha, scale, ceiling)
        for row in range(count):
            slot = slots[row]
            word = load(records, slot * width)
            if word & 1 != 0 or ring_ticket(word) != words[row]:
                continue
            leaf = leaves[row]
            difference = tree_exchange(tree, levels, slot, leaf)
            if load(records, slot * width) != word:
                difference += tree_exchange(
                    tree, levels, slot, load(handle_line(handle, PRIORITY), 0)
                )
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
    fetch_max(handle_line(handle, PRIORITY), 0, largest)
    updates = handle_line(handle, UPDATES)
    fetch_add(updates, 0, applied)
    fetch_add(updates, 1, 1)
    if applied != ids.size:
        fetch_add(handle_line(handle, STALE), 0, ids.size - applied)
    if saturated != 0:
        fetch_add(handle_line(handle, SATURATED), 0, saturated)
    return applied
