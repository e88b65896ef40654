"""Rows from a stage into their slots, and what tells whether they can be rows of them."""

import numpy as np

from kernels.addresses import STACK, copy, copy_any, lines_at
from kernels.atomics import exchange, fetch_add, store
from kernels.jit import kernel
from kernels.ring import BASE, FILLED, HEAD, LINE, SHIFT, ring_ticket
from kernels.walk_copy import BLOCK, SIZE, STAGE

#: Words of a shape, see `walk_snapshot`: slots of a stream, the largest leaf (-1: no priorities),
#: and which part the leaves are.
SHAPE_ROWS = 0
SHAPE_MOST = 5
SHAPE_LEAVES = 7

#: What a whole row's word has below its ticket: nothing.
_BELOW = (1 << SHIFT) - 1


@kernel
def rows_paste(places: np.ndarray, first: int, count: int) -> None:
    """
    Copy the stage into slots that follow each other.

    Parameters
    ----------
    places : (parts, ...) int64
        The block it points at is *written*.
    first : int
        The first slot.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * bytes of a row).
    Errors: none; addresses are trusted.
    Sharing: any number of readers, who find each slot with its old row, empty, or with its new
    row. Nobody may add or clear meanwhile.
    Source: own.
    """
    width = places[0, SIZE]
    records = lines_at(places[0, BLOCK] + first * width, count, width // 8)
    staged = lines_at(places[0, STAGE], count, width // 8)
    for start in range(0, count, STACK):
        some = min(count - start, STACK)
        for row in range(start, start + some):
            # Readers that are inside a row of this slot must see the word change.
            exchange(records, row * (width // 8), 0)
        for part in range(1, places.shape[0]):
            size = places[part, SIZE]
            to = places[part, BLOCK] + (first + start) * size
            copy_any(to, places[part, STAGE] + start * size, some * size)
        for row in range(start, start + some):
            to = places[0, BLOCK] + (first + row) * width
            copy(to + 8, places[0, STAGE] + row * width + 8, width - 8)
            store(records, row * (width // 8), staged[row, 0])


@kernel
def words_clear(places: np.ndarray, first: int, count: int) -> None:
    """
    Make slots that follow each other empty.

    Parameters
    ----------
    places : (parts, ...) int64
        The block it points at is *written*.
    first : int
        The first slot.
    count : int

    Notes
    -----
    Units: slots.
    Cost: an atomic exchange a slot.
    Errors: none; addresses are trusted.
    Sharing: as rows_paste. Before a heap is pasted: readers that are inside a row must see its
    word change before its bytes do.
    Source: own.
    """
    width = places[0, SIZE]
    records = lines_at(places[0, BLOCK] + first * width, count, width // 8)
    for row in range(count):
        exchange(records, row * (width // 8), 0)


@kernel
def bytes_paste(places: np.ndarray, first: int, count: int) -> None:
    """
    Copy the stage into slots that follow each other, whatever it holds.

    Parameters
    ----------
    places : (parts, ...) int64
        The block it points at is *written*.
    first : int
        The first slot.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * bytes of a slot).
    Errors: none; addresses are trusted.
    Sharing: as words_clear.
    Source: own.
    """
    for part in range(places.shape[0]):
        size = places[part, SIZE]
        copy_any(places[part, BLOCK] + first * size, places[part, STAGE], count * size)


@kernel
def rows_check(
    places: np.ndarray, heads: np.ndarray, shape: np.ndarray, first: int, count: int
) -> int:
    """
    Say whether the rows of the stage can be rows of these slots, and count them.

    Parameters
    ----------
    places : (parts, ...) int64
    heads : (streams, 8) int64, written
        Of the snapshot, with no row counted; rows that are whole are.
    shape : (words,) int64
        See `walk_snapshot`.
    first : int
        The first slot.
    count : int

    Returns
    -------
    int
        The first slot that contradicts itself or the heads; -1 where there is none.

    Notes
    -----
    Units: tickets.
    Cost: O(count).
    Errors: as returned.
    Sharing: the stage is the caller's own.
    Source: own.
    """
    width = places[0, SIZE] // 8
    records = lines_at(places[0, STAGE], count, width)
    rows = shape[SHAPE_ROWS]
    most = shape[SHAPE_MOST]
    leaves = lines_at(places[shape[SHAPE_LEAVES], STAGE], count, 1)
    stream = first // rows
    # The first slot of the next stream.
    after = (stream + 1) * rows - first
    expected = -1
    whole = 0
    for row in range(count):
        slot = first + row
        if row == after:
            fetch_add(heads, stream * LINE + FILLED, whole)
            whole = 0
            expected = -1
            stream += 1
            after += rows
        word = records[row, 0]
        ticket = ring_ticket(word)
        if word != 0:
            if word & _BELOW != 0 or not heads[stream, BASE] <= ticket < heads[stream, HEAD]:
                return slot
            # Neighbours mostly have neighbouring tickets: few divisions.
            if ticket != expected and ticket % rows != slot - stream * rows:
                return slot
            expected = ticket + 1
            whole += 1
        else:
            expected = -1
        if most >= 0 and not 0 <= leaves[row, 0] <= (most if word != 0 else 0):
            return slot
    fetch_add(heads, stream * LINE + FILLED, whole)
    return -1
