"""Atomic words against plain integers, and against each other's threads."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.atomics import (
    compare_and_swap,
    exchange,
    fence,
    fetch_add,
    fetch_max,
    load,
    store,
)
from kernels.jit import kernel
from tests import naive

MANY = 100_000


@kernel
def call_load(words, index):
    return load(words, index)


@kernel
def call_store(words, index, value):
    store(words, index, value)


@kernel
def call_add(words, index, value):
    return fetch_add(words, index, value)


@kernel
def call_exchange(words, index, value):
    return exchange(words, index, value)


@kernel
def call_max(words, index, value):
    return fetch_max(words, index, value)


@kernel
def call_swap(words, index, expected, value):
    return compare_and_swap(words, index, expected, value)


SMALL = st.integers(-(2**61), 2**61)
OPERATIONS = st.sampled_from(["load", "store", "add", "exchange", "max", "swap", "swap same"])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2)])
def test_operations_agree_with_plain_integers(dtype, shape):
    signed = dtype is np.int64

    @settings(deadline=None, max_examples=30, derandomize=True)
    @given(st.lists(st.tuples(OPERATIONS, st.integers(0, 11), SMALL), max_size=20))
    def agree(steps):
        words = np.zeros(shape, dtype)
        plain = [0] * 12
        for name, index, value in steps:
            # One type for all values, or each would compile the call anew.
            word = dtype(naive.wrap(value // 16 if name == "add" else value, signed))
            value = int(word)
            before = plain[index]
            if name == "load":
                assert call_load(words, index) == before
            elif name == "store":
                call_store(words, index, word)
                plain[index] = value
            elif name == "add":
                assert call_add(words, index, word) == before
                plain[index] = naive.wrap(before + value, signed)
            elif name == "exchange":
                assert call_exchange(words, index, word) == before
                plain[index] = value
            elif name == "max":
                assert call_max(words, index, word) == before
                plain[index] = max(before, value)
            else:
                expected = dtype(before) if name == "swap same" else word
                assert call_swap(words, index, expected, word) == (expected == before)
                plain[index] = value if expected == before else before
            assert words.reshape(-1).tolist() == plain

    agree()


def test_maximum_of_unsigned_words_knows_no_sign():
    words = np.array([1], np.uint64)
    assert call_max(words, 0, np.uint64(2**63 + 5)) == 1
    assert words[0] == 2**63 + 5


def test_a_wrong_dtype_does_not_compile():
    if not hasattr(call_load, "form"):
        return  # plain twins take any array
    with pytest.raises(numba.TypingError):
        call_load(np.zeros(4, np.int32), 0)
    with pytest.raises(numba.TypingError):
        call_load(np.zeros((4, 4), np.int64)[:, ::2], 0)


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(words):
        store(words, 0, 5)
        fence()
        before = fetch_add(words, 0, 2) + exchange(words, 1, 9) + fetch_max(words, 2, 4)
        swapped = compare_and_swap(words, 0, 7, 8)
        return before, swapped, load(words, 0)

    words = np.array([0, 1, 2], np.int64)
    assert user(words) == (5 + 1 + 2, True, 8)
    assert words.tolist() == [8, 9, 4]


@kernel
def add_many(words, count):
    for _ in range(count):
        fetch_add(words, 0, 1)


@kernel
def swap_many(words, count):
    for _ in range(count):
        while True:
            seen = load(words, 0)
            if compare_and_swap(words, 0, seen, seen + 1):
                break


@kernel
def exchange_many(words, first, count):
    """Put numbers in, add up what comes out."""
    out = 0
    for value in range(first, first + count):
        out += exchange(words, 0, value)
    return out


@kernel
def max_many(words, first, count, step):
    for turn in range(count):
        fetch_max(words, 0, first + turn * step)


@kernel
def send(words, count, limit):
    """Write a letter, then ring; wait until it was read."""
    for letter in range(1, count + 1):
        words[8] = letter
        words[9] = -letter
        store(words, 0, letter)
        for _ in range(limit):
            if load(words, 16) == letter:
                break


@kernel
def receive(words, count, limit):
    wrong = 0
    for letter in range(1, count + 1):
        for _ in range(limit):
            if load(words, 0) == letter:
                break
        wrong += words[8] != letter or words[9] != -letter
        store(words, 16, letter)
    return wrong


@pytest.mark.compiled
def test_no_addition_of_four_threads_is_lost():
    words = np.zeros(1, np.int64)
    naive.together(*[lambda: add_many(words, MANY)] * 4)
    assert words[0] == 4 * MANY


@pytest.mark.compiled
def test_no_swap_of_four_threads_is_lost():
    words = np.zeros(1, np.int64)
    naive.together(*[lambda: swap_many(words, MANY)] * 4)
    assert words[0] == 4 * MANY


@pytest.mark.compiled
def test_what_threads_exchange_comes_out_once():
    words = np.zeros(1, np.int64)
    out = naive.together(
        *[lambda place=place: exchange_many(words, 1 + place * MANY, MANY) for place in range(3)]
    )
    assert sum(out) + int(words[0]) == sum(range(1, 3 * MANY + 1))


@pytest.mark.compiled
def test_the_maximum_of_all_threads_stays():
    words = np.zeros(1, np.int64)
    naive.together(
        lambda: max_many(words, 0, MANY, 3),
        lambda: max_many(words, 3 * MANY, MANY, -2),
    )
    assert words[0] == 3 * MANY


@pytest.mark.compiled
def test_a_load_sees_what_came_before_the_store():
    words = np.zeros(24, np.int64)
    wrong = naive.together(
        lambda: send(words, 20_000, 10**9), lambda: receive(words, 20_000, 10**9)
    )[1]
    assert wrong == 0
