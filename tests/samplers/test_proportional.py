"""
Proportional draws: p ** alpha over the sum, exactly, with the weights that correct it.

False alarms and power as in test_uniform: at most 1e-6 of the seeds; ten parts that are off by 1 %
in turns are caught with DRAWS draws.
"""

import numpy as np
import pytest

import replay
from tests.homes import WALKS, fewer, opened, walking
from tests.samplers.test_uniform import BATCH, DRAWS, assert_as_likely, draw

FIELDS = {"x": np.int64}


def prioritized(capacity, *, streams=1, **options):
    sampler = replay.Proportional(**options)
    return opened("private", capacity, FIELDS, sampler=sampler, streams=streams, seed=3)


def tenths(weights):
    """Split rows into ten parts of about the same sum of weights."""
    share = np.cumsum(weights) / weights.sum()
    return np.minimum((share * 10 - 1e-9).astype(int), 9)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("stratified", [False, True])
def test_rows_are_drawn_in_proportion_to_priority_to_the_alpha(alpha, stratified):
    count = 1500
    with prioritized(1000, alpha=alpha, stratified=stratified, normalise=None) as buffer:
        ids = buffer.extend(np.arange(count))[-1000:]
        priorities = np.random.default_rng(7).exponential(1.0, 1000)
        priorities[::17] = 0.0
        priorities[5] = 100.0
        assert buffer.update_priorities(ids, priorities) == 1000
        wanted = np.where(priorities > 0, priorities**alpha, 0.0)
        drawn = draw(buffer)
        counts = np.bincount(drawn - ids[0], minlength=1000)
        assert not counts[::17].any(), "a row of priority 0 was drawn"
        part = tenths(wanted)
        seen = np.bincount(part, counts, minlength=10)
        shares = np.bincount(part, wanted, minlength=10) / wanted.sum()
        if DRAWS > 1_000_000:
            assert counts[wanted > 0.1].min() > 0
        # Strata only make the counts more even than the bound allows.
        assert_as_likely(seen.tolist(), shares.tolist())


@pytest.mark.parametrize("capacity", [1, 2, 5, 8, 9, 64, 65, fewer(1000, 100)])
def test_every_row_of_every_capacity_can_be_drawn(capacity):
    with prioritized(capacity, alpha=1.0) as buffer:
        for _ in range(2):
            ids = buffer.extend(np.arange(capacity))
            buffer.update_priorities(ids, np.linspace(0.5, 1.0, capacity))
            seen = set(draw(buffer, max(40 * capacity, 2 * BATCH)).tolist())
            assert seen == set(ids.tolist())


