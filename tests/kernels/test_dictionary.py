"""Dictionaries: which rows get into one, who adds them, and that damaged ones are refused."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.dictionary import (
    CONTENT,
    ENDS,
    MOST_ROWS,
    OWNER,
    ROWS,
    WORDS,
    dictionary_add,
    dictionary_fits,
    dictionary_free,
    dictionary_size,
    dictionary_time,
)
from kernels.lz4 import REACH
from tests.homes import fewer


def fresh():
    return np.zeros(WORDS, np.int64)


def content(dictionary):
    end = int(dictionary[ENDS + dictionary[ROWS]])
    return dictionary[CONTENT:].view(np.uint8)[:end].tobytes()


def offer(dictionary, ticket, row, largest, writer=3):
    dictionary_add(dictionary, writer, dictionary_fits(largest), ticket, row.ctypes.data, row.size)


@given(st.integers(1, 1 << 20))
@settings(max_examples=fewer(60, 30), derandomize=True)
def test_as_many_rows_fit_as_a_match_reaches_back_over(largest):
    fits = dictionary_fits(largest)
    assert fits * largest <= REACH
    assert fits == MOST_ROWS or (fits + 1) * largest > REACH


@given(
    st.integers(1, 9000).flatmap(
        lambda largest: st.tuples(
            st.just(largest),
            st.lists(st.tuples(st.integers(0, 1 << 19), st.integers(0, largest)), max_size=40),
        )
    )
)
@settings(max_examples=fewer(60, 20), derandomize=True, deadline=None)
def test_rows_come_further_and_further_apart_and_stay(drawn):
    largest, offers = drawn
    dictionary = fresh()
    random = np.random.default_rng(0)
    fits, kept = dictionary_fits(largest), []
    for ticket, size in sorted(offers):
        row = random.integers(0, 256, size, np.uint8)
        before = content(dictionary)
        offer(dictionary, ticket, row, largest)
        taken = len(kept) < fits and size > 0 and ticket >= dictionary_time(len(kept), fits)
        if taken and len(before) + size <= REACH:
            kept.append(row.tobytes())
        assert content(dictionary) == b"".join(kept)
        assert content(dictionary).startswith(before)
    ends = np.cumsum([0] + [len(row) for row in kept])
    sizes = [dictionary_size(dictionary, rows) for rows in range(-1, MOST_ROWS + 2)]
    assert sizes == [-1, *ends, *[-1] * (MOST_ROWS + 1 - len(kept))]


def test_the_last_row_that_fits_comes_late():
    dictionary, row = fresh(), np.arange(7056, dtype=np.uint8)
    tickets = []
    for ticket in [*range(70), *(1 << shift for shift in range(7, 20))]:
        offer(dictionary, ticket, row, 7056)
        if dictionary[ROWS] > len(tickets):
            tickets.append(ticket)
    assert tickets == [1, 64, 128, 256, 1024, 2048, 8192, 16384, 65536]


@pytest.mark.parametrize("rows", [-1, 5, MOST_ROWS + 1, 1 << 62, -(1 << 63)])
def test_a_damaged_count_gives_no_size_and_takes_no_row(rows):
    dictionary, row = fresh(), np.ones(5000, np.uint8)
    dictionary[ROWS] = rows
    dictionary[ENDS : ENDS + 24] = REACH + 1
    offer(dictionary, 1 << 30, row, row.size)
    assert dictionary[ROWS] == rows
    assert not dictionary[CONTENT:].any()
    assert {dictionary_size(dictionary, n) for n in (0, 1, 4, MOST_ROWS, rows)} == {-1}


def test_of_one_who_died_inside_the_word_is_taken_back():
    dictionary, row = fresh(), np.ones(100, np.uint8)
    dictionary[OWNER] = 8
    offer(dictionary, 1 << 20, row, 100)
    dictionary_free(dictionary, 6)
    offer(dictionary, 1 << 20, row, 100)
    assert (dictionary[OWNER], dictionary[ROWS]) == (8, 0)
    dictionary_free(dictionary, 7)
    offer(dictionary, 1 << 20, row, 100)
    assert (dictionary[OWNER], dictionary[ROWS]) == (0, 1)


@pytest.mark.compiled
def test_threads_add_one_row_at_a_time():
    dictionary = fresh()
    rows = [np.full(2100, number + 1, np.uint8) for number in range(4)]

    def add(row):
        for _ in range(2000):
            offer(dictionary, 1 << 20, row, 2100)

    threads = [threading.Thread(target=add, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dictionary[ROWS] == MOST_ROWS == dictionary_fits(2100)
    kept = np.frombuffer(content(dictionary), np.uint8).reshape(-1, 2100)
    assert (kept == kept[:, :1]).all()
    assert kept.min() >= 1
