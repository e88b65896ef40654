"""
Rows from their slots into a stage, a few thousand at a time: whole ones, while others write.

A stage is memory of the caller's with room for so many slots of each part that has slots: records,
wide columns, leaves.

    places (parts, ...) int64   part 0 is the records
      BLOCK                     address of slot 0's bytes in the block
      STAGE                     address of the stage's first slot
      SIZE                      bytes of a slot

    kept (words,) int64         what of the heap a snapshot holds; of size 0 without a heap
      HEAP_AT                   address of the heap's words
      UNFINISHED ...            from here streams and positions whose bytes were being written
"""

import numpy as np

from kernels.addresses import (
    STACK,
    copy,
    copy_any,
    lines_at,
    load_int64,
    stack_integers,
    store_uint8,
)
from kernels.atomics import fetch_add, fetch_max, load
from kernels.heap import (
    BYTES,
    COUNT,
    ENTRY_AT,
    ENTRY_STRIDE,
    LINE_WORDS,
    LINES,
    ROWS_OF,
    entry_stored,
    heap_of,
    heap_stands,
)
from kernels.jit import kernel
from kernels.ring import BASE, FILLED, FLOOR, HEAD, LINE, ring_read, ring_ticket, ring_unchanged

BLOCK = 0
STAGE = 1
SIZE = 2

HEAP_AT = 0
UNFINISHED = 1

#: Looks at a row whose writer is inside, before its slot counts as empty.
_TRIES = 64


