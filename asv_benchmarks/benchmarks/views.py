"""Views over a log of steps: what a drawn row becomes, and how steps are written."""

import functools
import itertools
from typing import Any

import numpy as np

import replay

from . import CALLS, Timed, unless_quick
from .workload import FIELDS, full_buffer, play, sampler

#: Steps are written one by one: a log of a million takes a second to fill.
CAPACITY = unless_quick(200_000, 2_000)
#: Images, of 7 kB each.
FRAMES = unless_quick(20_000, 1_000)
SHAPE = (84, 84)
STACK = 4
ENVS = 16
#: Steps of an episode.
LENGTH = 200
#: A sequence of 120 steps is a hundred times as much as a transition.
FEW = unless_quick(20, 2)

SMALL: dict[str, Any] = {name: FIELDS[name] for name in ("obs", "action", "reward")}
IMAGES: dict[str, Any] = {"obs": (np.uint8, SHAPE), "action": np.int64, "reward": np.float32}

VIEWS: dict[str, replay.View] = {
    "transition": replay.Transition(),
    "3 steps": replay.NStep(3, 0.99),
    "stack of 4": replay.FrameStack(STACK),
    "stack of 4, 3 steps": replay.FrameStack(STACK, replay.NStep(3, 0.99)),
    "sequence": replay.Sequence(80, 40, burn_in=40),
    "episode": replay.Episodes(LENGTH),
}
SINGLE = list(VIEWS)[:4]
STACKED = SINGLE[2:]
LONG = list(VIEWS)[4:]
BATCHES = unless_quick([32, 256], [32])


@functools.cache
def full_log(images: bool, kind: str = "uniform") -> replay.ReplayBuffer:
    """Make a full log of episodes, once for all timings of a process."""
    rows = FRAMES if images else CAPACITY
    fields = IMAGES if images else SMALL
    log = replay.ReplayBuffer(
        rows, fields, view=VIEWS["transition"], sampler=sampler(kind), seed=1
    )
    play(log, LENGTH, np.zeros(SHAPE, np.uint8) if images else np.zeros(8, np.float32))
    return log


@functools.cache
def single_frames() -> np.ndarray:
    """Make the frames of such a log as one array, touched."""
    frames = np.empty((FRAMES, *SHAPE), np.uint8)
    frames[:] = np.arange(FRAMES, dtype=np.uint8)[:, None, None]
    return frames


class Sample(Timed):
    """A thousand batches of small transitions."""

    params = (["rows", *SINGLE], BATCHES)
    param_names = ("view", "batch")

    def setup(self, view: str, batch: int) -> None:
        if view == "rows":
            self.reader: Any = full_buffer("uniform", CAPACITY)
        else:
            self.reader = full_log(False).reader(VIEWS[view])
        self.out = self.reader.sample(batch)

    def time_new_arrays(self, view: str, batch: int) -> None:
        sample = self.reader.sample
        for _ in itertools.repeat(None, CALLS):
            sample(batch)

    def time_given_arrays(self, view: str, batch: int) -> None:
        sample = self.reader.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Prioritized(Timed):
    """A thousand batches of small transitions, drawn by priority."""

    params = (["rows", "transition"], BATCHES)
    param_names = ("view", "batch")

    def setup(self, view: str, batch: int) -> None:
        if view == "rows":
            self.buffer = full_buffer("prioritized", CAPACITY)
        else:
            self.buffer = full_log(False, "prioritized")
        self.out = self.buffer.sample(batch)

    def time_given_arrays(self, view: str, batch: int) -> None:
        sample = self.buffer.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Long(Timed):
    """Twenty batches of sequences of 120 steps, or of episodes of 200."""

    params = (LONG, [False, True], BATCHES)
    param_names = ("view", "time_major", "batch")

    def setup(self, view: str, time_major: bool, batch: int) -> None:
        kinds = {
            "sequence": replay.Sequence(80, 40, burn_in=40, time_major=time_major),
            "episode": replay.Episodes(LENGTH, time_major=time_major),
        }
        self.reader = full_log(False).reader(kinds[view])
        self.out = self.reader.sample(batch)

    def time_given_arrays(self, view: str, time_major: bool, batch: int) -> None:
        sample = self.reader.sample
        out = self.out
        for _ in itertools.repeat(None, FEW):
            sample(batch, out=out)


