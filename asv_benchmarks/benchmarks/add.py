"""ReplayBuffer.add: one row from Python."""

import itertools

from . import CALLS, CAPACITIES, SAMPLERS
from .workload import full_buffer, rows


class Add:
    """A thousand rows into a full buffer."""

    params = (SAMPLERS, CAPACITIES)
    param_names = ("sampler", "capacity")

    def setup(self, sampler: str, capacity: int) -> None:
        self.buffer = full_buffer(sampler, capacity)
        row = {name: column[0] for name, column in rows(1).items()}
        # As an environment gives them: numbers of Python.
        for name in ("action", "reward", "terminated"):
            row[name] = row[name].item()
        self.named = row
        self.in_order = tuple(row.values())
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
