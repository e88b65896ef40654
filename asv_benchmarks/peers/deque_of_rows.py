"""
A `collections.deque` of tuples, as tutorials have it.

`append` drops the oldest row by itself, and nothing is copied: the arrays of a row are kept as
they came, so whoever adds must not write into them again. A batch is `random.sample` of the deque,
which draws without replacement, and an array of each field; `np.array` of a list of small arrays
is faster than `np.stack`. To reach a row the deque walks from its nearer end.
"""

import collections
import itertools
import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .peer import ADD, EXTEND, SAMPLE, SEED, Peer


class Rows(Peer):
    """The deque."""

    name = "deque"
    distribution = ""
    uniform: ClassVar = frozenset({ADD, EXTEND, SAMPLE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        self.buffer: collections.deque[tuple[Any, ...]] = collections.deque(maxlen=rows)
        self.random = random.Random(SEED)

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        obs, action, reward, next_obs, terminated = columns
        # Arrays of their own, not views that would keep the whole piece.
        rows = zip(
            map(np.copy, obs),
            action.tolist(),
            reward.tolist(),
            map(np.copy, next_obs),
            terminated.tolist(),
            strict=True,
        )
        self.buffer.extend(rows)

    def add(self, row: Sequence[Any], times: int) -> Any:
        append = self.buffer.append
        obs, action, reward, next_obs, terminated = row
        for _ in itertools.repeat(None, times):
            append((obs, action, reward, next_obs, terminated))

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        extend = self.buffer.extend
        obs, action, reward, next_obs, terminated = columns
        for _ in itertools.repeat(None, times):
            # The rows of an array are views of it: the deque keeps the array, and copies nothing.
            extend(
                zip(
                    obs,
                    action.tolist(),
                    reward.tolist(),
                    next_obs,
                    terminated.tolist(),
                    strict=True,
                )
            )

    def sample(self, count: int, times: int) -> Any:
        draw, buffer = self.random.sample, self.buffer
        for _ in itertools.repeat(None, times):
            obs, action, reward, next_obs, terminated = zip(*draw(buffer, count), strict=True)
            batch = (
                np.array(obs),
                np.array(action),
                np.array(reward, np.float32),
                np.array(next_obs),
                np.array(terminated),
            )
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        return list(batch)
