"""
Tianshou: NumPy arrays behind `Batch`, a segment tree in Numba.

`add` takes a `Batch`. To set the attributes of one that is kept takes less time than to make a new
one for each row, and the buffer keeps nothing of it. Rows that come as arrays are made a buffer of
by `ReplayBuffer.from_data` and moved by `update`, which takes half the time of a
`VectorReplayBuffer` of as many environments.
"""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from tianshou.data import Batch, PrioritizedReplayBuffer, ReplayBuffer

from .peer import ADD, ALPHA, BETA, EXTEND, SAMPLE, SEED, UPDATE, Frames, Peer
from .peer import new_priorities as errors


class Rows(Peer):
    """`ReplayBuffer` or `PrioritizedReplayBuffer`, with a truncated and a done in each row."""

    name = "Tianshou"
    distribution = "tianshou"
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, UPDATE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        self.weighted = prioritized
        if prioritized:
            # These draws are of NumPy's own generator.
            np.random.seed(SEED)  # noqa: NPY002
            self.buffer = PrioritizedReplayBuffer(rows, ALPHA, BETA, random_seed=SEED)
        else:
            self.buffer = ReplayBuffer(rows, random_seed=SEED)

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        indices = self.buffer.update(many(columns))
        if priorities is not None:
            self.buffer.update_weight(indices, priorities)

    def add(self, row: Sequence[Any], times: int) -> Any:
        add = self.buffer.add
        obs, act, rew, obs_next, terminated = row
        batch = Batch()
        for _ in itertools.repeat(None, times):
            batch.obs = obs
            batch.act = act
            batch.rew = rew
            batch.obs_next = obs_next
            batch.terminated = terminated
            batch.truncated = False
            add(batch)

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        update = self.buffer.update
        for _ in itertools.repeat(None, times):
            update(many(columns))

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch, _indices = sample(count)
        return batch

    def sample_and_update(self, count: int, times: int) -> Any:
        sample, update = self.buffer.sample, self.buffer.update_weight
        priorities = errors(count)
        for _ in itertools.repeat(None, times):
            batch, indices = sample(count)
            update(indices, priorities)
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        arrays = [batch.obs, batch.act, batch.rew, batch.obs_next, batch.terminated]
        return [*arrays, batch.weight] if self.weighted else arrays


def many(columns: Sequence[np.ndarray]) -> ReplayBuffer:
    """Make a buffer of rows that come as arrays."""
    obs, act, rew, obs_next, terminated = columns
    never = np.zeros(len(obs), bool)
    return ReplayBuffer.from_data(obs, act, rew, terminated, never, terminated, obs_next)


class StackedFrames(Frames):
    """
    `stack_num=4` and `ignore_obs_next`: a frame is stored once.

    Of an episode's last row the next stack is the row's own, since the final frame is not stored.
    """

    name = "Tianshou"
    distribution = "tianshou"

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        self.buffer = ReplayBuffer(frames, stack_num=4, ignore_obs_next=True, random_seed=SEED)

    def write(self, episode: np.ndarray) -> None:
        batch = Batch(act=0, rew=0.0, truncated=False)
        for place, frame in enumerate(episode[:-1]):
            batch.obs = frame
            batch.terminated = place == len(episode) - 2
            self.buffer.add(batch)

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch, _indices = sample(count)
        return batch

    def stacks(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        return batch.obs, batch.obs_next