def met(achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
    return (achieved == desired).all(axis=1).astype(np.float32)


@functools.cache
def full_goals(strategy: str) -> replay.ReplayBuffer:
    """Make a full log of episodes with goals, once for all timings of a process."""
    goal = (np.float32, (3,))
    obs = {
        "observation": np.zeros(8, np.float32),
        "achieved_goal": np.zeros(3, np.float32),
        "desired_goal": np.ones(3, np.float32),
    }
    fields = {
        "obs": {"observation": (np.float32, (8,)), "achieved_goal": goal, "desired_goal": goal},
        "action": np.int64,
        "reward": np.float32,
    }
    view = replay.Hindsight(met, strategy=strategy)
    log = replay.ReplayBuffer(CAPACITY, fields, view=view, seed=1)
    play(log, LENGTH, obs)
    return log


class Goals(Timed):
    """A hundred batches of which four rows in five get another goal."""

    params = (["future", "final", "episode"], BATCHES)
    param_names = ("strategy", "batch")

    def setup(self, strategy: str, batch: int) -> None:
        self.log = full_goals(strategy)
        self.out = self.log.sample(batch)

    def time_given_arrays(self, strategy: str, batch: int) -> None:
        sample = self.log.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS // 10):
            sample(batch, out=out)


class Frames(Timed):
    """Twenty batches of stacked frames, and as many bytes by np.take."""

    params = (["np.take", *STACKED], BATCHES)
    param_names = ("view", "batch")

    def setup(self, view: str, batch: int) -> None:
        if view == "np.take":
            self.frames = single_frames()
            drawn = np.random.default_rng(2).integers(STACK, FRAMES, (FEW, batch, 1))
            stacks = drawn + np.arange(1 - STACK, 1)
            self.places = [(stack - 1, stack) for stack in stacks]
            self.out: Any = np.ones((2, batch, STACK, *SHAPE), np.uint8)
        else:
            self.reader = full_log(True).reader(VIEWS[view])
            self.out = self.reader.sample(batch)

    def time_new_arrays(self, view: str, batch: int) -> None:
        if view == "np.take":
            for pair in self.places:
                [np.take(self.frames, places, axis=0) for places in pair]
            return
        sample = self.reader.sample
        for _ in itertools.repeat(None, FEW):
            sample(batch)

    def time_given_arrays(self, view: str, batch: int) -> None:
        out = self.out
        if view == "np.take":
            for pair in self.places:
                for places, array in zip(pair, out, strict=True):
                    # Without a mode NumPy copies into an array of its own first.
                    np.take(self.frames, places, axis=0, out=array, mode="clip")
            return
        sample = self.reader.sample
        for _ in itertools.repeat(None, FEW):
            sample(batch, out=out)


class Write(Timed):
    """A thousand rows, and a thousand steps: of one environment, and of sixteen."""

    params = (["uniform", "prioritized"],)
    param_names = ("sampler",)

    def setup(self, kind: str) -> None:
        view = VIEWS["transition"]
        self.rows = full_buffer(kind, CAPACITY)
        log = replay.ReplayBuffer(CAPACITY, SMALL, view=view, sampler=sampler(kind))
        self.writer = log.writer()
        self.obs = np.zeros(8, np.float32)
        log = replay.ReplayBuffer(CAPACITY, SMALL, view=view, sampler=sampler(kind), streams=ENVS)
        self.vector = log.vector_writer()
        self.many = (
            np.zeros((ENVS, 8), np.float32),
            np.zeros(ENVS, np.int64),
            np.zeros(ENVS, np.float32),
            np.zeros(ENVS, bool),
            np.zeros(ENVS, bool),
        )
        self.writer.reset(self.obs)
        self.vector.reset(self.many[0])
        # The first rows of a block touch its pages.
        self.time_step(kind)
        self.time_step_of_16(kind)

    def time_add(self, kind: str) -> None:
        add = self.rows.add
        obs = self.obs
        for _ in itertools.repeat(None, CALLS):
            add(obs, 1, 1.0, obs, False)

    def time_step(self, kind: str) -> None:
        step = self.writer.step
        obs = self.obs
        for _ in itertools.repeat(None, CALLS):
            step(obs, 1, 1.0, False, False)

    def time_step_of_16(self, kind: str) -> None:
        step = self.vector.step
        many = self.many
        for _ in itertools.repeat(None, CALLS):
            step(*many)
