"""
Goals in hindsight against plain lists: which row a goal comes from, and what it changes.

Chi-square bounds raise a false alarm in at most 1e-6 of the seeds, and each test has one seed.
"""

import collections
import contextlib
import itertools
import math
import pickle
import random
import threading
import time

import numba
import numpy as np
import pytest

import replay
from kernels.handle import GENERATOR
from kernels.random import random_below, random_unit
from kernels.ring import SHIFT
from kernels.walk_notes import goals_note, windows_ids, windows_note
from replay.views import from_header
from replay.views.view import from_json
from tests import naive
from tests.homes import HOMES, WALKS, fewer, opened, refused, walking
from tests.naive_hindsight import GoalLog, assert_hindsight
from tests.views.live import STREAMS, end_of, length_of
from tests.views.plays import ENDS, Play

#: A goal of one word, one that is packed into a record, and one with a column of its own.
GOALS = {
    "number": (np.int64, ()),
    "point": (np.float32, (3,)),
    "picture": (np.int32, (100,)),
}


def fields_of(goal):
    kind = GOALS[goal]
    observation = (np.float64, (2,))
    return {
        "obs": {"achieved_goal": kind, "desired_goal": kind, "observation": observation},
        "action": (np.int16, (2,)),
        "reward": np.float32,
        "state": np.int64,
    }


def flat_of(goal):
    fields = fields_of(goal)
    flat = {f"obs/{name}": kind for name, kind in fields.pop("obs").items()}
    flat |= fields
    return {name: kind if isinstance(kind, tuple) else (kind, ()) for name, kind in flat.items()}


def earned(achieved, desired):
    """Give rewards of which no two pairs of goals have the same, but for chance."""
    count = len(achieved)
    return (3 * achieved.reshape(count, -1) - desired.reshape(count, -1)).sum(axis=1) / 8


VIEWS = {
    "future": ("point", replay.Hindsight(earned)),
    "final": ("number", replay.Hindsight(earned, 1, "final")),
    "episode": ("picture", replay.Hindsight(earned, 2, "episode")),
    "always": ("picture", replay.Hindsight(earned, strategy="future", share=1)),
    "never": ("number", replay.Hindsight(earned, share=0.0)),
    "of a stack": (
        "point",
        replay.Hindsight(
            earned, strategy="final", of=replay.FrameStack(3, fields=("obs/observation",))
        ),
    ),
    "stack of it": (
        "number",
        replay.FrameStack(2, replay.Hindsight(earned, 1, "episode"), pad="zeros"),
    ),
    "stacked goals": ("picture", replay.FrameStack(4, replay.Hindsight(earned))),
    "a part stacked": (
        "point",
        replay.FrameStack(
            3,
            replay.Hindsight(earned, strategy="episode", share=0.5),
            fields=("obs/achieved_goal",),
            pad="zeros",
        ),
    ),
}
PRIORITIZED = replay.Proportional(alpha=1.0, beta=0.5, normalise=None)
SAMPLERS = {"uniform": replay.Uniform(), "proportional": PRIORITIZED}


class GoalPlay(Play):
    """A play of an agent that pursues goals, and reaches others."""

    def __init__(self, buffer, view, streams, rows, goal):
        super().__init__(buffer, view, streams, rows)
        self.goal = GOALS[goal]
        self.log = GoalLog(streams, rows, flat_of(goal))

    def values(self):
        self.numbers += 1
        number = self.numbers
        kind, shape = self.goal
        spread = np.arange(math.prod(shape)).reshape(shape)
        return {
            "obs/achieved_goal": (1000 + number + spread % 7).astype(kind),
            "obs/desired_goal": (-number - spread % 5).astype(kind),
            "obs/observation": number + np.array([0.125, 0.25]),
            "action": np.array([number % 10_000, -1 - number % 100], np.int16),
            "reward": np.float32(number * 37 % 101 / 8 - 5),
            "state": np.int64(number * 1_000_003),
        }

    def written(self, made):
        """Split a step's values as a writer takes them."""
        obs = {name[4:]: made[name] for name in made if name.startswith("obs/")}
        return obs, made["action"], made["reward"]

    def reset(self, stream):
        made = self.values()
        obs, *_ = self.written(made)
        assert self.writers[stream].reset(obs) == self.log.reset(stream, made)
        self.follow()

    def step(self, stream, end=""):
        made = self.values()
        flags = ENDS[end]
        got = self.writers[stream].step(*self.written(made), *flags, state=made["state"])
        assert got == self.log.step(stream, made, *flags)
        self.follow()

    def lose(self, stream):
        """Let a ticket be claimed by a writer that dies with it, and another writer come."""
        self.buffer._ring.block.part("heads")[stream, 0] += 1
        self.log.lose(stream)
        self.follow()
        self.writers[stream] = self.buffer.writer(stream)

    def sample(self, count, reader=None, view=None, **options):
        batch = (reader or self.buffer).sample(count, **options)
        assert_hindsight(self.log, view or self.view, batch)
        return batch


