"""One seed and one sequence of calls: the same ids and weights, wherever and by whichever walk."""

import json

import numpy as np
import pytest

import replay
from tests.homes import FIELDS, HOMES, SAMPLERS, WALKS, fresh_name, opened, rows, walking
from tests.processes import python

PLAYED = """
import json, sys, numpy as np, replay
def play(buffer, rounds):
    drawn = []
    for number in rounds:
        buffer.add(**{name: field for name, field in zip(buffer.fields, (
            np.full(3, number, np.float32), number, number / 2, number % 3 == 0,
            np.full((17, 17), number % 256, np.uint8)))})
        batch = buffer.sample(5)
        drawn.append([batch.ids.tolist(), batch.weights.tolist()])
        if buffer.sampler.prioritized:
            buffer.update_priorities(batch.ids, 0.5 + (batch.ids * 7 + number) % 11)
    return drawn
"""
_space = {}
exec(PLAYED, _space)
play = _space["play"]


def reference(sampler):
    with opened("private", 10, FIELDS, sampler=sampler, seed=8) as buffer:
        return play(buffer, range(40))


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("walk", WALKS)
def test_every_home_and_walk_draws_the_same(kind, home, walk):
    wanted = reference(SAMPLERS[kind])
    with walking(walk), opened(home, 10, FIELDS, sampler=SAMPLERS[kind], seed=8) as buffer:
        assert play(buffer, range(40)) == wanted


@pytest.mark.parametrize("kind", SAMPLERS)
def test_another_seed_draws_others(kind):
    wanted = reference(SAMPLERS[kind])
    with opened("private", 10, FIELDS, sampler=SAMPLERS[kind], seed=9) as buffer:
        assert play(buffer, range(40)) != wanted


def test_without_a_seed_each_buffer_draws_its_own():
    drawn = []
    for _ in range(2):
        with opened("private", 1000, {"x": int}) as buffer:
            buffer.extend(np.arange(1000))
            drawn.append(buffer.sample(20).ids.tolist())
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("seed", [0, 1, (1 << 63) - 1, np.int32(5)])
def test_every_seed_is_its_own(seed):
    with opened("private", 1000, {"x": int}, seed=seed) as buffer:
        buffer.extend(np.arange(1000))
        ids = buffer.sample(200).ids
        assert len(set(ids.tolist())) > 100


def test_a_size_drawn_in_pieces_is_the_size_drawn_at_once():
    with (
        opened("private", 100, {"x": int}, seed=1) as one,
        opened("private", 100, {"x": int}, seed=1) as other,
    ):
        for buffer in (one, other):
            buffer.extend(np.arange(60))
        pieces = np.concatenate([one.sample(count).ids for count in (1, 7, 64, 65, 3)])
        assert pieces.tolist() == other.sample(140).ids.tolist()


def test_a_refused_call_does_not_shift_the_draws():
    for sampler in (replay.Uniform(), replay.Proportional()):
        with opened("private", 10, FIELDS, sampler=sampler, seed=8) as buffer:
            for use in (
                lambda b=buffer: b.sample(3),
                lambda b=buffer: b.sample(0),
                lambda b=buffer: b.add(1),
                lambda b=buffer: b.update_priorities([5], [1.0]),
            ):
                with pytest.raises(replay.ReplayError):
                    use()
            assert play(buffer, range(40)) == reference(sampler)


@pytest.mark.parametrize("kind", ["uniform", "batch"])
def test_a_second_process_goes_on_where_the_first_was(kind):
    """The generator lies in the block."""
    name = fresh_name()
    code = PLAYED + (
        "with replay.attach(sys.argv[1]) as buffer:\n"
        "    print(json.dumps(play(buffer, range(15, 30))))\n"
    )
    with replay.ReplayBuffer(10, FIELDS, sampler=SAMPLERS[kind], seed=8, name=name) as buffer:
        drawn = play(buffer, range(15))
        done = python(code, name)
        assert done.stderr == ""
        drawn += json.loads(done.stdout)
        drawn += play(buffer, range(30, 40))
    assert drawn == reference(SAMPLERS[kind])


def test_a_file_goes_on_where_it_was_closed(tmp_path):
    path = tmp_path / "block"
    sampler = SAMPLERS["buffer"]
    with replay.ReplayBuffer(10, FIELDS, sampler=sampler, seed=8, path=path) as buffer:
        drawn = play(buffer, range(20))
    with replay.attach(path=path) as buffer:
        drawn += play(buffer, range(20, 40))
    assert drawn == reference(sampler)


def test_clearing_starts_no_generator_anew():
    with opened("private", 100, FIELDS, seed=1) as buffer:
        buffer.extend(**rows(range(100)))
        before = buffer.sample(10).ids
        buffer.clear()
        buffer.extend(**rows(range(100)))
        assert (buffer.sample(10).ids - 100).tolist() != before.tolist()
