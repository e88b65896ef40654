"""Who has a block open: numbers, and locks that the system drops with a process."""

import contextlib
import dataclasses
import os
import struct
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels import members
from kernels.faults import JOINED, fault_point
from replay.errors import BlockError
from replay.memory.block import Block
from replay.memory.owner import Owner, Ownership
from replay.memory.process import namespace, started

if sys.platform != "win32":
    import fcntl

#: Where the locks lie in the file: far behind its bytes, which locks need not meet. One a member,
#: then that of whoever repairs.
_LOCKS = 1 << 62
_REPAIR = members.MEMBERS
#: The place that nobody stays in.
_RESERVED = members.MEMBERS - 1
#: struct flock of Linux on 64 bits: type, whence, start, length, process.
_FLOCK = struct.Struct("=hh4xqqi4x")
#: Locks of an open file, not of a process: closing another descriptor of it does not drop them, a
#: process id that is used again means nothing to them, nor do namespaces of process ids.
_SET = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None
_GET = getattr(fcntl, "F_OFD_GETLK", None) if sys.platform == "linux" else None

STATES = {
    members.FREE: "free",
    members.ATTACHED: "attached",
    members.CREATOR: "creator",
    members.MENDING: "mending",
}


@dataclasses.dataclass(frozen=True)
class Member:
    """
    One opening of a block, as it says itself.

    Parameters
    ----------
    number : int
        What odd sequence words call it.
    state : str
        "creator" or "attached"; "mending" where it died and its sums are still to be corrected.
    pid : int
    started : int
        When its process started, in clock ticks since the machine did; 0 where that is not told.
    namespace : int
        Of process ids: the pid means something in it alone. 0 where that is not told.
    since : float
        When it joined, in seconds since 1970.
    inside : bool
        Whether one of its threads is changing what repair must not correct meanwhile.
    alive : bool
    """

    number: int
    state: str
    pid: int
    started: int
    namespace: int
    since: float
    inside: bool
    alive: bool


