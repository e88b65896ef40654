"""ReplayBuffer.update_priorities: a batch's TD errors given back."""

import itertools

import numpy as np

import replay

from . import BATCHES, CALLS, CAPACITIES, ENDS, SEVERAL, Timed, unless_quick
from .workload import FIELDS, full_buffer, play

#: Batches of ids that are used in turn, so that their leaves do not stay in the first cache.
TURNS = 64


class Update(Timed):
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


class SampleAndUpdate(Timed):
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


class Decay(Timed):
    """A thousand calls on a log of steps; priorities go back along their episodes, or stay."""

    params = ([0.0, 0.6], SEVERAL[:2])
    param_names = ("decay", "batch")

    def setup(self, decay: float, batch: int) -> None:
        self.log = replay.ReplayBuffer(
            unless_quick(100_000, 1_000),
            {name: FIELDS[name] for name in ("obs", "action", "reward")},
            sampler=replay.Proportional(decay=decay),
            view=replay.Transition(),
            seed=1,
        )
        play(self.log, 200, np.zeros(8, np.float32))
        self.ids = [self.log.sample(batch).ids for _ in range(TURNS)]
        # Others each time: a priority that its neighbours have by now is not passed on.
        self.errors = np.random.default_rng(1).exponential(size=(TURNS, batch))

    def teardown(self, decay: float, batch: int) -> None:
        self.log.close()

    def time_update(self, decay: float, batch: int) -> None:
        update = self.log.update_priorities
        for turn in range(CALLS):
            update(self.ids[turn % TURNS], self.errors[turn * 7 % TURNS])
