"""
The ring: claim a ticket, take its slot, write the row, commit.

A stream is a ring of `rows` slots. Tickets count the rows ever claimed in it; ticket t belongs in
slot t % rows of its stream. Word 0 of each record is the slot's sequence word:

    0                                   nothing was ever committed here
    (ticket + 1) << 13                  the row of that ticket is whole
    (ticket + 1) << 13 | writer << 1 | 1    that writer is filling it

    heads[stream]   one cache line a stream
      word 0        the next ticket
      word 1        slots filled: how many hold a row
      word 2        base: tickets below it were cleared away
      word 3        burnt: tickets that found their slot taken

A reader loads the word, copies, and loads it again: equal words mean a whole row.
"""

import numpy as np

from kernels.atomics import compare_and_swap, fence, fetch_add, load, store
from kernels.jit import kernel

HEAD = 0
FILLED = 1
BASE = 2
BURNT = 3
#: Words of a line of heads: a cache line, so that two streams' writers never share one.
LINE = 8

#: Bits below the ticket in a sequence word: a writer's number and the odd bit.
SHIFT = 13
WRITERS = 1 << (SHIFT - 1)

NOT_TAKEN = 0
TAKEN = 1
TAKEN_EMPTY = 2


@kernel
def ring_writer(register: np.ndarray) -> int:
    """
    Take the next writer's number.

    Parameters
    ----------
    register : (8,) int64, written
        A cache line; word 1 counts the numbers given out.

    Returns
    -------
    int
        0 <= number < WRITERS; the numbers begin anew after that many.

    Notes
    -----
    Units: none.
    Cost: one atomic addition.
    Errors: none.
    Sharing: any number of threads and processes.
    Source: own.
    """
    return fetch_add(register, 1, 1) % WRITERS


@kernel
def ring_claim(heads: np.ndarray, stream: int, count: int) -> int:
    """
    Take the next `count` tickets of a stream.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    stream : int
    count : int
        Tickets wanted, 1 <= count <= rows of a stream.

    Returns
    -------
    int
        The first ticket; the caller owns it and the next count - 1.

    Notes
    -----
    Units: tickets count the rows ever claimed in this stream.
    Cost: one atomic addition.
    Errors: none; a ticket that is never committed leaves its slot as it was.
    Sharing: any number of writers, threads or processes.
    Source: claim and commit as in Agrona's many-to-one ring buffer.
    """
    return fetch_add(heads, stream * LINE + HEAD, count)


@kernel
def ring_take(records: np.ndarray, slot: int, ticket: int, writer: int) -> int:
    """
    Make a slot this writer's own, if it still waits for this ticket.

    Parameters
    ----------
    records : (slots, width) int64, written
        Word 0 of a record is its sequence word.
    slot : int
    ticket : int
        As claimed for this slot.
    writer : int
        The writer's number, 0 <= writer < 4096; repair needs it to free the slots of the dead.

    Returns
    -------
    int
        TAKEN, TAKEN_EMPTY where the slot held nothing yet, or NOT_TAKEN: another writer is inside
        or a newer row has come; burn the ticket and claim another.

    Notes
    -----
    Units: none.
    Cost: one compare-and-swap.
    Errors: none; a live writer's slot is never taken over.
    Sharing: any number of writers.
    Source: the write side of a seqlock, Lameter (2005), Effective Synchronization on Linux/NUMA
    Systems, with compare-and-swap in place of its lock.
    """
    width = records.shape[1]
    word = load(records, slot * width)
    # An odd word is somebody's; a newer ticket means that this writer was lapped.
    if word & 1 != 0 or word >> SHIFT > ticket:
        return NOT_TAKEN
    taken = (ticket + 1) << SHIFT | writer << 1 | 1
    if not compare_and_swap(records, slot * width, word, taken):
        return NOT_TAKEN
    # The odd word must be seen before any byte of the new row.
    fence()
    return TAKEN_EMPTY if word == 0 else TAKEN


@kernel
def ring_commit(records: np.ndarray, slot: int, ticket: int) -> None:
    """
    Publish the row that was written into a taken slot.

    Parameters
    ----------
    records : (slots, width) int64, written
    slot : int
    ticket : int

    Notes
    -----
    Units: none.
    Cost: one release store.
    Errors: none; only for a slot that ring_take gave.
    Sharing: the taker of the slot alone.
    Source: as ring_take.
    """
    store(records, slot * records.shape[1], (ticket + 1) << SHIFT)


