"""
The walk of a view: from drawn slots to the rows around them, copied, computed and checked.

A block of drawn rows at a time: which slots each array is copied from is written down
(`walk_notes`), the bytes are copied array by array while they are in the caches (`walk_values`),
or into two arrays at once that share frames (`walk_stacks`), and then every word is looked at
again.
"""

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    integers_at,
    stack_integers,
)
from kernels.atomics import fence, fetch_add
from kernels.goal import DRAWS
from kernels.handle import (
    GENERATOR,
    HEAP,
    NOTICED,
    REDRAWS,
    handle_line,
    handle_outputs,
    handle_view,
)
from kernels.jit import kernel
from kernels.random import random_claim
from kernels.rows import DIMS, KIND, SCALAR, SIZE
from kernels.view import (
    COPIED,
    DESIRED,
    FLAGS,
    GOAL,
    GROUP_WORDS,
    GROUPS,
    LENGTH,
    MAJOR,
    OUTPUTS,
    STRATEGY,
    TIME,
    TIMES,
)
from kernels.walk_gather import ages_count
from kernels.walk_notes import goals_note, lanes_note, windows_ids, windows_note
from kernels.walk_stacks import stacks_fill, twins_find
from kernels.walk_values import goals_fill, kin_of, lanes_fill, windows_values
from kernels.window import window_look, window_prefetch

#: Bytes of a block: what it copies twice is still in the second cache then.
BLOCK = 1 << 18
MOST_ROWS = 64


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
        Slots; after, the ids of their rows, or MISSED where not all that was needed was whole;
        DAMAGED less the slot as rows_get.
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
    twins = stack_integers()
    most = min(max(BLOCK // max(twins_find(handle, twins), 1), 1), MOST_ROWS)
    look = window_look(handle)
    counter = 0
    if view[STRATEGY] != 0:
        counter = random_claim(handle_line(handle, GENERATOR), count * DRAWS)
    missed = 0
    first = 0
    while first < count:
        rows = min(count - first, most)
        block = integers_at(address_of(slots) + first * 8, rows)
        for row in range(rows):
            window_prefetch(look, block[row])
        windows_note(handle, notes, block)
        if view[STRATEGY] != 0:
            goals_note(handle, notes, block, counter + first * DRAWS)
        for group in range(GOAL):
            if view[GROUPS + group * GROUP_WORDS + TIMES] != 0:
                lanes_note(handle, notes, block, group)
        damaged = 0
        for output in range(view[OUTPUTS]):
            kind = outputs[output, KIND]
            size = outputs[output, SIZE]
            if outputs[output, SCALAR] == MAJOR:
                size //= outputs[output, DIMS]
            to = targets[output] + first * size
            twin = twins[output] if output < STACK else output
            if twin > output:
                twin_to = targets[twin] + first * outputs[twin, SIZE]
                stacks_fill(handle, notes, rows, output, twin, to, twin_to)
            elif twin < output:
                # Filled with that one.
                continue
            elif kind == COPIED or kind == DESIRED or (timed and kind != LENGTH):
                kin_to = 0
                if handle[HEAP] != 0 and kind == COPIED:
                    kin = kin_of(handle, output)
                    if kin >= 0:
                        kin_to = targets[kin] + first * outputs[kin, SIZE]
                damaged |= lanes_fill(handle, notes, rows, output, to, count, kin_to)
                if kind == DESIRED:
                    goals_fill(handle, notes, rows, output, to)
            else:
                windows_values(handle, notes, block, kind, to)
        # The copies' loads must be done before the words are loaded again.
        fence()
        missed += windows_ids(handle, notes, block, damaged)
        first += rows
    if missed != 0:
        fetch_add(handle_line(handle, REDRAWS), 0, missed)
        handle[NOTICED] = 1
    if missed < count:
        ages_count(handle, slots, missed)
    return missed
