"""
Every view against plain lists: which rows may be drawn, and what becomes of each.

Random steps are written, over the end of the ring many times, with episodes of no step and of more
than there is room for, and the lists of tests/naive_steps.py say what must come of it. Chi-square
bounds raise a false alarm in at most 1e-6 of the seeds, and each test has one seed.
"""

import contextlib
import copy
import pathlib
import random
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import replay
from kernels.jit import INTERPRETED
from tests import naive
from tests.homes import HOMES, WALKS, fewer, fresh_name, opened, walking
from tests.naive_steps import assert_batch
from tests.views.plays import ENDS, FIELDS, VIEWS, Play, playing, rows_for

PRIORITIZED = replay.Proportional(alpha=1.0, beta=0.5, normalise=None)
SAMPLERS = {"uniform": replay.Uniform(), "proportional": PRIORITIZED}


def draw_all(play):
    """Draw until every row that may be drawn was drawn, and compare them all."""
    drawable = play.drawable()
    if not drawable:
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(3)
        return
    # A row is missed by 40 draws for each of them in exp(-40) of the seeds.
    drawn = play.sample(fewer(40 * len(drawable), 8)).ids.tolist()
    assert set(drawn) <= set(drawable)
    assert INTERPRETED or len(set(drawn)) == len(drawable)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_gives_what_lists_give(name, kind):
    view = VIEWS[name]
    number = list(VIEWS).index(name)
    generator = random.Random(number)
    # The fewest rows, one more, and enough for several episodes.
    for extra, streams in fewer(((0, 1), (1, 2), (9, 3)), ((1, 2),)):
        rows = rows_for(view) + extra
        with playing(view, rows, streams, sampler=SAMPLERS[kind]) as play:
            for turn in range(fewer(70, 40)):
                play.random_step(generator)
                if turn % fewer(3, 8) == 0:
                    play.check()
                if turn % 20 == 10 and play.drawable():
                    play.sample(fewer(20, 3))
                if play.priority and kind == "proportional" and turn % 7 == 0:
                    ids = generator.choices(sorted(play.priority), k=3)
                    play.update(ids, generator.choices([0.5, 1.0, 2.0, 3.0], k=3))
            play.check()
            draw_all(play)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_every_step_of_an_episode_is_drawn(length, end):
    """From the first to the last, with the flags and the discount of its end."""
    for name in ("3 steps", "stack of 4 of 3 steps", "overlapping", "stack of 2"):
        with playing(VIEWS[name], 40) as play:
            for _ in range(3):
                play.episode(0, length, end)
            play.reset(0)
            steps = {"overlapping": max(length - 2, 0)}.get(name, length)
            assert len(play.drawable()) == 3 * steps
            play.check()
            if steps:
                draw_all(play)


