"""Checksums against published values and their plain twin."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.checksum import checksum, checksum_chunks
from tests import naive

#: From the test vectors of xxHash and of its ports.
PUBLISHED = {
    (b"", 0): 0xEF46DB3751D8E999,
    (b"a", 0): 0xD24EC4F1A98C6E5B,
    (b"abc", 0): 0x44BC2CF5AD770999,
    (b"xxhash", 20141025): 0xB559B98D844E0635,
    (b"Nobody inspects the spammish repetition", 0): 0xFBCEA83C8A378BF1,
}


def summed(content, seed=0):
    array = np.frombuffer(content or b"\0", np.uint8)
    return int(checksum(array.ctypes.data, len(content), seed))


def test_sums_are_the_published_ones():
    for (content, seed), known in PUBLISHED.items():
        assert summed(content, seed) == known
        assert naive.checksum(content, seed) == known


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(-(2**63), 2**63 - 1))
def test_sums_agree_with_plain_integers(content, seed):
    assert summed(content, seed) == naive.checksum(content, seed)


def test_any_flipped_bit_and_any_shorter_stretch_has_another_sum():
    content = bytes(range(100))
    flipped = (
        content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        for at in range(100)
        for bit in range(8)
    )
    sums = {summed(other) for other in (*flipped, *(content[:end] for end in range(101)))}
    assert len(sums) == 800 + 101


def test_chunks_are_summed_each_by_itself():
    content = np.random.default_rng(1).integers(0, 256, 1000, dtype=np.uint8)
    sums = np.empty(4, np.uint64)
    checksum_chunks(content.ctypes.data, 1000, 300, sums)
    chunks = [content[first : first + 300].tobytes() for first in range(0, 1000, 300)]
    assert sums.tolist() == [naive.checksum(chunk) for chunk in chunks]
