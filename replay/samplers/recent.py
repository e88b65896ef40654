"""Emphasising recent experience."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from kernels.recent import ETA, SMALLEST, UPDATES, draw_recent
from kernels.walk_newest import newest_put
from kernels.walks import enter_recent
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.samplers.sampler import Sampler

_MOST_UPDATES = 10**9
_MOST_SMALLEST = 1 << 40


@dataclasses.dataclass(frozen=True)
class Recent(Sampler):
    """
    Draw from the newest rows alone, fewer of them with each update of a round; all weights are 1.

    The k-th of K updates draws uniformly, with replacement, from the newest
    max(N * eta ** (k * 1000 / K), smallest) of N stored rows. k goes from 1 to K and begins anew:
    it is the number of batches that were drawn of the buffer before, by all processes, modulo K,
    and 1. With several streams, the newest of each count, the same share of its rows, rounded up.
    Under a view, where none of them may be drawn, it is twice as many, and so on.

    Parameters
    ----------
    eta : float
        How fast the older rows go; above 0, and at most 1, which draws them all alike. The paper
        takes 0.994 to 0.999.
    updates : int
        K, the batches of a round: as many as there were steps in an episode; 1 to 1e9.
    smallest : int
        Newest rows that are drawn from in any case; 1 to 2**40.

    Raises
    ------
    InputError

    Notes
    -----
    Wang and Ross (2019), Boosting Soft Actor-Critic: Emphasizing Recent Experience without
    Forgetting the Past, section on ERE. A constant eta, which the paper lets grow to 1 as training
    goes on.
    """

    eta: float = 0.996
    updates: int = 1000
    smallest: int = 5000

    kind: ClassVar[str] = "recent"

    def __post_init__(self) -> None:
        known = isinstance(self.eta, (int, float, np.integer, np.floating))
        if not known or isinstance(self.eta, bool):
            raise InputError(f"eta is {self.eta!r}, it must be a number")
        if not math.isfinite(self.eta) or not 0 < self.eta <= 1:
            raise InputError(f"eta is {self.eta}, it must be above 0 and at most 1")
        _count("updates", self.updates, _MOST_UPDATES)
        _count("smallest", self.smallest, _MOST_SMALLEST)

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {
            "kind": self.kind,
            "eta": float(self.eta),
            "updates": int(self.updates),
            "smallest": int(self.smallest),
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Recent":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        try:
            sampler = cls(described["eta"], described["updates"], described["smallest"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"sampler {described!r} cannot be: {error}") from None
        if sampler.to_json() != described:
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""
        handle.view(np.float64)[ETA] = self.eta
        handle[UPDATES] = self.updates
        handle[SMALLEST] = self.smallest

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_recent

    @property
    def walk(self) -> Any:
        """The same as an entry."""
        return enter_recent

    @property
    def newest_kernel(self) -> Any:
        """The kernel that puts the newest row behind a batch."""
        return newest_put


def _count(name: str, value: Any, most: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be an int")
    if not 1 <= value <= most:
        raise InputError(f"{name} is {value}, it must be from 1 to {most}")
