"""`replay` itself: `add`, `extend`, `sample` and `sample(out=)`, `update_priorities`."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import replay

from .peer import ADD, ALPHA, BETA, EXTEND, GIVEN, SAMPLE, SEED, UPDATE, Frames, Peer
from .peer import new_priorities as errors
from .transitions import FIELDS


class Rows(Peer):
    """A private buffer, or a named one."""

    name = "replay"
    distribution = ""
    uniform: ClassVar = frozenset({ADD, EXTEND, SAMPLE, GIVEN})
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, GIVEN, UPDATE})

    @classmethod
    def version(cls) -> str:
        return replay.__version__

    def __init__(self, rows: int, prioritized: bool, name: str | None = None) -> None:
        sampler = replay.Proportional(ALPHA, BETA) if prioritized else replay.Uniform()
        self.buffer = replay.ReplayBuffer(rows, FIELDS, sampler=sampler, name=name, seed=SEED)
        self.outs: dict[int, Any] = {}

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        ids = self.buffer.extend(*columns)
        if priorities is not None:
            self.buffer.update_priorities(ids, priorities)

    def add(self, row: Sequence[Any], times: int) -> Any:
        add = self.buffer.add
        obs, action, reward, next_obs, terminated = row
        for _ in itertools.repeat(None, times):
            add(obs, action, reward, next_obs, terminated)

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        extend = self.buffer.extend
        obs, action, reward, next_obs, terminated = columns
        for _ in itertools.repeat(None, times):
            extend(obs, action, reward, next_obs, terminated)

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch = sample(count)
        return batch

    def sample_given(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        out = self.outs.get(count)
        if out is None:
            out = self.outs[count] = sample(count)
        for _ in itertools.repeat(None, times):
            sample(count, out=out)
        return out

    def sample_and_update(self, count: int, times: int) -> Any:
        sample, update = self.buffer.sample, self.buffer.update_priorities
        priorities = errors(count)
        for _ in itertools.repeat(None, times):
            batch = sample(count)
            update(batch.ids, priorities)
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        arrays = [batch.obs, batch.action, batch.reward, batch.next_obs, batch.terminated]
        return [*arrays, batch.weights] if self.buffer.sampler.prioritized else arrays


class StackedFrames(Frames):
    """
    A log of steps with `FrameStack(4)`.

    Every frame is stored once, and every row of a batch is right: at an episode's start the first
    frame is repeated, and the next stack ends with the final frame.
    """

    name = "replay"
    distribution = ""

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        fields = {"obs": (np.uint8, shape), "action": np.int64, "reward": np.float32}
        self.buffer = replay.ReplayBuffer(frames, fields, view=replay.FrameStack(4), seed=SEED)
        self.writer = self.buffer.writer()
        self.outs: dict[int, Any] = {}

    def write(self, episode: np.ndarray) -> None:
        self.writer.reset(episode[0])
        for frame in episode[1:-1]:
            self.writer.step(frame, 0, 0.0, False, False)
        self.writer.step(episode[-1], 0, 0.0, True, False)

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch = sample(count)
        return batch

    def sample_given(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        out = self.outs.get(count)
        if out is None:
            out = self.outs[count] = sample(count)
        for _ in itertools.repeat(None, times):
            sample(count, out=out)
        return out

    def stacks(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        return batch.obs, batch.next_obs
