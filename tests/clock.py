"""A clock that the library naps by: no time passes, and things happen when they are due."""

import contextlib

import pytest

from replay.memory import waiting


class Clock:
    """Seconds since it was made, the naps that were taken, and what happens when."""

    def __init__(self):
        self.now = 0.0
        self.naps = []
        self.events = []

    def monotonic(self):
        return self.now

    def sleep(self, length):
        self.naps.append(length)
        self.now += length
        due = [event for event in self.events if event[0] <= self.now]
        self.events = [event for event in self.events if event[0] > self.now]
        for _, happen in due:
            happen()

    def at(self, moment, happen):
        """Let something happen during the nap that passes a moment."""
        self.events.append((moment, happen))


@contextlib.contextmanager
def ticking():
    """Have all naps taken by a clock."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "monotonic", clock.monotonic)
        patch.setattr(waiting, "sleep", clock.sleep)
        yield clock
