"""ReplayBuffer.sample: a batch from Python."""

import itertools

from . import BATCHES, CALLS, CAPACITIES, ENDS, SAMPLERS, Timed
from .workload import full_buffer


class Sample(Timed):
    """A thousand batches out of a full buffer."""

    params = (SAMPLERS, ENDS, BATCHES)
    param_names = ("sampler", "capacity", "batch")

    def setup(self, sampler: str, capacity: int, batch: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        self.out = self.buffer.sample(batch)

    def time_new_arrays(self, sampler: str, capacity: int, batch: int) -> None:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, CALLS):
            sample(batch)

    def time_given_arrays(self, sampler: str, capacity: int, batch: int) -> None:
        sample = self.buffer.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS):
            sample(batch, out=out)


class Growth(Timed):
    """A thousand batches of 256, as the buffer grows."""

    params = (SAMPLERS, CAPACITIES)
    param_names = ("sampler", "capacity")

    def setup(self, sampler: str, capacity: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        self.out = self.buffer.sample(256)

    def time_sample_256(self, sampler: str, capacity: int) -> None:
        sample = self.buffer.sample
        out = self.out
        for _ in itertools.repeat(None, CALLS):
            sample(256, out=out)
