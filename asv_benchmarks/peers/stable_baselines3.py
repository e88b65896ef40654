"""
Stable-Baselines3: NumPy arrays of (steps, environments), batches as PyTorch tensors.

A buffer of one environment takes a row by `add`, and one of 64 takes 64 rows at once, one an
environment: that is its `extend`, which else calls `add` row by row. Time limits are not kept
apart (`handle_timeout_termination=False`), which saves a list of dictionaries a row.
"""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer

from .peer import ADD, EXTEND, SAMPLE, SEED, Peer
from .transitions import ACTIONS

#: Environments of the buffer that takes rows as arrays.
ENVIRONMENTS = 64


class Rows(Peer):
    """`ReplayBuffer`; it has no priorities."""

    name = "SB3"
    distribution = "stable-baselines3"
    uniform: ClassVar = frozenset({ADD, EXTEND, SAMPLE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        torch.set_num_threads(1)
        # The draws are of NumPy's own generator.
        np.random.seed(SEED)  # noqa: NPY002
        self.buffer = buffer_of(rows, 1)
        self.many = buffer_of(rows, ENVIRONMENTS)
        self.filled = 0

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        # Its arrays are public, and row by row takes long.
        buffer = self.buffer
        first, after = self.filled, self.filled + len(columns[0])
        obs, action, reward, next_obs, terminated = columns
        buffer.observations[first:after, 0] = obs
        buffer.next_observations[first:after, 0] = next_obs
        buffer.actions[first:after, 0, 0] = action
        buffer.rewards[first:after, 0] = reward
        buffer.dones[first:after, 0] = terminated
        self.filled = after
        buffer.full = after == buffer.buffer_size
        # Only written: its pages must be there.
        for name in ("observations", "next_observations", "actions", "rewards", "dones"):
            getattr(self.many, name)[first // ENVIRONMENTS : after // ENVIRONMENTS + 1] = 1

    def add(self, row: Sequence[Any], times: int) -> Any:
        add = self.buffer.add
        obs, action, reward, next_obs, terminated = row
        infos: list[dict[str, Any]] = [{}]
        for _ in itertools.repeat(None, times):
            add(obs, next_obs, np.array(action), reward, terminated, infos)

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        add = self.many.add
        obs, action, reward, next_obs, terminated = columns
        infos: list[dict[str, Any]] = []
        for _ in itertools.repeat(None, times):
            add(obs, next_obs, action, reward, terminated, infos)

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, times):
            batch = sample(count)
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        tensors = (
            batch.observations,
            batch.actions,
            batch.rewards,
            batch.next_observations,
            batch.dones,
        )
        return [tensor.numpy() for tensor in tensors]


def buffer_of(rows: int, environments: int) -> ReplayBuffer:
    """Make a buffer on the CPU."""
    return ReplayBuffer(
        rows,
        spaces.Box(-np.inf, np.inf, (8,), np.float32),
        spaces.Discrete(ACTIONS),
        device="cpu",
        n_envs=environments,
        handle_timeout_termination=False,
    )
