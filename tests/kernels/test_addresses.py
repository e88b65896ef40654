"""Bytes at addresses against NumPy."""

import numba
import numpy as np
import pytest

from kernels import addresses
from kernels.addresses import (
    address_of,
    copy,
    copy_16,
    copy_32,
    copy_any,
    floats_at,
    integers_at,
    lines_at,
    load_float32,
    load_float64,
    load_int32,
    load_int64,
    load_uint8,
    prefetch,
    stack_integers,
    stack_page,
    store_float32,
    store_float64,
    store_int16,
    store_int32,
    store_int64,
    store_uint8,
)
from kernels.jit import kernel


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, count, np.uint8)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_copy_moves_its_bytes_and_no_other(shift):
    source = noise(8000)
    for size in [*range(301), 511, 512, 513, 7056]:
        target = np.full(8000, 0xA5, np.uint8)
        copy(target.ctypes.data + 64 + shift, source.ctypes.data + 5 + shift, size)
        expected = np.full(8000, 0xA5, np.uint8)
        expected[64 + shift : 64 + shift + size] = source[5 + shift : 5 + shift + size]
        assert target.tobytes() == expected.tobytes(), size


@kernel
def copies(to, source):
    copy_16(to, source)
    copy_32(to + 16, source + 16)
    copy_any(to + 48, source + 48, 13)


def test_fixed_copies_move_their_bytes_and_no_other():
    source, target = noise(100), np.zeros(100, np.uint8)
    copies(target.ctypes.data + 1, source.ctypes.data + 1)
    assert target[1:62].tolist() == source[1:62].tolist()
    assert not target[:1].any()
    assert not target[62:].any()


@kernel
def read(address):
    return (
        load_int64(address),
        load_int32(address),
        load_uint8(address),
        load_float64(address),
        load_float32(address),
    )


@pytest.mark.parametrize("shift", [0, 1, 7])
def test_loads_read_numbers_with_their_sign(shift):
    for seed in range(20):
        memory = noise(32, seed)
        seen = read(memory.ctypes.data + shift)
        for value, dtype in zip(seen, ["<i8", "<i4", "u1", "<f8", "<f4"], strict=True):
            expected = np.frombuffer(memory.tobytes(), dtype, 1, shift)[0]
            assert np.array_equal(value, expected, equal_nan=True), dtype


@kernel
def write(address, whole, number):
    store_int64(address, whole)
    store_int32(address + 8, whole)
    store_int16(address + 12, whole)
    store_uint8(address + 14, 200)
    store_float64(address + 15, number)
    store_float32(address + 23, number)


def test_stores_write_their_width_and_no_more():
    memory = np.full(40, 0xA5, np.uint8)
    write(memory.ctypes.data + 3, -2, 0.1)
    expected = np.concatenate(
        [
            np.full(3, 0xA5, np.uint8),
            np.array([-2], "<i8").view(np.uint8),
            np.array([-2], "<i4").view(np.uint8),
            np.array([-2], "<i2").view(np.uint8),
            np.array([200], np.uint8),
            np.array([0.1], "<f8").view(np.uint8),
            np.array([0.1], "<f4").view(np.uint8),
            np.full(10, 0xA5, np.uint8),
        ]
    )
    assert memory.tolist() == expected.tolist()


@kernel
def fill_views(address, floats):
    lines = lines_at(address, 3, 4)
    for line in range(lines.shape[0]):
        for column in range(lines.shape[1]):
            lines[line, column] = 10 * line + column
    row = integers_at(address + 4 * 8, 4)
    numbers = floats_at(floats, 2)
    numbers[0] = 0.5
    numbers[1] = -1.5
    return row.sum(), lines.shape, row.size, numbers.size


def test_views_are_the_memory_itself():
    memory, floats = np.zeros((4, 4), np.int64), np.zeros(3, np.float32)
    assert fill_views(memory.ctypes.data, floats.ctypes.data) == (46, (3, 4), 4, 2)
    expected = [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [0, 0, 0, 0]]
    assert memory.tolist() == expected
    assert floats.tolist() == [0.5, -1.5, 0.0]


@kernel
def where(array):
    return address_of(array)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint16, np.complex128])
def test_an_array_lies_at_its_first_element(dtype):
    array = np.zeros((5, 3), dtype)
    assert where(array) == array.ctypes.data
    assert where(array[2:]) == array.ctypes.data + 2 * 3 * array.itemsize


@kernel
def stacks(turns):
    total = 0
    for turn in range(turns):
        words = stack_integers()
        others = stack_integers()
        page = stack_page()
        for word in range(words.size):
            words[word] = turn
            others[word] = -turn
            page[word + page.size - words.size] = turn
        total += words[turn % words.size] + others[5] + page[page.size - 1] - turn
    return total, words.size, page.size


def test_pieces_of_stack_are_apart_and_do_not_grow_in_a_loop():
    # Twenty thousand pages would be ten times the stack of a thread.
    assert stacks(20_000) == (0, addresses.STACK, addresses.PAGE)


def test_prefetch_takes_any_address():
    @numba.njit
    def user(address):
        prefetch(address)
        prefetch(0)
        prefetch(-1)
        return address

    assert user(12345) == 12345


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(target, source):
        copy(address_of(target), address_of(source), 24)
        store_int64(address_of(target) + 24, load_int64(address_of(source)) + 1)
        return integers_at(address_of(target), 4)[3] + load_uint8(address_of(source))

    source, target = np.array([7, 8, 9], np.int64), np.zeros(4, np.int64)
    assert user(target, source) == 8 + 7
    assert target.tolist() == [7, 8, 9, 8]
