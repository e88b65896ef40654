"""What the benchmarks work on: a transition, rows of it, full buffers, trees with priorities."""

import functools
from typing import Any

import numpy as np

import replay
from kernels.jit import interpreted
from kernels.tree import tree_levels, tree_rebuild

#: A small transition of 77 bytes.
FIELDS: dict[str, Any] = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}

#: Rows that are written at a time while a buffer is filled.
_CHUNK = 4096


def sampler(kind: str) -> replay.Sampler:
    """Give the sampler of a name in SAMPLERS."""
    return replay.Proportional(alpha=0.6, beta=0.4) if kind == "prioritized" else replay.Uniform()


def rows(count: int) -> dict[str, np.ndarray]:
    """Make `count` rows of FIELDS."""
    rng = np.random.default_rng(1)
    return {
        "obs": rng.standard_normal((count, 8), np.float32),
        "action": rng.integers(4, size=count),
        "reward": rng.standard_normal(count, np.float32),
        "next_obs": rng.standard_normal((count, 8), np.float32),
        "terminated": rng.random(count) < 0.01,
    }


def fill(buffer: replay.ReplayBuffer) -> None:
    """Fill a buffer, and give every row a priority of its own if it keeps priorities."""
    chunk = rows(min(_CHUNK, buffer.capacity))
    rng = np.random.default_rng(2)
    while len(buffer) < buffer.capacity:
        ids = buffer.extend(**chunk)
        if buffer.sampler.prioritized:
            buffer.update_priorities(ids, rng.exponential(size=len(ids)))


@functools.cache
def full_buffer(kind: str, capacity: int) -> replay.ReplayBuffer:
    """Make a full private buffer, once for all timings of a process."""
    buffer = replay.ReplayBuffer(capacity, FIELDS, sampler=sampler(kind), seed=1)
    fill(buffer)
    return buffer


def tree_with_priorities(capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a prefix-sum tree whose leaves are all above zero, and its levels."""
    levels = interpreted(tree_levels)(capacity)
    tree = np.zeros((levels[-1], 8), np.int64)
    leaves = tree[levels[-2] :].reshape(-1)
    leaves[:capacity] = np.random.default_rng(3).integers(1, 1 << 20, size=capacity)
    tree_rebuild(tree, levels)
    return tree, levels


def generator() -> np.ndarray:
    """Make a generator's cache line, of seed 1."""
    line = np.zeros(8, np.int64)
    line[0] = 1
    return line