@contextlib.contextmanager
def playing(view, rows, streams=1, *, home="private", goal="point", **options):
    options = {"seed": 0} | options
    fields = fields_of(goal)
    with opened(home, rows * streams, fields, view=view, streams=streams, **options) as buffer:
        yield GoalPlay(buffer, view, streams, rows, goal)


def draw_all(play, generator):
    """Draw until every row that may be drawn was drawn, and compare them all."""
    drawable = play.drawable()
    if not drawable:
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(3)
        return
    drawn = play.sample(generator.randrange(1, 20)).ids.tolist()
    # A row is missed by so many draws in exp(-25) of the seeds.
    drawn += play.buffer.sample(25 * len(drawable)).ids.tolist()
    assert set(drawn) == set(drawable)


def depth_of(view):
    return view.recipe.window.stack


# what lists give


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("name", VIEWS)
def test_hindsight_gives_what_lists_give(name, kind):
    """Random episodes, over the end of the ring many times, and long ones that overwrite it."""
    goal, view = VIEWS[name]
    generator = random.Random(list(VIEWS).index(name))
    for rows, streams in ((5, 1), (6, 2), (15, 3)):
        with playing(view, rows, streams, goal=goal, sampler=SAMPLERS[kind]) as play:
            for turn in range(fewer(80, 36)):
                play.random_step(generator)
                if turn % 40 == 25 and depth_of(view) == 1:
                    play.lose(generator.randrange(streams))
                if turn % fewer(3, 8) == 0:
                    play.check()
                if turn % 30 == 20:
                    draw_all(play, generator)
                if play.priority and kind == "proportional" and turn % 7 == 0:
                    ids = generator.choices(sorted(play.priority), k=3)
                    play.update(ids, generator.choices([0.5, 1.0, 2.0, 3.0], k=3))
            play.check()


@pytest.mark.parametrize("kind", SAMPLERS)
def test_only_episodes_that_are_over_are_drawn(kind):
    """By an end, by a reset that cuts them, or by a writer that died in the middle."""
    view = VIEWS["future"][1]
    with playing(view, 40, sampler=SAMPLERS[kind]) as play:
        play.reset(0)
        for _ in range(3):
            play.step(0)
            assert play.drawable() == []
            play.check()
            with pytest.raises(replay.EmptyError):
                play.buffer.sample(1)
        if kind == "proportional":
            assert play.buffer.update_priorities(np.array([1, 2, 3]), np.ones(3)) == 0
            assert play.buffer.stats()["stale"] == 3
        play.step(0, "truncated")
        assert play.drawable() == [1, 2, 3, 4]
        play.check()
        play.reset(0)
        play.step(0)
        play.check()
        assert play.drawable() == [1, 2, 3, 4]
        play.reset(0)
        play.check()
        assert play.drawable() == [1, 2, 3, 4, 6]
        play.step(0)
        play.lose(0)
        play.check()
        assert 8 not in play.drawable()
        play.reset(0)
        play.check()
        assert play.drawable() == [1, 2, 3, 4, 6, 8]
        draw_all(play, random.Random(0))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_an_episode_whose_beginning_is_overwritten_is_drawn_as_far_as_it_is_stored(kind):
    view = VIEWS["episode"][1]
    with playing(view, 12, 2, sampler=SAMPLERS[kind]) as play:
        play.episode(1, 4, "terminated")
        play.episode(0, 30, "truncated")
        # 12 rows are 11 transitions, and each takes its goal from any of the 12.
        mine = [identity for identity in play.drawable() if identity % 2 == 0]
        assert len(mine) == 11
        assert all(len(play.log.goals(view, identity)) == 12 for identity in mine)
        play.check()
        draw_all(play, random.Random(0))
        for _ in range(5):
            play.go_on(0)
            play.check()
        draw_all(play, random.Random(0))


