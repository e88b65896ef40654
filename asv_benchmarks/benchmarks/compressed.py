"""Compressed and ragged fields beside plain ones: how rows are added, and drawn."""

import functools
from typing import Any

import numpy as np

import replay

from . import CALLS, Timed, unless_quick

#: Frames of 7 kB: what is drawn is in no cache.
ROWS = unless_quick(20_000, 1_000)
SHAPE = (84, 84)
STACK = 4
BATCHES = unless_quick([32, 256], [32])
#: Elements of the longest ragged row.
LONGEST = 512
#: A batch of stacks is a hundred times as much as one of small rows.
FEW = unless_quick(10, 1)


def frames() -> np.ndarray:
    """Draw frames of a still background, and things that move over it."""
    random = np.random.default_rng(0)
    drawn = np.repeat(random.integers(0, 256, (1, *SHAPE), np.uint8) & 0xF0, 256, axis=0)
    for place, frame in enumerate(drawn):
        for thing in range(6):
            down, right = (place * (thing + 1) + 13 * thing) % 74, (3 * place + 11 * thing) % 74
            frame[down : down + 8, right : right + 8] = 40 * thing
    return drawn


@functools.cache
def full_log(kind: str) -> replay.ReplayBuffer:
    """Make a full log of steps, once for all timings of a process."""
    field = replay.Field(np.uint8, SHAPE, compression=None if kind == "plain" else kind)
    fields = {"obs": field, "action": np.int64, "reward": np.float32}
    log = replay.ReplayBuffer(ROWS, fields, view=replay.FrameStack(STACK), seed=1)
    writer = log.writer()
    drawn = frames()
    writer.reset(drawn[0])
    for step in range(1, ROWS):
        writer.step(drawn[step % len(drawn)], 0, 0.0)
    return log


class Frames(Timed):
    """Stacks of frames and the next ones."""

    params = (["plain", "lz4"], BATCHES)
    param_names = ("kind", "batch")

    def setup(self, kind: str, batch: int) -> None:
        self.log = full_log(kind)
        self.out = self.log.sample(batch)

    def time_sample(self, kind: str, batch: int) -> None:
        for _ in range(FEW):
            self.log.sample(batch, out=self.out)


class Steps(Timed):
    """A step of one environment, whose frame is packed."""

    params = ["plain", "lz4"]  # noqa: RUF012  # asv reads it
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        self.writer = full_log(kind).writer()
        self.frames = frames()
        self.writer.reset(self.frames[0])

    def time_step(self, kind: str) -> None:
        for step in range(CALLS):
            self.writer.step(self.frames[step % 256], 0, 0.0)


class Ragged(Timed):
    """Rows of different lengths, a quarter of the longest on average."""

    params = (["padded", "flat"], BATCHES)
    param_names = ("kind", "batch")

    def setup(self, kind: str, batch: int) -> None:
        tokens = replay.Field(np.int32, (None,), longest=LONGEST, flat=kind == "flat")
        fields: dict[str, Any] = {"tokens": tokens, "score": np.float32}
        self.buffer = replay.ReplayBuffer(ROWS, fields, seed=1)
        lengths = np.random.default_rng(0).integers(0, LONGEST // 2, ROWS)
        self.rows = [np.arange(length, dtype=np.int32) for length in lengths]
        self.buffer.extend(tokens=self.rows, score=np.zeros(ROWS, np.float32))
        self.buffer.sample(batch)

    def time_add(self, kind: str, batch: int) -> None:
        for row in range(CALLS):
            self.buffer.add(tokens=self.rows[row], score=0.0)

    def time_sample(self, kind: str, batch: int) -> None:
        for _ in range(CALLS // 10):
            self.buffer.sample(batch)
