"""ReplayBuffer.extend: many rows from Python."""

import itertools

from . import BATCHES, CALLS, ENDS, SAMPLERS, Timed
from .workload import full_buffer, rows


class Extend(Timed):
    """A thousand calls, `batch` rows each, into a full buffer."""

    params = (SAMPLERS, ENDS, BATCHES)
    param_names = ("sampler", "capacity", "batch")

    def setup(self, sampler: str, capacity: int, batch: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        self.rows = tuple(rows(batch).values())
        self.buffer.extend(*self.rows)

    def time_extend(self, sampler: str, capacity: int, batch: int) -> None:
        extend = self.buffer.extend
        columns = self.rows
        for _ in itertools.repeat(None, CALLS):
            extend(*columns)
