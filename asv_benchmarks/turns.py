"""
Pieces of work that are timed in turns, so that a machine whose speed drifts slows all of them.

A work is timed so many operations at once that one timing takes a given time, and what is kept is
the median.
"""

import contextlib
import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass
class Work:
    """
    Something to be timed.

    Parameters
    ----------
    run : callable
        Does so many operations.
    per : int
        What one operation counts as: the rows of a batch, where a row is to be timed.
    ready : callable, optional
        What comes before each timing, and is not timed.
    least, most : int
        Operations of a timing.
    """

    run: Callable[[int], object]
    per: int = 1
    ready: Callable[[], object] | None = None
    least: int = 1
    most: int = 1 << 62


def calls(call, *arguments, per=1, ready=None, **named):
    """Make a work of calls from Python."""

    def run(count):
        for _ in itertools.repeat(None, count):
            call(*arguments, **named)

    return Work(run, per, ready)


#: Times that what is measured is made anew. On a virtual machine the memory of one buffer can cost
#: many times what that of the next does, for seconds.
MAKINGS = 3


@contextlib.contextmanager
def on_one_core():
    """Keep this process on the last of its cores, so that its caches stay its own."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def in_turns_anew(make, rounds, seconds):
    """
    Time works that are made anew some times, and take the median of all timings.

    Parameters
    ----------
    make : callable
        Gives a context whose value is a mapping of Work.
    rounds : int
    seconds : float

    Returns
    -------
    dict of float
        As `in_turns`.
    """
    kept = {}
    for _ in range(MAKINGS):
        with make() as works:
            for key, times in timings(works, -(-rounds // MAKINGS), seconds).items():
                kept.setdefault(key, []).extend(times)
            # They hold arrays of what the context is about to close.
            works.clear()
    return {key: statistics.median(times) for key, times in kept.items()}


def in_turns(works, rounds, seconds, clock=time.thread_time):
    """
    Time works in turns.

    Parameters
    ----------
    works : mapping of Work
    rounds : int
    seconds : float
        Of one timing.
    clock : callable
        What counts as time: `time.thread_time` leaves out what other processes take.

    Returns
    -------
    dict of float
        The median of the rounds, in nanoseconds.
    """
    kept = timings(works, rounds, seconds, clock)
    return {key: statistics.median(times) for key, times in kept.items()}


def timings(works, rounds, seconds, clock=time.thread_time):
    """Give all that `in_turns` takes the median of."""
    counts = {key: _enough(work, seconds, clock) for key, work in works.items()}
    kept = {key: [] for key in works}
    for _ in range(rounds):
        for key, work in works.items():
            # The caches are full of what came before.
            if work.most > 1:
                _time(work, max(counts[key] // 4, work.least), clock)
            kept[key].append(_time(work, counts[key], clock) / counts[key] / work.per * 1e9)
    return kept


def _time(work, count, clock):
    if work.ready is not None:
        work.ready()
    began = clock()
    work.run(count)
    return clock() - began


def _enough(work, seconds, clock):
    """Find how many operations take so long; what is compiled on the way is not timed later."""
    count = work.least
    _time(work, count, clock)
    while True:
        took = _time(work, count, clock)
        if took > seconds / 4 or count >= work.most:
            return min(max(int(count * seconds / took), work.least), work.most)
        count *= 4