@kernel
def row_copy(places: np.ndarray, slot: int, row: int) -> int:
    """
    Copy one slot into the stage, once its row is whole.

    Parameters
    ----------
    places : (parts, ...) int64
        The stage it points at is *written*.
    slot : int
    row : int
        Where in the stage.

    Returns
    -------
    int
        The row's sequence word; 0 where the slot is empty or its writer does not come to an end,
        and what the stage then holds is of no meaning.

    Notes
    -----
    Units: bytes.
    Cost: a copy a part, a few more where a writer is inside.
    Errors: none; addresses are trusted.
    Sharing: any number of writers beside.
    Source: seqlock, as kernels.ring.ring_take.
    """
    record = lines_at(places[0, BLOCK] + slot * places[0, SIZE], 1, places[0, SIZE] // 8)
    for _ in range(_TRIES):
        word = ring_read(record, 0)
        if word == 0:
            if load(record, 0) == 0:
                return 0
            continue
        for part in range(places.shape[0]):
            size = places[part, SIZE]
            copy(places[part, STAGE] + row * size, places[part, BLOCK] + slot * size, size)
        if ring_unchanged(record, 0, word):
            return word
    return 0


@kernel
def row_kept(heads: np.ndarray, kept: np.ndarray, slot: int) -> bool:
    """
    Say whether a snapshot holds the bytes of a row.

    Parameters
    ----------
    heads : (streams, 8) int64
        Of the snapshot: with the positions at which its heap begins to be younger than it.
    kept : (words,) int64
        Not empty.
    slot : int
        In the block. Its row is looked at again after.

    Returns
    -------
    bool

    Notes
    -----
    Units: bytes.
    Cost: a few loads, and one a row that was being written.
    Errors: none.
    Sharing: any number of writers beside. The heap was copied before, so what stands now stood
    then.
    Source: own.
    """
    heap = heap_of(kept[HEAP_AT] + LINES * 8)
    stream = slot // heap[ROWS_OF]
    position = load_int64(heap[LINES + ENTRY_AT] + slot * heap[LINES + ENTRY_STRIDE])
    last = LINES + (heap[COUNT] - 1) * LINE_WORDS
    entry = heap[last + ENTRY_AT] + slot * heap[last + ENTRY_STRIDE]
    end = load_int64(entry) + entry_stored(load_int64(entry + 8))
    if end > heads[stream, BYTES] or not heap_stands(heap, slot):
        return False
    for other in range(UNFINISHED, kept.size, 2):
        # A row of no bytes lies where the next one begins, which may be unfinished.
        if kept[other] == stream and kept[other + 1] == position < end:
            return False
    return True


@kernel
def row_blank(places: np.ndarray, row: int) -> None:
    """
    Make a row of the stage an empty slot: zeros.

    Parameters
    ----------
    places : (parts, ...) int64
        The stage it points at is *written*.
    row : int

    Notes
    -----
    Units: bytes.
    Cost: O(bytes of a row).
    Errors: none; addresses are trusted.
    Sharing: the stage is the caller's own.
    Source: own.
    """
    for part in range(places.shape[0]):
        size = places[part, SIZE]
        to = places[part, STAGE] + row * size
        done = min(size, 64)
        for byte in range(done):
            store_uint8(to + byte, 0)
        while done < size:
            # Twice as many at a time.
            some = min(done, size - done)
            copy_any(to + done, to, some)
            done += some


@kernel
def bytes_copy(places: np.ndarray, first: int, count: int) -> None:
    """
    Copy slots that follow each other into the stage, whatever they hold.

    Parameters
    ----------
    places : (parts, ...) int64
        The stage it points at is *written*.
    first : int
        The first slot.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count * bytes of a slot).
    Errors: none; addresses are trusted.
    Sharing: any number of writers beside: what they write meanwhile is copied in part.
    Source: own.
    """
    for part in range(places.shape[0]):
        size = places[part, SIZE]
        copy_any(places[part, STAGE], places[part, BLOCK] + first * size, count * size)


@kernel
def heads_raise(heads: np.ndarray, stream: int, newest: int, whole: int) -> None:
    """
    Let a stream's heads know of rows that were copied.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    stream : int
    newest : int
        The newest ticket among them.
    whole : int
        How many.

    Notes
    -----
    Units: tickets.
    Cost: two atomic operations.
    Errors: none.
    Sharing: any number of threads.
    Source: own.
    """
    fetch_max(heads, stream * LINE + HEAD, newest + 1)
    fetch_add(heads, stream * LINE + FILLED, whole)


@kernel
def rows_copy(
    places: np.ndarray, heads: np.ndarray, kept: np.ndarray, rows: int, first: int, count: int
) -> None:
    """
    Copy slots that follow each other into the stage, each row whole or as an empty slot.

    Parameters
    ----------
    places : (parts, ...) int64
        The stage it points at is *written*.
    heads : (streams, 8) int64, written
        Of the snapshot: heads rise above the tickets of the rows copied, and the rows are counted.
        Rows below a stream's base were cleared away, and count as empty, and so do those below
        its floor.
    kept : (words,) int64
    rows : int
        Slots of a stream.
    first : int
        The first slot.
    count : int

    Notes
    -----
    Units: bytes; tickets.
    Cost: O(count * bytes of a row): a memcpy a part for 64 slots at a time, and two looks at each
    sequence word. A row that changed meanwhile is copied by itself.
    Errors: none; addresses are trusted.
    Sharing: any number of writers beside. A priority may be one that was set during the copy.
    Source: seqlock, as kernels.ring.ring_take.
    """
    width = places[0, SIZE]
    records = lines_at(places[0, BLOCK] + first * width, count, width // 8)
    words = stack_integers()
    stream = first // rows
    # The first slot of the next stream.
    after = (stream + 1) * rows - first
    newest = -1
    whole = 0
    for start in range(0, count, STACK):
        some = min(count - start, STACK)
        for row in range(some):
            words[row] = ring_read(records, start + row)
        for part in range(places.shape[0]):
            size = places[part, SIZE]
            to = places[part, STAGE] + start * size
            copy_any(to, places[part, BLOCK] + (first + start) * size, some * size)
        for row in range(start, start + some):
            if row == after:
                heads_raise(heads, stream, newest, whole)
                newest = -1
                whole = 0
                stream += 1
                after += rows
            word = words[row - start]
            if word == 0 or not ring_unchanged(records, row, word):
                word = row_copy(places, first + row, row)
            if kept.size != 0 and not (
                row_kept(heads, kept, first + row) and ring_unchanged(records, row, word)
            ):
                # Its bytes are younger than the snapshot's heap, or another row has come.
                word = 0
            ticket = ring_ticket(word)
            if ticket < max(heads[stream, BASE], heads[stream, FLOOR]):
                # An empty slot's ticket is -1.
                row_blank(places, row)
                continue
            newest = max(newest, ticket)
            whole += 1
    heads_raise(heads, stream, newest, whole)
