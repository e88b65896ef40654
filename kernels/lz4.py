"""
Rows made smaller: the LZ4 block format, packed and restored at plain addresses.

A block is a run of sequences: a token, literal bytes, and a match, which is a length and a
distance back. What a match refers to may lie in a dictionary, memory that counts as lying right
before the row. Restoring trusts nothing that it reads: each length and distance is checked against
the row, so that a damaged block, or one that another process overwrites meanwhile, gives a wrong
row or a refusal, and no access outside.

Packing looks for few and long matches: each sequence costs whoever restores it a badly predicted
branch or two, more than the bytes it saves.

Under NUMBA_DISABLE_JIT=1 twins over ctypes serve.
"""

import numpy as np

from kernels.addresses import (
    copy_16,
    copy_32,
    load_int32,
    load_int64,
    load_uint8,
    store_int16,
    store_int32,
    store_int64,
    store_uint8,
)
from kernels.jit import INTERPRETED, kernel

#: Bytes behind a block that must be readable; what they hold does not matter.
MARGIN = 32
#: How far back a match reaches: no byte of a longer dictionary's beginning is of use.
REACH = 65535

# A table: the dictionary's address and size; the run of equal bytes known of each of its images;
# the last place in the row of each hash; the last place in the dictionary of each hash.
_IMAGES = 16
_PLACE_BITS = 12
_LEARNED_BITS = 14
_RUNS = 16
_PLACES = _RUNS + 16 * _IMAGES
_LEARNED = _PLACES + (2 << _PLACE_BITS)
#: Words of memory that packing needs.
TABLE_WORDS = (_LEARNED + (2 << _LEARNED_BITS)) // 8

# The format's rules for a row's end: how far from it the last match begins and ends at least.
_LAST_START = 12
_LAST_BYTES = 5

