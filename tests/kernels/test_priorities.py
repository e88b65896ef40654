"""Priorities as leaves, against fractions."""

import math

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.priorities import (
    HEADROOM,
    NEGATIVE,
    NOT_FINITE,
    OK,
    leaf_of,
    leaf_priority,
    priority_ceiling,
    priority_check,
    priority_leaf,
    priority_scale,
)
from tests import naive

ALPHAS = [0.0, 0.5, 0.6, 1.0, 2.0]
CAPACITIES = st.sampled_from([1, 2, 3, 1000, 2**20, 2**20 + 1, 2**48])
PRIORITIES = st.one_of(st.floats(0, 1e308), st.floats(0, 10), st.floats(0, 2.2e-308), st.just(0.0))


def exactly(seen, expected):
    """Say whether a leaf is the nearest one, but for 1e-13 of p**alpha."""
    return abs(int(seen) - expected) <= 0.5 + 1e-13 * float(expected)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_leaf_is_the_power_in_fixed_point(alpha):
    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(PRIORITIES, CAPACITIES)
    @example(5e-324, 1)
    @example(2.2250738585072014e-308, 2**48)
    @example(1.7e308, 1)
    @example(1.0, 2**20)
    def agree(priority, capacity):
        leaf = priority_leaf(priority, alpha, capacity)
        assert exactly(leaf, naive.priority_leaf(priority, alpha, capacity))
        assert (leaf == 0) == (priority == 0)
        assert leaf <= priority_ceiling(capacity)

    agree()


def test_scale_and_ceiling_are_powers_of_two():
    for capacity in [1, 2, 3, 4, 5, 100, 2**20, 2**20 + 1, 2**48]:
        assert priority_ceiling(capacity) == 2 ** naive.leaf_bits(capacity)
        assert priority_scale(capacity) << HEADROOM == priority_ceiling(capacity)
        assert priority_scale(capacity) >= 1
        assert capacity * priority_ceiling(capacity) <= 2**62


@pytest.mark.parametrize("alpha", [0.5, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("capacity", [1, 1000, 2**20])
def test_too_large_a_power_saturates(alpha, capacity):
    ceiling = priority_ceiling(capacity)
    edge = (2.0**HEADROOM) ** (1 / alpha)
    for priority in (edge * 1.001, 1e10, 1e300, 1.7e308):
        assert priority_leaf(priority, alpha, capacity) == ceiling
    assert priority_leaf(edge * 0.999, alpha, capacity) < ceiling


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("capacity", [1, 2**20, 2**48])
def test_any_positive_priority_has_a_leaf(alpha, capacity):
    for priority in (5e-324, 1e-310, 2.2250738585072014e-308, 1e-100, 1e-20):
        leaf = priority_leaf(priority, alpha, capacity)
        assert leaf >= 1
        if alpha == 0:
            assert leaf == priority_scale(capacity)
    assert priority_leaf(0.0, alpha, capacity) == 0
    assert priority_leaf(-0.0, alpha, capacity) == 0


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.floats(1e-3, 1e3), st.sampled_from(ALPHAS[1:]), st.sampled_from([1, 1000, 2**20]))
def test_a_leaf_leads_back_to_its_priority(priority, alpha, capacity):
    leaf = priority_leaf(priority, alpha, capacity)
    back = leaf_priority(leaf, alpha, capacity)
    # Half a step of the grid at this leaf, in units of the priority.
    step = 0.5 / leaf / alpha
    saturated = leaf == priority_ceiling(capacity)
    assert saturated or abs(back - priority) <= priority * (2 * step + 1e-12)
    assert leaf_priority(0, alpha, capacity) == 0.0


@settings(deadline=None, max_examples=200, derandomize=True)
@given(PRIORITIES, st.sampled_from(ALPHAS), CAPACITIES)
def test_leaf_of_is_priority_leaf_with_its_numbers_at_hand(priority, alpha, capacity):
    scale = float(priority_scale(capacity))
    ceiling = float(priority_ceiling(capacity))
    expected = priority_leaf(priority, alpha, capacity)
    assert leaf_of(priority, alpha, scale, ceiling) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("bad", "code"),
    [(math.nan, NOT_FINITE), (math.inf, NOT_FINITE), (-math.inf, NOT_FINITE), (-1e-9, NEGATIVE)],
)
def test_the_first_bad_priority_is_found(dtype, bad, code):
    for position in (0, 3, 9):
        priorities = np.linspace(0, 1, 10, dtype=dtype)
        priorities[position] = bad
        priorities[-1] = priorities[-1] if position == 9 else -1
        assert tuple(priority_check(priorities)) == (code, position)


def test_good_priorities_pass():
    for good in ([], [0.0, -0.0, 5e-324, 1.7e308]):
        assert priority_check(np.array(good, np.float64))[0] == OK


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(priorities):
        code, _ = priority_check(priorities)
        leaf = priority_leaf(priorities[0], 1.0, 8)
        scale, ceiling = priority_scale(8), priority_ceiling(8)
        same = leaf_of(priorities[0], 1.0, np.float64(scale), np.float64(ceiling))
        return code, leaf == same, leaf_priority(leaf, 1.0, 8), leaf * 2 == scale

    assert user(np.array([0.5])) == (OK, True, 0.5, True)