class StepsMachine(RuleBasedStateMachine):
    """A log of steps, its lists, and whoever else has it open."""

    snapshots = Bundle("snapshots")

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.play = None

    @initialize(
        name=st.sampled_from(sorted(VIEWS)),
        kind=st.sampled_from(sorted(SAMPLERS)),
        home=st.sampled_from(HOMES),
        walk=st.sampled_from(WALKS),
        extra=st.integers(0, 7),
        streams=st.integers(1, 3),
    )
    def open(self, name, kind, home, walk, extra, streams):
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack.enter_context(walking(walk))
        self.where = {
            "private": {},
            "named": {"name": fresh_name()},
            "path": {"path": self.folder / "block"},
        }[home]
        view = VIEWS[name]
        rows = rows_for(view) + extra
        buffer = replay.ReplayBuffer(
            rows * streams,
            FIELDS,
            view=view,
            sampler=SAMPLERS[kind],
            streams=streams,
            seed=0,
            **self.where,
        )
        self.stack.callback(lambda: [buffer.close() for buffer in self.holders])
        self.holders = [buffer]
        self.play = Play(buffer, view, streams, rows)

    def teardown(self):
        self.stack.close()

    @rule(stream=st.integers(0, 2), end=st.sampled_from(sorted(ENDS)))
    def step(self, stream, end):
        self.play.go_on(stream % len(self.play.writers), end)

    @rule(stream=st.integers(0, 2), count=st.integers(1, 12))
    def steps(self, stream, count):
        for _ in range(count):
            self.play.go_on(stream % len(self.play.writers))

    @rule(stream=st.integers(0, 2), length=st.integers(0, 15), end=st.sampled_from(sorted(ENDS)))
    def episode(self, stream, length, end):
        self.play.episode(stream % len(self.play.writers), length, end)

    @rule(stream=st.integers(0, 2))
    def a_newer_writer(self, stream):
        self.play.take_over(stream % len(self.play.writers))

    @rule(stream=st.integers(0, 2))
    def step_after_the_end(self, stream):
        stream %= len(self.play.writers)
        if self.play.log.open[stream] is None:
            with pytest.raises(replay.ReplayError, match="reset"):
                self.play.step(stream)

    @rule(count=st.integers(1, 40))
    def sample(self, count):
        if self.play.drawable():
            batch = self.play.sample(count)
            assert_batch(self.play.log, self.play.view, self.play.buffer.sample(out=batch))
        else:
            with pytest.raises(replay.EmptyError):
                self.play.buffer.sample(count)

    @precondition(lambda self: self.play.buffer.sampler.prioritized)
    @rule(data=st.data())
    def update(self, data):
        """Set priorities of what may be drawn, of what may not, and of the long overwritten."""
        log = self.play.log
        newest = max(log.heads) - 1
        known = [
            log.id_of(stream, ticket)
            for stream, head in enumerate(log.heads)
            for ticket in range(max(newest - 2 * log.rows, 0), head)
        ]
        if not known:
            return
        ids = data.draw(st.lists(st.sampled_from(known), max_size=12))
        some = st.sampled_from([0.25, 1.0, 2.0, 50.0])
        self.play.update(ids, data.draw(st.lists(some, min_size=len(ids), max_size=len(ids))))

    @rule()
    def clear(self):
        self.play.buffer.clear()
        self.play.log.clear()
        self.play.largest = 1.0
        self.play.follow()

    @rule(target=snapshots)
    def save(self):
        path = self.folder / f"snapshot {len(list(self.folder.iterdir()))}"
        self.play.buffer.save(path)
        return path, copy.deepcopy((self.play.log, self.play.priority, self.play.largest))

    @rule(snapshot=snapshots)
    def restore(self, snapshot):
        path, model = snapshot
        self.play.buffer.restore(path)
        self.play.restore(*copy.deepcopy(model))

    @precondition(lambda self: self.where)
    @rule()
    def attach(self):
        """Draw from another opening of the same block."""
        if len(self.holders) < 3:
            other = replay.attach(**self.where)
            self.holders.append(other)
            assert other.view == self.play.view
            if self.play.drawable():
                self.play.sample(5, reader=other)

    @invariant()
    def the_same_may_be_drawn(self):
        if self.play is not None:
            self.play.check()
            for holder in self.holders:
                assert len(holder) == len(self.play.log.stored_ids())


TestSteps = StepsMachine.TestCase
TestSteps.settings = settings(max_examples=fewer(40, 8), stateful_step_count=fewer(25, 12))


# more readers of one log


def test_readers_of_other_views_share_one_log():
    with playing(replay.NStep(2, 0.9), 17, 2, sampler=PRIORITIZED) as play:
        readers = {name: play.buffer.reader(view=view) for name, view in VIEWS.items()}
        generator = random.Random(5)
        for turn in range(fewer(150, 50)):
            play.random_step(generator)
            if turn % fewer(30, 25) != 20:
                continue
            for name, reader in readers.items():
                drawable = play.log.drawable(VIEWS[name])
                if drawable:
                    count = fewer(4 * len(drawable), 5)
                    batch = play.sample(count, reader, VIEWS[name])
                    assert (batch.weights == 1).all()
                else:
                    with pytest.raises(replay.EmptyError):
                        reader.sample(1)
        play.check()


# every sampler


def newest_first(play, stream):
    """List what may be drawn of a stream, the newest first."""
    streams = len(play.writers)
    return sorted((i for i in play.drawable() if i % streams == stream), reverse=True)


