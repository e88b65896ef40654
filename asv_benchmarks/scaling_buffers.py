"""Samples, updates and adds of a whole buffer, from a thousand rows to ten million."""

import contextlib
import functools
import itertools
import os

import numpy as np
from benchmarks.workload import FIELDS, fill, rows, sampler
from turns import Work, calls, in_turns_anew

import replay
from kernels.addresses import STACK, load_int64, prefetch, stack_integers
from kernels.jit import kernel
from kernels.random import random_below

ROWS = (
    1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
)  # fmt: skip
HOMES = ("private", "named")
#: What is done; times are of one row.
DONE = (
    "bare reads of the rows",
    "sample(256), uniform",
    "sample(256), prioritized",
    "update(256)",
    "extend(256), uniform",
    "extend(256), prioritized",
    "add, uniform",
    "add, prioritized",
)
BATCH = 256
#: Random ids of the updates: far more lines than a cache holds.
_IDS = 1 << 20


@kernel
def rows_read(base: int, stride: int, capacity: int, first: int, count: int) -> int:
    # Every line of random records, asked for 64 rows ahead.
    places = stack_integers()
    found = 0
    for start in range(first, first + count, STACK):
        for turn in range(STACK):
            places[turn] = base + random_below(1, start + turn, capacity) * stride
        for turn in range(STACK):
            for word in range(0, stride, 64):
                prefetch(places[turn] + word)
            prefetch(places[turn] + stride - 8)
        for turn in range(STACK):
            for word in range(0, stride, 64):
                found += load_int64(places[turn] + word)
            found += load_int64(places[turn] + stride - 8)
    return found


def bare(buffer):
    """Make a work that reads the records of a buffer at random."""
    column = buffer.column("obs")
    base, stride = column.ctypes.data, column.strides[0]
    seen = 0

    def run(count):
        nonlocal seen
        rows_read(base, stride, buffer.capacity, seen, count)
        seen += count

    return Work(run, least=STACK)


def updates(buffer):
    """Make a work that gives random rows their priorities."""
    random = np.random.default_rng(4)
    places = random.integers(0, buffer.capacity, _IDS)
    errors = random.exponential(size=BATCH).astype(np.float32)
    ids = np.empty_like(places)
    batches = itertools.cycle([ids[at : at + BATCH] for at in range(0, _IDS, BATCH)])

    def ready():
        # Rows are added between two timings.
        newest = buffer.add(*one_row())
        np.add(places, newest + 1 - buffer.capacity, out=ids)

    def run(count):
        for _ in itertools.repeat(None, count):
            buffer.update_priorities(next(batches), errors)

    return Work(run, BATCH, ready)


def one_row():
    """Make a row as environments give it: arrays, and numbers of Python."""
    firsts = [column[0] for column in rows(1).values()]
    return tuple(first if first.ndim else first.item() for first in firsts)


def record_bytes():
    """Say what a row takes in a buffer: its fields and its sequence word."""
    with replay.ReplayBuffer(1, FIELDS) as buffer:
        return buffer.column("obs").strides[0]


def works(capacity, home, stack):
    """Give what is done with full buffers of a home, which are closed with the stack."""
    name = f"scaling-{os.getpid()}-" if home == "named" else None
    one = one_row()
    many = tuple(rows(BATCH).values())
    found = {}
    for kind in ("uniform", "prioritized"):
        buffer = replay.ReplayBuffer(
            capacity, FIELDS, sampler=sampler(kind), name=name and name + kind, seed=1
        )
        stack.callback(buffer.close)
        fill(buffer)
        out = buffer.sample(BATCH)
        found[f"sample(256), {kind}"] = calls(buffer.sample, BATCH, out=out, per=BATCH)
        found[f"extend(256), {kind}"] = calls(buffer.extend, *many, per=BATCH)
        found[f"add, {kind}"] = calls(buffer.add, *one)
        if kind == "uniform":
            found["bare reads of the rows"] = bare(buffer)
        else:
            found["update(256)"] = updates(buffer)
    return found


@contextlib.contextmanager
def both_homes(capacity):
    with contextlib.ExitStack() as stack:
        found = {home: works(capacity, home, stack) for home in HOMES}
        yield {(done, home): work for home in HOMES for done, work in found.pop(home).items()}


def measure(most, rounds, seconds, progress):
    """
    Time buffers of up to `most` rows.

    Returns
    -------
    sizes : list of int
    times : dict
        Nanoseconds of a row by (what is done, home), a list as long as the sizes.
    """
    sizes = [capacity for capacity in ROWS if capacity <= most]
    times = {(done, home): [] for done in DONE for home in HOMES}
    for place, capacity in enumerate(sizes):
        progress.step(place)
        both = functools.partial(both_homes, capacity)
        for key, nanoseconds in in_turns_anew(both, rounds, seconds).items():
            times[key].append(nanoseconds)
    progress.end()
    return sizes, times
