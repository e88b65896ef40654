"""
NumPy alone: an array a field, a cursor, and for priorities a binary sum tree of float64.

What one would write by hand, with the faster of NumPy's ways: a method that assigns for `add`,
slices for `extend`, and `ndarray.take` for `sample`, which does what `np.take` does without its
wrapper of Python. Into given arrays both want `mode="clip"`: without a mode NumPy copies into an
array of its own first, so as not to spoil the given one by a bad index. The tree is walked level
by level for a whole batch.
"""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .peer import ADD, ALPHA, BETA, EXTEND, GIVEN, SAMPLE, SEED, UPDATE, Frames, Peer
from .peer import new_priorities as errors
from .transitions import many

#: Arrays of indices that were drawn beforehand: too many for a cache to know them.
DRAWN = 4096


class Arrays:
    """The buffer: arrays and a cursor."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.cursor = 0
        self.random = np.random.default_rng(SEED)
        # Ones, so that every page is there: the first write of a page costs more than a row.
        self.obs, self.action, self.reward, self.next_obs, self.terminated = self.columns = [
            np.ones((rows, *column.shape[1:]), column.dtype) for column in many(1)
        ]

    def add(self, obs, action, reward, next_obs, terminated):
        at = self.cursor
        self.obs[at] = obs
        self.action[at] = action
        self.reward[at] = reward
        self.next_obs[at] = next_obs
        self.terminated[at] = terminated
        self.cursor = (at + 1) % self.rows
        return at

    def extend(self, obs, action, reward, next_obs, terminated):
        at = self.cursor
        after = at + len(obs)
        if after > self.rows:
            at, after = 0, len(obs)
        self.obs[at:after] = obs
        self.action[at:after] = action
        self.reward[at:after] = reward
        self.next_obs[at:after] = next_obs
        self.terminated[at:after] = terminated
        self.cursor = after % self.rows
        return at

    def sample(self, count):
        return self.take(self.random.integers(0, self.rows, count))

    def take(self, indices):
        return [column.take(indices, 0) for column in self.columns]

    def sample_into(self, count, out):
        indices = self.random.integers(0, self.rows, count)
        for column, array in zip(self.columns, out, strict=True):
            column.take(indices, 0, array, "clip")


class PrioritizedArrays(Arrays):
    """The same, and a binary sum tree."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.leaves = 1 << (rows - 1).bit_length()
        self.tree = np.zeros(2 * self.leaves)
        self.largest = 1.0
        self.set(np.arange(rows), 1.0)

    def set(self, indices, values):
        nodes = indices + self.leaves
        self.tree[nodes] = values
        while nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            self.tree[nodes] = self.tree[2 * nodes] + self.tree[2 * nodes + 1]

    def add(self, obs, action, reward, next_obs, terminated):
        at = super().add(obs, action, reward, next_obs, terminated)
        # One leaf: arrays of one index would cost twenty times as much.
        node = at + self.leaves
        change = self.largest - self.tree.item(node)
        while node:
            self.tree[node] += change
            node >>= 1
        return at

    def extend(self, obs, action, reward, next_obs, terminated):
        at = super().extend(obs, action, reward, next_obs, terminated)
        self.set(np.arange(at, at + len(obs)), self.largest)
        return at

    def sample(self, count):
        prefix = (np.arange(count) + self.random.random(count)) * (self.tree[1] / count)
        nodes = np.ones(count, np.int64)
        while nodes[0] < self.leaves:
            nodes *= 2
            left = self.tree[nodes]
            right = prefix >= left
            prefix -= left * right
            nodes += right
        indices = nodes - self.leaves
        weights = (self.tree[nodes] * (self.rows / self.tree[1])) ** -BETA
        return [*self.take(indices), (weights / weights.max()).astype(np.float32), indices]

    def update_priorities(self, indices, priorities):
        values = priorities**ALPHA
        self.largest = max(self.largest, values.max())
        self.set(indices, values)


