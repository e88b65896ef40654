"""
Functions timed in turns, so that a machine whose speed drifts slows all of them alike.

The time is that of the processor, of all threads of the process: it leaves out what others on the
same core take, and has in it what a library does in threads of its own.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping

#: Seconds that one timing takes at least, but for works that are longer by themselves.
TIMING = 0.008


class Turns:
    """
    What the turns took.

    Parameters
    ----------
    kept : mapping of str to list of float
        Seconds a time, one figure a turn.
    """

    def __init__(self, kept: Mapping[str, list[float]]) -> None:
        self.kept = kept

    @property
    def medians(self) -> dict[str, float]:
        """Give the middle time of each, in microseconds."""
        return {name: statistics.median(taken) * 1e6 for name, taken in self.kept.items()}

    def ratio(self, ours: str, theirs: str) -> float:
        """Give the middle ratio of two in the same turn: what slows a turn slows both."""
        return statistics.median(
            here / there for here, there in zip(self.kept[ours], self.kept[theirs], strict=True)
        )


def in_turns(
    works: Mapping[str, Callable[[int], object]],
    rounds: int,
    said: Callable[[str], None] = lambda name: None,
    timing: float = TIMING,
) -> Turns:
    """
    Time functions that do something so many times.

    Parameters
    ----------
    works : mapping of str to callable
        Each takes how many times.
    rounds : int
        Timings of each.
    said : callable
        Told which one has its turn.
    timing : float
        Seconds that one timing takes at least.

    Returns
    -------
    Turns
    """
    times = {}
    for name, work in works.items():
        said(name)
        times[name] = enough(work, timing)
    kept: dict[str, list[float]] = {name: [] for name in works}
    collects = gc.isenabled()
    # As in timeit: a collection looks at all objects of all libraries, and finds nothing.
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in works.items():
                said(name)
                # The one before has left caches and page tables to itself: not timed.
                work(times[name])
                kept[name].append(seconds(work, times[name]))
    finally:
        if collects:
            gc.enable()
    return Turns(kept)


def enough(work: Callable[[int], object], timing: float) -> int:
    """Say how many times a timing should have."""
    # What is prepared once, such as a function that JAX compiles for a size.
    work(1)
    times = 1
    while True:
        # The least of three: one long call, of whatever cause, must not leave the timings so short
        # that they are of cold caches.
        taken = min(seconds(work, times) for _ in range(3)) * times
        if taken >= timing / 2:
            return max(1, round(times * timing / taken))
        times *= 2


def seconds(work: Callable[[int], object], times: int) -> float:
    """Time so many times together; give the seconds of one."""
    began = time.process_time()
    work(times)
    return (time.process_time() - began) / times
