"""replay.compat: the forms that other code expects, by their own methods."""

import itertools
from collections.abc import Callable
from typing import Any

from replay.compat import circular, dqn, lockfree, service

from . import CALLS, Timed, unless_quick
from .workload import row_of

CAPACITY = unless_quick(10_000, 100)


def service_buffer() -> tuple[Any, Callable[..., Any]]:
    config = service.BufferConfig(CAPACITY, strategy="prioritized", seed=1)
    buffer = service.ReplayBuffer(config, obs_shape=(8,), action_dim=4)
    return buffer, buffer.add


def dqn_buffer() -> tuple[Any, Callable[..., Any]]:
    buffer = dqn.PrioritizedReplayBuffer(CAPACITY, seed=1)
    return buffer, buffer.push


def lockfree_buffer() -> tuple[Any, Callable[..., Any]]:
    buffer = lockfree.ReplayBuffer(CAPACITY, "prioritized", seed=1)
    return buffer, buffer.add


def circular_buffer() -> tuple[Any, Callable[..., Any]]:
    buffer = circular.SharedCircularBuffer(CAPACITY, 8)
    return buffer, buffer.push


FORMS = {
    "service": service_buffer,
    "dqn": dqn_buffer,
    "lockfree": lockfree_buffer,
    "circular": circular_buffer,
}


class Compat(Timed):
    """A thousand rows, and a thousand batches of 32; priorities where a form has them."""

    params = (list(FORMS),)
    param_names = ("form",)

    def setup(self, form: str) -> None:
        self.buffer, self.add = FORMS[form]()
        self.row = tuple(row_of().values())
        for _ in range(CAPACITY):
            self.add(*self.row)
        self.buffer.sample(32)

    def teardown(self, form: str) -> None:
        if hasattr(self.buffer, "close"):
            self.buffer.close()

    def time_add(self, form: str) -> None:
        add, row = self.add, self.row
        for _ in itertools.repeat(None, CALLS):
            add(*row)

    def time_sample_32(self, form: str) -> None:
        sample = self.buffer.sample
        for _ in itertools.repeat(None, CALLS):
            sample(32)