def test_rows_of_all_streams_are_drawn_by_their_priorities():
    with prioritized(60, alpha=1.0, streams=3) as buffer:
        ids = np.concatenate([buffer.writer(s).extend(np.arange(25 - s * 7)) for s in range(3)])
        live = ids[ids // 3 >= np.where(ids % 3 == 0, 5, 0)]
        priorities = 1.0 + live % 5
        assert buffer.update_priorities(live, priorities) == len(live) == len(buffer)
        counts = np.bincount(draw(buffer, DRAWS // 4), minlength=ids.max() + 1)
        assert_as_likely(counts[live].tolist(), (priorities / priorities.sum()).tolist())
        assert counts.sum() == counts[live].sum()


def test_a_stratum_gives_one_row_each():
    with prioritized(64, alpha=1.0, stratified=True) as buffer:
        buffer.extend(np.arange(64))
        for count in (64, 128):
            batch = buffer.sample(count)
            assert (np.bincount(batch.ids) == count // 64).all()
        assert (np.diff(buffer.sample(10).ids) > 0).all()


def test_a_row_with_nearly_all_the_priority_is_nearly_always_drawn():
    with prioritized(1000, alpha=1.0, stratified=False) as buffer:
        buffer.extend(np.arange(1000))
        buffer.update_priorities(np.arange(1000), np.full(1000, 1e-7))
        buffer.update_priorities([3], [1000.0])
        assert (buffer.sample(2000).ids == 3).all()


# weights


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("normalise", ["batch", "buffer", None])
@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 0.4), (1.0, 1.0), (0.5, 0.0), (2.0, 0.7)])
def test_weights_are_as_the_paper_says(walk, normalise, alpha, beta):
    options = {"alpha": alpha, "beta": beta, "normalise": normalise}
    with walking(walk), prioritized(150, **options) as buffer:
        buffer.extend(np.arange(200))
        ids = np.arange(60, 200)
        priorities = np.random.default_rng(1).uniform(0.01, 5.0, 140)
        priorities[3] = 0.0
        buffer.update_priorities(ids, priorities)
        everything = np.concatenate([np.ones(10), priorities]) ** alpha
        everything[13] = 0.0
        probability = everything / everything.sum()
        largest = (150 * probability[probability > 0].min()) ** -beta
        for count in (1, 7, 100):
            batch = buffer.sample(count)
            weights = (150 * probability[batch.ids - 50]) ** -beta
            if normalise == "batch":
                weights /= weights.max()
                assert batch.weights.max() == 1.0
            elif normalise == "buffer":
                weights /= largest
                assert batch.weights.max() <= 1.0 + 1e-6
            np.testing.assert_allclose(batch.weights, weights, rtol=3e-6)


def test_the_buffers_largest_weight_follows_its_smallest_priority():
    with prioritized(20, alpha=1.0, beta=1.0, normalise="buffer") as buffer:
        buffer.extend(np.arange(20))
        for smallest in (0.5, 0.25, 2.0, 0.125):
            buffer.update_priorities(np.arange(20), np.full(20, 4.0))
            buffer.update_priorities([7], [smallest])
            batch = buffer.sample(60)
            wanted = np.where(batch.ids == 7, 1.0, smallest / 4.0)
            np.testing.assert_allclose(batch.weights, wanted, rtol=1e-6)
        buffer.extend(np.arange(20))
        np.testing.assert_allclose(buffer.sample(30).weights, 1.0, rtol=1e-6)


@pytest.mark.parametrize("walk", WALKS)
def test_beta_grows_with_the_batches_drawn_by_all(walk):
    line = replay.Linear(0.2, 1.0, steps=5)
    sampler = replay.Proportional(alpha=1.0, beta=line, normalise=None)
    with walking(walk), opened("named", 4, FIELDS, sampler=sampler, seed=0) as buffer:
        buffer.extend(np.arange(4))
        buffer.update_priorities(np.arange(4), [1.0, 2.0, 3.0, 4.0])
        with replay.attach(buffer.name) as other:
            for number in range(9):
                batch = (buffer, other)[number % 2].sample(3)
                wanted = (4 * (batch.ids + 1) / 10) ** -line(number)
                np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)


# arguments


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        (name, value, limit)
        for name, limit in (("alpha", "0 to 4"), ("beta", "0 to 1"), ("epsilon", "0 to 1e+06"))
        for value in (-0.1, -1e-9, 1e9, np.nan, np.inf, -np.inf)
    ]
    + [("alpha", 4.1, "0 to 4"), ("beta", 1.1, "0 to 1"), ("beta", 2, "0 to 1")],
)
def test_a_parameter_out_of_range_is_refused(name, value, limit):
    with pytest.raises(replay.InputError, match=name) as caught:
        replay.Proportional(**{name: value})
    assert str(value) in str(caught.value)
    assert limit in str(caught.value)


@pytest.mark.parametrize("name", ["alpha", "beta", "epsilon"])
@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], 1j])
def test_a_parameter_that_is_no_number_is_refused(name, value):
    with pytest.raises(replay.InputError, match=rf"{name} .*must be a number"):
        replay.Proportional(**{name: value})


@pytest.mark.parametrize("line", [(-0.1, 1.0), (0.4, 1.1), (np.nan, 1.0), ("a", 1.0), (0.1, None)])
def test_a_beta_that_leaves_its_range_is_refused(line):
    with pytest.raises(replay.InputError, match="beta"):
        replay.Proportional(beta=replay.Linear(*line, steps=10))


@pytest.mark.parametrize(
    ("name", "value"),
    [("stratified", 1), ("stratified", None), ("normalise", "max"), ("normalise", True),
     ("normalise", ["batch"]), ("normalise", 0)],
)  # fmt: skip
def test_a_switch_that_cannot_be_is_refused(name, value):
    with pytest.raises(replay.InputError, match=name) as caught:
        replay.Proportional(**{name: value})
    assert repr(value) in str(caught.value)


def test_numpy_numbers_are_numbers():
    sampler = replay.Proportional(np.float32(0.5), np.float64(0.25), np.int64(0))
    assert sampler == replay.Proportional(0.5, 0.25, 0)
    with (
        opened("named", 10, FIELDS, sampler=sampler) as buffer,
        replay.attach(buffer.name) as other,
    ):
        assert other.sampler == sampler
