"""The walk of the arrays of a batch: copied out of the noted slots, or computed from them."""

import numpy as np

from kernels.addresses import (
    address_of,
    copy,
    integers_at,
    load_float32,
    load_float64,
    stack_integers,
    store_float32,
    store_float64,
    store_int64,
    store_uint8,
)
from kernels.entries import call_1
from kernels.handle import (
    ROWS,
    handle_outputs,
    handle_plan,
    handle_view,
)
from kernels.heap import (
    GET,
    REQUEST_COUNT,
    REQUEST_EACH,
    REQUEST_KIN,
    REQUEST_KIN_TO,
    REQUEST_LANES,
    REQUEST_LINE,
    REQUEST_STACK,
    REQUEST_TO,
    heap_of,
)
from kernels.jit import kernel
from kernels.lanes import lanes_copy
from kernels.power import bits_float
from kernels.rows import ADDRESS, HEAPED, KIND, SIZE, STRIDE
from kernels.view import (
    ACHIEVED,
    COPIED,
    DESIRED,
    DISCOUNT,
    FIRST,
    FLAGS,
    GROUP_WORDS,
    GROUPS,
    INNER,
    LENGTH,
    MAJOR,
    MASK,
    RELABELLED,
    REWARD_ADDRESS,
    REWARD_SIZE,
    REWARD_STRIDE,
    REWARD_SUM,
    START,
    TERMINATED,
    TERMINATED_BIT,
    TIME,
    TIMES,
    TRUNCATED,
    TRUNCATED_BIT,
)
from kernels.walk_notes import NOTE_BEGIN, NOTE_COUNT, NOTES, goals_of, notes_of
from kernels.window import (
    slot_beside,
    step_of,
)


@kernel
def reward_at(view: np.ndarray, slot: int) -> float:
    """Read the reward of a row, float32 or float64."""
    at = view[REWARD_ADDRESS] + slot * view[REWARD_STRIDE]
    if view[REWARD_SIZE] == 4:
        return np.float64(load_float32(at))
    return load_float64(at)


@kernel
def windows_values(
    handle: np.ndarray, notes: np.ndarray, slots: np.ndarray, kind: int, to: int
) -> None:
    """
    Compute a value of each window that has no axis of time.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
    slots : (rows,) int64
        The block's, as drawn.
    kind : int
        REWARD_SUM, DISCOUNTED, TERMINATED, TRUNCATED, LENGTH or RELABELLED.
    to : int
        Address of the values, *written*, but of no meaning for rows that were missed: as the
        field, float32, bool, bool, int64, bool.

    Notes
    -----
    Units: those of the rewards.
    Cost: O(steps) a row for a sum, else O(1).
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: Sutton and Barto (2018), Reinforcement Learning, 7.1: n-step returns; the episode's end
    by termination has no value behind it, by truncation it has.
    """
    view = handle_view(handle)
    ring = handle[ROWS]
    discount = bits_float(view[DISCOUNT])
    size = view[REWARD_SIZE]
    counts = notes_of(notes, slots.size, NOTE_COUNT)
    begins = notes_of(notes, slots.size, NOTE_BEGIN)
    goals = goals_of(view, notes, slots.size)
    if kind == TERMINATED or kind == TRUNCATED:
        # Of every view: the switch outside the loop.
        bit = TERMINATED_BIT if kind == TERMINATED else TRUNCATED_BIT
        for row in range(slots.size):
            # Of a missed row, whose count is 0, it is that of another one.
            last = slot_beside(begins[row], ring, slots[row], counts[row] - 1)
            store_uint8(to + row, np.int64(step_of(view, last) & bit != 0))
        return
    for row in range(slots.size):
        count = counts[row]
        if count == 0:
            continue
        if kind == LENGTH:
            store_int64(to + row * 8, count)
            continue
        if kind == RELABELLED:
            store_uint8(to + row, np.int64(goals[2 * row] >= 0))
            continue
        if kind == REWARD_SUM:
            total = 0.0
            power = 1.0
            for distance in range(count):
                total += power * reward_at(
                    view, slot_beside(begins[row], ring, slots[row], distance)
                )
                power *= discount
            if size == 4:
                store_float32(to + row * 4, total)
            else:
                store_float64(to + row * 8, total)
            continue
        # DISCOUNTED, what the value behind the window counts.
        flags = step_of(view, slot_beside(begins[row], ring, slots[row], count - 1))
        power = 1.0
        for _ in range(count):
            power *= discount
        if flags & TERMINATED_BIT != 0:
            power = 0.0
        store_float32(to + row * 4, power)


