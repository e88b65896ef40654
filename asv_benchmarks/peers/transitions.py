"""
The rows that every peer stores, 77 bytes each, and a look whether a batch is made of them.

A row has a number, which stands in all its fields.
"""

from typing import Any

import numpy as np

NAMES = ("obs", "action", "reward", "next_obs", "terminated")
#: As `replay` takes them.
FIELDS: dict[str, Any] = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}
#: float32 counts so far.
MOST = 1 << 24
ACTIONS = 4
EPISODE = 100


def many(count: int, first: int = 0) -> tuple[np.ndarray, ...]:
    """Make the rows of numbers `first` and on, an array a field."""
    return of(np.arange(first, first + count) % MOST)


def of(number: np.ndarray) -> tuple[np.ndarray, ...]:
    """Make the rows of given numbers."""
    obs = number.astype(np.float32)[:, None] + np.arange(8, dtype=np.float32)
    return obs, number % ACTIONS, number.astype(np.float32), obs + 1, number % EPISODE == 0


def one() -> tuple[Any, ...]:
    """Make a row as an environment gives it: arrays, and numbers of Python."""
    obs, action, reward, next_obs, terminated = many(1, first=ACTIONS + 1)
    return obs[0], action[0].item(), reward[0].item(), next_obs[0], terminated[0].item()


def check(columns: list[np.ndarray], count: int, weighted: bool) -> str:
    """Say what is wrong with a batch; nothing is, if it has `count` rows of `many` or `one`."""
    if len(columns) != 5 + weighted:
        return f"{len(columns)} arrays"
    number = np.asarray(columns[0])[:, 0].astype(np.int64)
    if number.shape != (count,):
        return f"{number.shape} rows"
    for name, given, right in zip(NAMES, columns, of(number), strict=False):
        if not np.array_equal(np.asarray(given).reshape(right.shape), right):
            return f"{name} is not of the row"
    if count >= 32 and np.unique(number).size < count // 2:
        return "a few rows over and over"
    if weighted:
        weights = np.asarray(columns[5]).reshape(-1)
        if weights.shape != (count,) or weights.min() <= 0 or weights.max() > 1.0001:
            return "weights are not of (0, 1]"
    return ""
