"""
The members of a block: who has it open, and who is changing its tree at this moment.

    members[number]     one cache line each process (each opening of the block, strictly)
      word 0        FREE, ATTACHED, CREATOR; MENDING: dead, and its slots are freed already
      word 1        process id
      word 2        when that process started, in clock ticks since the machine did
      word 3        its namespace of process ids
      word 4        inside: how often its threads entered the tree, << 16, and how many are inside
      word 5        clearing: the same of those that empty slots
      word 6        when it joined, in nanoseconds since 1970
      word 7        doubt: the row whose leaf a thread is about to set, as its id + 1, or the slot,
                    as -(slot + 1); 0 outside of that. Of several threads, that of one.

Who is alive is told by locks that the system drops with a process, see `replay.memory.members`;
the words are for people, and for repair: sums can be corrected only while nobody is on the way
from a leaf to the root.
"""

import numpy as np

from kernels.atomics import fetch_add, fetch_max, load
from kernels.faults import ENTERED, LEFT, fault_point
from kernels.jit import kernel

MEMBERS = 1024

STATE = 0
PROCESS = 1
STARTED = 2
NAMESPACE = 3
INSIDE = 4
CLEARING = 5
JOINED_AT = 6
DOUBT = 7

FREE = 0
ATTACHED = 1
CREATOR = 2
MENDING = 3

_LINE = 8
_ENTRY = 1 << 16
#: The bits of INSIDE and CLEARING that say how many are inside.
INSIDE_COUNT = _ENTRY - 1


@kernel
def member_counted(ready: np.ndarray, number: int) -> None:
    """
    Note that a line of the members is used.

    Parameters
    ----------
    ready : (8,) int64, written
        The control line whose word 1 counts the lines that were ever used.
    number : int

    Notes
    -----
    Units: none.
    Cost: one atomic maximum.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    fetch_max(ready, 1, number + 1)


@kernel
def member_enter(member: np.ndarray, word: int) -> None:
    """
    Announce that a thread is about to change what repair must not correct meanwhile.

    Parameters
    ----------
    member : (8,) int64, written
        The line of the thread's own process.
    word : int
        INSIDE or CLEARING.

    Notes
    -----
    Units: none.
    Cost: one atomic addition, to a line that no other process writes.
    Errors: none.
    Sharing: the threads of one process; fewer than 65536 of them.
    Source: own; after the grace periods of McKenney and Slingwine (1998), Read-Copy Update.
    """
    fetch_add(member, word, _ENTRY + 1)
    fault_point(ENTERED)


@kernel
def member_leave(member: np.ndarray, word: int) -> None:
    """
    Take back what member_enter announced.

    Parameters
    ----------
    member : (8,) int64, written
    word : int

    Notes
    -----
    Units: none.
    Cost: one atomic addition.
    Errors: none.
    Sharing: as member_enter.
    Source: own.
    """
    fetch_add(member, word, -1)
    fault_point(LEFT)


@kernel
def members_quiet(members: np.ndarray, ready: np.ndarray, word: int) -> int:
    """
    Say whether nobody is inside, by a number that changes when somebody enters.

    Parameters
    ----------
    members : (1024, 8) int64
    ready : (8,) int64
        As member_counted; read anew each time, for those who have joined between two calls.
    word : int
        INSIDE or CLEARING.

    Returns
    -------
    int
        -1: somebody is inside. Else a number; if a second call gives the same one, nobody has
        been inside in between.

    Notes
    -----
    Units: none.
    Cost: a cache line a member.
    Errors: none.
    Sharing: any number of callers. The words of the dead stay as they were: repair zeroes them.
    Source: own.
    """
    entries = 0
    for member in range(load(ready, 1)):
        announced = load(members, member * _LINE + word)
        if announced & INSIDE_COUNT != 0:
            return -1
        entries += announced
    return entries