def test_the_final_goal_is_that_of_the_last_observation():
    """And not of the one before it, as in DLR-RM/stable-baselines3#847."""
    with playing(replay.Hindsight(earned, strategy="final", share=1.0), 40) as play:
        play.episode(0, 5, "truncated")
        last = play.numbers
        play.episode(0, 1, "terminated")
        batch = play.sample(60)
        long = batch.ids < 6
        assert set(batch.obs["desired_goal"][long, 0]) == {1000 + last}
        assert set(batch.obs["desired_goal"][~long, 0]) == {1000 + play.numbers}


def test_terminated_and_the_rewards_of_other_goals_stay():
    with playing(replay.Hindsight(earned, 1, "episode"), 40) as play:
        play.episode(0, 6, "terminated")
        batch = play.sample(200)
        assert (batch.terminated == (batch.ids == 6)).all()
        assert batch.terminated[batch.relabelled].any()
        stored = play.buffer.column("reward")[batch.ids]
        kept = ~batch.relabelled
        assert (batch.reward[kept] == stored[kept]).all()
        assert (batch.reward[~kept] != stored[~kept]).all()


# how likely

DRAWS = fewer(60_000, 1_000)


def count_goals(play, draws=DRAWS):
    """Count how often each row got each goal, and how many rows got any."""
    pairs = collections.Counter()
    relabelled = 0
    batch = None
    for _ in range(-(-draws // 500)):
        batch = play.buffer.sample(500, out=batch)
        relabelled += int(batch.relabelled.sum())
        goal = batch.next_obs["desired_goal"][:, 0]
        new = zip(batch.ids.tolist(), goal.tolist(), batch.relabelled.tolist(), strict=True)
        pairs.update((identity, int(achieved)) for identity, achieved, other in new if other)
    return pairs, relabelled


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_every_goal_of_a_strategy_is_as_likely_as_the_next(strategy):
    """For each row by itself, in episodes of several lengths and one that lost its beginning."""
    view = replay.Hindsight(earned, strategy=strategy)
    with playing(view, 9, 2) as play:
        for stream, length in ((0, 14), (1, 2), (1, 1), (1, 3)):
            play.episode(stream, length, "truncated")
        pairs, relabelled = count_goals(play)
        drawable = play.drawable()
        wanted = {}
        for identity in drawable:
            goals = play.log.goals(view, identity)
            for goal in goals:
                achieved = int(goal.values["obs/achieved_goal"][0])
                wanted[identity, achieved] = 1 / len(goals) / len(drawable)
        assert set(pairs) <= set(wanted)
        counts = [pairs[key] for key in wanted]
        assert sum(counts) == relabelled
        limit = naive.chi_square_limit(len(wanted) - 1)
        assert naive.chi_square(counts, list(wanted.values())) < limit


@pytest.mark.parametrize(
    ("options", "share"),
    [({}, 0.8), ({"goals": 1}, 0.5), ({"share": 0.1}, 0.1), ({"goals": 1, "share": 0.75}, 0.75)],
)
def test_so_many_rows_are_relabelled_each_by_itself(options, share):
    with playing(replay.Hindsight(earned, **options), 20) as play:
        play.episode(0, 15, "terminated")
        flags = np.concatenate([play.buffer.sample(500).relabelled for _ in range(DRAWS // 500)])
        # Two rows that follow each other: four kinds of pairs.
        kinds = flags[0::2] * 2 + flags[1::2]
        chances = [(1 - share) ** 2, (1 - share) * share, share * (1 - share), share**2]
        limit = naive.chi_square_limit(3)
        assert naive.chi_square(np.bincount(kinds, minlength=4).tolist(), chances) < limit


def test_a_share_and_a_goal_that_are_off_would_be_caught():
    """A share of 0.81 in place of 0.8; a goal of 4 that is had 5 % too often."""
    generator = np.random.default_rng(0)
    counts = generator.multinomial(200_000, [0.19, 0.81])
    assert naive.chi_square(counts.tolist(), [0.2, 0.8]) > naive.chi_square_limit(1)
    counts = generator.multinomial(200_000, np.array([1.05, 1, 1, 1]) / 4.05)
    assert naive.chi_square(counts.tolist(), [0.25] * 4) > naive.chi_square_limit(3)


# seeds


def test_one_seed_gives_the_same_goals_in_every_home():
    drawn = []
    for home, walk in (("private", "object"), ("named", "object"), ("path", "plain")):
        with walking(walk), playing(VIEWS["episode"][1], 20, 2, home=home) as play:
            play.episode(0, 9, "terminated")
            play.episode(1, 12, "truncated")
            batches = [play.sample(9) for _ in range(4)]
            with pytest.raises(replay.InputError):
                play.buffer.sample(0)
            batches.append(play.sample(3))
            drawn.append([(b.ids.tolist(), b.obs["desired_goal"].tolist()) for b in batches])
    assert drawn[0] == drawn[1] == drawn[2]


def test_only_hindsight_takes_counters_for_goals():
    """Two a row; readers of other views draw as they would without it."""
    with playing(VIEWS["future"][1], 20) as play:
        play.episode(0, 19, "terminated")
        generator = play.buffer._ring.block.part("control")[GENERATOR]
        # The reset's row is drawn and refused now and then, for 16 counters each time.
        before = int(generator[1])
        play.sample(10)
        assert (generator[1] - before - 30) % 16 == 0
        reader = play.buffer.reader(view=replay.Transition())
        before = int(generator[1])
        reader.sample(10)
        assert (generator[1] - before - 10) % 16 == 0


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_a_row_has_two_counters_of_its_own(strategy):
    """One says whether it gets another goal, the other which of them in their order."""
    view = replay.Hindsight(earned, strategy=strategy)
    with playing(view, 30) as play:
        play.episode(0, 8, "truncated")
        play.episode(0, 40, "terminated")
        seed, counter = play.buffer._ring.block.part("control")[GENERATOR, :2]
        batch = play.buffer.sample(300)
        # Those of goals are the last that a batch takes.
        after = play.buffer._ring.block.part("control")[GENERATOR, 1]
        assert counter < after - 600
        rows = assert_hindsight(play.log, view, batch)
        for place, row in enumerate(rows):
            first = int(after - 600 + 2 * place)
            assert (random_unit(seed, first) < 0.8) == (row is not None)
            if row is not None:
                goals = play.log.goals(view, int(batch.ids[place]))
                ordered = sorted(goals, key=lambda goal: goal.ticket)
                pick = random_below(seed, first + 1, len(goals))
                assert ordered[pick].ticket == row.ticket


# readers, writers, and rows that are overwritten


@pytest.mark.parametrize("walk", WALKS)
def test_rows_that_are_overwritten_before_they_are_copied_are_drawn_and_relabelled_anew(walk):
    with walking(walk), playing(VIEWS["episode"][1], 12) as play:
        play.episode(0, 10, "truncated")
        where, name = play.buffer, "_object_gather"
        if walk == "plain":
            where, name = play.buffer._gatherer, "gather"
        gather = getattr(where, name)
        # Nobody can come between the steps of the compiled method.
        play.buffer.sample = play.buffer._plain_sample

        def write_and_gather(*arguments):
            setattr(where, name, gather)
            play.episode(0, 4, "terminated")
            return gather(*arguments)

        for _ in range(3):
            setattr(where, name, write_and_gather)
            before = play.buffer.stats()["redrawn"]
            batch = play.sample(40)
            assert play.buffer.stats()["redrawn"] > before
            play.sample(40, out=batch)


def test_a_goal_that_is_overwritten_while_it_is_copied_is_noticed():
    """Though the row itself, which is newer, is still there."""
    view = replay.Hindsight(earned, strategy="episode", share=1.0)
    with playing(view, 12, 2) as play:
        play.episode(1, 9, "terminated")
        handle = play.buffer._handle
        records = play.buffer._ring.block.part("records")
        words = play.buffer._gatherer._words
        older = 0
        for counter in range(fewer(200, 60)):
            notes = np.zeros(words, np.int64)
            slots = np.array([12 + 7])
            windows_note(handle, notes, slots)
            goals_note(handle, notes, slots, counter)
            assert windows_ids(handle, notes, slots.copy(), 0) == 0
            goal = int(notes[-2])
            assert 12 < goal <= 12 + 9
            records[goal, 0] += 12 << SHIFT
            assert windows_ids(handle, notes, slots.copy(), 0) == 1
            records[goal, 0] -= 12 << SHIFT
            older += goal < 12 + 6
        assert older > 10


@pytest.mark.parametrize("walk", WALKS)
def test_a_reader_of_hindsight_beside_another_view(walk):
    with walking(walk), playing(replay.NStep(2, 0.9), 30, 2, sampler=PRIORITIZED) as play:
        readers = [(view, play.buffer.reader(view=view)) for goal, view in VIEWS.values()]
        generator = random.Random(5)
        for turn in range(fewer(80, 40)):
            play.random_step(generator)
            if turn % 20 == 19:
                for view, reader in readers:
                    if play.log.drawable(view):
                        play.sample(20, reader, view)
        play.check()


def test_a_long_batch_and_one_into_given_arrays():
    with playing(VIEWS["episode"][1], 30, goal="picture") as play:
        play.episode(0, 25, "terminated")
        batch = play.sample(fewer(400, 100))
        again = play.buffer.sample(out=batch)
        assert again is batch
        assert_hindsight(play.log, play.view, batch)


def live_values(stream, episode, step):
    code = np.array([stream, episode, step], np.int64)
    return {
        "achieved_goal": np.repeat(code, 50),
        "desired_goal": -1 - np.repeat(code, 50),
        "observation": (step + np.arange(100)).astype(np.int32),
    }


def live_write(writer, stream, over):
    for episode in itertools.count():
        if over():
            return
        writer.reset(live_values(stream, episode, 0))
        length = length_of(episode)
        for step in range(1, length + 1):
            flags = end_of(episode) if step == length else (False, False)
            writer.step(live_values(stream, episode, step), step, float(-step), *flags)
            # Else each draw waits for the interpreter's lock, which threads give up seldom.
            time.sleep(0)


def live_check(strategy, batch):
    """Compare every row by what it says of itself."""

    def code(part, name):
        goals = part[name].reshape(-1, 3, 50)
        assert (goals == goals[:, :, :1]).all(), "torn"
        return goals[:, :, 0].T

    streams, episodes, steps = code(batch.next_obs, "achieved_goal")
    before = code(batch.obs, "achieved_goal")
    np.testing.assert_array_equal(before, [streams, episodes, steps - 1])
    observation = steps[:, None] + np.arange(100)
    np.testing.assert_array_equal(batch.next_obs["observation"], observation)
    assert (streams == batch.ids % STREAMS).all()
    assert (batch.action == steps).all()
    lengths = np.array([length_of(episode) for episode in episodes.tolist()])
    goal = code(batch.next_obs, "desired_goal")
    new = batch.relabelled
    own = -1 - np.array([streams, episodes, steps])
    np.testing.assert_array_equal(goal[:, ~new], own[:, ~new])
    np.testing.assert_array_equal(code(batch.obs, "desired_goal")[:, ~new], -1 - before[:, ~new])
    np.testing.assert_array_equal(code(batch.obs, "desired_goal")[:, new], goal[:, new])
    assert (goal[0] == streams)[new].all()
    assert (goal[1] == episodes)[new].all()
    low = {"future": steps, "final": lengths, "episode": 1}[strategy]
    assert ((goal[2] >= low) & (goal[2] <= lengths))[new].all()
    rewards = np.where(new, 2.0 * steps - goal[2], -steps)
    np.testing.assert_array_equal(batch.reward, rewards)


def live_reward(achieved, desired):
    return 2.0 * achieved[:, -1] - desired[:, -1]


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("strategy", "kind"),
    [("future", "uniform"), ("final", "proportional"), ("episode", "uniform")],
)
def test_goals_are_whole_beside_writers(strategy, kind):
    """Readers draw so many batches; two threads write until they are done."""
    goal = (np.int64, (150,))
    fields = {
        "obs": {"achieved_goal": goal, "desired_goal": goal, "observation": (np.int32, (100,))},
        "action": np.int64,
        "reward": np.float64,
    }
    view = replay.Hindsight(live_reward, strategy=strategy)
    over = threading.Event()
    left = itertools.count(1)
    options = {"sampler": SAMPLERS[kind], "streams": STREAMS, "seed": 0}
    with opened("private", 19 * STREAMS, fields, view=view, **options) as buffer:

        def writing(stream):
            writer = buffer.writer(stream)
            return lambda: live_write(writer, stream, over.is_set)

        def reading():
            try:
                batch = None
                for _ in range(60):
                    batch = buffer.sample(32, out=batch, timeout=60)
                    live_check(strategy, batch)
            finally:
                if next(left) == 2:
                    over.set()

        naive.together(writing(0), writing(1), reading, reading)
        live_check(strategy, buffer.sample(50))
        if buffer.sampler.prioritized:
            assert buffer.priorities.verify() == 0


# the function


@numba.njit
def compiled_reward(achieved, desired):
    rewards = np.empty(len(achieved), np.float32)
    for row in range(len(achieved)):
        distance = np.abs(achieved[row] - desired[row]).sum()
        rewards[row] = 0.0 if distance < 0.5 else -1.0
    return rewards


def test_the_function_may_be_compiled():
    with playing(replay.Hindsight(compiled_reward), 40) as play:
        play.episode(0, 6, "terminated")
        batch = play.sample(200)
        reached = (batch.next_obs["achieved_goal"] == batch.obs["desired_goal"]).all(axis=1)
        assert (batch.reward[batch.relabelled] == -1.0 + reached[batch.relabelled]).all()
        assert reached.any()


def test_the_function_is_called_once_a_batch_with_the_relabelled_rows():
    calls = []

    def listening(achieved, desired):
        calls.append((achieved, desired))
        # What becomes of its arguments is no matter of the batch.
        rewards = earned(achieved, desired)
        achieved[...] = desired[...] = 0
        return rewards.tolist()

    with playing(replay.Hindsight(listening), 40) as play:
        tried = len(calls)
        assert tried
        assert all(a.shape == d.shape == (2, 3) for a, d in calls)
        play.episode(0, 9, "terminated")
        batch = play.buffer.sample(30)
        assert len(calls) == tried + 1
        rows = int(batch.relabelled.sum())
        assert calls[-1][0].shape == (rows, 3)
        assert calls[-1][0].dtype == np.float32
        wanted = earned(
            batch.next_obs["achieved_goal"][batch.relabelled],
            batch.next_obs["desired_goal"][batch.relabelled],
        )
        np.testing.assert_array_equal(batch.reward[batch.relabelled], wanted)
        never = play.buffer.reader(view=replay.Hindsight(listening, share=0.0))
        calls.clear()
        never.sample(30)
        assert not calls


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (lambda achieved, desired: np.zeros((len(achieved), 1)), ["(2, 1)", "(2,)"]),
        (lambda achieved, desired: achieved, ["(2, 3)"]),
        (lambda achieved, desired: 0.0, ["()"]),
        (lambda achieved, desired: None, ["()"]),
        (lambda achieved, desired: np.zeros(len(achieved), complex), ["complex128"]),
        (lambda achieved, desired: ["a", "b"], ["numbers"]),
        (lambda achieved, desired, info: 0.0, ["info", "failed"]),
        (lambda achieved, desired: achieved.nothing, ["nothing", "failed"]),
    ],
)
def test_a_function_that_gives_no_rewards_is_refused_when_the_fields_are_known(reward, said):
    """At once, or with the first step; nothing is left behind."""
    view = replay.Hindsight(reward)
    with pytest.raises(replay.InputError) as caught, playing(view, 20):
        pass
    for word in said:
        assert word in str(caught.value)
    with playing(replay.Transition(), 20) as play:
        play.episode(0, 4, "terminated")
        with refused(play.buffer, replay.InputError, *said):
            play.buffer.reader(view=view)
    with opened("private", 20, view=view) as buffer:
        writer = buffer.writer()
        point = np.zeros(3, np.float32)
        obs = {"achieved_goal": point, "desired_goal": point}
        writer.reset(obs)
        with pytest.raises(replay.InputError, match="reward"):
            writer.step(obs, 1, np.float32(1.0))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda rewards: rewards[:-1], "it must be (7,)"),
        (lambda rewards: rewards[:, None], "(7, 1)"),
        (lambda rewards: np.where(np.arange(7) == 2, np.nan, rewards), "nan for 1 of 7"),
        (lambda rewards: np.where(np.arange(7) < 2, np.inf, rewards), "inf for 2 of 7"),
        (lambda rewards: rewards + 1e300, "finite, as float32"),
        (lambda rewards: rewards.astype(object), "object"),
    ],
)
def test_wrong_rewards_are_refused_at_the_draw(wrong, said):
    """A limiter has its rows back, and the next batch is as good as any."""
    state = {"wrong": False}

    def reward(achieved, desired):
        rewards = earned(achieved, desired).astype(np.float64)
        return wrong(rewards) if state["wrong"] else rewards

    view = replay.Hindsight(reward, share=1.0)
    limiter = replay.RateLimiter(samples_per_insert=1.0, min_size=3, tolerance=100.0)
    with playing(view, 20, limiter=limiter) as play:
        play.episode(0, 9, "terminated")
        balance = play.buffer.stats()["balance"]
        state["wrong"] = True
        with pytest.raises(replay.InputError) as caught:
            play.buffer.sample(7)
        assert said in str(caught.value)
        assert play.buffer.stats()["balance"] == balance
        state["wrong"] = False
        play.sample(7)


