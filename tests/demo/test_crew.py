"""Actors that play, fail, die, and leave."""

import multiprocessing
import os
import signal
from contextlib import closing

import numpy as np
import pytest

from replay.demo.config import Config
from replay.demo.crew import Crew
from replay.demo.errors import DemoError
from replay.demo.policy import parameter_count
from replay.demo.storage import make_buffer, unique_name
from replay.demo.weights import SharedWeights

CONFIG = Config(hidden=8, capacity=1_000)


def nothing():
    pass


def fresh_weights():
    weights = SharedWeights(CONFIG.hidden)
    weights.publish(np.zeros(parameter_count(CONFIG.hidden), np.float32))
    return weights


def actors_left():
    return [child for child in multiprocessing.active_children() if "actor" in child.name]


def test_rounds_arrive_in_the_buffer_and_the_dead_are_named():
    name = unique_name()
    with (
        make_buffer(CONFIG, name) as buffer,
        closing(Crew(CONFIG, name, fresh_weights(), nothing)) as crew,
    ):
        for number in range(CONFIG.actors):
            assert crew.hear(number).steps == 0
        crew.grant(0, 30, 1.0)
        crew.grant(1, 12, 1.0)
        rounds = [crew.hear(number) for number in range(2)]
        assert [played.steps for played in rounds] == [30, 12]
        assert buffer.size == 42
        ended = sum(len(played.returns) for played in rounds)
        batch = buffer.sample(2_000)
        assert len(np.unique(batch.ids[batch.terminated])) == ended
        assert set(batch.reward) == {1.0}

        victim = next(child for child in actors_left() if child.name == "replay-actor-1")
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(DemoError, match="actor 1 was killed by SIGKILL"):
            crew.hear(1)
        with pytest.raises(DemoError, match="actor 1 was killed by SIGKILL"):
            crew.grant(1, 1, 0.0)
        crew.grant(0, 5, 0.0)
        assert crew.hear(0).steps == 5
    assert actors_left() == []


def test_an_actor_that_fails_says_why():
    missing = "cartpole-that-nobody-made"
    with (
        closing(Crew(CONFIG, missing, fresh_weights(), nothing)) as crew,
        pytest.raises(DemoError, match=rf"actor 0 failed: .*{missing}"),
    ):
        crew.hear(0)
    assert actors_left() == []


def test_what_pause_raises_ends_the_wait():
    ready = []

    def pause():
        if ready:
            raise TimeoutError

    name = unique_name()
    with make_buffer(CONFIG, name), closing(Crew(CONFIG, name, fresh_weights(), pause)) as crew:
        ready.append(crew.hear(0))
        with pytest.raises(TimeoutError):
            crew.hear(0)  # no round was granted: nothing will come
    assert actors_left() == []
