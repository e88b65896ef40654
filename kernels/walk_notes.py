"""
The walk of notes: which slots the arrays of a block of drawn rows are copied from, and whether
all of them are still what they were.

The notes of a row are, in scratch:

    COUNT               steps of its window; 0: missed
    STEP                its own number in the episode
    WORD                its sequence word
    BEGIN               the first slot of its stream
    GROUPS              from here its slots, group after group, see `view`; -1 asks for zeros

Notes of one kind lie together, those of the block's rows one after the other.
"""

from typing import Any

import numpy as np

from kernels.addresses import (
    address_of,
    integers_at,
)
from kernels.atomics import load
from kernels.goal import DRAWS, goal_distance, goal_relabels
from kernels.handle import (
    GENERATOR,
    HEAP,
    ROWS,
    STREAMS,
    handle_heap,
    handle_line,
    handle_records,
    handle_view,
)
from kernels.heap import heap_stands
from kernels.jit import kernel
from kernels.ring import SHIFT, ring_read, ring_ticket
from kernels.rows import DAMAGED, MISSED
from kernels.view import (
    AFTER,
    AHEAD,
    BEFORE,
    FIRST,
    FLAGS,
    GOAL,
    GROUP_WORDS,
    GROUPS,
    INNER,
    MAJOR,
    NEXT,
    PAST,
    STACK,
    START,
    STEP_SHIFT,
    TIMES,
    ZEROS,
)
from kernels.window import (
    slot_beside,
    step_of,
    window_begins,
    window_full,
    window_look,
    window_of,
)

NOTES = 4
NOTE_COUNT = 0
NOTE_STEP = 1
NOTE_WORD = 2
NOTE_BEGIN = 3


@kernel
def notes_of(notes: np.ndarray, rows: int, note: int) -> Any:
    """Find the notes of one kind of all rows of a block, (rows,) int64."""
    return integers_at(address_of(notes) + note * rows * 8, rows)


@kernel
def goals_of(view: np.ndarray, notes: np.ndarray, rows: int) -> Any:
    """Find the goals of all rows of a block, (2 * rows,) int64: slot and word; of size 0: none."""
    here = GROUPS + GOAL * GROUP_WORDS
    size = view[here + TIMES] * view[here + INNER] * rows
    return integers_at(address_of(notes) + (NOTES + view[here + START]) * rows * 8, size)


@kernel
def windows_note(handle: np.ndarray, notes: np.ndarray, slots: np.ndarray) -> None:
    """
    Note what the windows of a block's rows are.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64, written
    slots : (rows,) int64
        The block's, as drawn.

    Notes
    -----
    Units: steps and slots.
    Cost: window_of a row.
    Errors: none; where what a row needs is not all there, its COUNT is 0.
    Sharing: any number of readers beside the one writer of each stream.
    Source: own.
    """
    records = handle_records(handle)
    ring = handle[ROWS]
    streams = handle[STREAMS]
    view = handle_view(handle)
    counts = notes_of(notes, slots.size, NOTE_COUNT)
    steps = notes_of(notes, slots.size, NOTE_STEP)
    words = notes_of(notes, slots.size, NOTE_WORD)
    begins = notes_of(notes, slots.size, NOTE_BEGIN)
    goals = goals_of(view, notes, slots.size)
    look = window_look(handle)
    for row in range(slots.size):
        slot = slots[row]
        word = ring_read(records, slot)
        step = step_of(view, slot) >> STEP_SHIFT
        stream = 0 if streams == 1 else slot // ring
        count = 0
        if word != 0 and window_begins(view, step):
            if window_full(look, stream, slot, word, step):
                count = view[AHEAD]
            else:
                step, count = window_of(handle, slot, word)
        if goals.size != 0:
            # For goals_note, which puts the goal's word into its place.
            goals[2 * row + 1] = count
        counts[row] = min(count, view[AHEAD])
        steps[row] = step
        words[row] = word
        begins[row] = stream * ring


