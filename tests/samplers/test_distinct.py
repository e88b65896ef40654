"""
Uniform draws without replacement, as a buffer gives them.

That every order of every set is as likely as the next is shown in tests/kernels/test_distinct.py.
"""

import json

import numpy as np
import pytest

import replay
from kernels import handle as words
from replay.samplers import from_json
from tests.homes import HOMES, WALKS, fewer, opened, refused, walking
from tests.views.plays import playing

FIELDS = {"x": np.int64}
DISTINCT = replay.Uniform(replace=False)


def distinct(home="private", capacity=10, **options):
    return opened(home, capacity, FIELDS, sampler=DISTINCT, seed=4, **options)


def half_written(buffer, slot):
    """Have a writer in the middle of a row: who gathers it draws again."""
    buffer._ring.block.part("records")[slot, 0] |= 1


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("streams", [1, 2])
def test_the_rows_of_a_batch_all_differ(walk, streams):
    with walking(walk), distinct(capacity=20, streams=streams) as buffer:
        for stream in range(streams):
            buffer.writer(stream).extend(np.arange(17))
        stored = len(buffer)
        for count in (1, 2, stored // 2, stored // 2 + 1, stored):
            batch = buffer.sample(count)
            again = buffer.sample(out=batch)
            assert again is batch
            assert len(set(batch.ids.tolist())) == count
            assert (batch.x == batch.ids // streams).all()
            assert batch.weights.tolist() == [1.0] * count
        assert batch.ids.tolist() != sorted(batch.ids.tolist())


def test_more_rows_than_there_are_is_an_error_that_says_how_many():
    with distinct() as buffer:
        buffer.extend(np.arange(3))
        with refused(buffer, replay.EmptyError, "only 3 rows"):
            buffer.sample(4)
        with refused(buffer, replay.InputError, "above 10"):
            buffer.sample(11)
        with refused(buffer, replay.WaitTimeoutError, "only 3 rows"):
            buffer.sample(4, timeout=0)
        buffer.clear()
        with refused(buffer, replay.EmptyError, "empty"):
            buffer.sample(1)


def test_a_row_that_is_lost_is_not_counted_and_shifts_no_draw():
    with distinct() as buffer, distinct() as twin:
        for one in (buffer, twin):
            one.extend(np.arange(6))
            one.sample(2)
        records = buffer._ring.block.part("records")
        word = records[2, 0]
        # A claimed slot that nothing came into.
        records[2, 0] = 0
        with refused(buffer, replay.EmptyError, "only 5 rows"):
            buffer.sample(6)
        assert 2 not in buffer.sample(5).ids
        records[2, 0] = word
        twin.sample(5)
        assert buffer.sample(6).ids.tolist() == twin.sample(6).ids.tolist()


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("capacity", [8, 64])
def test_what_is_drawn_again_is_none_of_the_others(walk, capacity):
    with walking(walk), distinct(capacity=capacity) as buffer:
        buffer.extend(np.arange(capacity + 3))
        half_written(buffer, 1)
        half_written(buffer, 5)
        for _ in range(fewer(50, 10)):
            batch = buffer.sample(6)
            assert len(set(batch.ids.tolist())) == 6
            assert not set(batch.ids.tolist()) & {capacity + 1, 5}
            assert batch.weights.tolist() == [1.0] * 6
        assert buffer.stats()["redrawn"] > 0


def test_a_batch_of_all_rows_waits_for_writers_and_gives_up_on_the_dead(monkeypatch):
    monkeypatch.setattr("replay.buffers.reader._TRIES", 3)
    with distinct() as buffer:
        buffer.extend(np.arange(10))
        half_written(buffer, 4)
        with pytest.raises(replay.EmptyError, match="no whole row was found"):
            buffer.sample(10)


def test_only_what_is_missing_is_drawn_again():
    with distinct(capacity=12, streams=3) as buffer:
        for stream in range(3):
            buffer.writer(stream).extend(np.arange(7))
        ids = np.array([9, -1, 20, 10, -1, 11, 15])
        slots, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
        kept = {0 + 3, 8 + 2, 4 + 3, 8 + 3, 0 + 1}
        seen = set()
        for _ in range(fewer(100, 20)):
            handle = buffer._own_handle()
            DISTINCT.draw_again(buffer._ring, slots, weights, 1.0, handle, ids)
            assert len(set(slots.tolist())) == 2
            seen |= set(slots.tolist())
            assert weights.tolist() == [1.0, 1.0]
        assert seen == set(range(12)) - kept
        assert handle[words.SAMPLER] == 0
        assert buffer.stats()["sampled"] == 0


def test_under_a_view_rows_whose_window_is_not_whole_are_not_drawn():
    with playing(replay.NStep(3, 0.9), 40, sampler=DISTINCT) as play:
        for length, end in ((4, "terminated"), (9, ""), (5, "truncated"), (7, "")):
            play.episode(0, length, end)
        drawable = play.drawable()
        assert len(drawable) < len(play.buffer)
        for count in (3, len(drawable) // 2, len(drawable)):
            assert len(set(play.sample(count).ids.tolist())) == count
        # Nor does the draw leave it to the gather to find out.
        slots, weights = np.zeros(5, np.int64), np.zeros(5, np.float32)
        whole = {play.log.slot_of(identity) for identity in drawable}
        for _ in range(fewer(50, 20)):
            assert DISTINCT.draw(play.buffer._ring, slots, weights, play.buffer._handle) == 1
            assert set(slots.tolist()) <= whole
        with refused(play.buffer, replay.EmptyError, f"only {len(drawable)} rows"):
            play.buffer.sample(len(drawable) + 1)


def test_the_limiter_counts_the_rows_of_batches_that_came_about():
    limiter = replay.RateLimiter(2, min_size=2, tolerance=20)
    with distinct(limiter=limiter) as buffer:
        buffer.extend(np.arange(4))
        before = buffer.stats()["balance"]
        buffer._ring.block.part("records")[2, 0] = 0
        with pytest.raises(replay.WaitTimeoutError, match="only 3 rows"):
            buffer.sample(4, timeout=0)
        assert buffer.stats()["balance"] == before
        buffer.sample(3)
        assert buffer.stats()["balance"] == before - 3


@pytest.mark.parametrize("home", HOMES)
def test_whoever_attaches_draws_without_replacement_as_well(home):
    with distinct(home) as buffer:
        buffer.extend(np.arange(10))
        where = {"name": buffer.name} if buffer.name else {"path": buffer.path}
        if home == "private":
            assert sorted(buffer.sample(10).ids.tolist()) == list(range(10))
            return
        with replay.attach(**where) as other:
            assert other.sampler == DISTINCT
            assert sorted(other.sample(10).ids.tolist()) == list(range(10))


def test_plain_uniform_is_described_as_it_always_was():
    assert replay.Uniform().to_json() == {"kind": "uniform"}
    assert DISTINCT.to_json() == {"kind": "uniform", "replace": False}
    assert from_json(json.loads(json.dumps(DISTINCT.to_json()))) == DISTINCT
    assert from_json({"kind": "uniform"}) == replay.Uniform()


@pytest.mark.parametrize("value", [True, None, 0, 1, "no", [], {}])
def test_what_describes_no_choice_is_refused(value):
    with pytest.raises(replay.InputError, match=r"sampler|replace"):
        from_json({"kind": "uniform", "replace": value})
    if not isinstance(value, bool):
        with pytest.raises(replay.InputError, match="replace") as caught:
            replay.Uniform(replace=value)
        assert repr(value) in str(caught.value)
