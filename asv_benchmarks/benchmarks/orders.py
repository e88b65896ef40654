"""kernels.walk_draw_fifo, kernels.lifo, kernels.recent: draws that go by the age of rows."""

import numpy as np

import replay
from kernels.handle import handle_cursors
from kernels.jit import kernel
from kernels.lifo import draw_lifo
from kernels.recent import draw_recent
from kernels.walk_draw import draw_uniform
from kernels.walk_draw_fifo import draw_fifo

from . import CALLS, OPERATIONS, Timed, unless_quick

ROWS = unless_quick(100_000, 1_000)
BATCH = 256


@kernel
def fifo_many(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        if draw_fifo(handle, slots, weights) != 1:
            # All rows were given: from the oldest on again.
            handle_cursors(handle)[:, 0] = 0
        total += slots[0]
    return total


@kernel
def lifo_many(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        draw_lifo(handle, slots, weights)
        total += slots[0]
    return total


@kernel
def recent_many(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        draw_recent(handle, slots, weights)
        total += slots[0]
    return total


@kernel
def uniform_many(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, slots.size):
        draw_uniform(handle, slots, weights)
        total += slots[0]
    return total


SAMPLERS = {
    "uniform": (replay.Uniform(), uniform_many),
    "fifo": (replay.Fifo(), fifo_many),
    "lifo": (replay.Lifo(), lifo_many),
    "recent": (replay.Recent(), recent_many),
}


class Draw(Timed):
    """A million slots, in batches of 256, from a hundred thousand rows."""

    params = (unless_quick(list(SAMPLERS), ["fifo"]), [1, 8])
    param_names = ("sampler", "streams")

    def setup(self, sampler: str, streams: int) -> None:
        described, self.draw = SAMPLERS[sampler]
        fields = {"reward": np.float32}
        self.buffer = replay.ReplayBuffer(ROWS, fields, sampler=described, streams=streams, seed=1)
        for stream in range(streams):
            self.buffer.writer(stream).extend(np.zeros(ROWS // streams, np.float32))
        self.arrays = (
            self.buffer.handle,
            np.zeros(BATCH, np.int64),
            np.zeros(BATCH, np.float32),
        )
        self.draw(*self.arrays, 1)

    def teardown(self, sampler: str, streams: int) -> None:
        self.buffer.close()

    def time_draw(self, sampler: str, streams: int) -> None:
        self.draw(*self.arrays, OPERATIONS)


class Sample(Timed):
    """A thousand batches of 256 from Python, and as many rows added between two of them."""

    params = (list(SAMPLERS),)
    param_names = ("sampler",)

    def setup(self, sampler: str) -> None:
        fields = {"reward": np.float32}
        self.buffer = replay.ReplayBuffer(ROWS, fields, sampler=SAMPLERS[sampler][0], seed=1)
        self.rows = np.zeros(BATCH, np.float32)
        for _ in range(ROWS // BATCH):
            self.buffer.extend(self.rows)
        self.out = self.buffer.sample(BATCH)

    def teardown(self, sampler: str) -> None:
        self.buffer.close()

    def time_add_and_sample_256(self, sampler: str) -> None:
        for _ in range(CALLS):
            self.buffer.extend(self.rows)
            self.buffer.sample(out=self.out)