class Members:
    """
    Owns the register of a block, and this opening's place in it.

    Shared with all who have the block open. A place is held by a lock on the block's own file,
    which the system drops when the process ends, however it ends.

    Parameters
    ----------
    block : Block
    """

    def __init__(self, block: Block) -> None:
        # Not the block itself: what it holds tells this register when it is let go.
        self._held = block.held
        self._held.leave = self.leave
        self._lines = block.part("members")
        control = block.part("control")
        self._ready = control[words.READY]
        self._repairs = control[words.REPAIRS]
        self.ownership = Ownership(self._ready)
        self.number = -1
        #: Called while the place is still held.
        self.before_leaving: Callable[[], None] = _nothing

    @property
    def used(self) -> int:
        """Places that were ever taken."""
        return min(max(int(self._ready[1]), 0), len(self._lines)) if len(self._ready) else 0

    def join(self) -> int:
        """
        Take a place.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        BlockError
            All places are taken.
        """
        number = self._take(range(_RESERVED))
        if number < 0:
            raise BlockError(
                f"it is open {_RESERVED} times, which is the most: close it somewhere"
            )
        return number

    def join_to_repair(self) -> bool:
        """
        Take the last place, which is kept for making room where the dead hold all others.

        Returns
        -------
        bool
            False: it is taken.
        """
        return self._take(range(_RESERVED, members.MEMBERS)) >= 0

    def _take(self, places: range) -> int:
        for number in places:
            # A place of the dead waits for its repair: until then its number is in odd words.
            if self._lines[number, members.STATE] != members.FREE or not self._lock(number):
                continue
            if self._lines[number, members.STATE] != members.FREE:
                self._unlock(number)
                continue
            line = self._lines[number]
            pid = os.getpid()
            # Not its counts of entries: `members_quiet` would take a smaller one for an older one.
            line[members.PROCESS] = pid
            line[members.STARTED] = started(pid)
            line[members.NAMESPACE] = namespace()
            line[members.JOINED_AT] = time.time_ns()
            members.member_counted(self._ready, number)
            fault_point(JOINED)
            state = members.CREATOR if self._held.created else members.ATTACHED
            if state == members.CREATOR:
                self.ownership.take(number, line)
            line[members.STATE] = state
            self.number = number
            return number
        return -1

    def give_back(self) -> None:
        """Free the place, and go on without one."""
        self._lines[self.number, members.STATE] = members.FREE
        self._unlock(self.number)
        self.number = -1

    def leave(self, at_end: bool = False) -> bool:
        """
        Give the place back.

        Parameters
        ----------
        at_end : bool
            The process ends with the block open.

        Returns
        -------
        bool
            False: it ends with other threads, which may add on to its last moment. It keeps the
            place until the system drops its locks, as one who dies does; a place given away while
            they are inside would be changed by two.
        """
        before, self.before_leaving = self.before_leaving, _nothing
        if self.number >= 0:
            before()
            if self._lines[self.number, members.STATE] == members.CREATOR:
                self.ownership.end(died=False)
            if at_end and threading.active_count() > 1:
                return False
            self.give_back()
        # The mapping goes with the last array into it.
        self._lines, self._ready, self._repairs = (
            words[:0].copy() for words in (self._lines, self._ready, self._repairs)
        )
        self.ownership = Ownership(self._ready)
        return True

    def alone(self) -> bool:
        """Say whether nobody else who lives has the block open."""
        descriptor = self._held.descriptor
        return descriptor is None or not place_held(descriptor, 0, members.MEMBERS)

    def owner(self) -> Owner:
        """Say who made the block, and whether it still has it open."""
        return self.ownership.look(self._alive)

    def table(self) -> list[Member]:
        """List who has the block open, or died with it open."""
        return list_members(self._lines[: self.used], self._alive)

    def dead(self) -> list[int]:
        """List the numbers of those who died with the block open."""
        states = self._lines[: self.used, members.STATE]
        found = [int(number) for number in np.flatnonzero(states)]
        return [number for number in found if number != self.number and not self._alive(number)]

    def line(self, number: int) -> npt.NDArray[np.int64]:
        """View a member's words."""
        line: npt.NDArray[np.int64] = self._lines[number]
        return line

    def hold_for_repair(self, numbers: list[int]) -> list[int] | None:
        """
        Become the one who repairs.

        Parameters
        ----------
        numbers : list of int
            Those thought dead.

        Returns
        -------
        list of int or None
            Those who are, perhaps none; None where another process repairs.
        """
        if not self._lock(_REPAIR):
            return None
        held = [number for number in numbers if self._lock(number)]
        # One that was repaired since, and perhaps taken anew and left, needs nothing any more.
        kept = [number for number in held if self._lines[number, members.STATE] != members.FREE]
        for number in set(held) - set(kept):
            self._unlock(number)
        if any(self._lines[number, members.STATE] == members.CREATOR for number in kept):
            # Before its place is another's: who looks must not take that one for the owner.
            self.ownership.end(died=True)
        return kept

    def count_repairs(self, dead: int, slots: int, sums: int) -> None:
        """Count what the one who repairs has done, for `stats`."""
        self._repairs[:3] += (dead, slots, sums)

    def release_after_repair(self, numbers: list[int], *, done: bool) -> None:
        """
        Free the places of the dead, and let others repair.

        Parameters
        ----------
        numbers : list of int
            What `hold_for_repair` gave.
        done : bool
            False: something is still to be done, and their lines say what.
        """
        for number in numbers:
            if done:
                self._lines[number] = 0
            self._unlock(number)
        self._unlock(_REPAIR)

    def _alive(self, number: int) -> bool:
        if number == self.number:
            return True
        descriptor = self._held.descriptor
        if descriptor is None:
            # Private memory: whoever else stands in it was copied along by a fork.
            return False
        return place_held(descriptor, number)

    def _lock(self, number: int) -> bool:
        return self._set_lock(number, exclusive=True)

    def _unlock(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._set_lock(number, exclusive=False)

    def _set_lock(self, number: int, *, exclusive: bool) -> bool:
        descriptor = self._held.descriptor
        if _SET is None or descriptor is None:
            return True
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_UNLCK
        wanted = _FLOCK.pack(kind, os.SEEK_SET, _LOCKS + number, 1, 0)
        try:
            fcntl.fcntl(descriptor, _SET, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return True


def list_members(lines: npt.NDArray[np.int64], alive: Callable[[int], bool]) -> list[Member]:
    """
    List who has a block open, or died with it open.

    Parameters
    ----------
    lines : (used, 8) int64 ndarray
    alive : callable
        Says of a number whether its place is held.

    Returns
    -------
    list of Member
    """
    return [
        Member(
            number,
            STATES.get(line[members.STATE], "unknown"),
            line[members.PROCESS],
            line[members.STARTED],
            line[members.NAMESPACE],
            line[members.JOINED_AT] / 1e9,
            bool((line[members.INSIDE] | line[members.CLEARING]) & members.INSIDE_COUNT),
            alive(number),
        )
        for number, line in enumerate(lines.tolist())
        if line[members.STATE] != members.FREE
    ]


def _nothing() -> None:
    return None


def place_held(descriptor: int, number: int, count: int = 1) -> bool:
    """
    Say whether a process that lives holds a place, or one of several; nothing is changed by it.

    Parameters
    ----------
    descriptor : int
        An open file of the block; what is held by this very opening is not seen.
    number : int
    count : int
        Places from `number` on.

    Returns
    -------
    bool
        True too where the system has no such locks: nobody can be told dead for sure.
    """
    if _GET is None:
        return True
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCKS + number, count, 0)
    told = _FLOCK.unpack(fcntl.fcntl(descriptor, _GET, asked))
    return bool(told[0] != fcntl.F_UNLCK)
