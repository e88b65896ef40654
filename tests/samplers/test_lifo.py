"""The newest rows, newest first, without replacement."""

import json

import numpy as np
import pytest

import replay
from replay.samplers import from_json
from tests.clock import ticking
from tests.homes import HOMES, WALKS, opened, refused, walking
from tests.views.plays import VIEWS, playing

FIELDS = {"x": np.int64}
LIFO = replay.Lifo()


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


@pytest.mark.parametrize("home", HOMES)
def test_a_batch_is_the_newest_rows_newest_first(walk, home):
    with opened(home, 8, FIELDS, sampler=LIFO) as buffer:
        for last in range(20):
            buffer.add(last)
            stored = min(last + 1, 8)
            for count in {1, stored}:
                batch = buffer.sample(count)
                assert batch.x.tolist() == list(range(last, last - count, -1))
                assert batch.weights.tolist() == [1.0] * count
        # They stay.
        assert buffer.sample(2).x.tolist() == buffer.sample(2).x.tolist() == [19, 18]


def test_streams_are_dealt_from_in_turn(walk):
    with opened("private", 24, FIELDS, sampler=LIFO, streams=3) as buffer:
        for stream, count in enumerate((2, 7, 20)):
            buffer.writer(stream).extend(np.arange(count) + 100 * stream)
        assert buffer.sample(4).x.tolist() == [1, 106, 219, 0]
        assert buffer.sample(8).x.tolist() == [1, 106, 219, 0, 105, 218, 104, 217]
        assert len(set(buffer.sample(17).x.tolist())) == 17


@pytest.mark.parametrize("home", HOMES)
def test_a_batch_of_more_rows_than_there_are_is_refused(walk, home):
    with opened(home, 8, FIELDS, sampler=LIFO) as buffer:
        with refused(buffer, replay.EmptyError, "buffer is empty"):
            buffer.sample(1)
        buffer.extend(np.arange(5))
        with refused(buffer, replay.EmptyError, "5 rows may be drawn", "Lifo"):
            buffer.sample(6)
        assert buffer.sample(5).x.tolist() == [4, 3, 2, 1, 0]
        for size in (0, -1, 2.5):
            with refused(buffer, replay.InputError, "batch_size"):
                buffer.sample(size)


def test_a_batch_that_is_refused_is_not_counted_by_a_limiter():
    limiter = replay.RateLimiter(2, min_size=1, tolerance=10)
    with opened("private", 8, FIELDS, sampler=LIFO, limiter=limiter) as buffer:
        buffer.extend(np.arange(3))
        with pytest.raises(replay.WaitTimeoutError, match="3 rows may be drawn"):
            buffer.sample(4, timeout=0)
        assert buffer.stats()["balance"] == 6
        assert buffer.sample(3).x.tolist() == [2, 1, 0]
        assert buffer.stats()["balance"] == 3


def test_a_batch_may_be_waited_for():
    with ticking() as clock, opened("private", 8, FIELDS, sampler=LIFO) as buffer:
        buffer.add(0)
        clock.at(1.0, lambda: buffer.add(1))
        assert buffer.sample(2, timeout=3).x.tolist() == [1, 0]


def test_a_row_that_is_missed_is_replaced_by_one_that_the_batch_lacks(walk):
    with opened("private", 8, FIELDS, sampler=LIFO) as buffer:
        buffer.extend(np.arange(8))
        ring, sampler = buffer._ring, buffer.sampler
        slots, weights = np.full(2, -1), np.zeros(2, np.float32)
        ids = np.array([7, -1, 5, -1])
        sampler.draw_again(ring, slots, weights, 1.0, buffer._handle, ids)
        assert (slots.tolist(), weights.tolist()) == ([6, 4], [1.0, 1.0])
        assert buffer.stats()["batches"] == 0
        # The newest is in its writer's hands.
        ring.block.part("records")[7, 0] |= 1
        assert buffer.sample(3).x.tolist() == [6, 5, 4]


@pytest.mark.parametrize("name", ["3 steps", "stack of 4", "recurrent"])
def test_rows_whose_window_is_not_whole_are_passed(name):
    with playing(VIEWS[name], 30, sampler=LIFO) as play:
        for length in (3, 1, 9, 5):
            play.episode(0, length, "truncated")
        play.reset(0)
        for _ in range(5):
            play.step(0)
        drawable = sorted(play.drawable(), reverse=True)
        for count in (1, 3, len(drawable)):
            assert play.sample(count).ids.tolist() == drawable[:count]
        with pytest.raises(replay.EmptyError, match=f"{len(drawable)} rows may be drawn"):
            play.buffer.sample(len(drawable) + 1)


def test_a_sampler_is_read_back_and_nothing_else_is():
    assert from_json(json.loads(json.dumps(LIFO.to_json()))) == LIFO
    with pytest.raises(replay.InputError, match="lifo"):
        from_json({"kind": "lifo", "tree": True})
