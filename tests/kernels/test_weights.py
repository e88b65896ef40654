"""Importance-sampling weights against the formula in float64."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.weights import weights_of, weights_scale
from tests import naive

#: Two roundings to float32.
CLOSE = 2.0**-23
LEAVES = st.lists(st.one_of(st.integers(1, 100), st.integers(1, 2**62)), min_size=1, max_size=70)
BETAS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.4, 1.0]))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(LEAVES, st.floats(1, 2.0**62), BETAS)
def test_weights_follow_the_formula(leaves, reference, beta):
    weights = np.full(len(leaves) + 1, -1, np.float32)
    largest = weights_of(np.array(leaves), reference, beta, weights, len(leaves))
    expected = naive.weights(leaves, reference, beta)
    np.testing.assert_allclose(weights[:-1], expected, rtol=CLOSE, atol=0)
    assert largest == weights[:-1].max()
    assert weights[-1] == -1


@settings(deadline=None, max_examples=150, derandomize=True)
@given(LEAVES, st.floats(1, 2.0**62), BETAS)
def test_the_largest_weight_of_a_batch_is_exactly_one(leaves, reference, beta):
    weights = np.zeros(len(leaves), np.float32)
    weights_scale(weights, weights_of(np.array(leaves), reference, beta, weights, len(leaves)))
    assert weights.max() == 1.0
    assert weights[np.argmin(leaves)] == 1.0
    # (size P(i))**-beta / max = (smallest leaf / leaf)**beta: the reference cancels out.
    expected = naive.weights(leaves, min(leaves), beta)
    np.testing.assert_allclose(weights, expected, rtol=2 * CLOSE, atol=0)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_no_weight_passes_one_where_the_smallest_leaf_is_the_reference(beta):
    leaves = np.array([7, 8, 9, 700, 2**50, 7])
    weights = np.zeros(6, np.float32)
    assert weights_of(leaves, 7.0, beta, weights, 6) == 1.0
    assert weights[0] == weights[5] == 1.0
    assert (weights <= 1).all()
    assert (weights > 0).all()


def test_beta_zero_weighs_all_alike():
    weights = np.zeros(3, np.float32)
    assert weights_of(np.array([1, 50, 2**61]), 3.0, 0.0, weights, 3) == 1.0
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_equal_leaves_weigh_one():
    weights = np.zeros(4, np.float32)
    weights_of(np.array([12345] * 4), 4 * 12345 / 4, 0.6, weights, 4)
    assert weights.tolist() == [1.0] * 4


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(leaves, weights):
        largest = weights_of(leaves, 2.0, 1.0, weights, leaves.size)
        weights_scale(weights, largest)
        return largest

    weights = np.zeros(3, np.float32)
    assert user(np.array([1, 2, 4]), weights) == 2.0
    assert weights.tolist() == [1.0, 0.5, 0.25]