def each_differs(play, _):
    """Uniform without replacement: every row that may be drawn, and then no more."""
    count = len(play.drawable())
    if count:
        assert sorted(play.sample(count).ids.tolist()) == play.drawable()
        assert len(set(play.sample(-(-count // 2)).ids.tolist())) == -(-count // 2)
    with pytest.raises(replay.EmptyError):
        play.buffer.sample(count + 1)


def newest_come_first(play, _):
    """Lifo: the newest of each stream, then the second newest of each."""
    queues = [newest_first(play, stream) for stream in range(len(play.writers))]
    wanted = [queue[turn] for turn in range(99) for queue in queues if turn < len(queue)]
    if wanted:
        assert play.sample(len(wanted)).ids.tolist() == wanted
    with pytest.raises(replay.EmptyError):
        play.buffer.sample(len(wanted) + 1)


def newest_is_there(play, _):
    """Combined: the newest of the stream whose turn it is comes last."""
    if not play.drawable():
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(2)
        return
    turn = play.buffer.stats()["batches"]
    ids = play.sample(4).ids.tolist()
    streams = len(play.writers)
    queues = [newest_first(play, (turn + one) % streams) for one in range(streams)]
    assert ids[-1] == next(queue for queue in queues if queue)[0]


def each_comes_once(play, given):
    """Fifo: all that may be drawn and was not given out yet, older ones of a stream first."""
    left = [identity for identity in play.drawable() if identity not in given]
    if left:
        ids = play.sample(len(left)).ids.tolist()
        assert sorted(ids) == left
        given.update(ids)
    with pytest.raises(replay.EmptyError):
        play.buffer.sample(1)


def what_may_be_drawn_is(play, _):
    """Nothing but it, and all of it."""
    if play.drawable():
        ids = play.sample(fewer(12 * len(play.drawable()), 8)).ids.tolist()
        assert INTERPRETED or set(ids) == set(play.drawable())
    else:
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(2)


RULES = {
    "all differ": (replay.Uniform(replace=False), each_differs),
    "newest first": (replay.Lifo(), newest_come_first),
    "newest with uniform": (replay.Combined(replay.Uniform()), newest_is_there),
    "newest with proportional": (replay.Combined(PRIORITIZED), newest_is_there),
    "each once": (replay.Fifo(), each_comes_once),
    "recent": (replay.Recent(eta=1.0, smallest=1), what_may_be_drawn_is),
    "by rank": (replay.Ranked(alpha=0.2, refresh=1, normalise=None), what_may_be_drawn_is),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_sampler_gives_what_may_be_drawn(rule):
    sampler, check = RULES[rule]
    for number, (name, view) in enumerate(VIEWS.items()):
        generator = random.Random(number)
        streams = 1 + number % 2
        given = set()
        with playing(view, rows_for(view) + 3 + number % 4, streams, sampler=sampler) as play:
            for turn in range(fewer(80, 25)):
                play.random_step(generator)
                if turn % fewer(8, 12) == 7:
                    check(play, given)
                    play.check()
        assert play.numbers > 20, name


# how likely, and how heavy


def fill(play, seed, count):
    generator = random.Random(seed)
    for _ in range(count):
        play.random_step(generator)


LIKELY = ("stack of 4 of 3 steps", "recurrent", "stack of 2 of episodes")
DRAWS = fewer(60_000, 500)


def count_draws(play, drawable):
    counts = dict.fromkeys(drawable, 0)
    batch = None
    for _ in range(DRAWS // 500):
        batch = play.buffer.sample(500, out=batch)
        for identity, count in zip(*np.unique(batch.ids, return_counts=True), strict=True):
            counts[int(identity)] += int(count)
    return list(counts.values())


@pytest.mark.parametrize("name", LIKELY)
def test_every_row_that_may_be_drawn_is_as_likely_as_the_next(name):
    for rows, streams, steps in ((60, 1, 45), (30, 3, 400)):
        with playing(VIEWS[name], rows, streams) as play:
            fill(play, 3, steps)
            drawable = play.drawable()
            assert 3 < len(drawable) < len(play.log.stored_ids())
            counts = count_draws(play, drawable)
            limit = naive.chi_square_limit(len(drawable) - 1)
            assert naive.chi_square(counts, [1 / len(drawable)] * len(drawable)) < limit


@pytest.mark.parametrize("name", LIKELY)
@pytest.mark.parametrize("stratified", [False, True])
def test_rows_are_drawn_in_proportion_to_their_priorities(name, stratified):
    sampler = replay.Proportional(alpha=0.7, stratified=stratified)
    with playing(VIEWS[name], 30, 3, sampler=sampler) as play:
        fill(play, 4, 400)
        drawable = play.drawable()
        priorities = np.random.default_rng(1).exponential(1.0, len(drawable)) + 0.05
        # Of those that may not be drawn, none is made a favourite.
        hidden = sorted(set(play.log.stored_ids()) - set(drawable))
        stale = play.buffer.stats()["stale"]
        applied = play.buffer.update_priorities(
            np.array(drawable + hidden), np.concatenate([priorities, np.full(len(hidden), 1e6)])
        )
        assert applied == len(drawable)
        assert play.buffer.stats()["stale"] == stale + len(hidden) > stale
        shares = priorities**0.7 / (priorities**0.7).sum()
        limit = naive.chi_square_limit(len(drawable) - 1)
        # Strata only make the counts more even than the bound allows.
        assert naive.chi_square(count_draws(play, drawable), shares.tolist()) < limit


@pytest.mark.compiled
def test_a_draw_that_is_off_would_be_caught():
    """One of 30 rows is drawn a quarter too often."""
    shares = np.full(30, 1 / 30)
    off = shares.copy()
    off[7] *= 1.25
    for seed in range(20):
        counts = np.random.default_rng(seed).multinomial(DRAWS, off / off.sum())
        assert naive.chi_square(counts, shares) > naive.chi_square_limit(29)


@pytest.mark.parametrize("normalise", [None, "batch", "buffer"])
@pytest.mark.parametrize("name", VIEWS)
def test_weights_are_right_under_every_view(name, normalise):
    """(N P(i)) ** -beta, where N counts the rows that may be drawn and no others."""
    sampler = replay.Proportional(alpha=0.6, beta=0.4, normalise=normalise)
    with playing(VIEWS[name], 24, 2, sampler=sampler) as play:
        for steps in (30, 60):
            fill(play, steps, steps)
            drawable = play.drawable()
            priorities = np.random.default_rng(steps).uniform(0.1, 4.0, len(drawable))
            play.update(drawable, priorities.tolist())
            share = priorities**0.6 / (priorities**0.6).sum()
            weight = dict(zip(drawable, (len(drawable) * share) ** -0.4, strict=True))
            batch = play.buffer.sample(40)
            wanted = np.array([weight[identity] for identity in batch.ids.tolist()])
            if normalise == "batch":
                wanted /= wanted.max()
            elif normalise == "buffer":
                wanted /= max(weight.values())
            np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)


def test_new_rows_enter_at_the_largest_priority_once_their_window_is_whole():
    with playing(replay.NStep(3, 0.9), 20, sampler=PRIORITIZED) as play:
        play.episode(0, 5, "terminated")
        play.update([3], [7.0])
        play.reset(0)
        for _ in range(2):
            play.step(0)
            assert 7.0 not in [play.priority[i] for i in play.priority if i > 5]
        play.step(0)
        assert play.priority[7] == 7.0
        play.check()
        # Cut by a reset: what was not whole yet is now.
        play.reset(0)
        assert play.priority[8] == play.priority[9] == 7.0
        play.check()


# seeds and places


@pytest.mark.parametrize("kind", SAMPLERS)
def test_one_seed_gives_one_sequence_of_batches_in_every_home(kind):
    drawn = []
    view = VIEWS["stack of 4 of 3 steps"]
    for home, walk in (("private", "object"), ("named", "object"), ("path", "plain")):
        with walking(walk), playing(view, 20, 2, home=home, sampler=SAMPLERS[kind]) as play:
            fill(play, 2, 90)
            drawn.append([play.sample(9).ids.tolist() for _ in range(5)])
    assert drawn[0] == drawn[1] == drawn[2]


def test_a_log_of_plain_numbers_needs_neither_action_nor_reward():
    with opened("private", 12, {"obs": int}, view=replay.Transition(), seed=0) as buffer:
        writer = buffer.writer()
        writer.reset(10)
        for number in range(11, 15):
            writer.step(number, terminated=number == 14)
        batch = buffer.sample(50)
        assert batch._fields == ("obs", "next_obs", "terminated", "truncated", "weights", "ids")
        assert sorted(set(batch.obs.tolist())) == [10, 11, 12, 13]
        assert (batch.next_obs == batch.obs + 1).all()
        assert (batch.terminated == (batch.next_obs == 14)).all()
        assert not batch.truncated.any()


def test_rewards_of_every_width_are_summed():
    for kind in (np.float32, np.float64):
        fields = {"obs": np.int16, "reward": kind}
        with opened("private", 12, fields, view=replay.NStep(3, 0.5), seed=0) as buffer:
            writer = buffer.writer()
            writer.reset(0)
            for number in range(1, 6):
                writer.step(number, reward=float(number), terminated=number == 5)
            batch = buffer.sample(60)
            assert batch.reward.dtype == kind
            sums = {0: 1 + 1 + 0.75, 1: 2 + 1.5 + 1, 2: 3 + 2 + 1.25, 3: 4 + 2.5, 4: 5}
            assert batch.reward.tolist() == [sums[obs] for obs in batch.obs.tolist()]
            left = 5 - batch.obs
            assert (batch.discount == np.where(left <= 3, 0, 0.125)).all()
            assert (batch.terminated == (left <= 3)).all()
            assert (batch.next_obs == np.minimum(batch.obs + 3, 5)).all()
