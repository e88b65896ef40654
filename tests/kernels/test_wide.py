"""Copies of wide rows against NumPy."""

import numpy as np
import pytest

from kernels.jit import kernel
from kernels.wide import PIECE, WIDE, copy_twice, copy_wide, head_prefetch

SIZES = [*range(PIECE, 3 * PIECE + 2), WIDE, WIDE + 1, 511, 512, 513, 7056]


def noise(count):
    return np.random.default_rng(0).integers(0, 256, count, np.uint8)


@kernel
def copied(to, source, size):
    head_prefetch(source)
    copy_wide(to, source, size)


@kernel
def copied_twice(to, also, source, size):
    head_prefetch(0)
    copy_twice(to, also, source, size)


@pytest.mark.parametrize("shift", [0, 1, 16])
def test_a_copy_moves_its_bytes_and_no_other(shift):
    source = noise(8000)
    for size in SIZES:
        target = np.full(8000, 0xA5, np.uint8)
        copied(target.ctypes.data + 64 + shift, source.ctypes.data + 5, size)
        expected = np.full(8000, 0xA5, np.uint8)
        expected[64 + shift : 64 + shift + size] = source[5 : 5 + size]
        assert target.tobytes() == expected.tobytes(), size


@pytest.mark.parametrize("shift", [0, 1, 16])
def test_a_copy_to_two_places_moves_its_bytes_to_both_and_no_other(shift):
    source = noise(8000)
    for size in SIZES:
        # One right behind the other, as frames of two stacks can lie.
        target = np.full(16000, 0xA5, np.uint8)
        first = 64 + shift
        at = target.ctypes.data + first
        copied_twice(at + size, at, source.ctypes.data + 5, size)
        expected = np.full(16000, 0xA5, np.uint8)
        expected[first : first + size] = source[5 : 5 + size]
        expected[first + size : first + 2 * size] = source[5 : 5 + size]
        assert target.tobytes() == expected.tobytes(), size
