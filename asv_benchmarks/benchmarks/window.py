"""kernels.window: whether what a view needs around a row is stored."""

import functools

import numpy as np

import replay
from kernels.handle import GENERATOR, handle_line
from kernels.jit import kernel
from kernels.random import random_below, random_claim
from kernels.window import slot_whole

from . import OPERATIONS, Timed, unless_quick
from .workload import FIELDS, play

ROWS = unless_quick(100_000, 1_000)
VIEWS: dict[str, replay.View] = {
    "transition": replay.Transition(),
    "stack of 4, 3 steps": replay.FrameStack(4, replay.NStep(3, 0.99)),
    "sequence": replay.Sequence(80, 40, burn_in=40),
}


@kernel
def whole_many(handle: np.ndarray, rows: int, count: int) -> int:
    line = handle_line(handle, GENERATOR)
    counter = random_claim(line, count)
    whole = 0
    for draw in range(count):
        whole += np.int64(slot_whole(handle, random_below(line[0], counter + draw, rows)))
    return whole


@functools.cache
def full_log(view: str) -> replay.ReplayBuffer:
    """Make a full log of episodes of 200 steps, once for all timings of a process."""
    fields = {name: FIELDS[name] for name in ("obs", "action", "reward")}
    log = replay.ReplayBuffer(ROWS, fields, view=VIEWS[view], seed=1)
    play(log, 200, np.zeros(8, np.float32))
    return log


class Window(Timed):
    """A million slots at random; each looks at a row or two besides its own."""

    params = (list(VIEWS),)
    param_names = ("view",)

    def setup(self, view: str) -> None:
        self.handle = full_log(view).handle
        whole_many(self.handle, ROWS, 1)

    def time_whole(self, view: str) -> None:
        whole_many(self.handle, ROWS, OPERATIONS)
