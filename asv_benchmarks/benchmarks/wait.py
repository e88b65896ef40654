"""ReplayBuffer.wait: how late one is who waits for a row of another process."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection

import numpy as np

import replay

from . import unless_quick
from .workload import digits

TURNS = unless_quick(50, 2)


def add_later(pipe: Connection) -> None:
    """Add a row so many seconds after each order, and tell when that was done."""
    with replay.attach(pipe.recv()) as buffer:
        buffer.add(0.0)
        pipe.send(time.monotonic())
        while (seconds := pipe.recv()) is not None:
            time.sleep(seconds)
            buffer.add(0.0)
            pipe.send(time.monotonic())


class Wait:
    """From the end of an `add` to that of the `wait`, which had begun so many seconds before."""

    params = ([0.001, 0.01, 0.1],)
    param_names = ("waited",)

    def setup(self, waited: float) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=add_later, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        name = f"asv-{os.getpid()}-wait"
        self.buffer = replay.ReplayBuffer(1_000, {"reward": np.float32}, name=name, seed=1)
        self.pipe.send(name)
        self.pipe.recv()

    def teardown(self, waited: float) -> None:
        self.pipe.send(None)
        self.process.join()
        self.buffer.close()

    def late(self, waited: float, percent: float) -> float:
        taken = []
        for _ in range(TURNS):
            more = len(self.buffer) + 1
            self.pipe.send(waited)
            assert self.buffer.wait(more, timeout=60)
            ended = time.monotonic()
            taken.append(ended - self.pipe.recv())
        return digits(float(np.percentile(taken, percent)) * 1e6)

    def track_late_p50(self, waited: float) -> float:
        return self.late(waited, 50)

    def track_late_p99(self, waited: float) -> float:
        return self.late(waited, 99)

    track_late_p50.unit = "µs"  # type: ignore[attr-defined]
    track_late_p99.unit = "µs"  # type: ignore[attr-defined]
