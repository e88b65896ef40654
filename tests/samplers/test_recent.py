"""
Recent experience: each batch uniform over as many of the newest rows as its turn says.

The chi-square bound raises a false alarm in at most 1e-6 of the seeds, and each test has one seed.
Its power: compiled, a row that is drawn 2 % too often or too rarely adds more to the statistic
than its limit.
"""

import json

import numpy as np
import pytest

import replay
from kernels.recent import recent_rows
from replay.samplers import from_json
from tests import naive
from tests.homes import HOMES, WALKS, fewer, opened, refused, walking
from tests.views.plays import VIEWS, playing

FIELDS = {"x": np.int64}
BATCH = fewer(10_000, 300)
ROUNDS = fewer(60, 10)

#: As they came out once: no home, walk or kind of kernel may give others.
EXPECTED = [
    [25, 24, 34, 23, 34, 37],
    [30, 25, 36, 28, 31, 36],
    [29, 37, 31, 30, 33, 37],
    [27, 25, 23, 38, 30, 32],
    [32, 29, 25, 36, 30, 29],
]


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


@pytest.mark.parametrize(
    ("streams", "added"), [(1, 12), (1, 30), (2, 9), (3, 40)], ids=["filling", "full", "2", "3"]
)
def test_every_turn_draws_its_newest_rows_alike(streams, added):
    sampler = replay.Recent(eta=0.91 ** (1 / 200), updates=5, smallest=9)
    with opened("private", 20 * streams, FIELDS, sampler=sampler, streams=streams, seed=3) as b:
        live = []
        for stream in range(streams):
            # Streams fill at different speeds.
            ids = b.writer(stream).extend(np.arange(added // (stream + 1)))
            live.append(ids[-20:].tolist())
        size = sum(map(len, live))
        counts = [{} for _ in range(5)]
        out = b.sample(BATCH)
        for turn in range(5 * ROUNDS):
            if turn:
                b.sample(out=out)
            ids, seen = np.unique(out.ids, return_counts=True)
            for identity, count in zip(ids.tolist(), seen.tolist(), strict=True):
                here = counts[turn % 5]
                here[identity] = here.get(identity, 0) + count
        for turn, drawn in enumerate(counts):
            newest = max(int(size * 0.91 ** (turn + 1)), 9)
            wanted = [i for ids in live for i in ids[len(ids) - -(-len(ids) * newest // size) :]]
            assert set(drawn) == set(wanted)
            share = 1 / len(wanted)
            statistic = naive.chi_square([drawn[i] for i in wanted], [share] * len(wanted))
            assert statistic < naive.chi_square_limit(len(wanted) - 1)


@pytest.mark.compiled
def test_a_row_two_percent_too_frequent_would_be_seen():
    generator = np.random.default_rng(1)
    counts = generator.multinomial(BATCH * ROUNDS, [1 / 20] * 20)
    assert naive.chi_square(counts, [1 / 20] * 20) < naive.chi_square_limit(19)
    counts = generator.multinomial(BATCH * ROUNDS, [1.02 / 20, 0.98 / 20] * 10)
    assert naive.chi_square(counts, [1 / 20] * 20) > naive.chi_square_limit(19)


@pytest.mark.parametrize("home", HOMES)
def test_one_seed_gives_one_sequence_of_batches(walk, home):
    sampler = replay.Recent(eta=0.999, updates=3, smallest=2)
    with opened(home, 30, FIELDS, sampler=sampler, seed=9) as buffer:
        got = []
        with pytest.raises(replay.EmptyError, match="empty"):
            buffer.sample(4)
        buffer.extend(np.arange(40))
        for _ in range(4):
            got.append(buffer.sample(6).x.tolist())
        with refused(buffer, replay.InputError, "batch_size"):
            buffer.sample(0)
        got.append(buffer.sample(6).x.tolist())
        assert buffer.sample(6).weights.tolist() == [1.0] * 6
    assert got == EXPECTED


def test_rows_drawn_again_are_of_their_own_batchs_turn(walk):
    sampler = replay.Recent(eta=0.51 ** (1 / 500), updates=2, smallest=1)
    with opened("private", 40, FIELDS, sampler=sampler, seed=4) as buffer:
        buffer.extend(np.arange(40))
        # The slot of one of the newest ten: who draws it draws again.
        buffer._ring.block.part("records")[35, 0] |= 1
        for _ in range(3):
            first = buffer.sample(400)
            assert set(range(20, 40)) - {35} == set(first.x.tolist())
            second = buffer.sample(400)
            assert set(range(30, 40)) - {35} == set(second.x.tolist())
        assert buffer.stats()["batches"] == 6


@pytest.mark.parametrize("name", ["3 steps", "stack of 4", "recurrent", "episodes"])
def test_under_a_view_more_rows_are_asked_where_none_may_be_drawn(name):
    sampler = replay.Recent(eta=1e-9, updates=1, smallest=2)
    with playing(VIEWS[name], 40, sampler=sampler) as play:
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(1)
        play.reset(0)
        with pytest.raises(replay.EmptyError, match="window"):
            play.buffer.sample(1)
        for length in (3, 6, 5):
            play.episode(0, length, "truncated")
        play.reset(0)
        play.reset(0)
        # None of the two newest rows can be drawn; of four, of eight, some can.
        ids = play.sample(200).ids
        drawable = play.drawable()
        assert set(ids.tolist()) <= set(drawable)
        assert min(ids) >= max(drawable) - 16


def test_an_eta_of_one_draws_from_all():
    with opened("private", 10, FIELDS, sampler=replay.Recent(1, 1, 1), seed=0) as buffer:
        buffer.extend(np.arange(10))
        assert set(buffer.sample(300).x.tolist()) == set(range(10))
        assert recent_rows(buffer._handle, 10, 5) == 10


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("eta", 0, "above 0 and at most 1"), ("eta", 1.01, "above 0 and at most 1"),
        ("eta", -0.5, "above 0"), ("eta", float("nan"), "above 0"), ("eta", "x", "a number"),
        ("eta", None, "a number"), ("eta", True, "a number"), ("updates", 0, "from 1 to"),
        ("updates", 2.0, "an int"), ("updates", True, "an int"), ("updates", 10**9 + 1, "from 1"),
        ("smallest", 0, "from 1 to"), ("smallest", -3, "from 1 to"), ("smallest", "9", "an int"),
        ("smallest", (1 << 40) + 1, "from 1 to"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(field, value, said):
    with pytest.raises(replay.InputError, match=f"{field} is .*{said}"):
        replay.Recent(**{field: value})


def test_a_sampler_is_read_back_and_nothing_else_is():
    for sampler in (replay.Recent(), replay.Recent(1, np.int64(7), 3), replay.Recent(0.5, 2, 9)):
        assert from_json(json.loads(json.dumps(sampler.to_json()))) == sampler
    written = replay.Recent().to_json()
    for name in ("eta", "updates", "smallest"):
        for value in (None, [], {}, "x", -1, 0, True, 1e300):
            with pytest.raises(replay.InputError, match="recent"):
                from_json({**written, name: value})
        with pytest.raises(replay.InputError, match="recent"):
            from_json({key: value for key, value in written.items() if key != name})
    with pytest.raises(replay.InputError, match="recent"):
        from_json({**written, "more": 1})