def test_what_the_function_raises_is_passed_on():
    state = {}

    def reward(achieved, desired):
        if state:
            raise ZeroDivisionError("of my own")
        return earned(achieved, desired)

    with playing(replay.Hindsight(reward), 20) as play:
        play.episode(0, 9, "terminated")
        state["wrong"] = True
        with pytest.raises(ZeroDivisionError, match="of my own"):
            play.buffer.sample(30)
        state.clear()
        play.sample(30)


def test_goals_of_zeros_may_have_no_reward():
    """It is batches that must be finite."""

    def cosine(achieved, desired):
        return (achieved * desired).sum(1) / np.linalg.norm(achieved, axis=1)

    with playing(replay.Hindsight(cosine), 20) as play:
        play.episode(0, 9, "terminated")
        play.sample(30)


# views that cannot be


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reward": "sparse"}, ["reward", "'sparse'"]),
        ({"goals": 0}, ["goals", "from 1"]),
        ({"goals": 2.5}, ["goals", "int"]),
        ({"goals": True}, ["goals", "int"]),
        ({"strategy": "last"}, ["strategy", "'last'", "'final'"]),
        ({"strategy": None}, ["strategy", "None"]),
        ({"strategy": ["future"]}, ["strategy"]),
        ({"share": 1.01}, ["share", "1.01", "from 0 to 1"]),
        ({"share": -0.1}, ["share"]),
        ({"share": math.nan}, ["share", "nan"]),
        ({"share": "0.5"}, ["share", "number"]),
        ({"share": True}, ["share", "number"]),
        ({"of": None}, ["of is None", "view"]),
        ({"of": replay.Hindsight(earned)}, ["relabels already"]),
        ({"of": replay.FrameStack(2, replay.Hindsight(earned))}, ["relabels already"]),
        ({"of": replay.NStep(3, 0.9)}, ["NStep", "each of its steps"]),
        ({"of": replay.FrameStack(2, replay.NStep(3, 0.9))}, ["NStep", "each of its steps"]),
        ({"of": replay.Sequence(3)}, ["Sequence", "each of its steps"]),
        ({"of": replay.Episodes(3)}, ["Episodes", "each of its steps"]),
        ({"achieved": 3}, ["achieved", "str"]),
        ({"desired": None}, ["desired", "str"]),
        ({"achieved": "obs/desired_goal"}, ["both"]),
    ],
)
def test_a_hindsight_that_cannot_be(options, said):
    with pytest.raises(replay.InputError) as caught:
        replay.Hindsight(**({"reward": earned} | options))
    for word in said:
        assert word in str(caught.value)