class Rows(Peer):
    """The buffer as a peer, and `np.take` as what `sample` is measured beside."""

    name = "NumPy"
    distribution = "numpy"
    uniform: ClassVar = frozenset({ADD, EXTEND, SAMPLE, GIVEN})
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, UPDATE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        self.buffer = PrioritizedArrays(rows) if prioritized else Arrays(rows)
        self.drawn: dict[int, Any] = {}

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        at = self.buffer.extend(*columns)
        if priorities is not None:
            self.buffer.update_priorities(np.arange(at, at + len(priorities)), priorities)

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
        sample = self.buffer.sample_into
        out = given(count)
        for _ in itertools.repeat(None, times):
            sample(count, out)
        return out

    def sample_and_update(self, count: int, times: int) -> Any:
        sample, update = self.buffer.sample, self.buffer.update_priorities
        priorities = errors(count)
        for _ in itertools.repeat(None, times):
            batch = sample(count)
            update(batch[-1], priorities)
        return batch

    def take(self, count: int, times: int) -> Any:
        """Take the rows of indices drawn beforehand, others each time, into given arrays."""
        obs, action, reward, next_obs, terminated = self.buffer.columns
        out = given(count)
        to_obs, to_action, to_reward, to_next_obs, to_terminated = out
        take = np.take
        for index in itertools.islice(self.indices(count), times):
            take(obs, index, 0, to_obs, "clip")
            take(action, index, 0, to_action, "clip")
            take(reward, index, 0, to_reward, "clip")
            take(next_obs, index, 0, to_next_obs, "clip")
            take(terminated, index, 0, to_terminated, "clip")
        return out

    def take_by_method(self, count: int, times: int) -> Any:
        """Do the same by `ndarray.take`."""
        obs, action, reward, next_obs, terminated = (column.take for column in self.buffer.columns)
        out = given(count)
        to_obs, to_action, to_reward, to_next_obs, to_terminated = out
        for index in itertools.islice(self.indices(count), times):
            obs(index, 0, to_obs, "clip")
            action(index, 0, to_action, "clip")
            reward(index, 0, to_reward, "clip")
            next_obs(index, 0, to_next_obs, "clip")
            terminated(index, 0, to_terminated, "clip")
        return out

    def indices(self, count: int) -> Any:
        """Go on with the arrays of indices that were drawn beforehand."""
        if count not in self.drawn:
            drawn = np.random.default_rng(SEED).integers(0, self.buffer.rows, (DRAWN, count))
            self.drawn[count] = itertools.cycle(list(drawn))
        return self.drawn[count]

    def columns(self, batch: Any) -> list[np.ndarray]:
        return list(batch[:6])


def given(count: int) -> list[np.ndarray]:
    """Make the arrays of a batch."""
    return [np.ones((count, *column.shape[1:]), column.dtype) for column in many(1)]


class StackedFrames(Frames):
    """`np.take` of as many bytes out of an array of single frames: stacks without episodes."""

    name = "NumPy"
    distribution = "numpy"

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        self.single = np.ones((frames, *shape), np.uint8)
        self.cursor = 0
        self.random = np.random.default_rng(SEED)
        self.stack = np.arange(-3, 1)
        self.outs: dict[int, Any] = {}

    def write(self, episode: np.ndarray) -> None:
        self.single[(self.cursor + np.arange(len(episode))) % len(self.single)] = episode
        self.cursor = (self.cursor + len(episode)) % len(self.single)

    def places(self, count: int) -> np.ndarray:
        return self.random.integers(4, len(self.single), (count, 1)) + self.stack

    def sample(self, count: int, times: int) -> Any:
        take, single = np.take, self.single
        for _ in itertools.repeat(None, times):
            places = self.places(count)
            batch = take(single, places - 1, 0), take(single, places, 0)
        return batch

    def sample_given(self, count: int, times: int) -> Any:
        out = self.outs.get(count)
        if out is None:
            out = self.outs[count] = np.ones((2, count, 4, *self.single.shape[1:]), np.uint8)
        take, single = np.take, self.single
        obs, next_obs = out
        for _ in itertools.repeat(None, times):
            places = self.places(count)
            take(single, places - 1, 0, obs, "clip")
            take(single, places, 0, next_obs, "clip")
        return out

    def stacks(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        return tuple(batch)
