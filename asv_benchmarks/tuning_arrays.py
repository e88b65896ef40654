"""
New arrays a batch beside given ones, and what the C library has to do with it.

Memory that a process frees at the end of its heap goes back to the system, and large pieces are
mapped and unmapped each time; the next batch then touches every page anew. glibc can be told to
keep it, by its environment, when a process starts: so both sides are processes of their own, which
take turns.

    python asv_benchmarks/tuning_arrays.py      # one side: prints what it has timed, as JSON
"""

import collections
import functools
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys

import numpy as np
from benchmarks.workload import FIELDS, fill
from turns import Work, calls, in_turns

import replay
from replay.memory.handle import KEPT as KEPT_BATCHES

#: Settings with which glibc keeps what was freed.
KEPT = {"MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_MMAP_THRESHOLD_": "4294967296"}
SIDES = {"plain": {}, "kept": KEPT}
_STACK = (84, 84, 4)
_IMAGES = {"obs": (np.uint8, _STACK), "next_obs": (np.uint8, _STACK), "action": np.int64}
_SMALL, _LARGE = (32, 256, 4096), (8, 32, 256)


def measure(rounds, quick=False):
    """
    Time both sides in turns.

    Returns
    -------
    dict of float
        By (what is sampled, side, what of it): nanoseconds of a call with "given" arrays, with
        those of the last "but one" batch, and with "new" ones, since the last few batches are
        held; page "faults" of a call with new ones, "bytes" of a batch.
    """
    kept = {}
    for _ in range(rounds):
        for side, settings in SIDES.items():
            told = subprocess.run(
                [sys.executable, __file__, *(["--quick"] if quick else [])],
                env={**os.environ, **settings},
                capture_output=True,
                check=True,
                text=True,
            )
            for work, found in json.loads(told.stdout).items():
                for what, value in found.items():
                    kept.setdefault((work, side, what), []).append(value)
    return {key: statistics.median(values) for key, values in kept.items()}


def works(quick):
    """Give the buffers and the batches that are drawn out of them."""
    small = replay.ReplayBuffer(10_000 if quick else 1_000_000, FIELDS, seed=1)
    fill(small)
    images = replay.ReplayBuffer(500 if quick else 2_000, _IMAGES, seed=1)
    frames = np.zeros((100, *_STACK), np.uint8)
    while not images.is_full:
        images.extend(frames, frames, np.zeros(100, np.int64))
    for batch in _SMALL:
        yield f"{batch} small rows", small, batch
    for batch in _LARGE:
        yield f"{batch} of images", images, batch


def draw(buffer, batch, held, count):
    """Draw batches, and hold the last ones."""
    for _ in itertools.repeat(None, count):
        held.append(buffer.sample(batch))


def main():
    quick = "--quick" in sys.argv[1:]
    told = {}
    for name, buffer, batch in works(quick):
        out = buffer.sample(batch)
        held = collections.deque(maxlen=2 * KEPT_BATCHES)
        ways = {
            "given": calls(buffer.sample, batch, out=out),
            "but one": Work(functools.partial(draw, buffer, batch, collections.deque(maxlen=1))),
            "new": Work(functools.partial(draw, buffer, batch, held)),
        }
        times = in_turns(ways, 3, 0.005 if quick else 0.05)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        ways["new"].run(10)
        faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10
        told[name] = {**times, "faults": faults, "bytes": sum(array.nbytes for array in out)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
