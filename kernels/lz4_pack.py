"""
Rows made smaller: blocks of the LZ4 format, see `lz4`.

Packing looks for few and long matches: each sequence costs whoever restores it a badly predicted
branch or two, more than the bytes it saves.
"""

from kernels.addresses import (
    load_int64,
    load_uint8,
    load_uint16,
    same_64,
    store_int16,
    store_int64,
    store_uint8,
    trailing_zeros,
)
from kernels.jit import kernel
from kernels.lz4 import REACH, copy_exactly

_IMAGES = 16
_PLACE_BITS = 12
_LEARNED_BITS = 14
# A table: the run of equal bytes known of each image, the last place in the row of each hash.
_PLACES = 16 * _IMAGES
#: Words of memory that packing a row needs.
TABLE_WORDS = (_PLACES + (2 << _PLACE_BITS)) // 8
# What is learned: the dictionary's address and size, the last place there of each hash.
_LEARNED = 16
#: Words of what is to be known of a dictionary.
LEARNED_WORDS = (_LEARNED + (2 << _LEARNED_BITS)) // 8

# The format's rules for a row's end: how far from it the last match begins and ends at least.
_LAST_START = 12
_LAST_BYTES = 5


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
    copy_exactly(to, source, size)
    return to + size


@kernel
def lz4_learn(dictionary: int, size: int, learned: int) -> None:
    """
    Write down what packing has to know of a dictionary.

    A dictionary of whole rows, all of one size as the rows to be packed are, serves best: each of
    them is compared with a row place by place. The last is the cheapest to restore from, and so
    the place for the one most like the rest.

    Parameters
    ----------
    dictionary : int
        Address; its bytes must stay, unchanged, as long as rows are packed with it.
    size : int
        Bytes, 0 to REACH.
    learned : int
        Address of LEARNED_WORDS words, *written*.

    Notes
    -----
    Units: bytes.
    Cost: O(size).
    Errors: none; the addresses are trusted.
    Sharing: any number of threads may pack by it. One that does while it is written packs wrong
    blocks, and does no other harm.
    Source: own.
    """
    store_int64(learned, dictionary)
    store_int64(learned + 8, size)
    for line in range(0, 2 << _LEARNED_BITS, 8):
        store_int64(learned + _LEARNED + line, 0)
    for place in range(size - 7):
        line = _line(load_int64(dictionary + place), _LEARNED_BITS)
        store_int16(learned + _LEARNED + line, place)


@kernel
def lz4_pack(source: int, size: int, to: int, most: int, table: int, learned: int) -> int:
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
        Address of TABLE_WORDS words, *written*; what they hold before does not matter.
    learned : int
        Address of what lz4_learn wrote; 0 for no dictionary.

    Returns
    -------
    int
        Bytes of the block, or 0 where it would take more; then the room holds anything.

    Notes
    -----
    Units: bytes.
    Cost: O(size), times the rows in the dictionary where they are of this size.
    Errors: 0; the addresses are trusted, not the bytes there, which may change meanwhile.
    Sharing: a table belongs to one thread.
    Source: Collet, LZ4, whose table of the last place of each hash this is; own choice of matches.
    """
    dictionary = 0
    before = 0
    if learned != 0:
        dictionary = load_int64(learned)
        before = load_int64(learned + 8)
    dictionary_end = dictionary + before
    places = table + _PLACES
    bits = _PLACE_BITS
    while bits > 6 and size < 1 << (bits - 1):
        bits -= 1
    # Short rows are text, where short matches are all there is.
    least = 8 if size >= 4096 else 5
    images = 0
    if size >= 256 and before % size == 0:
        images = min(before // size, _IMAGES)
    for image in range(images):
        store_int64(table + 16 * image, 0)
        store_int64(table + 16 * image + 8, 0)
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
            known = table + 16 * image
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
                place = load_uint16(learned + _LEARNED + _line(word, _LEARNED_BITS))
                reach = before - place + at
                known = dictionary + place
                # Another thread may be learning: a place of another dictionary is none of this.
                if (
                    place + 8 <= before
                    and reach <= REACH
                    and not (load_int64(known) ^ word) & 0xFFFFFFFF
                ):
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
