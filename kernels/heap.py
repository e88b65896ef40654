"""
The heap: rows of different lengths in a ring of bytes, one ring a stream.

Of a compressed field, or one whose rows differ in length, a record holds where the bytes lie and
how many they are. Positions count the bytes ever claimed in a stream; position p is byte p % room
of its ring. Behind the ring lies a margin as large as the largest row, so that the bytes of a
field of a row are one piece.

    entry (2,) int64        of a field, in the record
      word 0                the position
      word 1                codec << 56 | bytes of the row << 28 | bytes that are stored

    heads[stream]           see `ring`
      word 5                bytes: the next position
      word 6                clear: below it nobody fills bytes that were claimed a round before
      word 7                floor: tickets below it have lost their bytes to newer rows

    writing (256, 8) int64  one cache line each claim that is not finished
      word 0                0: free; else the writer's number + 1
      word 1                stream
      word 2                position
      word 3                bytes, 0 before there is a claim

A claim is a compare-and-swap of the next position, made after its line says which bytes it is for:
whoever goes on a round later sees those that are not finished, and leaves their bytes out. So a
writer may be stopped in the middle of its bytes for as long as it likes. One that is killed leaves
its line, which says whose it was, to `repair`.

A reader looks at the next position after it has copied: bytes that are more than a ring's length
behind it may have been written over, and only those. Rows that have lost their bytes are emptied
by whoever claimed them (`walk_evict`), the oldest first.

    words of the heap       of this process, address in the handle's word HEAP
      PUT GET GATHER        entries of `walk_heap_put`, `walk_heap_get` and `walk_heap_rows`
      BYTES_AT STRIDE ROOM  the first stream's ring, from one stream's to the next's, and its size
      WRITING_AT            the lines of claims
      HEADS_AT ROWS_OF      the heads, and slots of a stream
      SCRATCH               bytes of all compressed fields of a row
      COUNT                 fields
      LINES                 from here 16 words a field
        OWNER               address of these words
        FIELD               its number in the plan
        ENTRY_AT ENTRY_STRIDE   slot 0's entry, and from one slot's to the next's
        LARGEST             bytes of the largest row
        UNIT                bytes of an element of a row of any length; 0: all rows are the largest
        CODEC               how rows are packed: LZ4, or RAW for not at all
        OPEN_END            1: what lies behind a short row's end is not cleared
        LENGTHS_AT          slot 0's number of elements; only with UNIT
        DICTIONARY_AT       see `dictionary`; 0: there is none
        FITS                rows that have room in it
        LEARNED_AT LEARNED  what packing has to know of the dictionary, of this process, and of how
                            many of its rows it knows, twice; odd while a thread is learning

    request                 what GET is asked for
      REQUEST_LINE          address of the field's line
      REQUEST_TO            address of the first row, written
      REQUEST_LANES REQUEST_COUNT   address of slots, -1 for zeros, and how many
      REQUEST_EACH          lanes of a drawn row
      REQUEST_STACK         lanes of a stack: a step's are those of the step before, moved by one
      REQUEST_KIN REQUEST_KIN_TO    address of lanes of the same drawn rows that were unpacked
                            already, and of what they became; 0: there are none
"""

import numpy as np

from kernels.addresses import integers_at, lines_at, load_int64
from kernels.atomics import compare_and_swap, fence, load, store
from kernels.faults import ANNOUNCED, SPACED, fault_point
from kernels.jit import INTERPRETED, kernel
from kernels.ring import LINE

BYTES = 5
CLEAR = 6

WRITING = 256
OWNER_OF = 0
STREAM_OF = 1
POSITION_OF = 2
BYTES_OF = 3

PUT = 0
GET = 1
BYTES_AT = 2
STRIDE = 3
ROOM = 4
WRITING_AT = 5
HEADS_AT = 6
ROWS_OF = 7
SCRATCH = 8
COUNT = 9
GATHER = 10
LINES = 16
LINE_WORDS = 16

OWNER = 0
FIELD = 1
ENTRY_AT = 2
ENTRY_STRIDE = 3
LARGEST = 4
UNIT = 5
CODEC = 6
OPEN_END = 7
LENGTHS_AT = 8
DICTIONARY_AT = 9
FITS = 10
LEARNED_AT = 11
LEARNED = 12

