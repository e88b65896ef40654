"""How many of the newest rows a batch is drawn from, and which they are."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.recent import (
    ETA,
    SMALLEST,
    UPDATES,
    recent_rows,
    recent_share,
    recent_slot,
    recent_total,
)
from tests import naive_order


def described(eta, updates, smallest):
    """Give a handle that says a sampler alone."""
    handle = np.zeros(128, np.int64)
    handle.view(np.float64)[ETA] = eta
    handle[UPDATES], handle[SMALLEST] = updates, smallest
    return handle


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.integers(1, 10**7),
    st.integers(0, 10**6),
    st.floats(0.9, 1.0),
    st.integers(1, 5000),
    st.integers(1, 10**5),
)
def test_the_newest_rows_are_as_many_as_the_paper_says(size, batches, eta, updates, smallest):
    got = recent_rows(described(eta, updates, smallest), size, batches)
    exact = naive_order.recent_rows(size, batches, eta, updates)
    low, high = (min(max(int(exact) + step, smallest), size) for step in (-1, 1))
    assert low <= got <= high
    if abs(exact - round(exact)) > 1e-6 * size:
        assert got == min(max(int(exact), smallest), size)


@pytest.mark.parametrize(
    ("batches", "wanted"),
    [(0, 9000), (1, 8100), (8, 3874), (9, 3486), (10, 9000), (10_009, 3486)],
)
def test_a_round_begins_anew(batches, wanted):
    # 1000 / updates is the exponent's step: eta ** 100 is 0.9.
    handle = described(0.9 ** (1 / 100), 10, 1)
    assert abs(recent_rows(handle, 10_000, batches) - wanted) <= 1


def test_eta_of_one_draws_from_all_rows_and_a_small_one_from_the_fewest():
    assert recent_rows(described(1.0, 7, 1), 12345, 3) == 12345
    assert recent_rows(described(1e-300, 1, 9), 12345, 3) == 9
    assert recent_rows(described(1e-300, 1, 9), 4, 3) == 4


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.data())
def test_ranks_agree_with_lists(data):
    streams = data.draw(st.integers(1, 4))
    rows = data.draw(st.integers(1, 6))
    heads = np.zeros((streams, 8), np.int64)
    spans = []
    for stream in range(streams):
        heads[stream, 0] = data.draw(st.integers(0, 3 * rows))
        heads[stream, 2] = data.draw(st.sampled_from([0, 0, heads[stream, 0] // 2]))
        first = max(heads[stream, 0] - rows, heads[stream, 2])
        spans.append(range(first, heads[stream, 0]))
    size = sum(map(len, spans))
    if size == 0:
        assert recent_total(heads, rows, 1, 0) == 0
        return
    newest = data.draw(st.integers(1, size))
    for span in spans:
        share = naive_order.recent_share(len(span), newest, size)
        assert recent_share(len(span), newest, size) == share
    wanted = naive_order.recent_slots(spans, rows, newest)
    total = recent_total(heads, rows, newest, size)
    assert newest <= total < newest + streams
    assert [recent_slot(heads, rows, newest, size, rank) for rank in range(total)] == wanted


@pytest.mark.parametrize("head", [2, 5])
@pytest.mark.parametrize("streams", [1, 3])
def test_a_rank_too_large_stays_inside_the_slots(streams, head):
    heads = np.zeros((streams, 8), np.int64)
    heads[:, 0] = head
    for rank in range(head * streams, 50):
        slot = recent_slot(heads, 5, head * streams, head * streams, rank)
        assert (streams - 1) * 5 <= slot < streams * 5


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(heads):
        return recent_total(heads, 5, 4, 8), recent_slot(heads, 5, 4, 8, 3)

    heads = np.zeros((2, 8), np.int64)
    heads[:, 0] = 3, 9
    assert user(heads) == (5, 7)
