"""Mixtures: each buffer gives its share of a batch, and gets its priorities back."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.buffers.shares import Shares
from tests import naive_mixed
from tests.homes import FIELDS, WALKS, assert_rows, fewer, home_of, rows, walking
from tests.naive_steps import assert_batch
from tests.views.plays import playing

NESTED = {"obs": {"image": (np.uint8, (300,)), "where": (np.float32, (2,))}, "action": np.int64}


@pytest.fixture
def opened():
    """Open buffers, and close them."""
    buffers = []

    def make(count=0, first=0, fields=FIELDS, capacity=64, **options):
        buffer = replay.ReplayBuffer(capacity, fields, **{"seed": 3, **options})
        buffers.append(buffer)
        if count:
            buffer.extend(**rows(np.arange(first, first + count)))
        return buffer

    yield make
    for buffer in buffers:
        buffer.close()


# shares


@settings(max_examples=fewer(200, 60))
@given(
    parts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 40), max_size=40),
)
def test_counts_are_those_of_whoever_is_owed_the_most(parts, sizes):
    shares = [Fraction(part, sum(parts)) for part in parts]
    names = tuple("abcde"[: len(parts)])
    divided = Shares(names, dict(zip(names, map(float, shares), strict=True)))
    plain = naive_mixed.Shares(shares)
    total = np.zeros(len(parts), np.int64)
    for number, size in enumerate(sizes):
        counts, owed = divided.divide(size)
        # A batch that was refused changes nothing.
        if number % 4 == 3:
            continue
        divided.settle(owed)
        assert counts == plain.divide(size)
        total += counts
        off = [count - total.sum() * share for count, share in zip(total, shares, strict=True)]
        assert max(off) < 1
        assert min(off) > min(1 - len(parts), -Fraction(1, 10**9))


def test_small_shares_beside_large_ones_add_up_to_the_batch():
    parts = [0.01] * 5 + [0.3, 0.65]
    shares = Shares(tuple("abcdefg"), dict(zip("abcdefg", parts, strict=True)))
    plain = naive_mixed.Shares([Fraction(round(part * 100), 100) for part in parts])
    total = np.zeros(7, np.int64)
    for _ in range(100):
        counts, owed = shares.divide(1)
        shares.settle(owed)
        assert sum(counts) == 1
        assert counts == plain.divide(1)
        total += counts
    assert total.tolist() == [1, 1, 1, 1, 1, 30, 65]


def test_thirds_are_exact_however_many_batches():
    shares = Shares(("a", "b", "c"), {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    total = np.zeros(3, np.int64)
    for _ in range(3000):
        counts, owed = shares.divide(32)
        shares.settle(owed)
        total += counts
    assert total.tolist() == [32_000] * 3


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"on": 0.5, "off": 0.6}, "add up to 1.1"),
        ({"on": 1.0}, "must be of on, off"),
        ({"on": 0.5, "offline": 0.5}, "on, offline"),
        ({"on": 1.0, "off": 0.0}, "'off' is 0.0"),
        ({"on": 1.5, "off": -0.5}, "'on' is 1.5"),
        ({"on": float("nan"), "off": 0.5}, "'on' is nan"),
        ({"on": True, "off": 0.5}, "'on' is True"),
        ({"on": "0.5", "off": 0.5}, "'on' is '0.5'"),
        ([0.5, 0.5], "named where the buffers are"),
        (0.5, "shares is 0.5"),
        ({1: 0.5, 2: 0.5}, "name 1"),
    ],
)
def test_shares_that_cannot_be_are_refused(opened, shares, said):
    with pytest.raises(replay.InputError, match=said):
        replay.Mixture({"on": opened(), "off": opened()}, shares=shares)


# batches


@pytest.mark.parametrize("walk", WALKS)
def test_each_buffer_gives_its_share_one_behind_the_other(opened, walk):
    with walking(walk):
        mixture = replay.Mixture(
            {"online": opened(50), "offline": opened(64, 1000, capacity=80)},
            shares={"offline": 0.75, "online": 0.25},
        )
        assert mixture.shares == {"online": 0.25, "offline": 0.75}
        assert len(mixture) == 114
        batch = mixture.sample(8)
        assert batch._fields == (*FIELDS, "source", "weights", "ids")
        for again in range(3):
            assert batch.source.tolist() == [0] * 2 + [1] * 6
            assert batch.source.dtype == np.int64
            assert_rows(batch, batch.ids + 1000 * batch.source)
            assert batch.weights.tolist() == [1.0] * 8
            assert all(array.flags.c_contiguous for array in batch)
            assert mixture.sample(8 if again else None, out=batch) is batch
        sizes = [np.bincount(mixture.sample(2).source, minlength=2).tolist() for _ in range(4)]
        assert sizes == [[1, 1], [0, 2], [1, 1], [0, 2]]


def test_lists_make_a_mixture_of_equal_shares(opened):
    mixture = replay.Mixture([opened(5), opened(5, 100), opened(5, 200)])
    assert list(mixture.buffers) == ["0", "1", "2"]
    batch = mixture.sample(9)
    assert batch.source.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (batch.action // 100 == batch.source).all()
    assert "0.333333 of '2'" in repr(mixture)
    assert replay.Mixture([opened(5), opened(5)], [0.9, 0.1]).sample(10).source.sum() == 1


def test_nested_fields_in_another_order_are_the_same_fields(opened):
    other = {"action": np.int64, "obs": dict(reversed(NESTED["obs"].items()))}
    one, two = opened(fields=NESTED), opened(fields=other)
    for number, buffer in enumerate((one, two)):
        obs = {"image": np.full((9, 300), number + 7), "where": np.full((9, 2), number)}
        obs = {"image": obs["image"].astype(np.uint8), "where": obs["where"].astype(np.float32)}
        buffer.extend(obs=obs, action=np.full(9, number))
    mixture = replay.Mixture([one, two])
    batch = mixture.sample(6)
    for _ in range(2):
        assert batch.obs["image"][:, 5].tolist() == [7] * 3 + [8] * 3
        assert batch.obs["where"][:, 1].tolist() == batch.action.tolist() == [0] * 3 + [1] * 3
        mixture.sample(out=batch)


def test_one_seed_gives_one_sequence_of_batches(opened):
    def batches():
        mixture = replay.Mixture([opened(20, seed=1), opened(20, seed=2)], [0.3, 0.7])
        return [mixture.sample(5).ids.tolist() for _ in range(4)]

    assert batches() == batches()


def test_every_sampler_can_give_its_part(opened):
    samplers = [
        replay.Uniform(replace=False),
        replay.Combined(of=replay.Proportional()),
        replay.Proportional(alpha=1.0, beta=1.0, normalise=None),
    ]
    buffers = [opened(20, sampler=sampler) for sampler in samplers]
    buffers[2].update_priorities(np.arange(20), np.arange(1.0, 21.0))
    batch = replay.Mixture(buffers).sample(24)
    assert len(set(batch.ids[:8].tolist())) == 8
    assert batch.ids[15] == 19
    np.testing.assert_allclose(batch.weights[16:], 10.5 / (batch.ids[16:] + 1), rtol=1e-5)


def test_a_file_and_a_private_buffer(opened):
    with home_of("path") as place, replay.ReplayBuffer(64, FIELDS, **place) as filed:
        filed.extend(**rows(np.arange(100, 140)))
        batch = replay.Mixture([opened(10), filed]).sample(6)
        assert (batch.action >= 100).tolist() == [False] * 3 + [True] * 3


def test_buffers_with_views_mix_what_their_views_give():
    view = replay.NStep(2, 0.5)
    with (
        playing(view, 30, sampler=replay.Combined(of=replay.Proportional())) as play,
        playing(view, 40, 2) as other,
    ):
        for one in (play, other):
            one.episode(0, 7, "terminated")
        mixture = replay.Mixture({"play": play.buffer, "other": other.buffer})
        batch = mixture.sample(10)
        names = play.buffer.sample(1)._fields
        assert batch._fields == (*names[:-2], "source", "weights", "ids")
        for _ in range(2):
            for place, one in enumerate((play, other)):
                mine = np.flatnonzero(batch.source == place)
                assert mine.size == 5
                part = one.buffer._batch_type._make(
                    {name: array[mine] for name, array in value.items()}
                    if isinstance(value, dict)
                    else value[mine]
                    for name, value in zip(batch._fields, batch, strict=True)
                    if name != "source"
                )
                assert_batch(one.log, view, part)
            mixture.sample(10, out=batch)
            assert mixture.update_priorities(batch, np.ones(10)) == 5
        # A reader of another view as well.
        reader = other.buffer.reader(view=replay.NStep(2, 0.9))
        assert replay.Mixture([play.buffer, reader]).sample(4).source.sum() == 2
        with pytest.raises(replay.FieldError, match="'plain' has not"):
            replay.Mixture({"play": play.buffer, "plain": reader_of(other, replay.Transition())})
        major = reader_of(other, replay.Sequence(2, time_major=True))
        with pytest.raises(replay.InputError, match="time-major"):
            replay.Mixture([major])


def reader_of(play, view):
    return play.buffer.reader(view=view)


# priorities


@pytest.mark.parametrize("source", [False, True])
def test_priorities_go_to_the_buffers_that_rows_are_of(opened, source):
    on, off = opened(30, sampler=replay.Proportional(alpha=1.0)), opened(30, 100)
    third = opened(30, 200, sampler=replay.Proportional(alpha=1.0))
    mixture = replay.Mixture({"on": on, "off": off, "third": third})
    batch = mixture.sample(12)
    priorities = np.arange(12) + 2.0
    if source:
        shuffled = np.random.default_rng(0).permutation(12)
        applied = mixture.update_priorities(
            batch.ids[shuffled], priorities[shuffled].tolist(), batch.source[shuffled]
        )
    else:
        applied = mixture.update_priorities(batch, priorities)
    assert applied == 8
    for place, buffer in ((0, on), (2, third)):
        kept = buffer.priorities.priorities()[:30]
        wanted = np.ones(30)
        wanted[batch.ids[batch.source == place]] = 0
        assert (kept[wanted == 1] == 1).all()
        rows_of = np.flatnonzero(batch.source == place)
        for row in rows_of:
            # Of a row that stands twice one of the two counts.
            assert (
                kept[batch.ids[row]] in priorities[rows_of[batch.ids[rows_of] == batch.ids[row]]]
            )


@pytest.mark.parametrize(
    ("ids", "priorities", "source", "said"),
    [
        ([1, 2], [1.0, 1.0], None, "source is None"),
        ([1, 2], [1.0], [0, 1], "2 ids were given, 2 sources and 1 priorities"),
        ([1, 2], [1.0, 1.0], [0], "1 sources"),
        ([1, 2], [1.0, 1.0], [0, 2], r"source\[1\] is 2"),
        ([1, 2], [1.0, 1.0], [-1, 1], r"source\[0\] is -1"),
        ([1, 2], [1.0, np.nan], [0, 1], r"priorities\[1\] is nan"),
        ([1, 2], [1.0, -1.0], [0, 1], r"priorities\[1\] is -1"),
        ([1.5, 2], [1.0, 1.0], [0, 1], "ids is of float64"),
        ([1, 2], ["a", "b"], [0, 1], "priorities is of"),
        ([[1, 2]], [1.0, 1.0], [0, 1], "ids is of"),
        ([1, 99], [1.0, 1.0], [0, 1], "buffer '1': ids.0. is 99"),
    ],
)
def test_priorities_that_cannot_be_are_refused(opened, ids, priorities, source, said):
    buffers = [opened(20, sampler=replay.Proportional()) for _ in range(2)]
    with pytest.raises(replay.InputError, match=said):
        replay.Mixture(buffers).update_priorities(ids, priorities, source)
    if "99" not in said:
        assert all(buffer.stats()["updated"] == 0 for buffer in buffers)


# what cannot be


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"x": np.int64, "y": bool}, "'two' has a field 'y', 'one' has not"),
        ({"y": np.int64}, "'one' has a field 'x', 'two' has not"),
        ({"x": np.int32}, r"'x' is int64\[\] in buffer 'one' and int32\[\] in buffer 'two'"),
        ({"x": (np.int64, (2,))}, r"int64\[\] in buffer 'one' and int64\[2\] in buffer 'two'"),
        ({"x": {"x": np.int64}}, "'one' has a field 'x'"),
    ],
)
def test_buffers_of_other_fields_are_refused(opened, fields, said):
    one, two = opened(fields={"x": np.int64}), opened(fields=fields)
    with pytest.raises(replay.FieldError, match=said):
        replay.Mixture({"one": one, "two": two})


@pytest.mark.parametrize("buffers", [{}, [], 5, "ab", None, [5], {"a": None}, {1: None}])
def test_what_is_no_buffer_is_refused(buffers):
    with pytest.raises(replay.InputError, match="buffer"):
        replay.Mixture(buffers)


def test_fields_that_cannot_be_told_are_refused(opened):
    with pytest.raises(replay.FieldError, match="'0' are not known yet"):
        replay.Mixture([opened(fields=None)])
    with pytest.raises(replay.FieldError, match="called 'source'"):
        replay.Mixture([opened(fields={"source": bool})])


def test_an_empty_buffer_is_named_and_the_others_are_as_they_were(opened):
    full = opened(20)
    mixture = replay.Mixture({"full": full, "empty": opened()})
    before = full.stats()["batches"]
    with pytest.raises(replay.EmptyError, match="buffer 'empty' is empty"):
        mixture.sample(3)
    assert full.stats()["batches"] == before
    # It has no row of this one.
    assert mixture.sample(1).source.tolist() == [0]
    with pytest.raises(replay.WaitTimeoutError, match="buffer 'empty'"):
        mixture.sample(4, timeout=0)
    mixture.buffers["empty"].extend(**rows([7, 8]))
    assert mixture.sample(4, timeout=0).source.tolist() in ([0, 1, 1, 1], [0, 0, 1, 1])


def test_a_buffer_that_refuses_is_named_and_limiters_get_their_rows_back(opened):
    limited = opened(20, limiter=replay.RateLimiter(1, min_size=5, tolerance=50))
    other = opened(3, sampler=replay.Uniform(replace=False))
    mixture = replay.Mixture({"limited": limited, "other": other})
    balance = limited.stats()["balance"]
    for options in ({}, {"timeout": 0.001}):
        with pytest.raises(replay.ReplayError, match=r"buffer 'other'.*only 3 rows"):
            mixture.sample(8, **options)
        assert limited.stats()["balance"] == balance
    mixture.sample(4)
    assert limited.stats()["balance"] == balance - 2
    other.close()
    with pytest.raises(replay.ClosedError, match="buffer 'other'"):
        mixture.sample(4)
    with pytest.raises(replay.ClosedError, match="buffer 'other'"):
        len(mixture)


@pytest.mark.parametrize("batch_size", [0, -1, None, 2.5, True, "4", (3,), 1 << 62])
def test_a_batch_size_that_cannot_be_is_refused(opened, batch_size):
    mixture = replay.Mixture([opened(5)])
    with pytest.raises(replay.InputError, match="batch_size"):
        mixture.sample(batch_size)
    if batch_size not in (None, 1 << 62):
        with pytest.raises(replay.InputError, match="batch_size"):
            mixture.sample(batch_size, out=mixture.sample(2))


def test_an_out_that_is_no_batch_of_it_is_refused(opened):
    buffer = opened(20)
    mixture = replay.Mixture([buffer, opened(20)])
    batch = mixture.sample(6)
    for out, said in (
        (buffer.sample(6), "batch of this mixture"),
        (batch._replace(source=batch.source[:5]), "out.source has 5 rows"),
        (batch._replace(source=batch.source.astype(np.int32)), "out.source must be"),
        (batch._replace(obs=batch.obs[:5]), "out.obs has 5 rows"),
        (batch._replace(obs=batch.obs.astype(np.float64)), "out.obs is float64"),
        (batch._replace(obs=batch.obs[:, :2]), "out.obs has shape"),
        (batch._replace(ids=None), "out.ids is NoneType"),
        (batch._replace(image=np.zeros((6, 17, 34), np.uint8)[..., ::2]), "out.image must be"),
    ):
        with pytest.raises(replay.InputError, match=said):
            mixture.sample(out=out)
    with pytest.raises(replay.InputError, match="must have 7"):
        mixture.sample(7, out=batch)
    assert mixture.sample(6, out=batch) is batch
