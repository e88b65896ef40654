"""Repair: what a process left behind that died with a block open."""

import dataclasses
from typing import Any

from kernels import members
from replay.memory.calls import Calls
from replay.memory.layout import Layout
from replay.memory.members import Members
from replay.progress import Progress

#: Slots looked at between two words about how far it is.
_STEP = 1 << 22
#: Tries of a count: a process that fills first slots meanwhile spoils one.
_TRIES = 8


@dataclasses.dataclass(frozen=True)
class Repaired:
    """
    What a repair did.

    Parameters
    ----------
    dead : int
        Processes that had died with the block open.
    slots : int
        Slots that they were filling, empty now.
    sums : int
        Sums of the priority tree that were corrected.
    finished : bool
        False: somebody was inside all the time, a process that is stopped say; the rest is done
        when repair is called again. Nothing waits for it.
    """

    dead: int = 0
    slots: int = 0
    sums: int = 0
    finished: bool = True


def repair(
    layout: Layout, register: Members, handle: Any, calls: Calls, *, always: bool = False
) -> Repaired:
    """
    Free what the dead hold, and correct counts and sums that they left between two steps.

    Everybody else goes on meanwhile. It does nothing where another process is at it.

    Parameters
    ----------
    layout : Layout
    register : Members
    handle : (words,) int64 ndarray
        Of this process.
    calls : Calls
    always : bool
        Correct counts and sums also where nobody died.

    Returns
    -------
    Repaired
    """
    thought = register.dead()
    if not thought and not always:
        return Repaired()
    dead = register.hold_for_repair(thought)
    if dead is None:
        return Repaired(finished=False)
    if not dead and not always:
        # Another process has done it meanwhile.
        register.release_after_repair(dead, done=True)
        return Repaired()
    finished = False
    slots = sums = 0
    try:
        lines = [register.line(number) for number in dead]
        # Each note of what is to be done goes after it is done: this process may die too.
        for number, line in zip(dead, lines, strict=True):
            # What it was inside of, it will not leave.
            line[members.INSIDE] = 0
            if line[members.STATE] != members.MENDING:
                slots += _free_slots(layout, number, handle, calls)
                line[members.STATE] = members.MENDING
        clearing = any(line[members.CLEARING] & members.INSIDE_COUNT for line in lines)
        # Of a row that was committed after it had lost its bytes, its writer alone knew.
        if clearing or (dead and layout.room):
            calls.rows_forget(handle)
            if layout.view and layout.room:
                # Rows that are drawn with one that has lost its bytes.
                calls.leaves_trim(handle)
        for line in lines:
            line[members.CLEARING] = 0
            if line[members.DOUBT]:
                calls.doubt_repair(handle, int(line[members.DOUBT]))
                line[members.DOUBT] = 0
        _clear_leaves(layout, handle, calls)
        counted = any(calls.counts_repair(handle) for _ in range(_TRIES))
        sums = calls.sums_repair(handle)
        finished = bool(counted and sums >= 0)
    finally:
        register.count_repairs(len(dead) if finished else 0, slots, max(sums, 0))
        register.release_after_repair(dead, done=finished)
    return Repaired(len(dead), slots, max(sums, 0), finished)


def _free_slots(layout: Layout, number: int, handle: Any, calls: Calls) -> int:
    free = calls.slots_repair
    progress = Progress(
        f"looking for slots of a process that died, number {number}", layout.capacity
    )
    freed = 0
    for first in range(0, layout.capacity, _STEP):
        freed += free(handle, number, first, min(_STEP, layout.capacity - first))
        progress.step(first)
    progress.end()
    return freed


def _clear_leaves(layout: Layout, handle: Any, calls: Calls) -> None:
    if "tree" not in layout.parts:
        return
    # Compiled, where it must be, before the words about how far it is.
    clear = calls.leaves_repair
    progress = Progress("looking for priorities of empty slots", layout.capacity)
    for first in range(0, layout.capacity, _STEP):
        clear(handle, first, min(_STEP, layout.capacity - first))
        progress.step(first)
    progress.end()
