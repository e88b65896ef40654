"""Processes at one named buffer: writers, each in one of its own, beside a learner."""

import os
import statistics
import time

import replay

from . import SAMPLERS, SECONDS, TURNS, unless_quick
from .worker import Worker
from .workload import FIELDS, call_of, calls_until, digits, fill, sampler

CAPACITY = unless_quick(1_000_000, 1_000)
#: A learner draws so many rows, and gives their priorities back where there are any.
LEARN = "learn 256"
#: Seconds until everybody has taken the order.
SOON = 0.05


def work(worker: Worker) -> None:
    """Take a buffer's name and a call, then times to begin and end; say the seconds a call."""
    name, what = worker.hear()
    with replay.attach(name) as buffer:
        call, _ = call_of(buffer, what)
        call()
        worker.say("ready")
        while (times := worker.hear()) is not None:
            worker.say(calls_until(call, *times))


class Crew:
    """A buffer, and processes that make one call again and again."""

    def __init__(self, kind: str, writers: int, what: str) -> None:
        self.workers = [Worker(work) for _ in range(writers)]
        name = f"asv-{os.getpid()}-crew"
        self.buffer = replay.ReplayBuffer(
            CAPACITY, FIELDS, sampler=sampler(kind), name=name, seed=1
        )
        fill(self.buffer)
        self.learn, _ = call_of(self.buffer, LEARN)
        self.learn()
        _, self.rows = call_of(self.buffer, what)
        for worker in self.workers:
            worker.say((name, what))
        for worker in self.workers:
            assert worker.hear() == "ready"

    def turn(self, learning: bool) -> tuple[float, float]:
        """Let all go on for a while; give the seconds a row of all writers, and a batch."""
        begins = time.monotonic() + SOON
        times = begins, begins + SECONDS
        for worker in self.workers:
            worker.say(times)
        batch = calls_until(self.learn, *times) if learning else 0.0
        written = sum(self.rows / worker.hear() for worker in self.workers)
        return 1 / written, batch

    def middle(self, learning: bool, which: int) -> float:
        """Give one of the two, of the middle of several turns."""
        return statistics.median(self.turn(learning)[which] for _ in range(TURNS))

    def close(self) -> None:
        for worker in self.workers:
            worker.end()
        self.buffer.close()


class Writers:
    """So many writers: wall time a row, of all of them together."""

    params = (SAMPLERS, ["add", "extend 64"], unless_quick([1, 2, 3], [2]))
    param_names = ("sampler", "call", "writers")

    def setup(self, kind: str, call: str, writers: int) -> None:
        self.crew = Crew(kind, writers, call)

    def teardown(self, kind: str, call: str, writers: int) -> None:
        self.crew.close()

    def track_add(self, kind: str, call: str, writers: int) -> float:
        return digits(self.crew.middle(False, 0) * 1e9)

    track_add.unit = "ns/row"  # type: ignore[attr-defined]


class Learner(Writers):
    """Beside them a learner, which draws 256 rows and gives back the priorities of those."""

    params = (SAMPLERS, ["add", "extend 64"], unless_quick([1, 3], [2]))

    def track_add(self, kind: str, call: str, writers: int) -> float:
        return digits(self.crew.middle(True, 0) * 1e9)

    track_add.unit = "ns/row"  # type: ignore[attr-defined]

    def track_learn(self, kind: str, call: str, writers: int) -> float:
        return digits(self.crew.middle(True, 1) * 1e6)

    track_learn.unit = "µs/batch"  # type: ignore[attr-defined]
