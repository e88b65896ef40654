"""
cpprb: C++ trees and Cython buffers on NumPy arrays.

`add(**fields)` takes one row or many, so `extend` is the same call. `sample` gives a dictionary of
new arrays, with `weights` and `indexes` where rows have priorities. `next_obs` is stored beside
`obs`, since `next_of` ties a row to the one added after it, and the rows here come from anywhere.
"""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import cpprb
import numpy as np

from .peer import ADD, ALPHA, BETA, EXTEND, SAMPLE, SEED, UPDATE, Frames, Peer
from .peer import new_priorities as errors

FIELDS: dict[str, Any] = {
    "obs": {"shape": 8, "dtype": np.float32},
    "act": {"dtype": np.int64},
    "rew": {"dtype": np.float32},
    "next_obs": {"shape": 8, "dtype": np.float32},
    "done": {"dtype": np.bool_},
}


class Rows(Peer):
    """`ReplayBuffer`, or `PrioritizedReplayBuffer`, whose draws take no seed."""

    name = "cpprb"
    distribution = "cpprb"
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, UPDATE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        self.weighted = prioritized
        if prioritized:
            self.buffer = cpprb.PrioritizedReplayBuffer(rows, FIELDS, alpha=ALPHA)
        else:
            # These draws are of NumPy's own generator.
            np.random.seed(SEED)  # noqa: NPY002
            self.buffer = cpprb.ReplayBuffer(rows, FIELDS)

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        given = dict(zip(FIELDS, columns, strict=True))
        if priorities is None:
            self.buffer.add(**given)
        else:
            self.buffer.add(**given, priorities=priorities)

    def add(self, row: Sequence[Any], times: int) -> Any:
        add = self.buffer.add
        obs, act, rew, next_obs, done = row
        for _ in itertools.repeat(None, times):
            add(obs=obs, act=act, rew=rew, next_obs=next_obs, done=done)

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        self.add(columns, times)

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        if self.weighted:
            for _ in itertools.repeat(None, times):
                batch = sample(count, BETA)
        else:
            for _ in itertools.repeat(None, times):
                batch = sample(count)
        return batch

    def sample_and_update(self, count: int, times: int) -> Any:
        sample, update = self.buffer.sample, self.buffer.update_priorities
        priorities = errors(count)
        for _ in itertools.repeat(None, times):
            batch = sample(count, BETA)
            update(batch["indexes"], priorities)
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        arrays = [batch[name] for name in FIELDS]
        return [*arrays, batch["weights"]] if self.weighted else arrays


class StackedFrames(Frames):
    """
    `stack_compress` and `next_of` of obs: a frame is stored once.

    Stacks lie in the last dimension, as cpprb has it. It is told of every episode's end: without
    that, rows come with frames of the next episode.
    """

    name = "cpprb"
    distribution = "cpprb"

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        # These draws are of NumPy's own generator.
        np.random.seed(SEED)  # noqa: NPY002
        fields = {
            "obs": {"shape": (*shape, 4), "dtype": np.uint8},
            "act": {"dtype": np.int64},
            "rew": {"dtype": np.float32},
            "done": {"dtype": np.bool_},
        }
        self.buffer = cpprb.ReplayBuffer(frames, fields, next_of="obs", stack_compress="obs")

    def write(self, episode: np.ndarray) -> None:
        steps = len(episode) - 1
        places = np.maximum(np.arange(steps + 1)[:, None] + np.arange(-3, 1), 0)
        stacks = np.moveaxis(episode[places], 1, -1)
        self.buffer.add(
            obs=stacks[:-1],
            next_obs=stacks[1:],
            act=np.zeros(steps, np.int64),
            rew=np.zeros(steps, np.float32),
            done=np.arange(1, steps + 1) == steps,
        )
        self.buffer.on_episode_end()

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch = sample(count)
        return batch

    def stacks(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        return np.moveaxis(batch["obs"], -1, 1), np.moveaxis(batch["next_obs"], -1, 1)