REQUEST_LINE = 0
REQUEST_TO = 1
REQUEST_LANES = 2
REQUEST_COUNT = 3
REQUEST_EACH = 4
REQUEST_STACK = 5
REQUEST_KIN = 6
REQUEST_KIN_TO = 7

#: Codecs: as it is; LZ4 and more, with as many rows of the dictionary before it.
RAW = 0
LZ4 = 1
#: Bits of a number of bytes in an entry.
SIZE_BITS = 28
MOST_BYTES = (1 << SIZE_BITS) - 1

#: Bytes that a reader may touch behind a row's end.
MARGIN = 64
#: Claims that others made first, before a writer gives up; and lines that others hold.
TRIES = 64 if INTERPRETED else 1 << 20

#: Claims of others passed over: where they lie so thick that nothing fits in between, going on
#: would throw one round of rows away after the other.
SKIPS = 64

NO_ROOM = -1


@kernel
def entry_pack(codec: int, size: int, stored: int) -> int:
    """Make the second word of an entry."""
    return codec << (2 * SIZE_BITS) | size << SIZE_BITS | stored


@kernel
def entry_codec(word: int) -> int:
    """Read how a row was packed."""
    return word >> (2 * SIZE_BITS)


@kernel
def entry_size(word: int) -> int:
    """Read how many bytes a row has."""
    return word >> SIZE_BITS & MOST_BYTES


@kernel
def entry_stored(word: int) -> int:
    """Read how many bytes of the ring a row takes."""
    return word & MOST_BYTES


@kernel
def writing_enter(writing: np.ndarray, writer: int) -> int:
    """
    Take a line for a claim.

    Parameters
    ----------
    writing : (256, 8) int64, written
    writer : int
        Number of the process among the members.

    Returns
    -------
    int
        The line; -1 where all are held.

    Notes
    -----
    Units: none.
    Cost: one compare-and-swap; one a line that somebody holds.
    Errors: as returned.
    Sharing: any number of threads and processes.
    Source: own; after the announced pointers of Michael (2004), Hazard Pointers.
    """
    line = writer % WRITING
    for _ in range(TRIES):
        # Looked at first: a swap that fails takes the line from its holder's processor.
        free = load(writing, line * LINE + OWNER_OF) == 0
        if free and compare_and_swap(writing, line * LINE + OWNER_OF, 0, writer + 1):
            return line
        line = (line + 1) % WRITING
    return -1


@kernel
def writing_leave(writing: np.ndarray, line: int) -> None:
    """
    Give a line back, once all bytes of its claim are written.

    Parameters
    ----------
    writing : (256, 8) int64, written
    line : int

    Notes
    -----
    Units: none.
    Cost: two release stores.
    Errors: none.
    Sharing: the line is the caller's.
    Source: own.
    """
    store(writing, line * LINE + BYTES_OF, 0)
    store(writing, line * LINE + OWNER_OF, 0)


@kernel
def writing_free(writing: np.ndarray, writer: int) -> None:
    """
    Give back the lines of a writer that is dead.

    Parameters
    ----------
    writing : (256, 8) int64, written
    writer : int
        The number of one who is known to be dead.

    Notes
    -----
    Units: none.
    Cost: a load a line.
    Errors: none.
    Sharing: any number of writers; one repairer of this member.
    Source: own.
    """
    for line in range(WRITING):
        if load(writing, line * LINE + OWNER_OF) == writer + 1:
            writing_leave(writing, line)


