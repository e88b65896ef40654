"""What the benchmarks work on: a transition, rows of it, full buffers, trees, loops of calls."""

import functools
import itertools
import time
from collections.abc import Callable
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


def row_of() -> dict[str, Any]:
    """Make one row of FIELDS as an environment gives it: arrays, and numbers of Python."""
    row = {name: column[0] for name, column in rows(1).items()}
    return {name: value if value.ndim else value.item() for name, value in row.items()}


def fill(buffer: replay.ReplayBuffer) -> None:
    """Fill a buffer, and give every row a priority of its own if it keeps priorities."""
    chunk = rows(min(_CHUNK, buffer.capacity))
    rng = np.random.default_rng(2)
    writers = itertools.cycle([buffer.writer(stream) for stream in range(buffer.streams)])
    while len(buffer) < buffer.capacity:
        ids = next(writers).extend(**chunk)
        if buffer.sampler.prioritized:
            buffer.update_priorities(ids, rng.exponential(size=len(ids)))


def play(log: replay.ReplayBuffer, length: int, obs: Any) -> None:
    """Fill the first stream of a log with episodes of so many steps, of the same observation."""
    writer = log.writer()
    for _ in range(-(-log.capacity // log.streams // (length + 1))):
        writer.reset(obs)
        for step in range(1, length + 1):
            writer.step(obs, step % 4, 1.0, step == length)


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


def call_of(buffer: Any, name: str) -> tuple[Callable[[], object], int]:
    """Give a call by its name, "add" or "sample 256", with arrays of its own, and its rows."""
    method, _, digits = name.partition(" ")
    count = int(digits or 1)
    if method == "add":
        row = tuple(row_of().values())
        return (lambda: buffer.add(*row)), 1
    if method == "extend":
        columns = tuple(rows(count).values())
        return (lambda: buffer.extend(*columns)), count
    if method == "sample":
        return (lambda: buffer.sample(count)), count
    # A learner's turn.
    errors = np.random.default_rng(1).exponential(size=count)
    prioritized = buffer.sampler.prioritized

    def learn() -> None:
        batch = buffer.sample(count)
        if prioritized:
            buffer.update_priorities(batch.ids, errors)

    return learn, count


def calls_until(call: Callable[[], object], begins: float, ends: float) -> float:
    """Call again and again between two times of the monotonic clock; give the seconds a call."""
    clock = time.monotonic
    while clock() < begins:
        pass
    calls = 0
    now = first = clock()
    while now < ends or calls == 0:
        for _ in range(16):
            call()
        calls += 16
        now = clock()
    return (now - first) / calls


def digits(value: float) -> float:
    """Round to four digits what is known to no more."""
    return float(f"{value:.4g}")
