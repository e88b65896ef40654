"""Calls one by one: the middle one and the one of a hundred that takes longest."""

import time
from collections.abc import Callable

import numpy as np

from . import ENDS, SAMPLERS, unless_quick
from .workload import call_of, digits, full_buffer

#: Calls before the first that counts.
WARM_UP = unless_quick(1_000, 10)
CALLS = unless_quick(20_000, 100)


def percentile(call: Callable[[], object], percent: float) -> float:
    """Time calls one by one, in ns; two readings of the clock are inside each."""
    clock = time.perf_counter_ns
    taken = np.zeros(CALLS, np.int64)
    for _ in range(WARM_UP):
        call()
    for turn in range(CALLS):
        start = clock()
        call()
        taken[turn] = clock() - start
    return digits(float(np.percentile(taken, percent)))


class Latency:
    """One call on a full buffer; `learn` is a batch into new arrays, and its priorities back."""

    params = (["add", "extend 64", "sample 32", "learn 256"], SAMPLERS, ENDS)
    param_names = ("call", "sampler", "capacity")

    def setup(self, call: str, sampler: str, capacity: int) -> None:
        self.call, _ = call_of(full_buffer(sampler, capacity), call)

    def track_p50(self, call: str, sampler: str, capacity: int) -> float:
        return percentile(self.call, 50)

    def track_p99(self, call: str, sampler: str, capacity: int) -> float:
        return percentile(self.call, 99)

    track_p50.unit = "ns"  # type: ignore[attr-defined]
    track_p99.unit = "ns"  # type: ignore[attr-defined]
