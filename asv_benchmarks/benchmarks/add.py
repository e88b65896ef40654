"""ReplayBuffer.add: one row from Python."""

import itertools
from typing import Any

import replay

from . import CALLS, CAPACITIES, SAMPLERS, Timed
from .workload import FIELDS, fill, full_buffer, row_of, sampler


class Add(Timed):
    """A thousand rows into a full buffer."""

    params = (SAMPLERS, CAPACITIES)
    param_names = ("sampler", "capacity")

    def setup(self, sampler: str, capacity: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        self.named = row_of()
        self.in_order = tuple(self.named.values())
        self.buffer.add(**self.named)

    def time_by_position(self, sampler: str, capacity: int) -> None:
        add = self.buffer.add
        obs, action, reward, next_obs, terminated = self.in_order
        for _ in itertools.repeat(None, CALLS):
            add(obs, action, reward, next_obs, terminated)

    def time_by_name(self, sampler: str, capacity: int) -> None:
        add = self.buffer.add
        obs, action, reward, next_obs, terminated = self.in_order
        for _ in itertools.repeat(None, CALLS):
            add(
                obs=obs,
                action=action,
                reward=reward,
                next_obs=next_obs,
                terminated=terminated,
            )


class Streams(Timed):
    """A thousand rows by the writers of so many streams in turn."""

    params = (SAMPLERS, [1, 16])
    param_names = ("sampler", "streams")

    def setup(self, kind: str, streams: int) -> None:
        self.buffer = replay.ReplayBuffer(
            16_000, FIELDS, sampler=sampler(kind), streams=streams, seed=1
        )
        fill(self.buffer)
        turns = itertools.cycle(self.buffer.writer(stream).add for stream in range(streams))
        self.adds: list[Any] = list(itertools.islice(turns, CALLS))
        self.row = tuple(row_of().values())

    def teardown(self, kind: str, streams: int) -> None:
        self.buffer.close()

    def time_by_position(self, kind: str, streams: int) -> None:
        obs, action, reward, next_obs, terminated = self.row
        for add in self.adds:
            add(obs, action, reward, next_obs, terminated)