# Of a pattern of 1 to 7 bytes: what repeats it in a word, and the bytes of whole patterns there.
_SPREADS = np.array(
    [0] + [sum(1 << 8 * place for place in range(0, 9 - size, size)) for size in range(1, 8)]
)
_STEPS = np.array([0] + [8 // size * size for size in range(1, 8)])

if INTERPRETED:
    import ctypes

    def load_uint16(address: int) -> int:
        return ctypes.c_uint16.from_address(int(address)).value

    def trailing_zeros(word: int) -> int:
        return (int(word) & -int(word)).bit_length() - 1

    def once(value: int) -> int:
        return value

    def same_64(first: int, second: int) -> int:
        one, two = ctypes.string_at(int(first), 64), ctypes.string_at(int(second), 64)
        bits = sum(1 << place for place in range(64) if one[place] == two[place])
        return bits - (bits >> 63 << 64)

    def fill_32(to: int, source: int, size: int, step: int) -> None:
        block = ctypes.string_at(int(source), 32)
        for done in range(0, int(size), int(step)):
            ctypes.memmove(int(to) + done, block, 32)

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    _WORD = ir.IntType(64)

    @intrinsic
    def load_uint16(typingctx, address):  # type: ignore[no-untyped-def]
        """Read two bytes without a sign."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = builder.inttoptr(args[0], ir.IntType(16).as_pointer())
            return builder.zext(builder.load(pointer, align=1), _WORD)

        return types.int64(types.int64), codegen

    @intrinsic
    def trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
        """Count the zeros below a word's lowest one; of zero it gives anything."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.cttz(args[0], ir.IntType(1)(1))

        return types.int64(types.int64), codegen

    @intrinsic
    def once(typingctx, value):  # type: ignore[no-untyped-def]
        """
        Give a value of which the compiler does not know where it comes from.

        It cannot read it from memory a second time then, when another process may have changed it;
        nor can it foresee how often a loop runs, and unroll what seldom runs twice.
        """

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            kind = ir.FunctionType(_WORD, [_WORD])
            return builder.asm(kind, "", "=r,0", [args[0]], False)

        return types.int64(types.int64), codegen

    @intrinsic
    def same_64(typingctx, first, second):  # type: ignore[no-untyped-def]
        """Say which of 64 bytes two places have in common, a bit a byte."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            block = ir.VectorType(ir.IntType(8), 64)
            one, two = (
                builder.load(builder.inttoptr(address, block.as_pointer()), align=1)
                for address in args
            )
            return builder.bitcast(builder.icmp_unsigned("==", one, two), _WORD)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def fill_32(typingctx, to, source, size, step):  # type: ignore[no-untyped-def]
        """Write the 32 bytes at a source at every `step` bytes of `size`."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            to, source, size, step = args
            block = ir.VectorType(_WORD, 4).as_pointer()
            # Read before the loop, which the compiler could not: the two places may overlap.
            value = builder.load(builder.inttoptr(source, block), align=1)
            with cgutils.for_range_slice(builder, _WORD(0), size, step, _WORD) as (done, _):
                builder.store(value, builder.inttoptr(builder.add(to, done), block), align=1)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64, types.int64), codegen


@kernel
def _copy_bytes(to: int, source: int, size: int) -> None:
    """Copy byte by byte, so that what was just written is read again where the two overlap."""
    for place in range(size):
        store_uint8(to + place, once(load_uint8(source + place)))


@kernel
def _copy_exactly(to: int, source: int, size: int) -> None:
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
    _copy_exactly(to, source, first)
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
        _copy_exactly(put, at, length)
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
                _copy_exactly(put, put - offset, length)
            else:
                _copy_bytes(put, put - offset, length)
        put += length
    return 0


@kernel
def _same(first: int, second: int, most: int) -> int:
    """Count the bytes that two places have in common."""
    same = 0
    while same + 8 <= most:
        difference = load_int64(first + same) ^ load_int64(second + same)
        if difference:
            return same + (trailing_zeros(difference) >> 3)
        same += 8
    while same < most and load_uint8(first + same) == load_uint8(second + same):
        same += 1
    return same


@kernel
def _next_run(first: int, second: int, begin: int, limit: int) -> tuple[int, int]:
    """Find the first place from `begin` on where two rows are the same for 8 bytes or more."""
    while begin < limit:
        # The last window ends with the row.
        window = min(begin, limit - 64)
        runs = same_64(first + window, second + window) & (-1 << (begin - window))
        runs &= runs >> 1
        runs &= runs >> 2
        # What begins in the last 7 places is seen whole by the next window.
        runs = runs & (runs >> 4) & ((1 << 57) - 1)
        if runs:
            begin = window + trailing_zeros(runs)
            end = begin + 8
            while end + 64 <= limit:
                same = same_64(first + end, second + end)
                if same != -1:
                    return begin, end + trailing_zeros(~same)
                end += 64
            return begin, end + _same(first + end, second + end, limit - end)
        begin = window + 57
        if window == limit - 64:
            break
    return limit, limit


@kernel
def _line(word: int, bits: int) -> int:
    """Say which two bytes of a table of 2 ** bits places are for a word's first 5 bytes."""
    return ((((word << 24) * 0x1E35A7BD1E35A7BD) >> (64 - bits)) & ((1 << bits) - 1)) * 2


@kernel
def _put_length(to: int, value: int) -> int:
    """Write what a token's 15 leaves of a length, and give the address behind."""
    while value >= 255:
        store_uint8(to, 255)
        to += 1
        value -= 255
    store_uint8(to, value)
    return to + 1


@kernel
def _put_literals(to: int, source: int, size: int, low: int) -> int:
    """Write a token and literals, and give the address behind."""
    store_uint8(to, (min(size, 15) << 4) | low)
    to += 1
    if size >= 15:
        to = _put_length(to, size - 15)
    _copy_exactly(to, source, size)
    return to + size


@kernel
def lz4_learn(dictionary: int, size: int, table: int) -> None:
    """
    Prepare a table for packing rows with a dictionary.

    A dictionary of whole rows, all of one size as the rows to be packed are, serves best: each of
    them is compared with a row place by place. The last is the cheapest to restore from, and so
    the place for the one most like the rest.

    Parameters
    ----------
    dictionary : int
        Address; its bytes must stay, unchanged, as long as the table is used.
    size : int
        Bytes, 0 (for none) to REACH.
    table : int
        Address of TABLE_WORDS words, *written*.

    Notes
    -----
    Units: bytes.
    Cost: O(size).
    Errors: none; the addresses are trusted.
    Sharing: a table belongs to one thread; many may read a dictionary.
    Source: own.
    """
    store_int64(table, dictionary)
    store_int64(table + 8, size)
    for line in range(0, 2 << _LEARNED_BITS, 8):
        store_int64(table + _LEARNED + line, 0)
    for place in range(size - 7):
        line = _line(load_int64(dictionary + place), _LEARNED_BITS)
        store_int16(table + _LEARNED + line, place)


@kernel
def lz4_pack(source: int, size: int, to: int, most: int, table: int) -> int:
    """
    Pack a row into a block.

    Parameters
    ----------
    source : int
        Address of the row.
    size : int
        Its bytes, 0 or more.
    to : int
        Address, *written*.
    most : int
        Bytes that the block may take.
    table : int
        Address of TABLE_WORDS words, *written*: zeros at first, or as lz4_learn left them.

    Returns
    -------
    int
        Bytes of the block, or 0 where it would take more; then the room holds anything.

    Notes
    -----
    Units: bytes.
    Cost: O(size), times the rows in the dictionary where they are of this size.
    Errors: 0; the addresses are trusted, not the bytes there, which may change meanwhile.
    Sharing: a table belongs to one thread; a row is packed the same with any table of the same
        dictionary.
    Source: Collet, LZ4, whose table of the last place of each hash this is; own choice of matches.
    """
    dictionary = load_int64(table)
    before = load_int64(table + 8)
    dictionary_end = dictionary + before
    places = table + _PLACES
    learned = table + _LEARNED
    bits = _PLACE_BITS
    while bits > 6 and size < 1 << (bits - 1):
        bits -= 1
    # Short rows are text, where short matches are all there is.
    least = 8 if size >= 4096 else 5
    images = 0
    if size >= 256 and before % size == 0:
        images = min(before // size, _IMAGES)
    for image in range(images):
        store_int64(table + _RUNS + 16 * image, 0)
        store_int64(table + _RUNS + 16 * image + 8, 0)
    put = to
    stop = to + most
    last = size - _LAST_START
    limit = size - _LAST_BYTES
    anchor = 0
    offset = 0
    cleared = False
    while anchor <= last:
        latest = offset
        begin = last + 1
        length = 0
        # The image that is the same for longest; to begin later costs more than to end sooner.
        score = -size
        for image in range(images):
            known = table + _RUNS + 16 * image
            first = load_int64(known)
            final = load_int64(known + 8)
            if final < anchor + 10:
                other = dictionary_end - (image + 1) * size
                first, final = _next_run(source, other, anchor, limit)
                while final < first + 10 and first < limit:
                    first, final = _next_run(source, other, final, limit)
                store_int64(known, first)
                store_int64(known + 8, final)
            first = max(first, anchor)
            reached = final - 8 * (first - anchor)
            if reached > score and final >= first + 10:
                score = reached
                begin = first
                length = final - first
                offset = (image + 1) * size
        # What lies before that.
        if begin > anchor and not cleared:
            cleared = True
            for line in range(0, 2 << bits, 8):
                store_int64(places + line, 0)
        until = begin
        at = anchor
        misses = 16
        longest = 0
        while at < until:
            word = load_int64(source + at)
            line = places + _line(word, bits)
            back = (at - load_uint16(line)) & 0xFFFF
            store_int16(line, at)
            found = 0
            if 0 < back <= at and not (load_int64(source + at - back) ^ word) & 0xFFFFFFFF:
                found = _same(source + at, source + at - back, limit - at)
            # As far back as the last match: the row above, in an image.
            if 0 < latest <= at and latest != back and load_int64(source + at - latest) == word:
                same = _same(source + at, source + at - latest, limit - at)
                if same > found:
                    found = same
                    back = latest
            if before >= 8:
                place = load_uint16(learned + _line(word, _LEARNED_BITS))
                reach = before - place + at
                known = dictionary + place
                if reach <= REACH and not (load_int64(known) ^ word) & 0xFFFFFFFF:
                    same = _same(source + at, known, min(limit - at, before - place))
                    if same > found:
                        found = same
                        back = reach
            # A short match so near is slower to restore than the bytes themselves.
            if found > longest + 1 and found >= least and (back >= 8 or found >= 16):
                # Perhaps the next place has a longer one.
                longest = found
                length = found
                begin = at
                offset = back
                at += 1
            elif longest > 0:
                break
            else:
                at += misses >> 4
                misses += 1
        if length == 0:
            break
        # Backwards too.
        if offset <= begin:
            other = source + begin - offset
            room = min(begin - anchor, begin - offset)
        else:
            other = dictionary_end - (offset - begin)
            room = min(begin - anchor, other - dictionary)
        while room > 0 and load_uint8(source + begin - 1) == load_uint8(other - 1):
            begin -= 1
            other -= 1
            room -= 1
            length += 1
        literals = begin - anchor
        if stop - put < 3 + literals + (literals + 240) // 255 + (length + 236) // 255:
            return 0
        low = min(length - 4, 15)
        put = _put_literals(put, source + anchor, literals, low)
        store_int16(put, offset)
        put += 2
        if low == 15:
            put = _put_length(put, length - 19)
        anchor = begin + length
        if cleared and anchor <= last:
            store_int16(places + _line(load_int64(source + anchor - 2), bits), anchor - 2)
    literals = size - anchor
    if stop - put < 1 + literals + (literals + 240) // 255:
        return 0
    return _put_literals(put, source + anchor, literals, 0) - to