@kernel
def ring_filled(heads: np.ndarray, stream: int, count: int) -> None:
    """
    Count slots of a stream that hold their first row.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    stream : int
    count : int
        Slots that ring_take gave as TAKEN_EMPTY and that are committed now.

    Notes
    -----
    Units: slots.
    Cost: one atomic addition.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    fetch_add(heads, stream * LINE + FILLED, count)


@kernel
def ring_read(records: np.ndarray, slot: int) -> int:
    """
    Begin to read a slot.

    Parameters
    ----------
    records : (slots, width) int64
    slot : int

    Returns
    -------
    int
        The sequence word of a whole row; 0 where there is none.

    Notes
    -----
    Units: none.
    Cost: one acquire load.
    Errors: none.
    Sharing: any number of readers; nothing is written.
    Source: the read side of a seqlock, as ring_take.
    """
    word = load(records, slot * records.shape[1])
    return 0 if word & 1 != 0 else word


@kernel
def ring_unchanged(records: np.ndarray, slot: int, word: int) -> bool:
    """
    Say whether a row stayed whole while it was copied.

    Parameters
    ----------
    records : (slots, width) int64
    slot : int
    word : int
        What ring_read gave before the copy.

    Returns
    -------
    bool
        False: a writer came, throw the copy away.

    Notes
    -----
    Units: none.
    Cost: a fence and a load.
    Errors: none.
    Sharing: any number of readers.
    Source: as ring_read.
    """
    # The copy's loads must be done before the word is loaded again.
    fence()
    return load(records, slot * records.shape[1]) == word


@kernel
def ring_ticket(word: int) -> int:
    """
    Say which ticket's row a sequence word stands for.

    Parameters
    ----------
    word : int

    Returns
    -------
    int
        -1 for an empty slot.

    Notes
    -----
    Units: tickets.
    Cost: a shift.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    return (word >> SHIFT) - 1


@kernel
def ring_span(heads: np.ndarray, stream: int, rows: int) -> tuple[int, int]:
    """
    Say which tickets of a stream can be live.

    Parameters
    ----------
    heads : (streams, 8) int64
    stream : int
    rows : int
        Slots of a stream.

    Returns
    -------
    tuple of int
        The first ticket and how many. Each slot's own word decides: a ticket of the span may be
        burnt, or still in its writer's hands.

    Notes
    -----
    Units: tickets.
    Cost: two loads.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    head = load(heads, stream * LINE + HEAD)
    base = load(heads, stream * LINE + BASE)
    first = max(base, head - rows)
    return first, max(head - first, 0)


@kernel
def ring_locate(identity: int, streams: int, rows: int) -> tuple[int, int]:
    """
    Say where the row of an id lies.

    Parameters
    ----------
    identity : int
        ticket * streams + stream, 0 or more.
    streams : int
    rows : int
        Slots of a stream.

    Returns
    -------
    tuple of int
        The slot, and the ticket that its word must show.

    Notes
    -----
    Units: none.
    Cost: one division, three with several streams.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    if streams == 1:
        return identity % rows, identity
    ticket = identity // streams
    return (identity - ticket * streams) * rows + ticket % rows, ticket


@kernel
def ring_clear(heads: np.ndarray, records: np.ndarray, rows: int) -> None:
    """
    Forget every committed row; ids go on growing.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    records : (slots, width) int64, written
    rows : int
        Slots of a stream.

    Notes
    -----
    Units: none.
    Cost: O(slots).
    Errors: none.
    Sharing: writers may go on: rows claimed after the call began stay.
    Source: own.
    """
    width = records.shape[1]
    for stream in range(heads.shape[0]):
        base = load(heads, stream * LINE + HEAD)
        store(heads, stream * LINE + BASE, base)
        for slot in range(stream * rows, (stream + 1) * rows):
            word = load(records, slot * width)
            if word & 1 == 0 and word != 0 and (word >> SHIFT) - 1 < base:
                if compare_and_swap(records, slot * width, word, 0):
                    fetch_add(heads, stream * LINE + FILLED, -1)
