"""The limit against exact numbers, by brute force, and by threads that claim at once."""

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.jit import kernel
from kernels.limit import limit_back, limit_insert, limit_sample
from tests import naive


def made(insert, sample, width, least):
    """Give a line and limits around the middle, and their twin."""
    limits = [insert, sample, least * insert - width, least * insert + width, least]
    twin = naive.Limiter(naive.Fraction(insert, sample), least, naive.Fraction(width, sample))
    return np.zeros(8, np.int64), np.array(limits, np.int64), twin


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 30),
    st.integers(1, 9),
    st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.booleans()), max_size=60),
)
def test_a_limit_is_what_the_rules_say(insert, sample, more, least, steps):
    line, limits, twin = made(insert, sample, max(insert, sample) + more, least)
    stored = 0
    for add, count, undone in steps:
        if add:
            allowed = twin.add(stored, count)
            assert limit_insert(line, limits, stored, count) == allowed
            stored += count * allowed
        else:
            allowed = twin.sample(stored, count)
            assert limit_sample(line, limits, stored, count) == allowed
        if allowed and undone:
            limit_back(line, limits, count * add, count * (not add))
            stored -= count * add
            twin.balance -= twin.ratio * count if add else -count
        assert naive.Fraction(int(line[0]), sample) == twin.balance
        assert not line[1:].any()


@kernel
def both_held(line, limits, lowest, highest, stored):
    """Count the balances that hold an add and a sample back."""
    count = 0
    for balance in range(lowest, highest):
        line[0] = balance
        add = limit_insert(line, limits, stored, 1)
        line[0] = balance
        if not add and not limit_sample(line, limits, stored, 1):
            count += 1
    return count


@pytest.mark.parametrize("insert", range(1, 6))
@pytest.mark.parametrize("sample", range(1, 6))
def test_never_are_both_sides_held_back(insert, sample):
    widest = max(insert, sample)
    for width, least in itertools.product(range(widest, widest + 3), (1, 2, 7)):
        line, limits, _ = made(insert, sample, width, least)
        for stored in (0, least - 1, least, least + 1):
            far = 3 * width + 9
            assert both_held(line, limits, -far, least * insert + far, stored) == 0


def test_a_narrower_limit_would_hold_both_back():
    # The test above can fail: one row to each row, and less than one row of tolerance.
    line, limits, _ = made(2, 2, 1, 1)
    assert both_held(line, limits, -10, 10, 1) == 1


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 30),
    st.integers(1, 9),
    st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60),
)
def test_the_balance_passes_its_limits_by_one_operation_at_most(
    insert, sample, more, least, steps
):
    line, limits, _ = made(insert, sample, max(insert, sample) + more, least)
    stored = least
    line[0] = least * insert
    lowest = highest = 0
    for add, count in steps:
        if add and limit_insert(line, limits, stored, count):
            highest = max(highest, count * insert - insert)
        elif not add and limit_sample(line, limits, stored, count):
            lowest = max(lowest, count * sample - sample)
        assert limits[2] - lowest <= line[0] <= limits[3] + highest


def test_every_add_may_begin_while_few_rows_are_stored():
    line, limits, _ = made(3, 2, 3, 5)
    line[0] = 10**15
    assert not limit_insert(line, limits, 5, 1)
    assert limit_insert(line, limits, 4, 1)
    assert not limit_sample(line, limits, 4, 1)
    assert limit_sample(line, limits, 5, 1)


@pytest.mark.compiled
def test_threads_claim_what_there_is_and_no_more():
    rounds = 20_000
    line, limits, _ = made(1, 1, 10, 1)
    line[0] = 1

    def claim(call, size):
        def run():
            return sum(call(line, limits, 1, size) for _ in range(rounds))

        return run

    added, more, drawn, others = naive.together(
        claim(limit_insert, 1),
        claim(limit_insert, 3),
        claim(limit_sample, 1),
        claim(limit_sample, 3),
    )
    assert line[0] == 1 + added + 3 * more - drawn - 3 * others
    assert limits[2] - 2 <= line[0] <= limits[3] + 2
    assert added + more
    assert drawn + others


@pytest.mark.compiled
def test_threads_that_add_alone_pass_the_limit_by_one_operation():
    for _ in range(50):
        line, limits, _ = made(1, 1, 1000, 1)

        def claim(line=line, limits=limits):
            return sum(limit_insert(line, limits, 1, 7) for _ in range(1000))

        claims = sum(naive.together(claim, claim, claim, claim))
        assert line[0] == 7 * claims
        assert limits[3] - 1 < line[0] <= limits[3] - 1 + 7


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(line, limits):
        seen = limit_insert(line, limits, 0, 5), limit_sample(line, limits, 5, 2)
        limit_back(line, limits, 1, 1)
        return seen

    line, limits, _ = made(3, 2, 3, 5)
    assert user(line, limits) == (True, True)
    assert line[0] == 4 * 3 - 1 * 2
