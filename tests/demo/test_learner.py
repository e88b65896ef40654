"""Double DQN's arithmetic."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from replay.demo.config import OBS_SIZE, Config
from replay.demo.learner import Learner, double_dqn_targets

GAMMA = 0.9


class Batch(NamedTuple):
    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    next_obs: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    weights: np.ndarray
    ids: np.ndarray


class Constant(nn.Module):
    """Values that do not depend on the observation."""

    def __init__(self, *values):
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self, obs):
        return self.values.expand(len(obs), -1)


def targets(online, target, terminated):
    rows = len(terminated)
    return double_dqn_targets(
        online, target, torch.ones(rows), torch.zeros(rows, 4), torch.tensor(terminated), GAMMA
    ).tolist()


def test_the_online_network_chooses_and_the_target_network_judges():
    online, target = Constant(1.0, 5.0), Constant(30.0, 20.0)
    assert targets(online, target, [False]) == pytest.approx([1.0 + GAMMA * 20.0])


def test_termination_does_not_bootstrap():
    assert targets(Constant(1.0, 5.0), Constant(30.0, 20.0), [True, False]) == pytest.approx(
        [1.0, 1.0 + GAMMA * 20.0]
    )


def test_targets_carry_no_gradient():
    online = nn.Linear(4, 2)
    result = double_dqn_targets(
        online, online, torch.ones(3), torch.zeros(3, 4), torch.zeros(3, dtype=torch.bool), GAMMA
    )
    assert not result.requires_grad


def a_batch(**changes):
    rng = np.random.default_rng(0)
    rows = 64
    batch = Batch(
        obs=rng.normal(size=(rows, OBS_SIZE)).astype(np.float32),
        action=rng.integers(0, 2, rows),
        reward=np.ones(rows, np.float32),
        next_obs=rng.normal(size=(rows, OBS_SIZE)).astype(np.float32),
        terminated=np.zeros(rows, bool),
        truncated=np.zeros(rows, bool),
        weights=np.ones(rows, np.float32),
        ids=np.arange(rows),
    )
    return batch._replace(**changes)


def first_errors(batch):
    return Learner(Config(seed=3)).update(batch)


def test_truncation_bootstraps():
    batch = a_batch()
    truncated = a_batch(truncated=np.ones(64, bool))
    terminated = a_batch(terminated=np.ones(64, bool))
    np.testing.assert_array_equal(first_errors(truncated), first_errors(batch))
    assert (first_errors(terminated) != first_errors(batch)).any()


def test_errors_fall_while_learning_one_batch():
    learner = Learner(Config(seed=0, gamma=0.5))
    batch = a_batch()
    first = learner.update(batch).mean()
    for _ in range(300):
        last = learner.update(batch).mean()
    assert last < first / 10


def test_a_row_of_weight_zero_teaches_nothing():
    learner = Learner(Config(seed=0))
    before = learner.parameters
    learner.update(a_batch(weights=np.zeros(64, np.float32)))
    np.testing.assert_array_equal(learner.parameters, before)


def test_one_seed_gives_one_learner():
    np.testing.assert_array_equal(
        Learner(Config(seed=5)).parameters, Learner(Config(seed=5)).parameters
    )
    assert (Learner(Config(seed=5)).parameters != Learner(Config(seed=6)).parameters).any()


def test_errors_are_absolute_and_one_per_row():
    errors = first_errors(a_batch())
    assert errors.shape == (64,)
    assert errors.dtype == np.float32
    assert (errors >= 0).all()
