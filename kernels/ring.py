"""
The ring: claim a ticket, take its slot, write the row, commit.

A stream is a ring of `rows` slots. Tickets count the rows ever claimed in it; ticket t belongs in
slot t % rows of its stream. Word 0 of each record is the slot's sequence word:

    0                                   empty
    (ticket + 1) << 13                  the row of that ticket is whole
    (ticket + 1) << 13 | writer << 2 | held << 1 | 1
                                        that writer is filling it; held: over an older row

    heads[stream]   one cache line a stream
      word 0        the next ticket
      word 1        slots filled: how many hold a row, or held one that is being replaced
      word 2        base: tickets below it were cleared away
      word 3        burnt: tickets that found their slot taken
      word 4        steps: the token of the one writer of steps, 0 where there is none
      word 5 ...    of a heap; word 7 is its floor: tickets below it have lost their bytes

A reader loads the word, copies, and loads it again: equal words mean a whole row. The commit is a
writer's last step: of a writer that is killed before it nothing stays but an odd word, which says
whose it was, and which `repair` empties.
"""

import numpy as np

from kernels.atomics import compare_and_swap, fence, fetch_add, fetch_max, load, store
from kernels.faults import CLAIMED, CLEARED, COMMITTED, REBASED, RELEASED, fault_point
from kernels.faults import TAKEN as TAKEN_POINT
from kernels.jit import INTERPRETED, kernel

HEAD = 0
FILLED = 1
BASE = 2
BURNT = 3
STEPS = 4
FLOOR = 7
#: Words of a line of heads: a cache line, so that two streams' writers never share one.
LINE = 8

#: Bits below the ticket in a sequence word: a writer's number, whether a row was held, odd.
SHIFT = 13
WRITERS = 1 << (SHIFT - 2)
HELD = 2

#: Looks at a slot that a writer is filling, about a millisecond of them.
WAIT = 1 if INTERPRETED else 1 << 20

NOT_TAKEN = 0
TAKEN = 1
TAKEN_EMPTY = 2


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
    ticket = fetch_add(heads, stream * LINE + HEAD, count)
    fault_point(CLAIMED)
    return ticket


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
        The writer's number, 0 <= writer < 2048; repair needs it to free the slots of the dead.

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
    taken = (ticket + 1) << SHIFT | writer << 2 | 1
    if word != 0:
        taken |= HELD
    if not compare_and_swap(records, slot * width, word, taken):
        return NOT_TAKEN
    # The odd word must be seen before any byte of the new row.
    fence()
    fault_point(TAKEN_POINT)
    return TAKEN_EMPTY if word == 0 else TAKEN


@kernel
def ring_current(heads: np.ndarray, stream: int, ticket: int) -> bool:
    """
    Say whether a ticket still counts, after its slot was taken.

    Parameters
    ----------
    heads : (streams, 8) int64
    stream : int
    ticket : int

    Returns
    -------
    bool
        False: the stream was cleared since the ticket was claimed; give the slot back by
        ring_release.

    Notes
    -----
    Units: none.
    Cost: one load, of the line that the claim has brought.
    Errors: none.
    Sharing: any number of writers. Asked after the take: either it sees the base that ring_clear
    has set, or ring_clear sees the taken slot and waits for its row.
    Source: own.
    """
    return ticket >= load(heads, stream * LINE + BASE)


@kernel
def ring_release(
    heads: np.ndarray, records: np.ndarray, stream: int, slot: int, taken: int
) -> None:
    """
    Give a taken slot back, empty.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    records : (slots, width) int64, written
    stream : int
    slot : int
    taken : int
        What ring_take gave.

    Notes
    -----
    Units: none.
    Cost: one release store.
    Errors: none; only for a slot that ring_take gave.
    Sharing: the taker of the slot alone.
    Source: own.
    """
    # In this order: a count of the slots meets the odd word of a cleared ticket, and waits.
    if taken == TAKEN:
        fetch_add(heads, stream * LINE + FILLED, -1)
    fault_point(RELEASED)
    store(records, slot * records.shape[1], 0)


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
    fault_point(COMMITTED)


@kernel
def ring_filled(heads: np.ndarray, stream: int, count: int) -> None:
    """
    Count slots of a stream that are about to hold their first row.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    stream : int
    count : int
        Slots that ring_take gave as TAKEN_EMPTY, before they are committed: a slot that holds a
        row has been counted.

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
def ring_floor(heads: np.ndarray, stream: int) -> int:
    """Say below which ticket all rows of a stream were cleared away, or have lost their bytes."""
    return max(load(heads, stream * LINE + BASE), load(heads, stream * LINE + FLOOR))


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
    first = max(ring_floor(heads, stream), head - rows)
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
def ring_clear(heads: np.ndarray, records: np.ndarray, stream: int, slot: int) -> bool:
    """
    Empty a slot, if its row is older than the stream's base or floor; wait for a row that is half
    written.

    Parameters
    ----------
    heads : (streams, 8) int64, written
        The base was set by ring_rebase.
    records : (slots, width) int64, written
    stream : int
    slot : int

    Returns
    -------
    bool
        Whether a row was there.

    Notes
    -----
    Units: none.
    Cost: a load, and a compare-and-swap where there was a row; a short wait for a writer inside.
    Errors: none. A writer that is stopped in the middle of its row for longer than the wait
    finishes the row later; one that is dead never does.
    Sharing: any number of writers and readers; rows of newer tickets stay.
    Source: own.
    """
    at = slot * records.shape[1]
    base = ring_floor(heads, stream)
    for _ in range(WAIT):
        word = load(records, at)
        if word & 1 == 0:
            break
    if word & 1 != 0 or word == 0 or ring_ticket(word) >= base:
        return False
    if not compare_and_swap(records, at, word, 0):
        return False
    fault_point(CLEARED)
    fetch_add(heads, stream * LINE + FILLED, -1)
    return True


@kernel
def ring_rebase(heads: np.ndarray, stream: int) -> None:
    """
    Let only tickets that are claimed from now on count.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    stream : int

    Notes
    -----
    Units: tickets.
    Cost: one atomic maximum.
    Errors: none.
    Sharing: any number of callers beside writers.
    Source: own.
    """
    fetch_max(heads, stream * LINE + BASE, load(heads, stream * LINE + HEAD))
    fault_point(REBASED)
