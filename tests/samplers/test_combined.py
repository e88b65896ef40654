"""Combined replay: the newest row last in every batch, the others as another sampler draws."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.samplers import from_json
from tests import naive, naive_mixed
from tests.homes import SAMPLERS, WALKS, fewer, opened, refused, walking
from tests.views.plays import playing

FIELDS = {"x": np.int64}
OTHERS = {
    "uniform": replay.Uniform(),
    "distinct": replay.Uniform(replace=False),
    "recent": replay.Recent(eta=0.9, updates=10, smallest=3),
    "batch": SAMPLERS["batch"],
    "buffer": SAMPLERS["buffer"],
    "bare": SAMPLERS["bare"],
}
PROPORTIONAL = ("batch", "buffer", "bare")


def combined(of, capacity=12, **options):
    return opened("private", capacity, FIELDS, sampler=replay.Combined(of=of), seed=6, **options)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("of", OTHERS)
def test_the_newest_row_is_the_last_of_every_batch(walk, of):
    with walking(walk), combined(OTHERS[of]) as buffer:
        for number in range(30):
            newest = buffer.add(number)
            count = 1 + number % 8 if number > 8 else 1
            batch = buffer.sample(count)
            assert batch.ids[-1] == newest
            assert (batch.x == batch.ids).all()
            if of == "distinct":
                assert len(set(batch.ids.tolist())) == count
        sizes = [1] * 9 + [1 + number % 8 for number in range(9, 30)]
        assert buffer.stats()["sampled"] == sum(sizes)
        assert buffer.stats()["batches"] == 30


@settings(max_examples=fewer(60, 20))
@given(st.data())
def test_the_newest_is_of_the_stream_whose_turn_it_is(data):
    streams = data.draw(st.integers(1, 4))
    kind = data.draw(st.sampled_from(["uniform", "batch"]))
    with combined(OTHERS[kind], 5 * streams, streams=streams) as buffer:
        rows = [[] for _ in range(streams)]
        for stream in range(streams):
            count = data.draw(st.integers(0, 12))
            rows[stream] = buffer.writer(stream).extend(np.arange(count)).tolist()[-5:]
        zeros = data.draw(st.sets(st.integers(0, 40), max_size=8))
        live = [identity for stream in rows for identity in stream]
        if kind == "batch":
            zeros = [identity for identity in live if identity in zeros]
            buffer.update_priorities(zeros, np.zeros(len(zeros)))
            rows = [[row for row in stream if row not in zeros] for stream in rows]
        for batches in range(6):
            wanted = naive_mixed.newest(rows, batches)
            if wanted is None:
                with refused(buffer, replay.EmptyError, "priority 0" if live else "empty"):
                    buffer.sample(2)
                return
            assert buffer.sample(1 + batches % 3).ids[-1] == wanted


def test_a_row_in_its_writers_hands_is_not_the_newest_yet():
    with combined(replay.Uniform(replace=False)) as buffer:
        buffer.extend(np.arange(20))
        records = buffer._ring.block.part("records")
        # Half written, and claimed by a writer from which nothing has come.
        records[19 % 12, 0] |= 1
        records[18 % 12, 0] = 0
        assert buffer.sample(4).ids[-1] == 17
        records[:, 0] = 0
        with refused(buffer, replay.EmptyError, "window"):
            buffer.sample(1)


@pytest.mark.parametrize("of", ["uniform", "distinct"])
def test_the_others_are_drawn_from_all_rows_alike(of):
    draws = fewer(60_000, 1_500)
    with combined(OTHERS[of], 6) as buffer:
        buffer.extend(np.arange(6))
        batch = buffer.sample(4)
        seen = np.zeros(6, np.int64)
        for _ in range(draws):
            seen += np.bincount(buffer.sample(out=batch).ids[:-1], minlength=6)
        shares = [1 / 6] * 6 if of == "uniform" else [1 / 5] * 5 + [0]
        used = 6 - shares.count(0)
        limit = naive.chi_square_limit(used - 1)
        assert naive.chi_square(seen.tolist(), shares) < limit
        # One row 10 % too frequent (interpreted: twice as frequent) would be seen.
        seen[0] += seen[0] * fewer(0.1, 1)
        assert naive.chi_square(seen.tolist(), shares) > limit


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("of", PROPORTIONAL)
@pytest.mark.parametrize("newest", [0.01, 1.0, 30.0])
def test_the_newest_row_is_weighed_as_the_others(walk, of, newest):
    sampler = OTHERS[of]
    with walking(walk), combined(sampler, 50) as buffer:
        buffer.extend(np.arange(60))
        priorities = np.random.default_rng(2).uniform(0.5, 2.0, 50)
        priorities[-1] = newest
        buffer.update_priorities(np.arange(10, 60), priorities)
        probability = priorities**sampler.alpha / (priorities**sampler.alpha).sum()
        for count in (1, 2, 20, 70):
            batch = buffer.sample(count)
            weights = (50 * probability[batch.ids - 10]) ** -sampler.beta
            if of == "batch":
                weights /= weights.max()
                assert batch.weights.max() == 1.0
            elif of == "buffer":
                weights /= (50 * probability.min()) ** -sampler.beta
            np.testing.assert_allclose(batch.weights, weights, rtol=3e-6)
            assert batch.ids[-1] == 59


def test_beta_is_that_of_the_batch():
    line = replay.Linear(0.0, 1.0, steps=4)
    of = replay.Proportional(alpha=1.0, beta=line, normalise=None)
    with combined(of, 4) as buffer:
        buffer.extend(np.arange(4))
        buffer.update_priorities(np.arange(4), [1.0, 2.0, 3.0, 4.0])
        for number in range(7):
            batch = buffer.sample(1 + 2 * (number % 2))
            wanted = (4 * (batch.ids + 1) / 10) ** -line(number)
            np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)


def test_under_a_view_the_newest_is_the_newest_whose_window_is_whole():
    with playing(replay.NStep(3, 0.9), 12, sampler=replay.Combined()) as play:
        play.episode(0, 6, "")
        assert play.sample(3).ids[-1] == max(play.drawable()) == 4
        play.step(0, "terminated")
        assert play.sample(3).ids[-1] == max(play.drawable()) == 7


def test_under_a_view_the_newest_is_weighed_among_the_rows_that_may_be_drawn():
    of = replay.Proportional(alpha=0.6, beta=0.4, normalise=None)
    with playing(replay.NStep(3, 0.9), 12, 2, sampler=replay.Combined(of=of)) as play:
        play.episode(0, 9, "terminated")
        play.episode(1, 7, "")
        drawable = play.drawable()
        priorities = np.random.default_rng(1).uniform(0.1, 4.0, len(drawable))
        play.update(drawable, priorities.tolist())
        share = priorities**0.6 / (priorities**0.6).sum()
        weights = dict(zip(drawable, (len(drawable) * share) ** -0.4, strict=True))
        # The newest of stream 1 but for the two whose rewards are not all there yet.
        for newest in (18, 11, 18):
            batch = play.sample(5)
            assert batch.ids[-1] == newest
            wanted = [weights[identity] for identity in batch.ids.tolist()]
            np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)


# rows that are overwritten meanwhile


@pytest.mark.parametrize("of", OTHERS)
def test_a_newest_row_that_was_overwritten_gives_way_to_the_newest_by_then(of):
    sampler = replay.Combined(of=OTHERS[of])
    with opened("private", 12, FIELDS, sampler=sampler, seed=1) as buffer:
        buffer.extend(np.arange(20))
        ids = np.array([9, -1, 12, -1])
        slots, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
        for _ in range(10):
            handle = buffer._own_handle()
            sampler.draw_again(buffer._ring, slots, weights, 1.0, handle, ids)
            assert slots[-1] == 19 % 12
            assert (weights == 1.0).all()
            if of == "distinct":
                assert slots[0] not in (9, 0, 19 % 12)
        stats = buffer.stats()
        assert (stats["sampled"], stats["batches"]) == (0, 0)


@pytest.mark.parametrize("of", OTHERS)
def test_a_newest_row_that_is_there_stays_where_others_were_overwritten(of):
    sampler = replay.Combined(of=OTHERS[of])
    with opened("private", 12, FIELDS, sampler=sampler, seed=1) as buffer:
        buffer.extend(np.arange(20))
        ids = np.array([-1, 12, -1, 19])
        slots, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
        seen, last = set(), set()
        for _ in range(fewer(100, 40)):
            sampler.draw_again(buffer._ring, slots, weights, 1.0, buffer._own_handle(), ids)
            seen |= set(slots.tolist())
            last.add(int(slots[-1]))
        assert len(last) > 1
        if of == "distinct":
            assert seen == set(range(12)) - {0, 19 % 12}
        elif of == "uniform":
            assert seen == set(range(12))


def test_a_newest_row_that_is_drawn_again_is_of_the_same_stream():
    sampler = replay.Combined()
    with opened("private", 12, FIELDS, sampler=sampler, streams=3) as buffer:
        for stream in range(3):
            buffer.writer(stream).extend(np.arange(2))
        slots, weights = np.zeros(1, np.int64), np.zeros(1, np.float32)
        for batches in range(6):
            batch = buffer.sample(2)
            handle = buffer._own_handle()
            sampler.draw_again(buffer._ring, slots, weights, 1.0, handle, np.array([0, -1]))
            assert slots[0] // 4 == batch.ids[-1] % 3 == batches % 3


def test_the_newest_is_not_twice_in_a_batch_that_writers_have_lapped():
    sampler = replay.Combined(of=replay.Uniform(replace=False))
    with opened("private", 4, FIELDS, sampler=sampler, seed=1) as buffer:
        buffer.extend(np.arange(8))
        # Slot 3, where the newest is by now, gave its older row to the batch before.
        ids = np.array([3, -1, -1])
        slots, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
        sampler.draw_again(buffer._ring, slots, weights, 1.0, buffer._own_handle(), ids)
        assert len({3, *slots.tolist()}) == 3


@pytest.mark.parametrize("walk", WALKS)
def test_the_batch_is_settled_where_the_newest_was_drawn_again(walk, monkeypatch):
    sampler = replay.Combined(of=replay.Proportional(alpha=1.0, beta=1.0))
    with walking(walk), opened("private", 8, FIELDS, sampler=sampler, seed=1) as buffer:
        buffer.extend(np.arange(8))
        buffer.update_priorities(np.arange(8), [4.0, 4, 4, 4, 4, 4, 1, 2])
        gather, tries = buffer._gatherer.gather, []

        def missing_the_newest(handle, slots, columns):
            missed = gather(handle, slots, columns)
            if not tries:
                slots[-1] = -1
                missed += 1
                # By now it weighs more than any of the batch did.
                buffer.update_priorities([7], [0.5])
            tries.append(missed)
            return missed

        monkeypatch.setattr(buffer._gatherer, "gather", missing_the_newest)
        monkeypatch.setattr(buffer, "_object_gather", lambda *_: -1)
        batch = buffer.sample(5)
        assert len(tries) == 2
        assert batch.ids[-1] == 7
        assert batch.weights[-1] == batch.weights.max() == 1.0
        leaves = np.array([4.0, 4, 4, 4, 4, 4, 1, 2])[batch.ids[:-1]]
        weights = batch.weights[:-1]
        np.testing.assert_allclose(weights, weights.max() * leaves.min() / leaves, rtol=1e-6)


# limits, descriptions, arguments


def test_the_limiter_counts_all_rows_of_a_batch():
    limiter = replay.RateLimiter(1, min_size=2, tolerance=3)
    with combined(replay.Uniform(), limiter=limiter) as buffer:
        buffer.extend(np.arange(4))
        balance = buffer.stats()["balance"]
        buffer.sample(3)
        assert buffer.stats()["balance"] == balance - 3
        buffer.sample(1)
        assert buffer.stats()["balance"] == balance - 4
        buffer.sample(1)
        for count in (1, 2):
            with pytest.raises(replay.WaitTimeoutError, match="holds samples back"):
                buffer.sample(count, timeout=0)
        assert buffer.stats()["balance"] == balance - 5
        assert buffer.stats()["sampled"] == 5


def test_one_seed_gives_one_sequence_of_batches():
    def batches(walk):
        with walking(walk), combined(OTHERS["batch"], streams=2) as buffer:
            buffer.extend(np.arange(6))
            buffer.writer(1).extend(np.arange(4))
            return [buffer.sample(3).ids.tolist() for _ in range(5)]

    assert batches("object") == batches("plain")


def test_a_refused_batch_shifts_no_draw():
    with combined(replay.Uniform()) as buffer, combined(replay.Uniform()) as twin:
        with pytest.raises(replay.EmptyError):
            buffer.sample(3)
        for one in (buffer, twin):
            one.extend(np.arange(12))
        with refused(buffer, replay.InputError, "out"):
            buffer.sample(out=buffer._batch_type(np.zeros(3), np.zeros(3), np.zeros(3)))
        assert buffer.sample(5).ids.tolist() == twin.sample(5).ids.tolist()


@pytest.mark.parametrize("of", OTHERS)
def test_it_is_read_back_from_what_it_writes(of):
    sampler = replay.Combined(of=OTHERS[of])
    described = json.loads(json.dumps(sampler.to_json()))
    assert from_json(described) == sampler
    assert sampler.prioritized == (of in PROPORTIONAL)
    assert isinstance(hash(sampler), int)
    for name in described:
        for value in (None, [], {}, 3, "x", True, replay.Combined().to_json()):
            if described[name] != value or type(described[name]) is not type(value):
                with pytest.raises(replay.InputError):
                    from_json({**described, name: value})


def test_whoever_attaches_draws_combined_as_well():
    sampler = replay.Combined(of=replay.Proportional(alpha=0.5, epsilon=0.5, initial=4.0))
    with opened("named", 8, FIELDS, sampler=sampler) as buffer:
        buffer.extend(np.arange(5))
        with replay.attach(buffer.name) as other:
            assert other.sampler == sampler
            assert other.update_priorities([1], [0.75]) == 1
            priorities = other.priorities.priorities()[:5]
            np.testing.assert_allclose(priorities, [4, 1.25, 4, 4, 4], rtol=1e-9)
            assert other.sample(3).ids[-1] == 4


@pytest.mark.parametrize(
    "of", [None, "uniform", replay.Uniform, replay.Combined(), replay.Fifo(), replay.Lifo()]
)
def test_what_it_cannot_be_combined_with_is_refused(of):
    with pytest.raises(replay.InputError, match="of is"):
        replay.Combined(of=of)
