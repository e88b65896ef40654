"""
Rows packed and restored, against the format in plain Python and against the C library.

Whatever a kernel is given ends where a page begins that nobody may touch: one byte read or written
too far ends the process. Bytes before it are compared.
"""

import ctypes
import mmap
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lz4 import MARGIN, REACH, lz4_unpack
from kernels.lz4_pack import LEARNED_WORDS, TABLE_WORDS, lz4_learn, lz4_pack
from tests import naive_lz4
from tests.homes import fewer

#: Sizes at which a length takes a byte more, or a row has its first match.
EDGES = [0, 1, 4, 5, 11, 12, 13, 14, 15, 16, 19, 33, 63, 64, 65, 127, 128, 129, 255, 256, 269, 270]
LARGE = fewer([271, 1000, 4095, 4096, 65535, 65536, 70000, 300_000], [271, 700])
GUARD = 64
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Walled:
    """Memory that ends at a wall: a page that can be neither read nor written."""

    def __init__(self, size):
        page = mmap.PAGESIZE
        self.size = -(-size // page) * page
        self.map = mmap.mmap(-1, self.size + page)
        self.bytes = np.frombuffer(self.map, np.uint8)
        self.end = self.bytes.ctypes.data + self.size
        assert libc.mprotect(self.end, page, 0) == 0
        self.bytes[: self.size] = np.random.default_rng(1).integers(0, 256, self.size, np.uint8)

    def put(self, content, behind=0):
        """Lay bytes so that they end `behind` bytes before the wall, and give their address."""
        first = self.size - behind - len(content)
        self.bytes[first : first + len(content)] = np.frombuffer(content, np.uint8)
        return self.end - behind - len(content)

    def guard(self, size):
        """Give the bytes before the last ones."""
        return self.bytes[self.size - size - GUARD : self.size - size].tobytes()

    def last(self, size):
        """Give the last bytes."""
        return self.bytes[self.size - size : self.size].tobytes()


ROW, BLOCK, BACK, BEFORE = (Walled(400_000) for _ in range(4))
TABLE, LEARNED = Walled(8 * TABLE_WORDS), Walled(8 * LEARNED_WORDS)


def learn(dictionary):
    """Prepare the table for a dictionary, whose address it keeps."""
    lz4_learn(BEFORE.put(dictionary), len(dictionary), LEARNED.end - 8 * LEARNED_WORDS)


def pack(row, most=None):
    """Pack a row by the table as it is, or give None where it takes more than `most` bytes."""
    if most is None:
        most = len(row) + len(row) // 255 + 2
    source, before = ROW.put(row), BLOCK.guard(most)
    table, learned = TABLE.end - 8 * TABLE_WORDS, LEARNED.end - 8 * LEARNED_WORDS
    size = lz4_pack(source, len(row), BLOCK.end - most, most, table, learned)
    assert ROW.last(len(row)) == row
    assert BLOCK.guard(most) == before
    assert 0 <= size <= most
    return BLOCK.last(most)[:size] or None


def restore(block, wanted, dictionary=b""):
    """Restore a row, or give None where its block is refused."""
    source, known = BLOCK.put(block, MARGIN), BEFORE.put(dictionary)
    before = BACK.guard(wanted)
    sound = lz4_unpack(source, len(block), BACK.end - wanted, wanted, known, len(dictionary))
    assert BACK.guard(wanted) == before
    assert BEFORE.last(len(dictionary)) == dictionary
    assert sound in (0, 1)
    return BACK.last(wanted) if sound else None


def check(row, dictionary=b""):
    """Pack and restore a row, also in plain Python, and give the block."""
    learn(dictionary)
    block = pack(row)
    assert restore(block, len(row), dictionary) == row
    assert naive_lz4.ends_as_it_must(block, len(row))
    if len(row) < 5000:
        assert naive_lz4.unpack(block, len(row), dictionary) == row
    return block


def noise(size, seed=0, values=256):
    return np.random.default_rng(seed).integers(0, values, size, np.uint8).tobytes()


def text(size, seed=0):
    words = [noise(2 + at % 7, at, 26) for at in range(40)]
    chosen = np.random.default_rng(seed).integers(0, 40, size // 2 + 1)
    return b" ".join(words[word] for word in chosen)[:size]


def flat(size, seed=0):
    runs = np.random.default_rng(seed).integers(0, 4, size // 30 + 1, np.uint8)
    return np.repeat(runs, 30)[:size].tobytes()


def image(seed, height, width, changes=20):
    """Draw lines that are alike, with spots that are the seed's own."""
    lines = np.random.default_rng(5).integers(0, 3, (height, 1), np.uint8) * np.ones(width)
    generator = np.random.default_rng(seed)
    picture = lines.astype(np.uint8)
    for y, x in zip(
        *(generator.integers(0, n - 3, changes) for n in (height, width)), strict=True
    ):
        picture[y : y + 3, x : x + 3] = generator.integers(0, 256)
    return picture.tobytes()


KINDS = {
    "zeros": lambda size: bytes(size),
    "noise": noise,
    "text": text,
    "flat": flat,
    "two values": lambda size: noise(size, 0, 2),
    "end like the beginning": lambda size: (noise(size // 2 + 1) * 2)[:size],
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_all_sizes_come_back(kind):
    for size in EDGES + LARGE:
        row = KINDS[kind](size)
        assert len(check(row)) <= 1 + size + (size + 240) // 255, size


@pytest.mark.parametrize("period", range(1, 41))
def test_rows_of_any_period_come_back(period):
    for size in (period + 60, fewer(2000, 200)):
        check((noise(period) * size)[:size])


rows = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda part, size: (part * size)[:size],
        st.binary(min_size=1, max_size=40),
        st.integers(0, 400),
    ),
    st.builds(text, st.integers(0, 400), st.integers(0, 99)),
    st.builds(flat, st.integers(0, 400), st.integers(0, 99)),
    st.lists(st.sampled_from([noise(9), noise(30, 1), bytes(50), b"ab" * 20]), max_size=12).map(
        b"".join
    ),
)


@settings(max_examples=fewer(150, 40))
@given(rows, st.one_of(st.just(b""), rows))
def test_any_row_comes_back_with_any_dictionary(row, dictionary):
    check(row, dictionary)
    check(row, dictionary + row)


@pytest.mark.parametrize("size", fewer([4, 300, 5000, 65535], [4, 300]))
def test_a_row_out_of_a_dictionary_is_short(size):
    dictionary = noise(size)
    for first in {0, size // 2, max(size - 300, 0)}:
        row = dictionary[first : first + 300]
        packed = check(row, dictionary)
        assert len(packed) < 30 or len(row) < 30, first


@pytest.mark.compiled
@pytest.mark.parametrize("distance", range(REACH - 2, REACH + 4))
def test_what_is_out_of_reach_is_not_used(distance):
    known, middle = noise(40), bytes(distance - 40)
    zeros = len(check(middle))
    block = check(known + middle + known + noise(20, 2))
    assert (len(block) < zeros + 80) == (distance <= REACH)
    # Out of a dictionary, with what is left of the distance in the row.
    row = middle[REACH - 40 :] + known + noise(20, 2)
    block = check(row, known + middle[: REACH - 40])
    assert (len(block) < 50) == (distance <= REACH)


@pytest.mark.parametrize("images", [1, 3, 16, 20])
def test_an_image_like_one_in_the_dictionary_is_short(images):
    height, width = fewer((40, 50), (20, 20))
    dictionary = b"".join(image(seed, height, width) for seed in range(images))
    # Of more than 16 the last are looked at.
    for number in range(max(images - 16, 0), images, fewer(1, 7)):
        assert len(check(image(number, height, width), dictionary)) < 40, number
    # Half of one and half of another, and what is new at the very end.
    row = image(max(images - 16, 0), height, width)[: height * width // 2]
    row += image(images - 1, height, width)[height * width // 2 :]
    assert len(check(row[:-7] + noise(7), dictionary)) < 60
    check(image(99, height, width), dictionary)


@pytest.mark.parametrize("share", [0.02, 0.06, 0.1, 0.2])
def test_an_image_with_changes_anywhere_comes_back(share):
    size = fewer(2000, 300)
    known = np.frombuffer(noise(2 * size), np.uint8)
    generator = np.random.default_rng(4)
    for _ in range(fewer(30, 8)):
        changed = generator.random(size) < share
        row = np.where(changed, generator.integers(0, 256, size, np.uint8), known[:size])
        check(row.tobytes(), known.tobytes())


def test_what_lies_before_a_row_or_a_dictionary_is_no_part_of_it():
    dictionary = noise(100)
    BEFORE.put(b"z" + dictionary)
    check(b"z" + dictionary + noise(20, 1), dictionary)
    # A match 50 bytes back, then one that as far back begins a byte before the row.
    row = dictionary[50:95] + noise(4, 2) + b"z" + dictionary[50:70] + noise(20, 3)
    ROW.put(b"z" + row)
    check(row, dictionary)


@pytest.mark.parametrize("size", [5, 16, 63, 68, 69, 70, 100, 255, 256, 257])
def test_short_rows_of_one_size_come_back(size):
    first, second = noise(size), noise(size, 1)
    half = size // 2
    for row in (first, second, first[:half] + second[half:], noise(size, 2)):
        check(row, first + second)


def test_blocks_do_not_depend_on_what_was_packed_before():
    every = [text(100 + 7 * seed, seed) for seed in range(fewer(60, 12))]
    every += [image(3, 20, 20), noise(400), flat(300), text(30)]
    for dictionary in (b"", text(500), image(1, 20, 20) * 2):
        fresh = []
        for row in every:
            TABLE.bytes[: TABLE.size] = 0
            learn(dictionary)
            fresh.append(pack(row))
        assert [pack(row) for row in every] == fresh


def test_a_block_that_does_not_fit_is_refused_and_writes_no_further():
    for row in (text(300), noise(60), flat(200), b"", bytes(400)):
        block = check(row)
        for most in range(len(block) + 8):
            packed = pack(row, most)
            assert packed == block if packed else most < len(block), most
        # One byte less than the row: what else is stored as it is.
        assert (pack(row, max(len(row) - 1, 0)) is None) == (len(block) > len(row) - 1)


@st.composite
def streams(draw):
    """Write sound blocks with sequences of any kind, as no packing would."""
    dictionary = draw(st.binary(max_size=60))
    have, sequences = len(dictionary), []
    lengths = st.one_of(st.integers(4, 40), st.sampled_from([18, 19, 33, 64, 65, 273, 274, 300]))
    for _ in range(draw(st.integers(0, 12))):
        literals = draw(
            st.one_of(st.binary(max_size=40), st.just(noise(draw(st.integers(0, 300)))))
        )
        have += len(literals)
        if have:
            near = st.integers(1, min(have, 40))
            offset = draw(st.one_of(near, st.integers(1, have)))
            length = draw(lengths)
            sequences.append((literals, offset, length))
            have += length
    sequences.append((draw(st.binary(max_size=40)), 0, 0))
    return sequences, dictionary


@settings(max_examples=fewer(100, 40))
@given(streams())
def test_any_sound_block_is_restored(stream):
    sequences, dictionary = stream
    block, row = naive_lz4.pack(sequences, dictionary)
    assert naive_lz4.unpack(block, len(row), dictionary) == row
    assert restore(block, len(row), dictionary) == row
    # The row's size is part of what must be right.
    assert restore(block, len(row) + 1, dictionary) is None
    assert not row or restore(block, len(row) - 1, dictionary) is None


@pytest.mark.parametrize("offset", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 84, 255, 256])
def test_matches_of_any_length_at_any_distance_from_the_end(offset):
    first = noise(offset)
    for length in [4, 18, 19, 32, 33, 63, 65, 129, *fewer([258, 1025, 7000], [])]:
        for rest in (0, 5, 61, 62, 63, 64, 65, 127, 140, 200)[:: fewer(1, 3)]:
            block, row = naive_lz4.pack([(first, offset, length), (noise(rest, 1), 0, 0)])
            assert restore(block, len(row)) == row, (length, rest)


def test_matches_from_a_dictionary_into_the_row():
    dictionary = noise(200)
    for inside in (1, 4, 31, 40, 64, 65, 66, 96, 97, 98, 127, 128, 129, 200):
        for length in (4, 18, 33, 64, 65, 100, 300):
            for rest in (5, 200):
                sequences = [(b"ab", inside + 2, length), (noise(rest, 1), 0, 0)]
                block, row = naive_lz4.pack(sequences, dictionary)
                assert restore(block, len(row), dictionary) == row, (inside, length, rest)
                beyond = block[:3] + (203).to_bytes(2, "little") + block[5:]
                assert restore(beyond, len(row), dictionary) is None


@settings(max_examples=fewer(100, 40))
@given(st.binary(max_size=80), st.integers(0, 300), st.binary(max_size=30))
def test_random_bytes_are_refused_or_restored_as_the_format_says(block, wanted, dictionary):
    assert restore(block, wanted, dictionary) == naive_lz4.unpack(block, wanted, dictionary)


@settings(max_examples=fewer(100, 40))
@given(streams(), st.data())
def test_damaged_blocks_are_refused_or_restored_as_the_format_says(stream, data):
    sequences, dictionary = stream
    block, row = naive_lz4.pack(sequences, dictionary)
    damaged = bytearray(block)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.integers(0, len(block)))])
    for size in (len(row), data.draw(st.integers(0, 2 * len(row)))):
        assert restore(damaged, size, dictionary) == naive_lz4.unpack(damaged, size, dictionary)


@pytest.mark.parametrize("dictionary", [b"", image(1, 20, 30)])
def test_a_block_cut_anywhere_is_refused(dictionary):
    row = image(2, 20, 30)
    block = check(row, dictionary)
    for size in range(0, len(block), fewer(1, 5)):
        assert restore(block[:size], len(row), dictionary) is None
    # As if the margin went on with the block.
    for size in range(len(block) - 1, len(block) - MARGIN, -1):
        BLOCK.put(block, MARGIN - (len(block) - size))
        source = BLOCK.end - MARGIN - size
        target = BACK.end - len(row)
        known = BEFORE.put(dictionary)
        assert not lz4_unpack(source, size, target, len(row), known, len(dictionary))


def test_a_match_with_itself_is_refused():
    for rest in (5, 300):
        block, row = naive_lz4.pack([(b"abc", 1, 20), (noise(rest), 0, 0)])
        assert restore(block, len(row)) == row
        assert restore(block[:4] + bytes(2) + block[6:], len(row)) is None


def test_lengths_without_an_end_are_refused():
    for count in (1, 8, 9, 100):
        for token in (b"\xf0", b"\x0f", b"\xff"):
            for wanted in (0, 100, 5000):
                for block in (token + b"\xff" * count, token + b"a\x01\x00" + b"\xff" * count):
                    assert restore(block, wanted) is None
                    # As if the margin went on with it.
                    source = BLOCK.put(block + b"\xff" * MARGIN)
                    target, known = BACK.end - wanted, BEFORE.end
                    assert not lz4_unpack(source, len(block), target, wanted, known, 0)


@pytest.mark.compiled
def test_a_block_that_changes_while_it_is_restored_does_no_harm():
    row, dictionary = image(2, 84, 84, 60), image(1, 84, 84, 60)
    block = check(row, dictionary)
    source = BLOCK.put(block, MARGIN)
    known, target = BEFORE.put(dictionary), BACK.end - len(row)
    guard = BACK.guard(len(row))
    place = BLOCK.bytes[BLOCK.size - MARGIN - len(block) : BLOCK.size - MARGIN]
    stop = threading.Event()

    def change():
        generator = np.random.default_rng(0)
        sound = np.frombuffer(block, np.uint8)
        while not stop.is_set():
            place[:] = sound
            place[generator.integers(0, len(block), 3)] = generator.integers(0, 256, 3, np.uint8)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        deadline = time.monotonic() + 0.3
        results = set()
        while time.monotonic() < deadline:
            for _ in range(100):
                size = len(dictionary)
                results.add(lz4_unpack(source, len(block), target, len(row), known, size))
    finally:
        stop.set()
        changer.join()
    assert results <= {0, 1}
    assert BACK.guard(len(row)) == guard


@pytest.mark.parametrize("dictionary", [b"", text(200), image(1, 20, 20)])
def test_the_c_library_reads_these_blocks_and_is_read(dictionary):
    block = pytest.importorskip("lz4.block")
    cases = [text(size) for size in EDGES[1:]] + [image(2, 20, 20), flat(400), noise(300)]
    cases += [KINDS[kind](size) for kind in KINDS for size in LARGE]
    for row in cases:
        packed = check(row, dictionary)
        assert block.decompress(packed, uncompressed_size=len(row), dict=dictionary) == row
        packed = block.compress(row, store_size=False, dict=dictionary)
        assert restore(packed, len(row), dictionary) == row
