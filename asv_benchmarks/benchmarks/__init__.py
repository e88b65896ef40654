"""
A file a kernel file, and a file a buffer operation.

A timing is always of many operations, so that its digits read as those of one:

- kernels run OPERATIONS times inside a compiled function: milliseconds read as nanoseconds;
- buffer methods are called CALLS times from Python: milliseconds read as microseconds, and
  microseconds as nanoseconds.

asv runs `setup` before each timing. What takes long to set up is kept by `workload`.

REPLAY_BENCH_LARGE=1 adds ten million rows. REPLAY_BENCH_QUICK=1 is for a lane that wants to know
that every benchmark works, and not how fast: sizes are the smallest ones, and loops are short.
"""

import os
import time
from typing import TypeVar

import replay

from .workload import FIELDS, call_of, sampler

Value = TypeVar("Value")


def asked(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


QUICK = asked("REPLAY_BENCH_QUICK")


def unless_quick(measured: Value, tried: Value) -> Value:
    """Choose a size, a number of calls or a list of parameters."""
    return tried if QUICK else measured


#: Times that a compiled function runs what is measured.
OPERATIONS = unless_quick(1_000_000, 1_000)
#: Times that a Python loop calls a method.
CALLS = unless_quick(1_000, 10)
#: Times that several threads or processes go on for so many seconds; the middle one counts.
TURNS = unless_quick(5, 1)
SECONDS = unless_quick(0.1, 0.01)

#: Rows stored. Ten million take some gigabytes and minutes.
CAPACITIES = unless_quick([1_000, 10_000, 100_000, 1_000_000], [1_000])
#: The same without the middle, where another parameter makes the table large.
ENDS = unless_quick([1_000, 1_000_000], [1_000])
if asked("REPLAY_BENCH_LARGE"):
    CAPACITIES.append(10_000_000)
    ENDS.append(10_000_000)

#: Rows a call.
BATCHES = unless_quick([1, 32, 256, 1024, 4096], [1, 4096])
#: The same where one row is not a batch.
SEVERAL = unless_quick([32, 256, 1024, 4096], [32])

SAMPLERS = ["uniform", "prioritized"]


class Timed:
    """
    What a benchmark inherits whose work is the processor's alone.

    Its time is that of the processor, all threads of the process: what other processes take away
    is left out. Of many short timings, a third of a second of them at most, the middle one counts,
    which a disturbance of some of them does not move.
    """

    timer = time.process_time
    repeat = (5, 100, 0.3)


# Numba takes a third of a second to set itself up, and a tenth to load the kernels of a buffer.
# Here it is done once: asv's fork server imports this package, and each benchmark begins as a copy
# of that process.
for _kind in SAMPLERS:
    with replay.ReplayBuffer(64, FIELDS, sampler=sampler(_kind)) as _buffer:
        for _name in ("add", "extend 64", "learn 32"):
            call_of(_buffer, _name)[0]()
