"""What every peer is asked to do."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

#: Works of a peer. ADD: one row, as an environment gives it. EXTEND: rows, as arrays. SAMPLE: a
#: batch in new arrays, with weights where rows have priorities. GIVEN: into arrays of before.
#: UPDATE: a batch, and new priorities for its rows.
ADD, EXTEND, SAMPLE, GIVEN, UPDATE = "add", "extend", "sample", "given", "update"

#: Of prioritized replay, the same for all.
ALPHA, BETA = 0.6, 0.4
#: Of all draws.
SEED = 1


class Versioned:
    """Something that has a name in the tables, and the version of what it is made of."""

    name: ClassVar[str]
    #: Whose version is shown; empty for what comes with Python.
    distribution: ClassVar[str]

    @classmethod
    def version(cls) -> str:
        """Give the version of the library."""
        if not cls.distribution:
            return f"of Python {sys.version.split()[0]}"
        return importlib.metadata.version(cls.distribution)


class Peer(Versioned):
    """
    A full buffer of transitions of one library.

    Each method does a piece of work `times` times and gives what the last one gave. The loops
    stand in the adapters, so that a timing is of the library's own call and of what its caller has
    to do for it, such as to wrap arrays into its types; nothing is wrapped that need not be.

    Parameters
    ----------
    rows : int
        Capacity.
    prioritized : bool
    """

    #: What it can do, without priorities and with them.
    uniform: ClassVar[frozenset[str]] = frozenset({ADD, EXTEND, SAMPLE})
    prioritized: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def supports(cls, work: str, prioritized: bool) -> bool:
        """Say whether it can do a work."""
        return work in (cls.prioritized if prioritized else cls.uniform)

    def __init__(self, rows: int, prioritized: bool) -> None:
        raise NotImplementedError

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        """Add rows in any way, give each its priority; called until the buffer is full."""
        raise NotImplementedError

    def add(self, row: Sequence[Any], times: int) -> Any:
        """Add one row: arrays of obs and next_obs, numbers of Python for the others."""
        raise NotImplementedError

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        """Add the rows of arrays, the five of `transitions.many`."""
        raise NotImplementedError

    def sample(self, count: int, times: int) -> Any:
        """Draw batches into new arrays."""
        raise NotImplementedError

    def sample_given(self, count: int, times: int) -> Any:
        """Draw batches into the same arrays each time."""
        raise NotImplementedError

    def sample_and_update(self, count: int, times: int) -> Any:
        """Draw a batch and give its rows new priorities, float32 in the library's own array."""
        raise NotImplementedError

    def columns(self, batch: Any) -> list[np.ndarray]:
        """Give a batch as NumPy's five arrays, and the weights where there are any: to look at."""
        raise NotImplementedError


class Frames(Versioned):
    """
    A buffer of single frames that gives stacks of four and the next four.

    Parameters
    ----------
    frames : int
        Capacity.
    shape : tuple of int
        Of a frame of uint8.
    """

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        raise NotImplementedError

    def write(self, episode: np.ndarray) -> None:
        """Add the frames of an episode, which ends with the last of them."""
        raise NotImplementedError

    def sample(self, count: int, times: int) -> Any:
        """Draw batches into new arrays."""
        raise NotImplementedError

    def stacks(self, batch: Any) -> tuple[np.ndarray, np.ndarray]:
        """Give obs and next_obs of a batch, (count, 4, 84, 84), to look at."""
        raise NotImplementedError


def new_priorities(count: int) -> np.ndarray:
    """Make what a learner gives back, |TD errors| as float32."""
    return np.random.default_rng(SEED).exponential(size=count).astype(np.float32)
