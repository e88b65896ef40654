"""
Uniform draws: every stored row as likely as the next, and none else.

The chi-square bound raises a false alarm in at most 1e-6 of the seeds, and each test has one seed.
Its power: of DRAWS draws in ten parts, a sampler that draws one part 1 % too often and another 1 %
too rarely, and so on in turns, is caught (shown below).
"""

import numpy as np
import pytest

import replay
from tests import naive
from tests.homes import WALKS, fewer, opened, walking

FIELDS = {"x": np.int64}
DRAWS = fewer(3_000_000, 10_000)
BATCH = fewer(10_000, 1_000)


def parts(ids, live, count=10):
    """Count the draws of each of ten parts of the live ids, and say what share each part is."""
    place = np.searchsorted(live, ids)
    assert (live[place] == ids).all(), "what is not stored was drawn"
    split = np.array_split(np.arange(len(live)), count)
    drawn = np.bincount(place, minlength=len(live))
    return [int(drawn[part].sum()) for part in split], [len(part) / len(live) for part in split]


def draw(buffer, draws=DRAWS):
    batch = buffer.sample(BATCH)
    ids = [batch.ids.copy()]
    for _ in range(draws // BATCH - 1):
        ids.append(buffer.sample(out=batch).ids.copy())
    return np.concatenate(ids)


def assert_as_likely(counts, shares):
    used = [pair for pair in zip(counts, shares, strict=True) if pair[1] > 0 or pair[0] > 0]
    limit = naive.chi_square_limit(len(used) - 1)
    assert naive.chi_square(*zip(*used, strict=True)) < limit


@pytest.mark.parametrize(
    ("capacity", "streams", "added"),
    [
        (1000, 1, 37),
        (1000, 1, 1000),
        (1000, 1, 1777),
        (97, 1, 130),
        (1000, 4, 700),
        (1000, 4, 3001),
    ],
)
def test_every_stored_row_is_as_likely_as_the_next(capacity, streams, added):
    with opened("private", capacity, FIELDS, streams=streams, seed=11) as buffer:
        live = []
        for stream in range(streams):
            # Streams fill at different speeds.
            count = added // streams // (stream + 1)
            ids = buffer.writer(stream).extend(np.arange(count))
            live += ids[-(capacity // streams) :].tolist()
        assert len(buffer) == len(live)
        ids = draw(buffer)
        assert_as_likely(*parts(ids, np.array(sorted(live))))
        assert len(set(ids.tolist())) == len(live)


@pytest.mark.compiled
def test_a_draw_that_is_one_percent_off_would_be_caught():
    shares = np.full(10, 0.1)
    off = shares * (1 + 0.01 * np.where(np.arange(10) % 2, 1, -1))
    for seed in range(20):
        generator = np.random.default_rng(seed)
        counts = generator.multinomial(DRAWS, off)
        assert naive.chi_square(counts, shares) > naive.chi_square_limit(9)
        assert_as_likely(generator.multinomial(DRAWS, shares), shares)


@pytest.mark.parametrize("walk", WALKS)
def test_draws_do_not_depend_on_the_draws_before(walk):
    with walking(walk), opened("private", 10, FIELDS, seed=2) as buffer:
        buffer.extend(np.arange(10))
        ids = draw(buffer, fewer(200_000, 5_000))
        pairs = np.bincount(ids[:-1:2] * 10 + ids[1::2], minlength=100)
        assert_as_likely(pairs.tolist(), [0.01] * 100)


def test_all_weights_are_one():
    with opened("private", 10, FIELDS) as buffer:
        buffer.extend(np.arange(7))
        batch = buffer.sample(100)
        assert batch.weights.tolist() == [1.0] * 100


@pytest.mark.parametrize("walk", WALKS)
def test_weights_stay_one_where_rows_are_drawn_again(walk):
    with walking(walk), opened("private", 4, FIELDS, seed=3) as buffer:
        buffer.extend(np.arange(4))
        # A writer is in the middle of a row: who draws it draws again.
        buffer._ring.block.part("records")[1, 0] |= 1
        batch = buffer.sample(100)
        assert batch.weights.tolist() == [1.0] * 100
        assert sorted(set(batch.ids.tolist())) == [0, 2, 3]


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 8, 9, 63, 64, 65, fewer(1000, 100)])
def test_every_row_of_every_capacity_can_be_drawn(capacity):
    with opened("private", capacity, FIELDS, seed=0) as buffer:
        for _ in range(2):
            ids = buffer.extend(np.arange(capacity))
            seen = set(draw(buffer, max(40 * capacity, 2 * BATCH)).tolist())
            assert seen == set(ids.tolist())


def test_uniform_is_the_default():
    with opened("private", 10, FIELDS) as buffer:
        assert buffer.sampler == replay.Uniform()
