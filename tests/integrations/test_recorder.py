"""A recorder against the same play, env by env, in plain lists."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import replay
from replay.gymnasium import Recorder
from replay.gymnasium.autoreset import Autoreset, autoreset_of_vector
from tests.homes import block_bytes, fewer, fresh_name
from tests.integrations.environments import MAKE, Maze, breakouts
from tests.integrations.playing import (
    SEED,
    assert_recorded,
    extras,
    make_actions,
    make_buffer,
    make_log,
    play,
    play_lists,
    play_one,
)
from tests.processes import python

STEPS = fewer(100, 40)
ROWS = fewer(48, 20)
MODES = tuple(AutoresetMode)

#: Of games, whose rows are large.
FRAMES = (replay.FrameStack(4), replay.FrameStack(2, of=replay.NStep(3, 0.99), pad="zeros"))


def check_vector(name, envs, mode, count=3, **options):
    """Play many environments with a recorder, and each by itself."""
    actions = make_actions(name, STEPS, count)
    log = make_log(name, ROWS, count)
    ends = [
        play_lists(log, name, actions[:, at], at, at, skips=mode is AutoresetMode.NEXT_STEP)
        for at in range(count)
    ]
    with make_buffer(envs, ROWS, count) as buffer, Recorder(envs, buffer) as recorder:
        play(recorder, actions)
        assert buffer.size == ROWS * count
        assert_recorded(buffer, log, **options)
    return np.sum(ends, axis=0)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", ["CartPole", "Pendulum", "Maze"])
def test_a_vector_environment_is_recorded_step_by_step(name, mode):
    envs = SyncVectorEnv([MAKE[name]] * 3, autoreset_mode=mode)
    terminated, truncated = check_vector(name, envs, mode)
    assert truncated > 0
    assert (terminated > 0) == (name != "Pendulum")


@pytest.mark.processes
def test_environments_in_processes_are_recorded_step_by_step():
    envs = AsyncVectorEnv([Maze] * 2, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    check_vector("Maze", envs, AutoresetMode.SAME_STEP, 2)


@pytest.mark.parametrize("name", ["CartPole", "Pendulum", "Maze"])
def test_a_single_environment_is_recorded_step_by_step(name):
    env = MAKE[name]()
    actions = make_actions(name, STEPS)
    log = make_log(name, ROWS, 1)
    ends = play_lists(log, name, actions, 0)
    with make_buffer(env, ROWS, 1) as buffer, Recorder(env, buffer) as recorder:
        play_one(recorder, actions)
        assert_recorded(buffer, log)
    assert ends[1] > 0
    assert (ends[0] > 0) == (name != "Pendulum")


def test_a_game_of_ataris_is_recorded_step_by_step():
    env = MAKE["Breakout"]()
    actions = make_actions("Breakout", fewer(100, 20))
    rows = fewer(60, 20)
    log = make_log("Breakout", rows, 1)
    ends = play_lists(log, "Breakout", actions, 0)
    with make_buffer(env, rows, 1) as buffer, Recorder(env, buffer) as recorder:
        play_one(recorder, actions)
        assert_recorded(buffer, log, FRAMES, 100, every=False)
    assert sum(ends) >= fewer(2, 0)


def test_ataris_own_vector_environment_is_recorded_step_by_step():
    mode = AutoresetMode.SAME_STEP
    envs = breakouts(2, mode)
    ends = check_vector("Breakouts", envs, mode, 2, views=FRAMES, draws=100, every=False)
    assert sum(ends) >= 2


def test_an_environment_that_resets_itself_is_recorded_step_by_step():
    env = gymnasium.wrappers.Autoreset(Maze())
    # A wrapper around it must not hide it.
    env = gymnasium.wrappers.TransformReward(env, lambda reward: reward)
    actions = make_actions("Maze", STEPS)
    log = make_log("Maze", ROWS, 1)
    play_lists(log, "Maze", actions, 0, skips=True)
    with make_buffer(env, ROWS, 1) as buffer, Recorder(env, buffer) as recorder:
        recorder.reset(seed=SEED)
        for time, action in enumerate(actions):
            recorder.step(action, **extras(time, 0))
        assert_recorded(buffer, log)


def test_recorders_share_a_buffer_stream_by_stream():
    actions = make_actions("CartPole", STEPS, 2)
    log = make_log("CartPole", ROWS, 3)
    one, two = MAKE["CartPole"](), SyncVectorEnv([MAKE["CartPole"]] * 2)
    with (
        make_buffer(one, ROWS, 3) as buffer,
        Recorder(one, buffer) as first,
        Recorder(two, buffer, stream=1) as second,
    ):
        play_one(first, actions[:, 0])
        play(second, actions)
        play_lists(log, "CartPole", actions[:, 0], 0)
        for at in range(2):
            play_lists(log, "CartPole", actions[:, at], 1 + at, at, skips=True)
        assert_recorded(buffer, log)


def test_a_reset_in_the_middle_cuts_the_episode():
    env = MAKE["Pendulum"]()
    log = make_log("Pendulum", ROWS, 1)
    actions = make_actions("Pendulum", 3)
    with make_buffer(env, ROWS, 1) as buffer, Recorder(env, buffer) as recorder:
        for _ in range(2):
            recorder.reset(seed=SEED)
            for time, action in enumerate(actions):
                recorder.step(action, **extras(time, 0))
            play_lists(log, "Pendulum", actions, 0)
        assert_recorded(buffer, log)


class Spy(gymnasium.vector.VectorWrapper):
    """Remembers what it gave."""

    given = ()

    def reset(self, **options):
        self.given = (*self.given, super().reset(**options))
        return self.given[-1]

    def step(self, actions):
        self.given = (*self.given, super().step(actions))
        return self.given[-1]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_recorder_gives_what_the_environment_gives_and_calls_it_once(mode):
    envs = Spy(SyncVectorEnv([MAKE["CartPole"]] * 2, autoreset_mode=mode))
    plain = SyncVectorEnv([MAKE["CartPole"]] * 2, autoreset_mode=mode)
    options = {"low": -0.01, "high": 0.01}
    with make_buffer(envs, 50, 2) as buffer, Recorder(envs, buffer) as recorder:
        assert recorder.reset(seed=[3, 4], options=options) is envs.given[0]
        assert_same(envs.given[0], plain.reset(seed=[3, 4], options=options))
        for time, action in enumerate(make_actions("CartPole", 9, 2)):
            given = recorder.step(
                action, **{k: np.stack([v] * 2) for k, v in extras(0, 0).items()}
            )
            assert given is envs.given[time + 1]
            assert_same(given, plain.step(action))
        assert len(envs.given) == 10


def assert_same(got, wanted):
    assert len(got) == len(wanted)
    for one, other in zip(got[:-1], wanted[:-1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert got[-1].keys() == wanted[-1].keys()


def test_ids_are_those_of_the_rows_just_written():
    envs = SyncVectorEnv([Maze] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with make_buffer(envs, 60, 2) as buffer, Recorder(envs, buffer) as recorder:
        assert recorder.ids is None
        recorder.reset(seed=SEED)
        written = {}
        for time, action in enumerate(make_actions("Maze", 30, 2)):
            more = {"log_prob": np.float32([time, time + 0.5]), "state": np.zeros((2, 2))}
            recorder.step(action, **more)
            written |= dict(zip(recorder.ids.tolist(), more["log_prob"].tolist(), strict=True))
        batch = buffer.sample(fewer(500, 100))
        assert [written[identity] for identity in batch.ids.tolist()] == batch.log_prob.tolist()


# modes


class Said(gymnasium.vector.VectorEnv):
    """Says a mode of its own."""

    num_envs = 2
    single_observation_space = single_action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, **metadata):
        self.metadata = metadata


@pytest.mark.parametrize("name", ["NextStep", "NEXT_STEP", "next-step", AutoresetMode.NEXT_STEP])
def test_the_mode_may_be_a_string(name):
    assert autoreset_of_vector(Said(autoreset_mode=name)) is Autoreset.NEXT_STEP


def test_no_mode_is_that_of_gymnasium_1_0():
    assert autoreset_of_vector(Said()) is Autoreset.NEXT_STEP


def test_the_mode_of_a_class_does_not_hide_that_of_the_environment():
    envs = Said(autoreset_mode=AutoresetMode.SAME_STEP)
    envs.autoreset_mode = AutoresetMode.DISABLED
    assert autoreset_of_vector(gymnasium.vector.VectorWrapper(envs)) is Autoreset.DISABLED


def test_a_mode_that_gymnasium_does_not_have_is_refused():
    with pytest.raises(replay.InputError, match=r"autoreset_mode.*'sometimes'"):
        autoreset_of_vector(Said(autoreset_mode="sometimes"))


# bad input


def making(name, mode=None, count=2, streams=2, **options):
    """Make a recorder that forgets to be closed."""
    env = MAKE[name]()
    if mode is not None:
        env = SyncVectorEnv([MAKE[name]] * count, autoreset_mode=mode)
    return Recorder(env, make_buffer(env, 50, streams), **options)


def both(time=0):
    return {"log_prob": np.zeros(2, np.float32), "state": np.zeros((2, 2), np.float32)}


def test_too_few_streams_are_refused():
    with pytest.raises(replay.InputError, match=r"3 environments.*buffer has 2.*streams=3"):
        making("CartPole", AutoresetMode.NEXT_STEP, 3, 2)
    with pytest.raises(replay.InputError, match=r"take 3 streams.*streams=3"):
        making("CartPole", AutoresetMode.NEXT_STEP, 2, 2, stream=1)


@pytest.mark.parametrize("stream", [-1, 2, 0.0, True, None])
def test_a_stream_that_is_none_is_refused(stream):
    with pytest.raises(replay.InputError, match=r"stream is .*0 to 1"):
        making("CartPole", stream=stream)


def test_what_is_no_environment_or_buffer_is_refused():
    env = MAKE["CartPole"]()
    with make_buffer(env, 50, 1) as buffer:
        with pytest.raises(replay.InputError, match="env is int"):
            Recorder(3, buffer)
        with pytest.raises(replay.InputError, match="buffer is dict"):
            Recorder(env, {})
    with (
        replay.ReplayBuffer(10, replay.gymnasium.fields(env)) as buffer,
        pytest.raises(replay.InputError, match="view"),
    ):
        Recorder(env, buffer)


def test_a_step_before_the_first_reset_is_refused():
    recorder = making("CartPole")
    with pytest.raises(replay.StepError, match="not reset yet"):
        recorder.step(0, **extras(0, 0))


def test_a_step_after_the_end_is_refused_and_not_taken():
    recorder = making("Maze")
    recorder.reset(seed=SEED)
    while not any(recorder.step(np.array([0, 1]), **extras(0, 0))[2:4]):
        pass
    before = block_bytes(recorder.buffer)
    left = recorder.env._left
    with pytest.raises(replay.StepError, match="ended"):
        recorder.step(np.array([0, 1]), **extras(0, 0))
    assert (left, before) == (recorder.env._left, block_bytes(recorder.buffer))
    recorder.reset()
    recorder.step(np.array([0, 1]), **extras(0, 0))


def test_environments_that_the_caller_must_reset_are_named():
    recorder = making("Maze", AutoresetMode.DISABLED)
    recorder.reset(seed=SEED)
    ended = np.zeros(2, bool)
    while not ended.any():
        ended = np.logical_or(*recorder.step(np.zeros((2, 2), int), **both())[2:4])
    if not ended.all():
        recorder.reset(options={"reset_mask": ~ended})
    with pytest.raises(replay.StepError, match=re.escape(str(np.flatnonzero(ended).tolist()))):
        recorder.step(np.zeros((2, 2), int), **both())
    recorder.reset(options={"reset_mask": ended})
    recorder.step(np.zeros((2, 2), int), **both())


def test_a_reset_mask_is_left_to_the_caller():
    recorder = making("CartPole", AutoresetMode.DISABLED)
    recorder.reset(seed=SEED)
    options = {"reset_mask": np.array([True, False])}
    recorder.reset(options=options)
    assert options["reset_mask"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("mode", "mask", "said"),
    [
        (AutoresetMode.NEXT_STEP, np.array([True, False]), "NEXT_STEP"),
        (AutoresetMode.SAME_STEP, np.array([True, False]), "SAME_STEP"),
        (AutoresetMode.DISABLED, np.array([True]), r"shape \(2,\)"),
        (AutoresetMode.DISABLED, np.array([1, 0]), "int64"),
        (AutoresetMode.DISABLED, [True, False], "list"),
    ],
)
def test_a_reset_mask_that_cannot_be_is_refused(mode, mask, said):
    recorder = making("CartPole", mode)
    recorder.reset(seed=SEED)
    with pytest.raises(replay.InputError, match=f"reset_mask.*{said}"):
        recorder.reset(options={"reset_mask": mask})
    recorder.step(np.array([0, 1]), **both())


def test_a_reset_mask_before_the_first_reset_is_refused():
    recorder = making("CartPole", AutoresetMode.DISABLED)
    with pytest.raises(replay.StepError, match="not reset yet"):
        recorder.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize("mode", [None, *MODES])
def test_a_step_that_the_log_refused_is_never_bridged(mode):
    recorder = making("Pendulum", mode)
    more = extras(0, 0) if mode is None else both()
    action = np.zeros((1,) if mode is None else (2, 1), np.float32)
    recorder.reset(seed=SEED)
    recorder.step(action, **more)
    with pytest.raises(replay.FieldError, match="state"):
        recorder.step(action, log_prob=more["log_prob"])
    with pytest.raises(replay.StepError, match="did not reach the log"):
        recorder.step(action, **more)
    recorder.reset()
    recorder.step(action, **more)
    transitions = recorder.buffer.size - (1 if mode is None else 2) * 2
    assert len(set(recorder.buffer.sample(200).ids.tolist())) == transitions


@pytest.mark.parametrize("mode", [None, AutoresetMode.DISABLED])
def test_a_reset_that_the_log_refused_is_never_bridged(mode, monkeypatch):
    recorder = making("CartPole", mode)
    action, more = (0, extras(0, 0)) if mode is None else (np.array([0, 1]), both())
    recorder.reset(seed=SEED)
    recorder.step(action, **more)
    with monkeypatch.context() as patch:
        patch.setattr(recorder.env, "reset", lambda **_: (np.zeros(3), {}))
        with pytest.raises(replay.FieldError, match="obs"):
            recorder.reset()
    with pytest.raises(replay.StepError, match="did not reach the log"):
        recorder.step(action, **more)
    recorder.reset()
    recorder.step(action, **more)


def test_a_step_that_the_environment_refused_can_be_taken_again():
    recorder = making("CartPole")
    recorder.reset(seed=SEED)
    with pytest.raises(AssertionError):
        recorder.step(5, **extras(0, 0))
    recorder.step(1, **extras(0, 0))
    assert recorder.buffer.size == 2


def test_final_observations_that_are_missing_are_said_to_be():
    class Forgets(gymnasium.vector.VectorWrapper):
        def step(self, actions):
            *given, infos = self.env.step(actions)
            infos.pop("final_obs", None)
            return *given, infos

    envs = SyncVectorEnv([Maze] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    envs = Forgets(envs)
    recorder = Recorder(envs, make_buffer(envs, 50, 2))
    recorder.reset(seed=SEED)
    actions = iter(make_actions("Maze", 10, 2))
    with pytest.raises(replay.InputError, match="final_obs"):
        all(recorder.step(action, **both()) for action in actions)


def test_a_closed_recorder_says_so_and_leaves_the_buffer_open():
    recorder = making("CartPole")
    with recorder:
        recorder.reset()
    recorder.close()
    with pytest.raises(replay.ClosedError):
        recorder.step(0, **extras(0, 0))
    with pytest.raises(replay.ClosedError):
        recorder.reset()
    assert recorder.buffer.size == 1


def test_a_closed_recorder_gives_its_streams_back():
    env = MAKE["CartPole"]()
    with (
        make_buffer(env, 50, 1, name=fresh_name()) as buffer,
        replay.attach(buffer.name) as attached,
    ):
        recorder = Recorder(env, buffer)
        with pytest.raises(replay.InputError, match="has a writer already"):
            Recorder(MAKE["CartPole"](), attached)
        recorder.close()
        Recorder(MAKE["CartPole"](), attached).reset()
        assert buffer.size == 1


def test_gymnasium_is_imported_by_the_first_call_alone():
    code = """
import sys, replay
assert "replay.gymnasium" not in sys.modules
assert replay.gymnasium.Recorder and replay.gymnasium.fields
assert "gymnasium" not in sys.modules
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")
