"""Draws that emphasise recent rows: uniform over the newest, fewer and fewer of them."""

import numpy as np

from kernels.atomics import load
from kernels.codes import EMPTY, HELD_BACK, NOT_WHOLE
from kernels.handle import (
    AGAIN,
    GENERATOR,
    ROWS,
    SAMPLER,
    SAMPLES,
    VIEW,
    handle_float,
    handle_heads,
    handle_line,
)
from kernels.jit import kernel
from kernels.power import power
from kernels.random import random_below, random_claim
from kernels.ring import ring_span
from kernels.uniform import uniform_size
from kernels.walk_draw import draw_begun, draw_counted, draw_undone
from kernels.window import slot_whole

#: Words of the handle: eta, a float64 by its bits; updates of a round; the fewest rows.
ETA = SAMPLER
UPDATES = SAMPLER + 1
SMALLEST = SAMPLER + 2

#: Draws for each row of the newest, before there seems to be none among them that may be drawn:
#: where there is one, the chance that it is missed is below 1e-17.
DRAWS = 40


@kernel
def recent_rows(handle: np.ndarray, size: int, batches: int) -> int:
    """
    Say from how many of the newest rows a batch is drawn.

    Parameters
    ----------
    handle : (words,) int64
        Says eta, the updates of a round and the fewest rows.
    size : int
        Rows that are stored.
    batches : int
        Drawn before, by all processes.

    Returns
    -------
    int
        From 1 to `size`.

    Notes
    -----
    Units: rows.
    Cost: power.
    Errors: none.
    Sharing: a pure function.
    Source: Wang and Ross (2019), Boosting Soft Actor-Critic: Emphasizing Recent Experience without
    Forgetting the Past, section on ERE: max(N * eta ** (k * 1000 / K), c_min), k from 1 to K.
    """
    turn = np.float64(batches % handle[UPDATES] + 1)
    exponent = turn * 1000.0 / np.float64(handle[UPDATES])
    newest = np.int64(np.float64(size) * power(handle_float(handle, ETA), exponent))
    return min(max(newest, handle[SMALLEST]), size)


@kernel
def recent_share(count: int, newest: int, size: int) -> int:
    """
    Say how many of a stream's rows are among the newest.

    Parameters
    ----------
    count : int
        Rows of the stream.
    newest : int
        Of all streams, as recent_rows gave it.
    size : int
        Rows of all streams.

    Returns
    -------
    int
        The same share of each stream, rounded up; `count` at most.

    Notes
    -----
    Units: rows.
    Cost: O(1).
    Errors: none; with no rows 0.
    Sharing: a pure function.
    Source: own.
    """
    if size == 0:
        return 0
    share = np.float64(count) * np.float64(newest) / np.float64(size)
    return min(np.int64(np.ceil(share)), count)


