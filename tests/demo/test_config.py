"""The demo's schedules."""

import pytest

from replay.demo.config import Config


def test_epsilon_falls_from_one_to_each_actors_floor():
    config = Config(actors=3, epsilon_floors=(0.01, 0.05), exploration_share=0.2)
    assert [config.epsilon(actor, 0.0) for actor in range(3)] == [1.0, 1.0, 1.0]
    assert [config.epsilon(actor, 0.2) for actor in range(3)] == pytest.approx([0.01, 0.03, 0.05])
    assert [config.epsilon(actor, 1.0) for actor in range(3)] == pytest.approx([0.01, 0.03, 0.05])
    assert config.epsilon(0, 0.1) == pytest.approx((1 + 0.01) / 2)


def test_a_single_actor_has_the_first_floor():
    assert Config(actors=1, epsilon_floors=(0.01, 0.05)).epsilon(0, 1.0) == 0.01


def test_learning_rate_falls_by_equal_factors_and_stops_at_the_end():
    config = Config(learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [config.learning_rate_at(done) for done in (0.0, 0.5, 1.0, 1.1)]
    assert rates == pytest.approx([1e-3, 1e-4, 1e-5, 1e-5])


def test_updates_follow_the_steps_and_not_the_clock():
    config = Config(steps=50_000, updates_per_step=0.5)
    assert config.updates_due(0) == config.updates_due(config.learn_after) == 0
    assert config.updates_due(config.learn_after + 64) == 32


def test_a_short_run_learns_too():
    config = Config(steps=500)
    assert config.learn_after < 100
    assert config.updates_due(config.steps) > 100
