"""Greedy evaluation."""

import numpy as np
import pytest

from replay.demo.evaluation import FINAL_SEEDS, TRAINING_SEEDS, evaluate
from replay.demo.policy import Policy, parameter_count

HIDDEN = 8


def policy():
    rng = np.random.default_rng(0)
    return Policy(rng.normal(size=parameter_count(HIDDEN)).astype(np.float32), HIDDEN)


def test_one_return_for_each_seed_and_the_same_again():
    first = evaluate(policy(), range(5), lambda: None)
    again = evaluate(policy(), range(5), lambda: None)
    assert first.shape == (5,)
    assert ((first >= 1) & (first <= 500)).all()
    np.testing.assert_array_equal(first, again)


def test_what_pause_raises_ends_it():
    def pause():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        evaluate(policy(), range(5), pause)


def test_the_final_seeds_are_far_from_those_of_the_checkpoints():
    assert FINAL_SEEDS - TRAINING_SEEDS >= 1000