@kernel
def recent_total(heads: np.ndarray, rows: int, newest: int, size: int) -> int:
    """
    Count the newest rows of all streams.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    newest : int
        As recent_rows gave it.
    size : int
        Rows of all streams.

    Returns
    -------
    int
        `newest`, or up to a row a stream more.

    Notes
    -----
    Units: rows.
    Cost: a cache line a stream.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    total = 0
    for stream in range(heads.shape[0]):
        total += recent_share(ring_span(heads, stream, rows)[1], newest, size)
    return total


@kernel
def recent_slot(heads: np.ndarray, rows: int, newest: int, size: int, rank: int) -> int:
    """
    Say which slot holds the `rank`-th of the newest rows, stream after stream, newest first.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    newest : int
        As recent_rows gave it.
    size : int
        Rows of all streams.
    rank : int
        0 <= rank < recent_total.

    Returns
    -------
    int
        A slot; its word says whether the row is whole.

    Notes
    -----
    Units: slots.
    Cost: a cache line a stream; one of them where all streams are full.
    Errors: none; a rank that writers made too large meanwhile gives a slot of the last stream.
    Sharing: any number of readers.
    Source: own.
    """
    stream = 0
    if size == heads.shape[0] * rows:
        # Full: each stream has as many of them as the next.
        share = recent_share(rows, newest, size)
        stream = min(rank // share, heads.shape[0] - 1)
        rank -= stream * share
    first, count = ring_span(heads, stream, rows)
    share = recent_share(count, newest, size)
    while rank >= share and stream < heads.shape[0] - 1:
        rank -= share
        stream += 1
        first, count = ring_span(heads, stream, rows)
        share = recent_share(count, newest, size)
    return stream * rows + (first + max(count - 1 - rank, 0)) % rows


@kernel
def recent_draw(
    heads: np.ndarray,
    rows: int,
    newest: int,
    size: int,
    seed: int,
    counter: int,
    slots: np.ndarray,
) -> None:
    """
    Draw slots with replacement, each of the newest rows equally likely.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    newest : int
        As recent_rows gave it.
    size : int
        Rows of all streams.
    seed : int
    counter : int
        The first of n counters.
    slots : (n,) int64, written

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw with one stream, else recent_slot.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    total = recent_total(heads, rows, newest, size)
    if heads.shape[0] == 1:
        first, count = ring_span(heads, 0, rows)
        # Rows that went meanwhile are drawn still, and found missing.
        start = (first + max(count, total) - 1) % rows
        for draw in range(slots.size):
            slot = start - random_below(seed, counter + draw, total)
            slots[draw] = slot + rows if slot < 0 else slot
    else:
        for draw in range(slots.size):
            rank = random_below(seed, counter + draw, total)
            slots[draw] = recent_slot(heads, rows, newest, size, rank)


@kernel
def recent_again(handle: np.ndarray, newest: int, size: int) -> tuple[int, int]:
    """
    Draw a slot that a view can begin with; from twice as many rows where there is none.

    Parameters
    ----------
    handle : (words,) int64
        Its generator is *written*.
    newest : int
        As recent_rows gave it.
    size : int
        Rows of all streams.

    Returns
    -------
    tuple of int
        The slot, -1 where none was found; and from how many rows it was drawn.

    Notes
    -----
    Units: slots and rows.
    Cost: as many draws as there are rows to one that may be drawn, on average.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: rejection keeps the draw uniform, von Neumann (1951), Various techniques used in
    connection with random digits.
    """
    heads = handle_heads(handle)
    rows = handle[ROWS]
    generator = handle_line(handle, GENERATOR)
    while True:
        total = recent_total(heads, rows, newest, size)
        for _ in range(DRAWS * total):
            counter = random_claim(generator, 1)
            rank = random_below(generator[0], counter, total)
            slot = recent_slot(heads, rows, newest, size, rank)
            if slot_whole(handle, slot):
                return slot, newest
        if newest >= size:
            return -1, newest
        newest = min(2 * newest, size)


@kernel
def draw_recent(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> int:
    """
    Draw slots uniformly from the newest rows, with replacement; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        Its generator and counters are *written*.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    int
        1, by which the weights were divided; EMPTY, NOT_WHOLE or HELD_BACK where nothing was
        drawn.

    Notes
    -----
    Units: slots.
    Cost: recent_slot a draw.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: as recent_rows.
    """
    heads = handle_heads(handle)
    rows = handle[ROWS]
    size = uniform_size(heads, rows)
    if size == 0:
        return EMPTY
    if not draw_begun(handle, slots.size):
        return HELD_BACK
    batches = load(handle_line(handle, SAMPLES), 1)
    if handle[AGAIN] != 0:
        # Rows that are drawn again belong to the batch before.
        batches = max(batches - 1, 0)
    newest = recent_rows(handle, size, batches)
    generator = handle_line(handle, GENERATOR)
    counter = random_claim(generator, slots.size)
    recent_draw(heads, rows, newest, size, generator[0], counter, slots)
    for draw in range(slots.size):
        weights[draw] = np.float32(1.0)
        if handle[VIEW] != 0 and not slot_whole(handle, slots[draw]):
            slots[draw], newest = recent_again(handle, newest, size)
            if slots[draw] < 0:
                draw_undone(handle, slots.size)
                return NOT_WHOLE
    draw_counted(handle, slots.size)
    return 1