@kernel
def lanes_note(handle: np.ndarray, notes: np.ndarray, slots: np.ndarray, group: int) -> None:
    """
    Note which slots a group's arrays are copied from.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64, written
    slots : (rows,) int64
        The block's, as drawn.
    group : int
        One that has slots.

    Notes
    -----
    Units: slots.
    Cost: O(TIMES * INNER) a row.
    Errors: none; a row that was missed is copied from no slot at all.
    Sharing: the notes are the caller's.
    Source: frames before the first are that one again, Mnih et al. (2015), Human-level control
    through deep reinforcement learning, methods, as Gymnasium's FrameStackObservation has it.
    """
    view = handle_view(handle)
    ring = handle[ROWS]
    here = GROUPS + group * GROUP_WORDS
    times = view[here + TIMES]
    inner = view[here + INNER]
    zeros = view[FLAGS] & ZEROS != 0
    counts = notes_of(notes, slots.size, NOTE_COUNT)
    steps = notes_of(notes, slots.size, NOTE_STEP)
    begins = notes_of(notes, slots.size, NOTE_BEGIN)
    lanes = integers_at(
        address_of(notes) + (NOTES + view[here + START]) * slots.size * 8,
        slots.size * times * inner,
    )
    past = group == PAST or group == BEFORE
    last = group == NEXT or group == AFTER
    if times == 1 and inner == 1:
        for row in range(slots.size):
            count = counts[row]
            distance = -1 if past else count - 1 if last else 0
            beside = slot_beside(begins[row], ring, slots[row], distance)
            lanes[row] = beside if count != 0 else -1
        return
    # From a row's note of one time to that of the next time.
    stride = inner
    if view[FLAGS] & MAJOR != 0 and group != FIRST:
        stride = slots.size * inner
    for row in range(slots.size):
        slot = slots[row]
        begin = begins[row]
        count = counts[row]
        # From the drawn row to that of the first observation, or step.
        distance = 0
        there = min(times, count)
        if past:
            distance = -1
            there = min(times, count + 1) if count != 0 else 0
        elif last:
            distance = count - 1
        at = row * inner if stride != inner else row * times * inner
        for time in range(there):
            if inner == 1:
                lanes[at] = slot_beside(begin, ring, slot, distance + time)
            else:
                step = steps[row] + distance + time
                oldest = slot + distance + time + 1 - inner
                if step + 1 >= inner and begin <= oldest and oldest + inner <= begin + ring:
                    # All stored one after the other.
                    for lane in range(inner):
                        lanes[at + lane] = oldest + lane
                    at += stride
                    continue
                for lane in range(inner):
                    back = inner - 1 - lane
                    if back > step and zeros:
                        # Before the episode's first observation.
                        lanes[at + lane] = -1
                    else:
                        beside = distance + time - min(back, step)
                        lanes[at + lane] = slot_beside(begin, ring, slot, beside)
            at += stride
        for _ in range(there, times):
            for lane in range(inner):
                lanes[at + lane] = -1
            at += stride


@kernel
def goals_note(handle: np.ndarray, notes: np.ndarray, slots: np.ndarray, counter: int) -> None:
    """
    Note which rows a block's rows take their goals from.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64, written
        As windows_note wrote them.
    slots : (rows,) int64
        The block's, as drawn.
    counter : int
        The first of the block's, DRAWS a row.

    Notes
    -----
    Units: slots.
    Cost: goal_distance a row.
    Errors: none.
    Sharing: the notes are the caller's.
    Source: as goal_distance.
    """
    view = handle_view(handle)
    ring = handle[ROWS]
    seed = handle_line(handle, GENERATOR)[0]
    counts = notes_of(notes, slots.size, NOTE_COUNT)
    steps = notes_of(notes, slots.size, NOTE_STEP)
    words = notes_of(notes, slots.size, NOTE_WORD)
    begins = notes_of(notes, slots.size, NOTE_BEGIN)
    goals = goals_of(view, notes, slots.size)
    for row in range(slots.size):
        rest = goals[2 * row + 1]
        here = counter + row * DRAWS
        goals[2 * row] = -1
        if counts[row] == 0 or not goal_relabels(view, seed, here):
            continue
        ticket = ring_ticket(words[row])
        distance = goal_distance(handle, slots[row], ticket, steps[row], rest, seed, here)
        goals[2 * row] = slot_beside(begins[row], ring, slots[row], distance)
        goals[2 * row + 1] = words[row] + distance * (1 << SHIFT)


@kernel
def windows_ids(handle: np.ndarray, notes: np.ndarray, slots: np.ndarray, damaged: int) -> int:
    """
    Turn the slots of a block into ids, where all rows of a window stayed whole while copied.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
        As windows_note wrote them, before the copies.
    slots : (rows,) int64, written
        The block's, as drawn; after, the ids of their rows, or MISSED, or DAMAGED less the slot.
    damaged : int
        A bit a row, set where its bytes in the heap were not those of a row.

    Returns
    -------
    int
        How many were missed: throw their copies away.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: a load a row of each window; the caller has put a fence before.
    Errors: as returned.
    Sharing: any number of readers.
    Source: as ring_unchanged; each word must say the very ticket that belongs there.
    """
    records = handle_records(handle)
    ring = handle[ROWS]
    streams = handle[STREAMS]
    view = handle_view(handle)
    stack = view[STACK]
    counts = notes_of(notes, slots.size, NOTE_COUNT)
    steps = notes_of(notes, slots.size, NOTE_STEP)
    words = notes_of(notes, slots.size, NOTE_WORD)
    begins = notes_of(notes, slots.size, NOTE_BEGIN)
    goals = goals_of(view, notes, slots.size)
    missed = 0
    for row in range(slots.size):
        slot = slots[row]
        word = words[row]
        count = counts[row]
        whole = count != 0
        # A later ticket's word is larger by 1 << SHIFT.
        for distance in range(-min(steps[row], stack) if whole else 0, count):
            beside = slot_beside(begins[row], ring, slot, distance)
            if handle[HEAP] != 0:
                whole &= heap_stands(handle_heap(handle), beside)
            whole &= load(records, beside * records.shape[1]) == word + distance * (1 << SHIFT)
        if whole and goals.size != 0 and goals[2 * row] >= 0:
            whole = load(records, goals[2 * row] * records.shape[1]) == goals[2 * row + 1]
        if whole and damaged >> row & 1 != 0:
            slots[row] = DAMAGED - slot
            missed += 1
        elif whole:
            stream = 0 if streams == 1 else slot // ring
            slots[row] = ring_ticket(word) * streams + stream
        else:
            slots[row] = MISSED
            missed += 1
    return missed
