"""
A file a kernel file, and a file a buffer operation.

A timing is always of many operations, so that its digits read as those of one:

- kernels run OPERATIONS times inside a compiled function: milliseconds read as nanoseconds;
- buffer methods are called CALLS times from Python: milliseconds read as microseconds, and
  microseconds as nanoseconds.

asv runs `setup` before each timing. What takes long to set up is kept by `workload`.
"""

import os

from kernels.random import random_below

#: Times that a compiled function runs what is measured.
OPERATIONS = 1_000_000
#: Times that a Python loop calls a method.
CALLS = 1_000

#: Rows stored. REPLAY_BENCH_LARGE=1 adds ten million, which take some gigabytes and minutes.
CAPACITIES = [1_000, 10_000, 100_000, 1_000_000]
#: The same without the middle, where another parameter makes the table large.
ENDS = [1_000, 1_000_000]
if os.environ.get("REPLAY_BENCH_LARGE", "0") != "0":
    CAPACITIES.append(10_000_000)
    ENDS.append(10_000_000)

#: Rows a call.
BATCHES = [1, 32, 256, 1024, 4096]

SAMPLERS = ["uniform", "prioritized"]

# Numba takes a third of a second to set itself up at its first kernel. Done here, it is done once:
# asv's fork server imports this package, and each benchmark begins as a copy of that process.
random_below(1, 0, 1)
