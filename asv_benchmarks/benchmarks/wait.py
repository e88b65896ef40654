"""ReplayBuffer.wait: how late one is who waits for a row of another process."""

import os
import time

import numpy as np

import replay

from . import unless_quick
from .worker import Worker
from .workload import digits

TURNS = unless_quick(50, 2)


def add_later(worker: Worker) -> None:
    """Add a row so many seconds after each order, and say when that was done."""
    with replay.attach(worker.hear()) as buffer:
        buffer.add(0.0)
        worker.say(time.monotonic())
        while (seconds := worker.hear()) is not None:
            time.sleep(seconds)
            buffer.add(0.0)
            worker.say(time.monotonic())


class Wait:
    """From the end of an `add` to that of the `wait`, which had begun so many seconds before."""

    params = ([0.001, 0.01, 0.1],)
    param_names = ("waited",)

    def setup(self, waited: float) -> None:
        self.worker = Worker(add_later)
        name = f"asv-{os.getpid()}-wait"
        self.buffer = replay.ReplayBuffer(1_000, {"reward": np.float32}, name=name, seed=1)
        self.worker.say(name)
        self.worker.hear()

    def teardown(self, waited: float) -> None:
        self.worker.end()
        self.buffer.close()

    def late(self, waited: float, percent: float) -> float:
        taken = []
        for _ in range(TURNS):
            more = len(self.buffer) + 1
            self.worker.say(waited)
            assert self.buffer.wait(more, timeout=60)
            ended = time.monotonic()
            taken.append(ended - self.worker.hear())
        return digits(float(np.percentile(taken, percent)) * 1e6)

    def track_late_p50(self, waited: float) -> float:
        return self.late(waited, 50)

    def track_late_p99(self, waited: float) -> float:
        return self.late(waited, 99)

    track_late_p50.unit = "µs"  # type: ignore[attr-defined]
    track_late_p99.unit = "µs"  # type: ignore[attr-defined]
