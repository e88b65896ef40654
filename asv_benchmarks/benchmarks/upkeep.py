"""What is called beside adds and samples: sizes, counters, columns, repair, clear, verify."""

import itertools

import replay

from . import CALLS, CAPACITIES, SAMPLERS, Timed
from .workload import FIELDS, fill, full_buffer, sampler


class Look(Timed):
    """A thousand calls."""

    params = (SAMPLERS,)
    param_names = ("sampler",)

    def setup(self, kind: str) -> None:
        self.buffer = full_buffer(kind, 1_000)

    def time_len(self, kind: str) -> None:
        buffer = self.buffer
        for _ in itertools.repeat(None, CALLS):
            len(buffer)

    def time_wait_for_what_is_there(self, kind: str) -> None:
        wait = self.buffer.wait
        for _ in itertools.repeat(None, CALLS):
            wait(1)

    def time_column(self, kind: str) -> None:
        column = self.buffer.column
        for _ in itertools.repeat(None, CALLS):
            column("obs")

    def time_stats(self, kind: str) -> None:
        stats = self.buffer.stats
        for _ in itertools.repeat(None, CALLS):
            stats()


class Whole(Timed):
    """One call over a full buffer, as it is."""

    params = (SAMPLERS, CAPACITIES)
    param_names = ("sampler", "capacity")

    def setup(self, kind: str, capacity: int) -> None:
        self.buffer = full_buffer(kind, capacity)
        self.buffer.repair()

    def time_repair(self, kind: str, capacity: int) -> None:
        self.buffer.repair()


class Priorities(Timed):
    """The same of the priority tree alone."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.tree = full_buffer("prioritized", capacity).priorities
        assert self.tree.verify() == 0
        self.tree.rebuild()

    def time_verify(self, capacity: int) -> None:
        self.tree.verify()

    def time_rebuild(self, capacity: int) -> None:
        self.tree.rebuild()


class Clear(Timed):
    """One call that forgets all rows of a full buffer, as it is."""

    params = (SAMPLERS, CAPACITIES[:-1] or CAPACITIES)
    param_names = ("sampler", "capacity")
    # Each timing has a full buffer before it.
    number = 1
    warmup_time = 0

    def setup(self, kind: str, capacity: int) -> None:
        self.buffer = replay.ReplayBuffer(capacity, FIELDS, sampler=sampler(kind), seed=1)
        self.buffer.clear()
        fill(self.buffer)

    def teardown(self, kind: str, capacity: int) -> None:
        self.buffer.close()

    def time_clear(self, kind: str, capacity: int) -> None:
        self.buffer.clear()
