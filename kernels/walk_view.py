"""
The walk of a view: from drawn slots to the rows around them, copied, computed and checked.

A block of drawn rows at a time: which slots each array is copied from is written down, the bytes
are copied array by array while they are in the caches, and then every word is looked at again.
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
    copy,
    copy_32,
    integers_at,
    load_float32,
    load_float64,
    load_int32,
    load_int64,
    store_float32,
    store_float64,
    store_int32,
    store_int64,
    store_uint8,
)
from kernels.atomics import fence, fetch_add, load
from kernels.goal import DRAWS, goal_distance, goal_relabels
from kernels.handle import (
    GENERATOR,
    NOTICED,
    REDRAWS,
    ROWS,
    STREAMS,
    handle_line,
    handle_outputs,
    handle_plan,
    handle_records,
    handle_view,
)
from kernels.jit import kernel
from kernels.power import bits_float
from kernels.random import random_claim
from kernels.ring import SHIFT, ring_read, ring_ticket
from kernels.rows import ADDRESS, DIMS, KIND, MISSED, SCALAR, SIZE, STRIDE
from kernels.view import (
    ACHIEVED,
    AFTER,
    AHEAD,
    BEFORE,
    BYTES,
    COPIED,
    DESIRED,
    DISCOUNT,
    DISCOUNTED,
    FIRST,
    FLAGS,
    GOAL,
    GROUP_WORDS,
    GROUPS,
    INNER,
    LENGTH,
    MAJOR,
    MASK,
    NEXT,
    OUTPUTS,
    PAST,
    RELABELLED,
    REWARD_ADDRESS,
    REWARD_SIZE,
    REWARD_STRIDE,
    REWARD_SUM,
    STACK,
    START,
    STEP_SHIFT,
    STRATEGY,
    TERMINATED,
    TERMINATED_BIT,
    TIME,
    TIMES,
    TRUNCATED_BIT,
    ZEROS,
)
from kernels.walk_gather import ages_count
from kernels.window import (
    slot_beside,
    step_of,
    window_begins,
    window_full,
    window_of,
    window_prefetch,
)

NOTES = 4
NOTE_COUNT = 0
NOTE_STEP = 1
NOTE_WORD = 2
NOTE_BEGIN = 3
#: Bytes of a block: what it copies twice is still in the second cache then.
BLOCK = 1 << 18
MOST_ROWS = 64


@kernel
def bytes_clear(to: int, size: int) -> None:
    """
    Write zeros.

    Parameters
    ----------
    to : int
        Address of bytes that are *written*.
    size : int

    Notes
    -----
    Units: bytes.
    Cost: O(size).
    Errors: none; addresses are trusted.
    Sharing: the bytes are the caller's.
    Source: own.
    """
    done = 0
    while done + 8 <= size:
        store_int64(to + done, 0)
        done += 8
    while done < size:
        store_uint8(to + done, 0)
        done += 1


@kernel
def lanes_copy(plan: np.ndarray, field: int, to: int, lanes: np.ndarray) -> None:
    """
    Copy one field of several slots, or zeros where there is none.

    Parameters
    ----------
    plan : (fields, 16) int64
    field : int
    to : int
        Address of n rows of the field, *written*.
    lanes : (n,) int64
        Slots; -1 for zeros.

    Notes
    -----
    Units: rows.
    Cost: O(n * bytes of the field).
    Errors: none; addresses are trusted.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    base = plan[field, ADDRESS]
    stride = plan[field, STRIDE]
    size = plan[field, SIZE]
    # The switch on the commonest sizes outside the loop.
    if size == 8:
        for lane in range(lanes.size):
            slot = lanes[lane]
            store_int64(to + lane * 8, load_int64(base + slot * stride) if slot >= 0 else 0)
        return
    if size == 4:
        for lane in range(lanes.size):
            slot = lanes[lane]
            store_int32(to + lane * 4, load_int32(base + slot * stride) if slot >= 0 else 0)
        return
    if size == 32:
        for lane in range(lanes.size):
            slot = lanes[lane]
            if slot >= 0:
                copy_32(to + lane * 32, base + slot * stride)
            else:
                bytes_clear(to + lane * 32, 32)
        return
    for lane in range(lanes.size):
        slot = lanes[lane]
        if slot >= 0:
            copy(to + lane * size, base + slot * stride, size)
        else:
            bytes_clear(to + lane * size, size)


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
    for row in range(slots.size):
        slot = slots[row]
        word = ring_read(records, slot)
        step = step_of(view, slot) >> STEP_SHIFT
        count = 0
        if word != 0 and window_begins(view, step):
            if window_full(handle, slot, word, step):
                count = view[AHEAD]
            else:
                step, count = window_of(handle, slot, word)
        if goals.size != 0:
            # For goals_note, which puts the goal's word into its place.
            goals[2 * row + 1] = count
        counts[row] = min(count, view[AHEAD])
        steps[row] = step
        words[row] = word
        begins[row] = 0 if streams == 1 else slot // ring * ring


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
                lanes[at] = slot_beside(begins[row], ring, slots[row], distance + time)
            else:
                step = steps[row] + distance + time
                for lane in range(inner):
                    back = inner - 1 - lane
                    if back > step and zeros:
                        # Before the episode's first observation.
                        lanes[at + lane] = -1
                    else:
                        beside = distance + time - min(back, step)
                        lanes[at + lane] = slot_beside(begins[row], ring, slots[row], beside)
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
def windows_ids(handle: np.ndarray, notes: np.ndarray, slots: np.ndarray) -> int:
    """
    Turn the slots of a block into ids, where all rows of a window stayed whole while copied.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
        As windows_note wrote them, before the copies.
    slots : (rows,) int64, written
        The block's, as drawn; after, the ids of their rows, or MISSED.

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
            whole &= load(records, beside * records.shape[1]) == word + distance * (1 << SHIFT)
        if whole and goals.size != 0 and goals[2 * row] >= 0:
            whole = load(records, goals[2 * row] * records.shape[1]) == goals[2 * row + 1]
        if whole:
            stream = 0 if streams == 1 else slot // ring
            slots[row] = ring_ticket(word) * streams + stream
        else:
            slots[row] = MISSED
            missed += 1
    return missed


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
        Address of the values, *written* but for rows that were missed: as the field, float32,
        bool, bool, int64, bool.

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
        flags = step_of(view, slot_beside(begins[row], ring, slots[row], count - 1))
        if kind == DISCOUNTED:
            power = 1.0
            for _ in range(count):
                power *= discount
            if flags & TERMINATED_BIT != 0:
                power = 0.0
            store_float32(to + row * 4, power)
        elif kind == TERMINATED:
            store_uint8(to + row, flags & TERMINATED_BIT)
        else:
            store_uint8(to + row, np.int64(flags & TRUNCATED_BIT != 0))


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
def lanes_fill(
    handle: np.ndarray, notes: np.ndarray, rows: int, output: int, to: int, after: int
) -> None:
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

    Notes
    -----
    Units: rows.
    Cost: O(bytes).
    Errors: none.
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
    lanes = rows * times * inner
    if view[FLAGS] & MAJOR != 0 and line[STRIDE] != FIRST:
        turns = times
        lanes = rows * inner
    at = address_of(notes) + (NOTES + view[here + START]) * rows * 8
    for _ in range(turns):
        if copied:
            lanes_copy(plan, line[ADDRESS], to, integers_at(at, lanes))
        else:
            steps_values(view, line[KIND], to, integers_at(at, lanes))
        at += lanes * 8
        to += after * inner * size


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


@kernel
def view_gather(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, notes: np.ndarray
) -> int:
    """
    Copy what a view makes of drawn slots into arrays, and turn the slots into ids.

    Parameters
    ----------
    handle : (words,) int64
        The statistics it points at are *written*, and the generator where rows are relabelled.
    targets : (outputs,) int64
        Addresses of the arrays that are *written*.
    slots : (n,) int64, written
        Slots; after, the ids of their rows, or MISSED where not all that was needed was whole.
    notes : (min(n, MOST_ROWS) * (4 + LANES),) int64, written

    Returns
    -------
    int
        How many were missed; draw those again.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: O(n * bytes of a row of the batch); where rows are relabelled one claim of counters, of
    the generator that draws are made with.
    Errors: as returned.
    Sharing: any number of readers beside writers; no row of a window is ever torn or of another
    episode.
    Source: seqlock, as ring_take.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    count = slots.size
    timed = view[FLAGS] & TIME != 0
    most = min(max(BLOCK // max(view[BYTES], 1), 1), MOST_ROWS)
    counter = 0
    if view[STRATEGY] != 0:
        counter = random_claim(handle_line(handle, GENERATOR), count * DRAWS)
    missed = 0
    first = 0
    while first < count:
        rows = min(count - first, most)
        block = integers_at(address_of(slots) + first * 8, rows)
        for row in range(rows):
            window_prefetch(handle, block[row])
        windows_note(handle, notes, block)
        if view[STRATEGY] != 0:
            goals_note(handle, notes, block, counter + first * DRAWS)
        for group in range(GOAL):
            if view[GROUPS + group * GROUP_WORDS + TIMES] != 0:
                lanes_note(handle, notes, block, group)
        for output in range(view[OUTPUTS]):
            kind = outputs[output, KIND]
            size = outputs[output, SIZE]
            if outputs[output, SCALAR] == MAJOR:
                size //= outputs[output, DIMS]
            to = targets[output] + first * size
            if kind == COPIED or kind == DESIRED or (timed and kind != LENGTH):
                lanes_fill(handle, notes, rows, output, to, count)
                if kind == DESIRED:
                    goals_fill(handle, notes, rows, output, to)
            else:
                windows_values(handle, notes, block, kind, to)
        # The copies' loads must be done before the words are loaded again.
        fence()
        missed += windows_ids(handle, notes, block)
        first += rows
    if missed != 0:
        fetch_add(handle_line(handle, REDRAWS), 0, missed)
        handle[NOTICED] = 1
    if missed < count:
        ages_count(handle, slots, missed)
    return missed