@kernel
def steps_values(view: np.ndarray, kind: int, to: int, lanes: np.ndarray) -> None:
    """
    Compute a value of each of several steps.

    Parameters
    ----------
    view : (64,) int64
    kind : int
        TERMINATED, TRUNCATED or MASK.
    to : int
        Address of n values of bool, *written*.
    lanes : (n,) int64
        Slots; -1 where there is no step.

    Notes
    -----
    Units: none.
    Cost: O(n).
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    bit = TERMINATED_BIT if kind == TERMINATED else TRUNCATED_BIT
    for lane in range(lanes.size):
        slot = lanes[lane]
        value = np.int64(slot >= 0)
        if kind != MASK and slot >= 0:
            value = np.int64(step_of(view, slot) & bit != 0)
        store_uint8(to + lane, value)


@kernel
def kin_of(handle: np.ndarray, output: int) -> int:
    """
    Find an earlier array that the same drawn rows are copied into out of the same field.

    Parameters
    ----------
    handle : (words,) int64
    output : int
        Copied.

    Returns
    -------
    int
        -1: there is none, or it has slots of another number.

    Notes
    -----
    Units: none.
    Cost: O(outputs).
    Errors: none.
    Sharing: reads the caller's own.
    Source: own. Of two stacks one step apart, all observations but one are the same.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    if view[FLAGS] & TIME != 0:
        return -1
    here = GROUPS + outputs[output, STRIDE] * GROUP_WORDS
    for other in range(output):
        there = GROUPS + outputs[other, STRIDE] * GROUP_WORDS
        if (
            outputs[other, ADDRESS] == outputs[output, ADDRESS]
            and outputs[other, KIND] == COPIED
            and view[there + INNER] == view[here + INNER]
        ):
            return other
    return -1


@kernel
def lanes_fill(
    handle: np.ndarray, notes: np.ndarray, rows: int, output: int, to: int, after: int, kin_to: int
) -> int:
    """
    Fill a block's rows of an array that has a place for each of its group's slots.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
    rows : int
        Of the block.
    output : int
        Copied, or computed of each step.
    to : int
        Address of the block's first row, *written*.
    after : int
        Rows from one time's to the next one's, where time comes first.
    kin_to : int
        Address of the block's first row of the array that kin_of found; 0 for none.

    Returns
    -------
    int
        A bit a row, set where its bytes in the heap were not those of a row.

    Notes
    -----
    Units: rows.
    Cost: O(bytes).
    Errors: as returned.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    view = handle_view(handle)
    line = handle_outputs(handle)[output]
    plan = handle_plan(handle)
    here = GROUPS + line[STRIDE] * GROUP_WORDS
    times = view[here + TIMES]
    inner = view[here + INNER]
    copied = line[KIND] == COPIED or line[KIND] == DESIRED
    size = plan[line[ADDRESS], SIZE] if copied else 1
    turns = 1
    each = times * inner
    if view[FLAGS] & MAJOR != 0 and line[STRIDE] != FIRST:
        turns = times
        each = inner
    lanes = rows * each
    begin = address_of(notes) + NOTES * rows * 8
    at = begin + view[here + START] * rows * 8
    damaged = 0
    for _ in range(turns):
        if copied and plan[line[ADDRESS], HEAPED] != 0:
            request = stack_integers()
            request[REQUEST_LINE] = plan[line[ADDRESS], HEAPED]
            request[REQUEST_TO] = to
            request[REQUEST_LANES] = at
            request[REQUEST_COUNT] = lanes
            request[REQUEST_EACH] = each
            request[REQUEST_STACK] = inner
            request[REQUEST_KIN] = 0
            if kin_to != 0:
                kin = GROUPS + handle_outputs(handle)[kin_of(handle, output), STRIDE] * GROUP_WORDS
                request[REQUEST_KIN] = begin + view[kin + START] * rows * 8
                request[REQUEST_KIN_TO] = kin_to
            damaged |= call_1(heap_of(request[REQUEST_LINE])[GET], address_of(request))
        elif copied:
            lanes_copy(plan, line[ADDRESS], to, integers_at(at, lanes))
        else:
            steps_values(view, line[KIND], to, integers_at(at, lanes))
        at += lanes * 8
        to += after * inner * size
    return damaged


@kernel
def goals_fill(handle: np.ndarray, notes: np.ndarray, rows: int, output: int, to: int) -> None:
    """
    Put the new goals of a block's relabelled rows into an array that holds the old ones.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
    rows : int
        Of the block.
    output : int
        Its window has no axis of time.
    to : int
        Address of the block's first row, *written* at the places of relabelled rows.

    Notes
    -----
    Units: rows.
    Cost: O(bytes); all observations of a stack have the one goal.
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: as goal_distance.
    """
    view = handle_view(handle)
    plan = handle_plan(handle)
    here = GROUPS + handle_outputs(handle)[output, STRIDE] * GROUP_WORDS
    inner = view[here + INNER]
    field = view[ACHIEVED]
    size = plan[field, SIZE]
    goals = goals_of(view, notes, rows)
    lanes = integers_at(address_of(notes) + (NOTES + view[here + START]) * rows * 8, rows * inner)
    for row in range(rows):
        goal = goals[2 * row]
        if goal < 0:
            continue
        source = plan[field, ADDRESS] + goal * plan[field, STRIDE]
        for lane in range(row * inner, (row + 1) * inner):
            # Zeros before the first observation stay zeros.
            if lanes[lane] >= 0:
                copy(to + lane * size, source, size)
