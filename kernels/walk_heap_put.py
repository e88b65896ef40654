"""The walk of bytes into the heap: pack, claim, copy, enter, and let the oldest rows go."""

import numpy as np

from kernels.addresses import (
    address_of,
    copy,
    integers_at,
    lines_at,
    load_int64,
    stack_integers,
    store_int64,
)
from kernels.atomics import compare_and_swap, fence, fetch_max, load, store
from kernels.dictionary import CONTENT, WORDS, dictionary_add, dictionary_size
from kernels.dictionary import ROWS as ROWS_KNOWN
from kernels.faults import COPYING, fault_point
from kernels.handle import (
    FIELDS,
    ROWS,
    WRITER,
    handle_at,
    handle_heads,
    handle_heap,
    handle_member,
    handle_records,
)
from kernels.heap import (
    BYTES_AT,
    CODEC,
    COUNT,
    DICTIONARY_AT,
    ENTRY_AT,
    ENTRY_STRIDE,
    FIELD,
    FITS,
    LARGEST,
    LEARNED,
    LEARNED_AT,
    LINE_WORDS,
    LINES,
    LZ4,
    RAW,
    ROOM,
    SCRATCH,
    STRIDE,
    UNIT,
    WRITING,
    WRITING_AT,
    entry_pack,
    entry_size,
    entry_stored,
    heap_claim,
    heap_stands,
    writing_enter,
    writing_leave,
)
from kernels.jit import kernel
from kernels.lz4_pack import TABLE_WORDS, lz4_learn, lz4_pack
from kernels.members import CLEARING, member_enter, member_leave
from kernels.ring import FLOOR, HEAD, LINE, SHIFT, ring_ticket
from kernels.walk_evict import row_evict, rows_evict

#: Tickets that others claimed meanwhile, after which a writer takes a new one.
LATE = 64
TOO_LATE = 2


@kernel
def dictionary_known(line: np.ndarray) -> int:
    """
    Say how many rows of a field's dictionary this process has learned, and learn new ones.

    Parameters
    ----------
    line : (16,) int64, written
        The field's, in this process.

    Returns
    -------
    int
        LEARNED: twice the number of rows; 0 where a thread is learning, or there are none.

    Notes
    -----
    Units: rows.
    Cost: two loads; lz4_learn for each row that the dictionary has got.
    Errors: none.
    Sharing: the threads of one process, none of which waits.
    Source: a sequence word as in ring_take.
    """
    known = load(line, LEARNED)
    dictionary = integers_at(line[DICTIONARY_AT], WORDS)
    rows = load(dictionary, ROWS_KNOWN)
    size = dictionary_size(dictionary, rows)
    # After a restore there may be fewer rows, or as many that end elsewhere. Whether their bytes
    # are others does not matter: those are compared.
    if known == 2 * rows and load_int64(line[LEARNED_AT] + 8) == size:
        return known
    if size <= 0 or known & 1 != 0 or not compare_and_swap(line, LEARNED, known, known | 1):
        return 0
    # Whoever packs meanwhile must see the odd word before anything else that changes.
    fence()
    lz4_learn(line[DICTIONARY_AT] + CONTENT * 8, size, line[LEARNED_AT])
    store(line, LEARNED, 2 * rows)
    return 2 * rows


@kernel
def piece_pack(line: np.ndarray, source: int, size: int, free: int, scratch: int) -> int:
    """
    Pack a row of a field.

    Parameters
    ----------
    line : (16,) int64
        The field's.
    source : int
        Address of the row.
    size : int
    free : int
        Address of as many bytes, *written*.
    scratch : int
        Address of TABLE_WORDS words, *written*.

    Returns
    -------
    int
        The second word of its entry; 0 where the row does not become smaller.

    Notes
    -----
    Units: bytes.
    Cost: as lz4_pack; twice where another thread begins to learn a new dictionary meanwhile.
    Errors: as returned.
    Sharing: any number of threads, each with a scratch of its own.
    Source: own.
    """
    if size < 2:
        return 0
    if line[DICTIONARY_AT] != 0:
        known = dictionary_known(line)
        if known > 0:
            stored = lz4_pack(source, size, free, size - 1, scratch, line[LEARNED_AT])
            fence()
            if load(line, LEARNED) == known:
                return entry_pack(LZ4 + (known >> 1), size, stored) if stored != 0 else 0
    stored = lz4_pack(source, size, free, size - 1, scratch, 0)
    return entry_pack(LZ4, size, stored) if stored != 0 else 0


@kernel
def row_pack(
    heap: np.ndarray, sources: np.ndarray, row: int, pieces: np.ndarray, scratch: int
) -> int:
    """
    Say of which pieces the bytes of a row are made, and pack those that are to be packed.

    Parameters
    ----------
    heap : (words,) int64
    sources : (fields,) int64
        Addresses of each field's rows.
    row : int
        Which of them.
    pieces : (64,) int64, written
        Of each field an address and the second word of its entry.
    scratch : int
        Address of TABLE_WORDS words, and behind them of SCRATCH bytes, *written*; not used where
        no field is packed.

    Returns
    -------
    int
        Bytes of all pieces; -1 where a row is larger than its field's largest.

    Notes
    -----
    Units: bytes.
    Cost: as piece_pack a field.
    Errors: as returned.
    Sharing: the scratch and the pieces are the caller's.
    Source: own. A row that does not become smaller is stored as it is.
    """
    total = 0
    free = scratch + TABLE_WORDS * 8
    for place in range(heap[COUNT]):
        line = integers_at(address_of(heap) + (LINES + place * LINE_WORDS) * 8, LINE_WORDS)
        largest = line[LARGEST]
        source = sources[line[FIELD]] + row * largest
        size = largest
        if line[UNIT] != 0:
            # The next field: how many elements each row has.
            count = load_int64(sources[line[FIELD] + 1] + row * 8)
            if not 0 <= count <= largest // line[UNIT]:
                return -1
            size = count * line[UNIT]
        word = 0
        if line[CODEC] == LZ4:
            word = piece_pack(line, source, size, free, scratch)
        if word != 0:
            source = free
            free += entry_stored(word)
        else:
            word = entry_pack(RAW, size, size)
        pieces[2 * place] = source
        pieces[2 * place + 1] = word
        total += entry_stored(word)
    return total


