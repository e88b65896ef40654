"""Threads of one process at one buffer: wall time a row, of all of them together."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from . import SAMPLERS, SECONDS, TURNS, unless_quick
from .workload import call_of, calls_until, digits, full_buffer

CAPACITY = unless_quick(100_000, 1_000)
#: Seconds until all threads are there.
SOON = 0.01


class Threads:
    """
    Each thread calls as often as it can, with arrays of its own.

    Where the interpreter's lock is held, more threads bring no more rows. Batches of more than
    64 KiB are copied without it.
    """

    params = (
        ["add", "extend 64", "sample 256", "sample 4096"],
        SAMPLERS,
        unless_quick([1, 2, 4], [2]),
    )
    param_names = ("call", "sampler", "threads")

    def setup(self, call: str, sampler: str, threads: int) -> None:
        buffer = full_buffer(sampler, CAPACITY)
        self.calls: list[Callable[[], object]] = []
        for _ in range(threads):
            made, self.rows = call_of(buffer, call)
            made()
            self.calls.append(made)

    def work(self, pool: ThreadPoolExecutor) -> float:
        """Let all go on for a while; give the nanoseconds a row."""
        begins = time.monotonic() + SOON
        ends = begins + SECONDS
        taken = pool.map(lambda call: calls_until(call, begins, ends), self.calls)
        return 1e9 / sum(self.rows / seconds for seconds in taken)

    def track_time(self, call: str, sampler: str, threads: int) -> float:
        with ThreadPoolExecutor(threads) as pool:
            return digits(statistics.median(self.work(pool) for _ in range(TURNS)))

    track_time.unit = "ns/row"  # type: ignore[attr-defined]