@kernel
def heap_next(
    writing: np.ndarray, mine: int, stream: int, room: int, position: int, size: int
) -> tuple[int, int]:
    """
    Say from where on bytes may be claimed, and up to where nobody is in the way.

    Parameters
    ----------
    writing : (256, 8) int64
    mine : int
        The caller's line.
    stream : int
    room : int
        Bytes of a stream's ring.
    position : int
        The next one, loaded before this call.
    size : int
        Bytes wanted, 0 < size <= room.

    Returns
    -------
    tuple of int
        The first position, which is the given one where nobody is in the way of so many bytes
        there; and the position up to which nobody is.

    Notes
    -----
    Units: bytes.
    Cost: a cache line a line of claims.
    Errors: none.
    Sharing: any number of writers. A claim that is made after `position` was loaded lies behind
    it, and is in nobody's way for a whole round.
    Source: own.
    """
    first = position
    clear = position + room
    for line in range(WRITING):
        at = line * LINE
        held = load(writing, at + BYTES_OF)
        if line == mine or not 0 < held <= room or load(writing, at + STREAM_OF) != stream:
            continue
        start = load(writing, at + POSITION_OF)
        # What ends behind here was claimed later, or never: somebody else was first, and it will
        # be claimed anew.
        if start < 0 or held > position - start:
            continue
        # Where these bytes lie in the rounds to come: the first time that they end behind here.
        start += (position - start - held) // room * room + room
        if start < position + size:
            first = max(first, start + held)
        clear = min(clear, start)
    return first, clear


@kernel
def heap_claim(
    heads: np.ndarray, writing: np.ndarray, line: int, stream: int, room: int, size: int
) -> int:
    """
    Take the next bytes of a stream.

    Parameters
    ----------
    heads : (streams, 8) int64, written
    writing : (256, 8) int64, written
    line : int
        As writing_enter gave it.
    stream : int
    room : int
        Bytes of a stream's ring.
    size : int
        Bytes wanted, 0 <= size <= room / 2.

    Returns
    -------
    int
        The position of the first; the caller may write them until it leaves the line. NO_ROOM
        where others were first every time, or so many are unfinished that it fits nowhere.

    Notes
    -----
    Units: bytes.
    Cost: one compare-and-swap; once a round, and where somebody is in the way, heap_next.
    Errors: as returned.
    Sharing: any number of writers; lock-free.
    Source: own.
    """
    at = stream * LINE
    skipped = 0
    for _ in range(TRIES):
        if skipped > SKIPS:
            break
        # In this order: of two that belong together it lies a round ahead at most. If it does not,
        # it is damaged, and nobody goes by it.
        known = load(heads, at + CLEAR)
        position = load(heads, at + BYTES)
        if not position + size <= max(known, room) <= position + room:
            first, clear = heap_next(writing, line, stream, room, position, size)
            if first != position:
                # Leaves the bytes of somebody who is not finished to him.
                compare_and_swap(heads, at + BYTES, position, first)
                skipped += 1
                continue
            compare_and_swap(heads, at + CLEAR, known, clear)
        store(writing, line * LINE + BYTES_OF, 0)
        store(writing, line * LINE + STREAM_OF, stream)
        store(writing, line * LINE + POSITION_OF, position)
        store(writing, line * LINE + BYTES_OF, size)
        fault_point(ANNOUNCED)
        if compare_and_swap(heads, at + BYTES, position, position + size):
            # The claim must be seen before any of its bytes.
            fence()
            fault_point(SPACED)
            return position
    return NO_ROOM


@kernel
def heap_stands(heap: np.ndarray, slot: int) -> bool:
    """
    Say whether the bytes that a slot's record points at were still its own.

    Parameters
    ----------
    heap : (words,) int64
    slot : int

    Returns
    -------
    bool

    Notes
    -----
    Units: bytes.
    Cost: two loads.
    Errors: none.
    Sharing: any number of readers. Asked after the copy and a fence, and before the slot's word is
    looked at again.
    Source: own.
    """
    heads = lines_at(heap[HEADS_AT], slot // heap[ROWS_OF] + 1, LINE)
    # An acquire load, as the word's after it: the entry of the slot's next row would stand.
    position = load(integers_at(heap[LINES + ENTRY_AT] + slot * heap[LINES + ENTRY_STRIDE], 1), 0)
    if position < 0:
        return False
    behind = load(heads, slot // heap[ROWS_OF] * LINE + BYTES) - position
    return 0 <= behind <= heap[ROOM]


@kernel
def heap_of(line: int) -> np.ndarray:
    """Find the words of the heap, given the address of a field's line of them."""
    owner = load_int64(line + OWNER * 8)
    return integers_at(owner, LINES + LINE_WORDS * load_int64(owner + COUNT * 8))
