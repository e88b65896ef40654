"""ReplayBuffer.update_priorities: a batch's TD errors given back."""

import itertools

import numpy as np

from . import BATCHES, CALLS, CAPACITIES, ENDS
from .workload import full_buffer

#: Batches of ids that are used in turn, so that their leaves do not stay in the first cache.
TURNS = 64


class Update:
    """A thousand calls on a full buffer."""

    params = (ENDS, BATCHES)
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        self.buffer = full_buffer("prioritized", capacity)
        self.ids = [self.buffer.sample(batch).ids for _ in range(TURNS)]
        self.errors = np.random.default_rng(1).exponential(size=batch)
        assert self.buffer.update_priorities(self.ids[0], self.errors) == batch

    def time_update(self, capacity: int, batch: int) -> None:
        update = self.buffer.update_priorities
        errors = self.errors
        for ids in itertools.islice(itertools.cycle(self.ids), CALLS):
            update(ids, errors)


class SampleAndUpdate:
    """A learner's thousand turns: a batch drawn, its priorities given back."""

    params = (CAPACITIES, [256])
    param_names = ("capacity", "batch")

    def setup(self, capacity: int, batch: int) -> None:
        self.buffer = full_buffer("prioritized", capacity)
        self.out = self.buffer.sample(batch)
        self.errors = np.random.default_rng(1).exponential(size=batch)
        self.buffer.update_priorities(self.out.ids, self.errors)

    def time_sample_and_update(self, capacity: int, batch: int) -> None:
        buffer, out, errors = self.buffer, self.out, self.errors
        for _ in itertools.repeat(None, CALLS):
            buffer.sample(batch, out=out)
            buffer.update_priorities(out.ids, errors)