@kernel
def row_learn(
    heap: np.ndarray, sources: np.ndarray, row: int, pieces: np.ndarray, writer: int, ticket: int
) -> None:
    """
    Add a row to the dictionaries of its fields, where it is time for one.

    Parameters
    ----------
    heap : (words,) int64
        The dictionaries it points at are *written*.
    sources : (fields,) int64
        Addresses of each field's rows.
    row : int
        Which of them.
    pieces : (64,) int64
        As row_pack made them.
    writer : int
        Number of the process among the members.
    ticket : int
        The row's.

    Notes
    -----
    Units: none.
    Cost: as dictionary_add a field.
    Errors: none.
    Sharing: any number of writers.
    Source: own.
    """
    for place in range(heap[COUNT]):
        line = integers_at(address_of(heap) + (LINES + place * LINE_WORDS) * 8, LINE_WORDS)
        if line[DICTIONARY_AT] != 0:
            size = entry_size(pieces[2 * place + 1])
            source = sources[line[FIELD]] + row * line[LARGEST]
            dictionary = integers_at(line[DICTIONARY_AT], WORDS)
            dictionary_add(dictionary, writer, line[FITS], ticket, source, size)


@kernel
def row_settle(handle: np.ndarray, stream: int, slot: int, ticket: int) -> None:
    """
    Empty the slot of a row that was committed after it had lost its bytes.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    stream : int
    slot : int
    ticket : int

    Notes
    -----
    Units: rows.
    Cost: one atomic maximum and two loads.
    Errors: none.
    Sharing: the row's writer, after its commit: whoever has passed the row over before has raised
    the floor above it, and whoever raises it after this looks at the row again.
    Source: own.
    """
    # Not a load, which a processor may do before others see the commit.
    floor = fetch_max(handle_heads(handle), stream * LINE + FLOOR, 0)
    if ticket < floor or not heap_stands(handle_heap(handle), slot):
        member_enter(handle_member(handle), CLEARING)
        row_evict(handle, stream, slot, (ticket + 1) << SHIFT)
        member_leave(handle_member(handle), CLEARING)


@kernel
def heap_put(handle_address: int, sources_address: int, row: int, slot: int) -> int:
    """
    Store a row's fields of the heap, or look after a row that was committed.

    Parameters
    ----------
    handle_address : int
        Of (words,) int64. The block it points at is *written*.
    sources_address : int
        Of (fields,) int64, addresses of each field's rows; 0: the slot's row was committed, and
        goes again if it has lost its bytes meanwhile.
    row : int
        Which of them; of a committed one its ticket.
    slot : int
        Taken by ring_take.

    Returns
    -------
    int
        1, or 0 where it cannot be stored: give the slot back.

    Notes
    -----
    Units: bytes.
    Cost: row_pack, heap_claim and a copy; a row that goes for each one that comes, once the bytes
    are used up.
    Errors: as returned.
    Sharing: any number of writers; with a view the one writer of the stream.
    Source: own.
    """
    handle = handle_at(handle_address)
    heads = handle_heads(handle)
    stream = slot // handle[ROWS]
    if sources_address == 0:
        row_settle(handle, stream, slot, row)
        return 1
    heap = handle_heap(handle)
    records = handle_records(handle)
    room = heap[ROOM]
    pieces = stack_integers()
    # Freed at the return; nothing where no field is packed.
    scratch = np.empty(TABLE_WORDS + heap[SCRATCH] // 8 + 1 if heap[SCRATCH] != 0 else 0, np.int64)
    sources = integers_at(sources_address, handle[FIELDS])
    total = row_pack(heap, sources, row, pieces, address_of(scratch))
    if total < 0:
        return 0
    writing = lines_at(heap[WRITING_AT], WRITING, LINE)
    line = writing_enter(writing, handle[WRITER])
    if line < 0:
        return 0
    ticket = ring_ticket(load(records, slot * records.shape[1]))
    if load(heads, stream * LINE + HEAD) - ticket > LATE:
        # The bytes would be younger than those of newer rows, which could go only after them.
        writing_leave(writing, line)
        return TOO_LATE
    position = heap_claim(heads, writing, line, stream, room, total)
    if position >= 0:
        begin = heap[BYTES_AT] + stream * heap[STRIDE]
        done = position
        for place in range(heap[COUNT]):
            field = LINES + place * LINE_WORDS
            word = pieces[2 * place + 1]
            stored = entry_stored(word)
            # Where a reader looks for it, who knows of no field but its own.
            copy(begin + done % room, pieces[2 * place], stored)
            fault_point(COPYING)
            entry = heap[field + ENTRY_AT] + slot * heap[field + ENTRY_STRIDE]
            store_int64(entry, done)
            store_int64(entry + 8, word)
            done += stored
    writing_leave(writing, line)
    if position < 0:
        # Bytes of others were passed over meanwhile, and rows lost theirs.
        rows_evict(handle, stream, ticket)
        return 0
    row_learn(heap, sources, row, pieces, handle[WRITER], ticket)
    if position + total > room:
        rows_evict(handle, stream, ticket)
    return 1
