"""Uniform draws: every live row as likely as the next, and no other."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.jit import INTERPRETED, kernel
from kernels.ring import ring_claim
from kernels.uniform import uniform_draw, uniform_size, uniform_slot
from tests import naive

#: Draws for each live row. Compiled, a row drawn 1 % too often or too rarely adds 200 or more to
#: the statistic of at most 15 rows, 29 of them by chance; its limit is 70 at most, so one test in
#: a million misses it. Interpreted, the same at 25 %.
DRAWS_A_ROW = 4000 if INTERPRETED else 2_000_000

#: Rows of a stream; claims of each stream before a clear (-1: there is none), and after it.
FILLS = [
    pytest.param(5, [-1], [3], id="one stream, part filled"),
    pytest.param(5, [-1], [5], id="one stream, just full"),
    pytest.param(5, [-1], [13], id="one stream, full and wrapped"),
    pytest.param(5, [4], [3], id="one stream, across the end after a clear"),
    pytest.param(5, [-1] * 3, [1, 5, 3], id="three streams, uneven"),
    pytest.param(5, [-1] * 3, [0, 9, 0], id="three streams, one of them used"),
    pytest.param(5, [-1] * 3, [7, 5, 23], id="three streams, full"),
    pytest.param(5, [7, 0, 3], [1, 2, 4], id="three streams, after a clear"),
    pytest.param(1, [-1] * 2, [0, 4], id="one row a stream"),
]


def filled(rows, before, after):
    """Claim tickets, clear, claim more; give the heads and the plain ring."""
    streams = len(after)
    heads = np.zeros((streams, 8), np.int64)
    plain = naive.Ring(streams, rows)
    for stream, count in enumerate(before):
        if count > 0:
            ring_claim(heads, stream, count)
            plain.claim(stream, count)
    if before[0] != -1:
        naive.clear_ring(heads, np.zeros((streams * rows, 1), np.int64), rows)
        plain.clear()
    for stream, count in enumerate(after):
        if count:
            ring_claim(heads, stream, count)
            plain.claim(stream, count)
    return heads, plain


@kernel
def count_slots(heads, rows, seed, draws, slots, counts):
    for counter in range(0, draws, slots.size):
        uniform_draw(heads, rows, seed, counter, slots)
        for draw in range(slots.size):
            counts[slots[draw]] += 1


@pytest.mark.parametrize(("rows", "before", "after"), FILLS)
def test_live_rows_are_equally_likely_and_no_other_is_drawn(rows, before, after):
    heads, plain = filled(rows, before, after)
    live = plain.live_slots()
    counts = np.zeros(len(plain.slots), np.int64)
    count_slots(heads, rows, 77, DRAWS_A_ROW * len(live), np.zeros(100, np.int64), counts)
    shares = [(slot in live) / len(live) for slot in range(len(plain.slots))]
    statistic = naive.chi_square(counts.tolist(), shares)
    assert statistic < naive.chi_square_limit(max(len(live) - 1, 1))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.data())
def test_draws_ranks_and_sizes_agree_with_a_list(data):
    streams = data.draw(st.integers(1, 4))
    rows = data.draw(st.integers(1, 6))
    counts = st.lists(st.integers(0, 3 * rows), min_size=streams, max_size=streams)
    cleared = data.draw(st.booleans())
    before = data.draw(counts) if cleared else [-1] * streams
    heads, plain = filled(rows, before, data.draw(counts))
    live = plain.live_slots()
    assert uniform_size(heads, rows) == len(live)
    assert [uniform_slot(heads, rows, rank) for rank in range(len(live))] == live
    seed, counter = data.draw(st.integers(0, 2**63 - 1)), data.draw(st.integers(0, 2**60))
    slots = np.full(9, -5, np.int64)
    assert uniform_draw(heads, rows, seed, counter, slots) == len(live)
    expected = naive.uniform_draw(plain, seed, counter, 9) if live else [-5] * 9
    assert slots.tolist() == expected


@pytest.mark.parametrize("streams", [1, 3])
def test_nothing_is_drawn_from_nothing(streams):
    heads, slots = np.zeros((streams, 8), np.int64), np.full(4, 99, np.int64)
    assert uniform_draw(heads, 5, 1, 0, slots) == 0
    assert slots.tolist() == [99] * 4


@pytest.mark.parametrize("streams", [1, 3])
def test_a_rank_too_large_stays_inside_the_slots(streams):
    heads = np.zeros((streams, 8), np.int64)
    heads[:, 0] = 2
    for rank in range(2 * streams, 50):
        assert (streams - 1) * 5 <= uniform_slot(heads, 5, rank) < streams * 5


@pytest.mark.compiled
def test_a_row_one_percent_too_frequent_would_be_seen():
    heads, _ = filled(5, [-1] * 3, [5, 5, 5])
    counts = np.zeros(15, np.int64)
    draws = DRAWS_A_ROW * 15
    count_slots(heads, 5, 78, draws, np.zeros(100, np.int64), counts)
    # One draw in a hundred of this row's, moved to it from all the others.
    moved = counts[4] // 100
    counts[4] += moved
    counts[np.arange(15) != 4] -= moved // 14
    statistic = naive.chi_square(counts.tolist(), [1 / 15] * 15)
    assert statistic > naive.chi_square_limit(14)


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(heads, slots):
        size = uniform_draw(heads, 5, 3, 0, slots)
        return size, uniform_size(heads, 5), uniform_slot(heads, 5, 1)

    heads, plain = filled(5, [-1, -1], [0, 3])
    slots = np.zeros(6, np.int64)
    assert user(heads, slots) == (3, 3, 6)
    assert slots.tolist() == naive.uniform_draw(plain, 3, 0, 6)
