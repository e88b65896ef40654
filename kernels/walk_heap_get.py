"""The walk of bytes out of the heap: from slots to rows, each unpacked where it is wanted."""

import numpy as np

from kernels.addresses import copy, copy_any, integers_at, load_int64, prefetch
from kernels.dictionary import CONTENT, WORDS, dictionary_size
from kernels.heap import (
    BYTES_AT,
    CODEC,
    DICTIONARY_AT,
    ENTRY_AT,
    ENTRY_STRIDE,
    LARGEST,
    LENGTHS_AT,
    LINE_WORDS,
    LZ4,
    OPEN_END,
    RAW,
    REQUEST_COUNT,
    REQUEST_EACH,
    REQUEST_KIN,
    REQUEST_KIN_TO,
    REQUEST_LANES,
    REQUEST_LINE,
    REQUEST_STACK,
    REQUEST_TO,
    ROOM,
    ROWS_OF,
    STRIDE,
    UNIT,
    entry_codec,
    entry_size,
    entry_stored,
    heap_of,
)
from kernels.jit import kernel
from kernels.lanes import bytes_clear
from kernels.lz4 import lz4_unpack

#: Rows whose bytes are asked for before they are needed, and bytes of each: the processor's own
#: prefetcher follows once it runs.
AHEAD = 8
AHEAD_BYTES = 384


@kernel
def bytes_at(heap: np.ndarray, slot: int, position: int) -> int:
    """Say where a position lies in the ring of a slot's stream; any position will do."""
    return heap[BYTES_AT] + slot // heap[ROWS_OF] * heap[STRIDE] + position % heap[ROOM]


@kernel
def lane_prefetch(heap: np.ndarray, line: np.ndarray, slot: int) -> None:
    """Ask for the bytes of a slot's row."""
    if slot < 0:
        return
    entry = line[ENTRY_AT] + slot * line[ENTRY_STRIDE]
    start = bytes_at(heap, slot, load_int64(entry))
    end = start + min(entry_stored(load_int64(entry + 8)), AHEAD_BYTES)
    while start < end:
        prefetch(start)
        start += 64


@kernel
def lane_unpack(heap: np.ndarray, line: np.ndarray, slot: int, to: int) -> bool:
    """
    Unpack one row.

    Parameters
    ----------
    heap : (words,) int64
    line : (16,) int64
        The field's.
    slot : int
    to : int
        Address of LARGEST bytes, *written*.

    Returns
    -------
    bool
        False: its bytes are not those of a row, or not any more.

    Notes
    -----
    Units: bytes.
    Cost: O(bytes).
    Errors: as returned. Whatever the entry holds, nothing is read outside of the ring and its
    margin, and nothing is written behind LARGEST.
    Sharing: any number of readers beside writers; the caller looks at the words after.
    Source: own.
    """
    entry = line[ENTRY_AT] + slot * line[ENTRY_STRIDE]
    position = load_int64(entry)
    word = load_int64(entry + 8)
    size = entry_size(word)
    stored = entry_stored(word)
    largest = line[LARGEST]
    unit = line[UNIT]
    if position < 0 or size > largest or stored > size:
        return False
    if unit == 0:
        if size != largest:
            return False
    else:
        count = load_int64(line[LENGTHS_AT] + slot * line[ENTRY_STRIDE])
        # The product of one that no row has may be the same.
        if not 0 <= count <= size or count * unit != size:
            return False
    source = bytes_at(heap, slot, position)
    codec = entry_codec(word)
    if codec == RAW:
        if stored != size:
            return False
        copy(to, source, size)
    elif line[CODEC] != LZ4:
        return False
    else:
        begin = 0
        before = 0
        if codec != LZ4:
            if line[DICTIONARY_AT] == 0:
                return False
            begin = line[DICTIONARY_AT] + CONTENT * 8
            before = dictionary_size(integers_at(line[DICTIONARY_AT], WORDS), codec - LZ4)
        if before < 0 or not lz4_unpack(source, stored, to, size, begin, before):
            return False
    if size < largest and line[OPEN_END] == 0:
        bytes_clear(to + size, largest - size)
    return True


@kernel
def lanes_unpack(request_address: int) -> int:
    """
    Unpack one field of several slots.

    Parameters
    ----------
    request_address : int
        Of (8,) int64, see `heap`; the rows it points at are *written*.

    Returns
    -------
    int
        A bit a drawn row, set where the bytes of one of its lanes were not those of a row.

    Notes
    -----
    Units: bytes.
    Cost: a row is unpacked once where it stands in several places of a drawn row, and copied from
    there.
    Errors: as returned.
    Sharing: as lane_unpack.
    Source: own.
    """
    request = integers_at(request_address, 8)
    line = integers_at(request[REQUEST_LINE], LINE_WORDS)
    heap = heap_of(request[REQUEST_LINE])
    count = request[REQUEST_COUNT]
    each = request[REQUEST_EACH]
    stack = request[REQUEST_STACK]
    lanes = integers_at(request[REQUEST_LANES], count)
    largest = line[LARGEST]
    damaged = 0
    for lane in range(min(AHEAD, count)):
        lane_prefetch(heap, line, lanes[lane])
    row = 0
    within = 0
    for lane in range(count):
        if lane + AHEAD < count:
            lane_prefetch(heap, line, lanes[lane + AHEAD])
        slot = lanes[lane]
        to = request[REQUEST_TO] + lane * largest
        source = 0
        if slot < 0:
            if line[OPEN_END] == 0:
                bytes_clear(to, largest)
        else:
            # The one before, where an episode's first observation fills a stack; that of the
            # stack a step earlier; those of the observations of this row that are there already.
            if within > 0 and lanes[lane - 1] == slot:
                source = to - largest
            elif stack > 1 and within >= stack and lanes[lane - stack + 1] == slot:
                source = to - (stack - 1) * largest
            elif request[REQUEST_KIN] != 0:
                kin = integers_at(request[REQUEST_KIN] + row * each * 8, each)
                for other in range(each):
                    if kin[other] == slot:
                        source = request[REQUEST_KIN_TO] + (row * each + other) * largest
                        break
            if source != 0:
                copy_any(to, source, largest)
            elif not lane_unpack(heap, line, slot, to):
                damaged |= 1 << row
        within += 1
        if within == each:
            within = 0
            row += 1
    return damaged
