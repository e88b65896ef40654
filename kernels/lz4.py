"""
The LZ4 block format, restored at plain addresses; `lz4_pack` packs.

A block is a run of sequences: a token, literal bytes, and a match, which is a length and a
distance back. What a match refers to may lie in a dictionary, memory that counts as lying right
before the row. Restoring trusts nothing that it reads: each length and distance is checked against
the row, so that a damaged block, or one that another process overwrites meanwhile, gives a wrong
row or a refusal, and no access outside.
"""

import numpy as np

from kernels.addresses import (
    copy_16,
    copy_32,
    fill_32,
    load_int32,
    load_int64,
    load_uint8,
    load_uint16,
    once,
    store_int32,
    store_int64,
    store_uint8,
    trailing_zeros,
)
from kernels.jit import kernel

#: Bytes behind a block that must be readable; what they hold does not matter.
MARGIN = 32
#: How far back a match reaches: no byte of a longer dictionary's beginning is of use.
REACH = 65535

# Of a pattern of 1 to 7 bytes: what repeats it in a word, and the bytes of whole patterns there.
_SPREADS = np.array(
    [0] + [sum(1 << 8 * place for place in range(0, 9 - size, size)) for size in range(1, 8)]
)
_STEPS = np.array([0] + [8 // size * size for size in range(1, 8)])


@kernel
def _copy_bytes(to: int, source: int, size: int) -> None:
    """Copy byte by byte, so that what was just written is read again where the two overlap."""
    for place in range(size):
        store_uint8(to + place, once(load_uint8(source + place)))


@kernel
def copy_exactly(to: int, source: int, size: int) -> None:
    """Copy bytes, and none more, from elsewhere or from 16 or more before."""
    if size >= 16:
        done = 0
        while done < size - 16:
            copy_16(to + done, source + done)
            done = once(done + 16)
        copy_16(to + size - 16, source + size - 16)
    elif size >= 8:
        last = load_int64(source + size - 8)
        store_int64(to, load_int64(source))
        store_int64(to + size - 8, last)
    elif size >= 4:
        last = load_int32(source + size - 4)
        store_int32(to, load_int32(source))
        store_int32(to + size - 4, last)
    else:
        _copy_bytes(to, source, size)


@kernel
def _copy_across(to: int, source: int, size: int, inside: int, offset: int) -> None:
    """Copy a match that begins `inside` bytes before the dictionary's end, and no byte more."""
    first = min(inside, size)
    copy_exactly(to, source, first)
    _copy_bytes(to + first, to + first - offset, size - first)


@kernel
def _repeat(to: int, offset: int, size: int) -> None:
    """Repeat the last `offset` bytes; up to 64 bytes more are written."""
    source = to - offset
    if offset >= 32:
        # From further back once there is more to copy: to read what was written a moment ago
        # means to wait for it.
        while offset < size and offset < 1024:
            done = 0
            while done < offset:
                copy_32(to + done, source + done)
                done = once(done + 32)
            to += offset
            size -= offset
            offset += offset
        source = to - offset
        done = 0
        while done < size:
            copy_32(to + done, source + done)
            done = once(done + 32)
        return
    if offset >= 8:
        store_int64(to, load_int64(source))
        store_int64(to + 8, load_int64(source + 8))
        store_int64(to + 16, load_int64(source + 16))
        store_int64(to + 24, load_int64(source + 24))
    else:
        # No byte is read that was not to be copied: the latest could not be had at once.
        if offset == 1:
            word = load_uint8(source) * 0x0101010101010101
        elif offset == 2:
            word = load_uint16(source) * 0x0001000100010001
        else:
            word = (load_int64(source) & ((1 << 8 * offset) - 1)) * int(_SPREADS[offset])
        step = int(_STEPS[offset])
        store_int64(to, word)
        store_int64(to + step, word)
        store_int64(to + 2 * step, word)
        store_int64(to + 3 * step, word)
        store_int64(to + 4 * step, word)
        store_int64(to + 5 * step, word)
    if size > 32:
        step = 32 // offset * offset
        fill_32(to + step, to, size - step, step)


@kernel
def _length(address: int, end: int) -> tuple[int, int]:
    """Read the rest of a length: its value, and the address behind it, beyond `end` if unsound."""
    value = 0
    word = once(load_int64(address))
    while word == -1:
        address += 8
        value += 8 * 255
        if address > end:
            return value, address
        word = once(load_int64(address))
    full = trailing_zeros(~word) >> 3
    value += 255 * full + ((word >> (8 * full)) & 255)
    return value, address + full + 1


@kernel
def lz4_unpack(
    source: int, size: int, to: int, wanted: int, dictionary: int, dictionary_size: int
) -> int:
    """
    Restore a row from its block.

    Parameters
    ----------
    source : int
        Address of the block; MARGIN bytes behind it are readable.
    size : int
        Bytes of the block, 0 or more.
    to : int
        Address, *written*: the row's bytes and no other.
    wanted : int
        Bytes of the row, 0 or more.
    dictionary : int
        Address of the dictionary that the row was packed with; nothing of it lies in the row.
    dictionary_size : int
        Its bytes, 0 for none.

    Returns
    -------
    int
        1, or 0 where the block is unsound or is not of so many bytes: the row then holds anything.

    Notes
    -----
    Units: bytes.
    Cost: O(wanted), and a badly predicted branch or two a sequence.
    Errors: 0; whatever the block holds, nothing outside is written, or read but the margin.
    Sharing: the block may change meanwhile: what is decided upon is read once.
    Source: Collet, LZ4 block format description, revision of 2022-07-31.
    """
    end = source + size
    stop = to + wanted
    at = source
    put = to
    gap = dictionary + dictionary_size - to
    # Far from the row's end whole blocks are copied, up to 64 bytes more than a length says. The
    # literals of a short sequence and its match are at most 25 bytes, so that one that begins in
    # the block may be read from the margin; it ends beyond the block then, and is refused.
    while at < end and stop - put >= 128:
        begin = at
        room = stop - put - 64
        token = once(load_uint8(at))
        at += 1
        literals = token >> 4
        if literals < 15:
            copy_16(put, at)
        else:
            more, at = _length(at, end)
            literals += more
            if literals > end - at or literals > room:
                at = begin
                break
            copy_32(put, at)
            done = 32
            while done < literals:
                copy_32(put + done, at + done)
                done = once(done + 32)
        at += literals
        put += literals
        room -= literals
        offset = once(load_uint16(at))
        at += 2
        origin = put - offset
        inside = offset - (put - to)
        length = token & 15
        if length < 15 and inside <= 0 and offset >= 8:
            store_int64(put, load_int64(origin))
            store_int64(put + 8, load_int64(origin + 8))
            store_int64(put + 16, load_int64(origin + 16))
            put += length + 4
            continue
        if length == 15:
            more, at = _length(at, end)
            length += more
        length += 4
        if length > room:
            put -= literals
            at = begin
            break
        if inside > 0:
            if inside > dictionary_size:
                return 0
            origin += gap
            if inside < length + 64:
                _copy_across(put, origin, length, inside, offset)
                put += length
                continue
        elif offset < 32 or (length > 256 and offset < 256):
            if offset == 0:
                return 0
            _repeat(put, offset, length)
            put += length
            continue
        copy_32(put, origin)
        if length > 32:
            copy_32(put + 32, origin + 32)
            done = 64
            while done < length:
                copy_32(put + done, origin + done)
                copy_32(put + done + 32, origin + done + 32)
                done = once(done + 64)
        put += length
    # Near the end no byte more is written than a length says.
    while at < end:
        token = once(load_uint8(at))
        at += 1
        length = token >> 4
        if length == 15:
            more, at = _length(at, end)
            length += more
        if length > end - at or length > stop - put:
            return 0
        copy_exactly(put, at, length)
        at += length
        put += length
        if end - at < 2:
            return int(at == end and put == stop)
        offset = once(load_uint16(at))
        at += 2
        length = token & 15
        if length == 15:
            more, at = _length(at, end)
            length += more
        length += 4
        inside = offset - (put - to)
        if length > stop - put or offset == 0 or inside > dictionary_size:
            return 0
        if inside > 0:
            _copy_across(put, put - offset + gap, length, inside, offset)
        else:
            if length > 128:
                whole = length - 64
                _repeat(put, offset, whole)
                put += whole
                length = 64
            if offset >= 16:
                copy_exactly(put, put - offset, length)
            else:
                _copy_bytes(put, put - offset, length)
        put += length
    return 0