def test_a_stack_of_stacks_in_hindsight_cannot_be():
    with pytest.raises(replay.InputError, match="stacks already"):
        replay.FrameStack(2, replay.Hindsight(earned, of=replay.FrameStack(2)))


GOAL = GOALS["point"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"obs": {"achieved_goal": GOAL}}, ["desired", "'obs/desired_goal'", "achieved_goal"]),
        ({"obs": {"desired_goal": GOAL}}, ["achieved", "'obs/achieved_goal'"]),
        ({"obs": GOAL}, ["'obs/achieved_goal'", "no part"]),
        ({"obs": {"achieved_goal": GOAL, "desired_goal": (np.float64, (3,))}}, ["alike"]),
        ({"obs": {"achieved_goal": GOAL, "desired_goal": (np.float32, (2,))}}, ["alike"]),
        ({"reward": None}, ["'reward'", "none"]),
        ({"reward": np.int64}, ["'reward'", "int64"]),
        ({"reward": (np.float32, (1,))}, ["'reward'", "(1,)"]),
        ({"relabelled": bool}, ["'relabelled'", "comes by itself"]),
    ],
)
def test_a_log_without_goals_and_rewards_is_refused(change, said):
    fields = {name: kind for name, kind in (fields_of("point") | change).items() if kind}
    with pytest.raises(replay.InputError) as caught:
        replay.ReplayBuffer(20, fields, view=replay.Hindsight(earned))
    for word in said:
        assert word in str(caught.value)


