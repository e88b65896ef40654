"""
The walk of a view: from drawn slots to the rows around them, copied, computed and checked.

A block of drawn rows at a time: which slots each array is copied from is written down, the bytes
are copied array by array while they are in the caches, and then every word is looked at again.
The notes of a row are, in scratch:

    SLOT                where its window begins; -1: missed
    COUNT               steps of its window
    DEPTH               rows before it that it needs
    WORD                its sequence word
    GROUPS              from here its slots, group after group, see `view`; -1 asks for zeros

Notes of one kind lie together, those of all rows one after the other.
"""

import numpy as np

from kernels.addresses import (
    address_of,
    copy,
    integers_at,
    load_float32,
    load_float64,
    load_int64,
    prefetch,
    store_float32,
    store_float64,
    store_int64,
    store_uint8,
)
from kernels.atomics import fence, fetch_add, load
from kernels.handle import (
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
from kernels.ring import SHIFT, ring_read, ring_ticket
from kernels.rows import ADDRESS, KIND, MISSED, SIZE, STRIDE
from kernels.view import (
    AFTER,
    AHEAD,
    BEFORE,
    BYTES,
    COPIED,
    DISCOUNT,
    DISCOUNTED,
    ENDED,
    FIRST,
    FLAGS,
    GROUP_WORDS,
    GROUPS,
    HERE,
    INNER,
    LANES,
    LENGTH,
    MAJOR,
    MASK,
    NEXT,
    OUTPUTS,
    PAST,
    REWARD_ADDRESS,
    REWARD_SIZE,
    REWARD_STRIDE,
    REWARD_SUM,
    STACK,
    START,
    STEP_SHIFT,
    TERMINATED,
    TERMINATED_BIT,
    TIME,
    TIMES,
    TRUNCATED_BIT,
    ZEROS,
)
from kernels.walk_gather import ages_count
from kernels.window import slot_beside, step_of, window_of

NOTES = 4
NOTE_SLOT = 0
NOTE_COUNT = 1
NOTE_DEPTH = 2
NOTE_WORD = 3
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
    if size == 8:
        for lane in range(lanes.size):
            slot = lanes[lane]
            store_int64(to + lane * 8, load_int64(base + slot * stride) if slot >= 0 else 0)
        return
    for lane in range(lanes.size):
        slot = lanes[lane]
        if slot >= 0:
            copy(to + lane * size, base + slot * stride, size)
        else:
            bytes_clear(to + lane * size, size)


@kernel
def lane_at(view: np.ndarray, group: int, count: int, row: int, time: int) -> int:
    """
    Say where a row's slots of a group are noted, for one time.

    Parameters
    ----------
    view : (64,) int64
    group : int
    count : int
        Rows of the batch.
    row : int
    time : int

    Returns
    -------
    int
        Of the first of INNER words.

    Notes
    -----
    Units: words of scratch.
    Cost: O(1).
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    here = GROUPS + group * GROUP_WORDS
    times = view[here + TIMES]
    place = row * times + time
    if view[FLAGS] & MAJOR != 0 and group != FIRST:
        place = time * count + row
    return (NOTES + view[here + START]) * count + place * view[here + INNER]


@kernel
def window_stack(
    handle: np.ndarray, notes: np.ndarray, group: int, row: int, time: int, offset: int
) -> None:
    """
    Note which slots the stack of an observation is copied from.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64, written
    group : int
    row : int
    time : int
    offset : int
        Of the observation's row from the drawn one, in tickets.

    Notes
    -----
    Units: slots.
    Cost: O(INNER).
    Errors: none.
    Sharing: the notes are the caller's.
    Source: frames before the first are that one again, Mnih et al. (2015), Human-level control
    through deep reinforcement learning, methods, as Gymnasium's FrameStackObservation has it.
    """
    view = handle_view(handle)
    rows = handle[ROWS]
    count = notes.size // (NOTES + view[LANES])
    slot = notes[NOTE_SLOT * count + row]
    ticket = ring_ticket(notes[NOTE_WORD * count + row])
    first = 0 if handle[STREAMS] == 1 else slot - ticket % rows
    inner = view[GROUPS + group * GROUP_WORDS + INNER]
    step = (step_of(view, slot) >> STEP_SHIFT) + offset
    at = lane_at(view, group, count, row, time)
    for lane in range(inner):
        back = inner - 1 - lane
        if back > step:
            # Before the episode's first observation.
            if view[FLAGS] & ZEROS != 0:
                notes[at + lane] = -1
                continue
            back = step
        notes[at + lane] = slot_beside(first, rows, slot, offset - back)


@kernel
def window_notes(handle: np.ndarray, notes: np.ndarray, row: int, slot: int) -> bool:
    """
    Note which slots the arrays of a drawn row are copied from.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64, written
    row : int
        Position in the batch.
    slot : int
        As drawn.

    Returns
    -------
    bool
        False: what the row needs is not all there, draw again.

    Notes
    -----
    Units: slots.
    Cost: O(LANES), and window_of.
    Errors: as returned.
    Sharing: any number of readers beside the one writer of the stream.
    Source: own.
    """
    view = handle_view(handle)
    lanes = view[LANES]
    count = notes.size // (NOTES + lanes)
    rows = handle[ROWS]
    word = ring_read(handle_records(handle), slot)
    step = 0
    steps = 0
    if word != 0:
        step, steps = window_of(handle, slot, word)
    if steps == 0:
        notes[NOTE_SLOT * count + row] = -1
        return False
    if view[FLAGS] & ENDED != 0:
        steps = min(steps, view[AHEAD])
    ticket = ring_ticket(word)
    first = 0 if handle[STREAMS] == 1 else slot - ticket % rows
    notes[NOTE_SLOT * count + row] = slot
    notes[NOTE_COUNT * count + row] = steps
    notes[NOTE_DEPTH * count + row] = min(step, view[STACK])
    notes[NOTE_WORD * count + row] = word
    for group in (PAST, BEFORE):
        times = view[GROUPS + group * GROUP_WORDS + TIMES]
        inner = view[GROUPS + group * GROUP_WORDS + INNER]
        for time in range(times):
            if time <= steps:
                window_stack(handle, notes, group, row, time, time - 1)
            else:
                at = lane_at(view, group, count, row, time)
                for lane in range(inner):
                    notes[at + lane] = -1
    for group in (NEXT, AFTER):
        if view[GROUPS + group * GROUP_WORDS + TIMES] != 0:
            window_stack(handle, notes, group, row, 0, steps - 1)
    for time in range(view[GROUPS + HERE * GROUP_WORDS + TIMES]):
        at = lane_at(view, HERE, count, row, time)
        notes[at] = slot_beside(first, rows, slot, time) if time < steps else -1
    if view[GROUPS + FIRST * GROUP_WORDS + TIMES] != 0:
        notes[lane_at(view, FIRST, count, row, 0)] = slot
    return True


@kernel
def window_unchanged(handle: np.ndarray, notes: np.ndarray, row: int) -> bool:
    """
    Say whether all rows of a window stayed whole while they were copied.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64
        As window_notes wrote them, before the copy.
    row : int

    Returns
    -------
    bool
        False: a writer came, throw the copies away.

    Notes
    -----
    Units: none.
    Cost: a load a row; the caller has put a fence before.
    Errors: none.
    Sharing: any number of readers.
    Source: as ring_unchanged; each word must say the very ticket that belongs there.
    """
    view = handle_view(handle)
    records = handle_records(handle)
    rows = handle[ROWS]
    count = notes.size // (NOTES + view[LANES])
    slot = notes[NOTE_SLOT * count + row]
    word = notes[NOTE_WORD * count + row]
    first = 0 if handle[STREAMS] == 1 else slot - ring_ticket(word) % rows
    # A later ticket's word is larger by 1 << SHIFT.
    for distance in range(-notes[NOTE_DEPTH * count + row], notes[NOTE_COUNT * count + row]):
        beside = slot_beside(first, rows, slot, distance)
        if load(records, beside * records.shape[1]) != word + distance * (1 << SHIFT):
            return False
    return True


@kernel
def reward_at(view: np.ndarray, slot: int) -> float:
    """Read the reward of a row, float32 or float64."""
    at = view[REWARD_ADDRESS] + slot * view[REWARD_STRIDE]
    if view[REWARD_SIZE] == 4:
        return np.float64(load_float32(at))
    return load_float64(at)


@kernel
def window_value(handle: np.ndarray, notes: np.ndarray, row: int, kind: int, to: int) -> None:
    """
    Compute a value of a window that has no axis of time.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64
    row : int
    kind : int
        REWARD_SUM, DISCOUNTED, TERMINATED, TRUNCATED or LENGTH.
    to : int
        Address of the value, *written*: as the field, float32, bool, bool, int64.

    Notes
    -----
    Units: those of the rewards.
    Cost: O(steps) for a sum, else O(1).
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: Sutton and Barto (2018), Reinforcement Learning, 7.1: n-step returns; the episode's end
    by termination has no value behind it, by truncation it has.
    """
    view = handle_view(handle)
    rows = handle[ROWS]
    count = notes.size // (NOTES + view[LANES])
    slot = notes[NOTE_SLOT * count + row]
    steps = notes[NOTE_COUNT * count + row]
    if kind == LENGTH:
        store_int64(to, steps)
        return
    first = 0
    if handle[STREAMS] != 1:
        first = slot - ring_ticket(notes[NOTE_WORD * count + row]) % rows
    discount = bits_float(view[DISCOUNT])
    if kind == REWARD_SUM:
        total = 0.0
        power = 1.0
        for distance in range(steps):
            total += power * reward_at(view, slot_beside(first, rows, slot, distance))
            power *= discount
        if view[REWARD_SIZE] == 4:
            store_float32(to, total)
        else:
            store_float64(to, total)
        return
    flags = step_of(view, slot_beside(first, rows, slot, steps - 1))
    if kind == DISCOUNTED:
        power = 1.0
        for _ in range(steps):
            power *= discount
        if flags & TERMINATED_BIT != 0:
            power = 0.0
        store_float32(to, power)
    elif kind == TERMINATED:
        store_uint8(to, flags & TERMINATED_BIT)
    else:
        store_uint8(to, np.int64(flags & TRUNCATED_BIT != 0))


@kernel
def steps_values(handle: np.ndarray, notes: np.ndarray, row: int, kind: int, to: int) -> None:
    """
    Compute the values of a window that have an axis of time.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64
    row : int
    kind : int
        TERMINATED, TRUNCATED or MASK.
    to : int
        Address of the whole array of bool, *written* at the row's places.

    Notes
    -----
    Units: none.
    Cost: O(AHEAD).
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    view = handle_view(handle)
    count = notes.size // (NOTES + view[LANES])
    times = view[AHEAD]
    steps = 0
    if notes[NOTE_SLOT * count + row] >= 0:
        steps = notes[NOTE_COUNT * count + row]
    for time in range(times):
        value = 0
        if time < steps:
            value = 1
            if kind != MASK:
                flags = step_of(view, notes[lane_at(view, HERE, count, row, time)])
                bit = TERMINATED_BIT if kind == TERMINATED else TRUNCATED_BIT
                value = np.int64(flags & bit != 0)
        place = row * times + time
        if view[FLAGS] & MAJOR != 0:
            place = time * count + row
        store_uint8(to + place, value)


@kernel
def output_copy(
    handle: np.ndarray, notes: np.ndarray, output: int, to: int, first: int, after: int
) -> None:
    """
    Fill some rows of an array that is copied.

    Parameters
    ----------
    handle : (words,) int64
    notes : (n * words,) int64
    output : int
    to : int
        Address of the array, *written*.
    first : int
        The first row.
    after : int
        The row after the last.

    Notes
    -----
    Units: rows.
    Cost: O(bytes).
    Errors: none.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    plan = handle_plan(handle)
    count = notes.size // (NOTES + view[LANES])
    field = outputs[output, ADDRESS]
    group = outputs[output, STRIDE]
    times = view[GROUPS + group * GROUP_WORDS + TIMES]
    inner = view[GROUPS + group * GROUP_WORDS + INNER]
    size = plan[field, SIZE]
    base = (NOTES + view[GROUPS + group * GROUP_WORDS + START]) * count
    turns = 1
    lanes = (after - first) * times * inner
    if view[FLAGS] & MAJOR != 0 and group != FIRST:
        turns = times
        lanes = (after - first) * inner
    for turn in range(turns):
        at = lane_at(view, group, count, first, turn)
        slots = integers_at(address_of(notes) + at * 8, lanes)
        lanes_copy(plan, field, to + (at - base) * size, slots)


@kernel
def view_gather(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, notes: np.ndarray
) -> int:
    """
    Copy what a view makes of drawn slots into arrays, and turn the slots into ids.

    Parameters
    ----------
    handle : (words,) int64
        The statistics it points at are *written*.
    targets : (outputs,) int64
        Addresses of the arrays that are *written*.
    slots : (n,) int64, written
        Slots; after, the ids of their rows, or MISSED where not all that was needed was whole.
    notes : (n * (4 + LANES),) int64, written

    Returns
    -------
    int
        How many were missed; draw those again.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: O(n * bytes of a row of the batch).
    Errors: as returned.
    Sharing: any number of readers beside writers; no row of a window is ever torn or of another
    episode.
    Source: seqlock, as ring_take.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    records = handle_records(handle)
    streams = handle[STREAMS]
    count = slots.size
    timed = view[FLAGS] & TIME != 0
    most = min(max(BLOCK // max(view[BYTES], 1), 1), MOST_ROWS)
    missed = 0
    first = 0
    while first < count:
        after = min(first + most, count)
        for row in range(first, after):
            line = address_of(records) + slots[row] * records.shape[1] * 8
            prefetch(line)
            # The row before it is needed as well.
            prefetch(line - 64)
        for row in range(first, after):
            if not window_notes(handle, notes, row, slots[row]):
                # Its lanes are whatever they were: copied from no slot at all.
                for lane_group in range(FIRST + 1):
                    here = GROUPS + lane_group * GROUP_WORDS
                    for time in range(view[here + TIMES]):
                        at = lane_at(view, lane_group, count, row, time)
                        for lane in range(view[here + INNER]):
                            notes[at + lane] = -1
        for output in range(view[OUTPUTS]):
            kind = outputs[output, KIND]
            if kind == COPIED:
                output_copy(handle, notes, output, targets[output], first, after)
                continue
            for row in range(first, after):
                if timed and kind != LENGTH:
                    steps_values(handle, notes, row, kind, targets[output])
                elif notes[NOTE_SLOT * count + row] >= 0:
                    to = targets[output] + row * outputs[output, SIZE]
                    window_value(handle, notes, row, kind, to)
        # The copies' loads must be done before the words are loaded again.
        fence()
        for row in range(first, after):
            slot = slots[row]
            if notes[NOTE_SLOT * count + row] >= 0 and window_unchanged(handle, notes, row):
                ticket = ring_ticket(notes[NOTE_WORD * count + row])
                slots[row] = ticket if streams == 1 else ticket * streams + slot // handle[ROWS]
            else:
                slots[row] = MISSED
                missed += 1
        first = after
    if missed != 0:
        fetch_add(handle_line(handle, REDRAWS), 0, missed)
        handle[NOTICED] = 1
    if missed < count:
        ages_count(handle, slots, missed)
    return missed
