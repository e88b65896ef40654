"""Uniform draws over the live rows of all streams."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_below
from kernels.ring import ring_span


@kernel
def uniform_size(heads: np.ndarray, rows: int) -> int:
    """
    Count the tickets that can be live, over all streams.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.

    Returns
    -------
    int

    Notes
    -----
    Units: rows.
    Cost: a cache line a stream.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    size = 0
    for stream in range(heads.shape[0]):
        size += ring_span(heads, stream, rows)[1]
    return size


@kernel
def uniform_slot(heads: np.ndarray, rows: int, rank: int) -> int:
    """
    Say which slot holds the `rank`-th live ticket, stream after stream, oldest first.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    rank : int
        0 <= rank < uniform_size(heads, rows).

    Returns
    -------
    int
        A slot; its word says whether the row is whole.

    Notes
    -----
    Units: slots.
    Cost: a cache line a stream.
    Errors: none; a rank that writers made too large meanwhile gives a slot of the last stream.
    Sharing: any number of readers.
    Source: own.
    """
    stream = 0
    first, count = ring_span(heads, 0, rows)
    while rank >= count and stream < heads.shape[0] - 1:
        rank -= count
        stream += 1
        first, count = ring_span(heads, stream, rows)
    return stream * rows + (first + rank) % rows


@kernel
def uniform_draw(heads: np.ndarray, rows: int, seed: int, counter: int, slots: np.ndarray) -> int:
    """
    Draw slots with replacement, each live ticket equally likely.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    seed : int
    counter : int
        The first of n counters.
    slots : (n,) int64, written

    Returns
    -------
    int
        How many tickets the draws were made from; 0: nothing is stored, nothing was drawn.

    Notes
    -----
    Units: slots.
    Cost: O(1) a draw with one stream or full ones, a search of the streams while they fill.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    size = uniform_size(heads, rows)
    if size == 0:
        return 0
    if size == heads.shape[0] * rows:
        # Full: every slot is as likely as the next.
        for draw in range(slots.size):
            slots[draw] = random_below(seed, counter + draw, size)
    elif heads.shape[0] == 1:
        start = ring_span(heads, 0, rows)[0] % rows
        for draw in range(slots.size):
            slot = start + random_below(seed, counter + draw, size)
            slots[draw] = slot - rows if slot >= rows else slot
    else:
        for draw in range(slots.size):
            rank = random_below(seed, counter + draw, size)
            slots[draw] = uniform_slot(heads, rows, rank)
    return size