def test_goals_may_be_called_otherwise():
    fields = {"obs": {"at": np.int64, "to": np.int64}, "reward": np.float64}
    view = replay.Hindsight(earned, share=1.0, achieved="obs/at", desired="obs/to")
    with opened("private", 20, fields, view=view, seed=0) as buffer:
        writer = buffer.writer()
        writer.reset({"at": 0, "to": 9})
        for number in range(1, 5):
            writer.step({"at": number, "to": 9}, reward=-1.0, truncated=number == 4)
        batch = buffer.sample(50)
        assert (batch.obs["to"] > batch.obs["at"]).all()
        assert (batch.obs["to"] <= 4).all()
        assert (batch.reward == (3 * batch.next_obs["at"] - batch.obs["to"]) / 8).all()


# homes: a function is not stored


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("home", [home for home in HOMES if home != "private"])
def test_who_attaches_writes_as_before_and_draws_with_the_function_again(home, kind, tmp_path):
    view = replay.Hindsight(earned, 2, "episode")
    with playing(view, 20, 2, home=home, sampler=SAMPLERS[kind]) as play:
        buffer = play.buffer
        play.episode(0, 5, "terminated")
        where = {"name": buffer.name} if home == "named" else {"path": buffer.path}
        with replay.attach(**where) as other:
            assert other.view == view
            assert other.view.reward is None
            assert hash(other.view) == hash(view)
            # Two openings cannot have a writer of one stream at once.
            play.writers[1] = None
            play.writers[1] = other.writer(1)
            play.episode(1, 4, "truncated")
            play.check()
            for reader in (other, other.reader()):
                with refused(other, replay.InputError, "reader(view=replay.Hindsight"):
                    reader.sample(3)
                with refused(other, replay.InputError, "reader(view=replay.Hindsight"):
                    reader.sample(3, timeout=0.1)
            own = other.reader(view=view, sampler=SAMPLERS[kind])
            batch = play.sample(30, own)
            if kind == "proportional":
                assert other.update_priorities(batch.ids, np.full(30, 2.0)) == 30
                ids = set(batch.ids.tolist())
                play.priority.update(dict.fromkeys(ids, 2.0))
                play.largest = 2.0
                # Of another window the buffer has no priorities.
                with pytest.raises(replay.InputError, match="priorities are of"):
                    other.reader(view=replay.Transition(), sampler=SAMPLERS[kind])
            play.check()
            play.writers[1] = None
        play.writers[1] = buffer.writer(1)
        play.sample(30)
        buffer.save(tmp_path / "snapshot")
        with replay.load(tmp_path / "snapshot") as loaded:
            assert loaded.view == view
            with pytest.raises(replay.InputError, match="function"):
                loaded.sample(3)
            play.sample(30, loaded.reader(view=view))
        buffer.restore(tmp_path / "snapshot")
        play.sample(30)
        attached = pickle.loads(pickle.dumps(buffer))
        with attached, pytest.raises(replay.InputError, match="function"):
            attached.sample(3)


