"""Other libraries at the same work; `make compare` has them side by side, and says how."""

import functools
import pathlib
import sys
from typing import Any

from . import CALLS

# asv imports the package of this folder alone; the adapters lie beside it.
sys.path.append(str(pathlib.Path(__file__).parents[1]))

import peers as adapters
from peers import transitions
from peers.peer import SAMPLE, UPDATE

CAPACITY = 10_000
#: Ours is what the rest of the suite measures, and a deque no library.
NAMES = [name for name in adapters.NAMES if name not in (adapters.OURS, "deque")]
#: What takes a hundred microseconds is called less often.
FEW = CALLS // 10


@functools.cache
def full_peer(name: str, prioritized: bool) -> Any:
    """Make a full buffer, once for all timings of a process."""
    side = adapters.peer(name)(CAPACITY, prioritized)
    columns = transitions.many(CAPACITY)
    side.fill(columns, columns[2] + 1 if prioritized else None)
    return side


def able(name: str, work: str, prioritized: bool) -> Any:
    """Give a full buffer that can do a work; what asv calls n/a where there is none."""
    if adapters.missing(name):
        raise NotImplementedError(f"{name} is not installed")
    if not adapters.peer(name).supports(work, prioritized):
        raise NotImplementedError(f"{name} has no such thing")
    return full_peer(name, prioritized)


class Uniform:
    """A hundred calls of each."""

    params = (NAMES,)
    param_names = ("peer",)

    def setup(self, name: str) -> None:
        self.side = able(name, SAMPLE, False)
        self.row = transitions.one()
        self.side.sample(256, 1)
        self.side.add(self.row, 1)

    def time_add(self, name: str) -> None:
        self.side.add(self.row, FEW)

    def time_sample_256(self, name: str) -> None:
        self.side.sample(256, FEW)


class Prioritized:
    """A hundred calls."""

    params = (NAMES,)
    param_names = ("peer",)

    def setup(self, name: str) -> None:
        self.side = able(name, UPDATE, True)
        self.side.sample_and_update(256, 1)

    def time_sample_256_and_update(self, name: str) -> None:
        self.side.sample_and_update(256, FEW)
