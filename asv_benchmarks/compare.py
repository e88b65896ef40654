"""
The buffer beside plain NumPy, in one run: median microseconds a call, and the ratio of the two.

NumPy's side is what one would write without a library: arrays, a cursor, `np.take` at fresh random
indices, and for priorities a vectorised binary sum tree of float64. Each pair is timed in turn,
piece by piece, so that a machine whose speed drifts slows both.

    python asv_benchmarks/compare.py [--rows 1000000] [--rounds 15]
"""

import argparse
import platform
import statistics
import sys
import time

import numba
import numpy as np

import replay

FIELDS = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}
ALPHA, BETA = 0.6, 0.4


class NumpyBuffer:
    """Arrays and a cursor."""

    def __init__(self, rows):
        self.obs = np.zeros((rows, 8), np.float32)
        self.action = np.zeros(rows, np.int64)
        self.reward = np.zeros(rows, np.float32)
        self.next_obs = np.zeros((rows, 8), np.float32)
        self.terminated = np.zeros(rows, bool)
        self.columns = (self.obs, self.action, self.reward, self.next_obs, self.terminated)
        self.rows = rows
        self.cursor = 0
        self.random = np.random.default_rng(0)
        # Touched: the first write of a page costs far more than the rows in it.
        for column in self.columns:
            column[:] = 1

    def add(self, obs, action, reward, next_obs, terminated):
        at = self.cursor
        self.obs[at] = obs
        self.action[at] = action
        self.reward[at] = reward
        self.next_obs[at] = next_obs
        self.terminated[at] = terminated
        self.cursor = (at + 1) % self.rows
        return at

    def extend(self, *rows):
        count = len(rows[0])
        at = self.cursor
        if at + count > self.rows:
            at = 0
        for column, given in zip(self.columns, rows, strict=True):
            column[at : at + count] = given
        self.cursor = (at + count) % self.rows
        return at

    def sample(self, count):
        return self.take(self.random.integers(0, self.rows, count))

    def take(self, indices):
        return [np.take(column, indices, axis=0) for column in self.columns]


class NumpyPrioritized(NumpyBuffer):
    """The same, and a binary sum tree that is walked level by level for a whole batch."""

    def __init__(self, rows):
        super().__init__(rows)
        self.leaves = 1 << (rows - 1).bit_length()
        self.tree = np.zeros(2 * self.leaves)
        self.largest = 1.0
        self.set(np.arange(rows), np.ones(rows))

    def set(self, indices, values):
        nodes = indices + self.leaves
        self.tree[nodes] = values
        while nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            self.tree[nodes] = self.tree[2 * nodes] + self.tree[2 * nodes + 1]

    def add(self, *row):
        at = super().add(*row)
        self.set(np.array([at]), self.largest)
        return at

    def extend(self, *rows):
        at = super().extend(*rows)
        self.set(np.arange(at, at + len(rows[0])), self.largest)
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


def filled(buffer, rows):
    random = np.random.default_rng(1)
    step = 10_000
    for _ in range(-(-rows // step)):
        buffer.extend(*many(random, step))
    return buffer


def many(random, count):
    return (
        random.normal(size=(count, 8)).astype(np.float32),
        random.integers(0, 4, count),
        random.normal(size=count).astype(np.float32),
        random.normal(size=(count, 8)).astype(np.float32),
        random.random(count) < 0.01,
    )


def works(prioritized):
    """Name the pieces of work, each a function of a buffer and how often it is called."""
    random = np.random.default_rng(2)
    one = (np.ones(8, np.float32), 1, 1.0, np.ones(8, np.float32), False)
    rows = many(random, 64)
    errors = random.random(256).astype(np.float32)

    def sample_and_update(buffer):
        batch = buffer.sample(256)
        buffer.update_priorities(batch[-1], errors)

    yield "add", 2000, lambda buffer: buffer.add(*one)
    yield "extend(64)", 500, lambda buffer: buffer.extend(*rows)
    for count in (32, 256, 1024):
        yield f"sample({count})", 200, lambda buffer, count=count: buffer.sample(count)
    if prioritized:
        yield "sample(256) + update", 100, sample_and_update


def seconds(work, buffer, calls):
    started = time.thread_time()
    for _ in range(calls):
        work(buffer)
    return (time.thread_time() - started) / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows stored")
    parser.add_argument(
        "--rounds", type=int, default=15, help="timings of each, medians are shown"
    )
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"replay {replay.__version__}; {options.rows:,} rows of 77 bytes, new arrays each time, "
        "processor time of one thread"
    )
    print(f"{'':13}{'work':22}{'NumPy us':>10}{'replay us':>11}{'ratio':>8}")
    for sampler in (replay.Uniform(), replay.Proportional(ALPHA, BETA)):
        plain = (NumpyPrioritized if sampler.prioritized else NumpyBuffer)(options.rows)
        ours = replay.ReplayBuffer(options.rows, FIELDS, sampler=sampler, seed=0)
        sides = (plain, ours)
        for side in sides:
            filled(side, options.rows)
        for name, calls, work in works(sampler.prioritized):
            times = ([], [])
            for turn in range(options.rounds + 1):
                for side, kept in zip(sides, times, strict=True):
                    took = seconds(work, side, calls)
                    if turn:  # the first is to warm up
                        kept.append(took)
            numpy_time, our_time = (statistics.median(kept) * 1e6 for kept in times)
            print(
                f"{sampler.kind:13}{name:22}{numpy_time:10.2f}{our_time:11.2f}"
                f"{our_time / numpy_time:8.2f}"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
