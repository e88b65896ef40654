"""Priorities that are passed back along their episodes, as plain lists say they are."""

import math

import numpy as np
import pytest

import replay
from replay.memory.block import READY_WORD, Block
from replay.memory.layout import Layout
from tests.homes import WALKS, fewer, opened, walking

FIELDS = {"obs": np.float32, "action": np.int64, "reward": np.float32}


def log(sampler, view=None, capacity=40, **options):
    view = view or replay.Transition()
    return opened("private", capacity, FIELDS, sampler=sampler, view=view, seed=1, **options)


def play(writer, lengths):
    """Write episodes, and give the ids of the steps of each."""
    episodes = []
    for length in lengths:
        writer.reset(0.0)
        ends = [step == length for step in range(1, length + 1)]
        episodes.append([writer.step(0.0, 0, 0.0, end, False) for end in ends])
    return episodes


def priorities_of(buffer, ids):
    slots = np.asarray(ids) % buffer.capacity
    return buffer.priorities.priorities()[slots]


def passed_back(priorities, episodes, updates, decay, keep):
    """Set priorities of a dict of ids as the paper's rule does."""
    window = math.floor(math.log(0.01) / math.log(decay))
    for identity, priority in updates:
        priorities[identity] = max(priority, keep * priorities[identity])
    for identity, _ in updates:
        episode = next(episode for episode in episodes if identity in episode)
        place = episode.index(identity)
        share = priorities[identity]
        for before in reversed(episode[max(place - window, 0) : place]):
            share *= decay
            priorities[before] = max(priorities[before], share)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize(("alpha", "decay", "keep"), [(1.0, 0.4, 0.0), (0.6, 0.65, 0.7)])
def test_priorities_go_back_to_the_steps_before_and_no_further(walk, alpha, decay, keep):
    sampler = replay.Proportional(alpha=alpha, decay=decay, keep=keep)
    with walking(walk), log(sampler) as buffer:
        episodes = play(buffer.writer(), [3, 1, 12, 7])
        known = {identity: 1.0 for episode in episodes for identity in episode}
        generator = np.random.default_rng(5)
        for _ in range(fewer(40, 10)):
            ids = generator.permutation(list(known))[:5].tolist()
            given = generator.exponential(size=5).round(3) + 0.01
            assert buffer.update_priorities(ids, given) == 5
            passed_back(known, episodes, list(zip(ids, given, strict=True)), decay, keep)
            found = priorities_of(buffer, list(known))
            np.testing.assert_allclose(found, list(known.values()), rtol=1e-5)
            assert buffer.priorities.verify() == 0


def test_a_large_error_at_the_end_is_seen_by_the_steps_that_led_to_it():
    with log(replay.Proportional(alpha=1.0, decay=0.5)) as buffer:
        (episode,) = play(buffer.writer(), [6])
        buffer.update_priorities(episode, np.full(6, 0.001))
        buffer.update_priorities(episode[-1:], [8.0])
        assert priorities_of(buffer, episode).round(4).tolist() == [0.25, 0.5, 1, 2, 4, 8]


def test_what_cannot_be_drawn_gets_no_priority():
    view = replay.Sequence(2, period=2)
    with log(replay.Proportional(alpha=1.0, decay=0.5), view) as buffer:
        (episode,) = play(buffer.writer(), [7])
        buffer.update_priorities(episode[::2], np.full(4, 0.001))
        buffer.update_priorities(episode[4:5], [8.0])
        found = priorities_of(buffer, episode).round(4).tolist()
        assert found == [0.5, 0, 2, 0, 8, 0, 0.001]


def test_nothing_goes_back_from_a_row_that_is_gone():
    with log(replay.Proportional(alpha=1.0, decay=0.5), capacity=8) as buffer:
        writer = buffer.writer()
        (first,) = play(writer, [5])
        (second,) = play(writer, [5])
        before = buffer.priorities.priorities()
        assert buffer.update_priorities(first[:1], [9.0]) == 0
        assert (buffer.priorities.priorities() == before).all()
        assert buffer.update_priorities(second[-1:], [4.0]) == 1
        assert priorities_of(buffer, second[-3:]).tolist() == [1.0, 2.0, 4.0]


def test_it_is_described_and_read_again():
    sampler = replay.Proportional(decay=0.4, keep=0.7)
    assert replay.samplers.from_json(sampler.to_json()) == sampler
    assert replay.samplers.from_json(replay.Proportional().to_json()).decay == 0
    combined = replay.Combined(sampler)
    assert replay.samplers.from_json(combined.to_json()) == combined


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"decay": 1.0}, "decay is 1.0, it must be from 0 to 0.99"),
        ({"decay": -0.1}, "decay is -0.1"),
        ({"decay": 0.5, "keep": 1.5}, "keep is 1.5, it must be from 0 to 1"),
        ({"keep": 0.5}, "keep is 0.5 and decay is 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(options, said):
    with pytest.raises(replay.InputError) as caught:
        replay.Proportional(**options)
    assert said in str(caught.value)


def test_it_needs_episodes():
    with pytest.raises(replay.InputError, match="needs a view"):
        replay.ReplayBuffer(10, FIELDS, sampler=replay.Proportional(decay=0.4))


def test_a_file_that_claims_it_without_episodes_is_refused(tmp_path):
    path = tmp_path / "block"
    with opened("private", 10, FIELDS, sampler=replay.Proportional()) as buffer:
        layout = buffer._ring.layout
    described = replay.Proportional(decay=0.4).to_json()
    block = Block.create(Layout(layout.schema, 10, 1, described), path, named=False)
    block.part("control")[0, 0] = READY_WORD
    block.close()
    with pytest.raises(replay.BlockFormatError, match="needs a view"):
        replay.attach(path=path)
