"""
The owner of a block: who made it, and what has become of that process.

    ready line of the control words
      word 3        its fate: NONE, OPEN, CLOSED, DIED
      word 4        its process id
      word 5        when that process started, in clock ticks since the machine did
      word 6        its namespace of process ids
      word 7        its number among the members, while its fate is OPEN

The place of a member is somebody else's once it is free, so it cannot tell one who closed the
block from one who was killed and whose traces were removed since.
"""

import dataclasses
import os
import sys
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kernels import members
from replay.errors import OwnerGoneWarning
from replay.memory.process import namespace, started

FATE = 3
PROCESS = 4
STARTED = 5
NAMESPACE = 6
NUMBER = 7

NONE = 0
OPEN = 1
CLOSED = 2
DIED = 3


@dataclasses.dataclass(frozen=True)
class Owner:
    """
    The process that made a block.

    Parameters
    ----------
    pid : int
    state : str
        "alive", "closed" where it closed the buffer or ended, "dead" where it was killed;
        "unknown" in a block that says nothing of it.
    started : int
        When its process started, in clock ticks since the machine did; 0 where that is not told.
    namespace : int
        Of process ids: the pid means something in it alone. 0 where that is not told.
    """

    pid: int
    state: str
    started: int = 0
    namespace: int = 0


class Ownership:
    """
    Owns the words that say who made a block.

    Written by the creator, and once more by whoever repairs after its death.

    Parameters
    ----------
    ready : (8,) int64 ndarray
        The ready line of the control words; empty where the block is closed.
    """

    def __init__(self, ready: npt.NDArray[np.int64]) -> None:
        self._words = ready

    def take(self, number: int, line: npt.NDArray[np.int64]) -> None:
        """
        Note who makes the block.

        Parameters
        ----------
        number : int
            Its number among the members.
        line : (8,) int64 ndarray
            Its line there.
        """
        self._words[PROCESS] = line[members.PROCESS]
        self._words[STARTED] = line[members.STARTED]
        self._words[NAMESPACE] = line[members.NAMESPACE]
        self._words[NUMBER] = number
        # Last: the others mean something with it alone.
        self._words[FATE] = OPEN

    def end(self, *, died: bool) -> None:
        """Note that the owner has gone."""
        if self._words[FATE] == OPEN:
            self._words[FATE] = DIED if died else CLOSED

    def look(self, alive: Callable[[int], bool]) -> Owner:
        """
        Say who made the block, and whether it still has it open.

        Parameters
        ----------
        alive : callable
            Says of a member's number whether its lock is held.

        Returns
        -------
        Owner
        """
        _, _, _, fate, pid, started, namespace, number = (int(word) for word in self._words)
        if fate == OPEN:
            state = "alive" if 0 <= number < members.MEMBERS and alive(number) else "dead"
            if state == "dead" and self._words[FATE] == CLOSED:
                # It closed between the two looks.
                state = "closed"
        else:
            state = {CLOSED: "closed", DIED: "dead"}.get(fate, "unknown")
        return Owner(pid, state, started, namespace)


def warn_owner_gone(owner: Owner, name: str, *, attachable: bool) -> None:
    """
    Tell the caller of this library that the process that made a named buffer has gone.

    Parameters
    ----------
    owner : Owner
        Whose state is "closed" or "dead".
    name : str
        In quotes.
    attachable : bool
        Whether the name still leads to the block.
    """
    made = f"process {owner.pid}, which made buffer {name}, has"
    stays = "Its rows stay readable and writable here"
    if attachable:
        text = (
            f"{made} died. {stays}, and others can still attach, but nobody will remove the "
            f"name: when all have closed it, replay.unlink({name}) or 'replay clean' does."
        )
    else:
        ended = "died, and the name is gone" if owner.state == "dead" else "closed it"
        text = (
            f"{made} {ended}. {stays}, but no other process can attach: save() writes to a file "
            "what is to be kept."
        )
    warnings.warn(text, OwnerGoneWarning, stacklevel=_outside())


def is_this_process(owner: Owner) -> bool:
    """Say whether an owner is this very process."""
    pid = os.getpid()
    return (owner.pid, owner.started, owner.namespace) == (pid, started(pid), namespace())


def _outside() -> int:
    """Count the frames from `warn_owner_gone` to the first one that is not of this library."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and (
        frame.f_globals.get("__name__", "").partition(".")[0] == "replay"
    ):
        frame, level = frame.f_back, level + 1
    return level