def test_a_view_is_the_same_with_another_function_and_no_other_with_another_choice():
    view = replay.Hindsight(earned)
    assert view == replay.Hindsight(compiled_reward) == from_json(view.to_json())
    for options in (
        {"goals": 3},
        {"strategy": "final"},
        {"share": 0.8},
        {"of": replay.FrameStack(1)},
        {"achieved": "obs/at"},
        {"desired": "obs/to"},
    ):
        assert view != replay.Hindsight(earned, **options)


@pytest.mark.parametrize("name", VIEWS)
def test_what_a_header_says_is_read_back(name):
    view = VIEWS[name][1]
    described = view.described()
    assert from_header(described) == view
    assert described["window"]["ended"]
    described["window"]["ended"] = False
    with pytest.raises(replay.InputError, match="contradicts itself"):
        from_header(described)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("goals", 0),
        ("goals", 4.0),
        ("strategy", "none"),
        ("strategy", {}),
        ("share", "1"),
        ("share", 2),
        ("share", math.nan),
        ("of", None),
        ("of", {"kind": "sequence"}),
        ("achieved", 7),
        ("desired", ["obs"]),
        ("reward", "os.system"),
    ],
)
def test_a_header_that_describes_none_is_refused(name, value):
    described = replay.Hindsight(earned).to_json() | {name: value}
    with pytest.raises(replay.InputError):
        from_json(described)
    missing = replay.Hindsight(earned).to_json()
    missing.pop("share")
    with pytest.raises(replay.InputError):
        from_json(missing)
