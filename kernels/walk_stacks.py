"""
The walk of stacks: two arrays of a batch that hold many of the same observations, filled at once.

Of a stack and the one that follows it, all observations but the first and the last are the same
frames. Such arrays are twins: of one field, wide, and not of the heap. A frame that is in both is
read once.
"""

import numpy as np

from kernels.addresses import STACK, address_of, integers_at
from kernels.handle import handle_outputs, handle_plan, handle_view
from kernels.jit import kernel
from kernels.lanes import wide_fill
from kernels.rows import ADDRESS, HEAPED, KIND, SIZE, STRIDE
from kernels.view import BYTES, COPIED, FLAGS, GROUP_WORDS, GROUPS, INNER, OUTPUTS, START, TIME
from kernels.walk_notes import NOTE_COUNT, NOTES, notes_of
from kernels.walk_values import kin_of
from kernels.wide import WIDE, copy_twice, head_prefetch


@kernel
def twins_find(handle: np.ndarray, twins: np.ndarray) -> int:
    """
    Find the arrays of a batch that are filled two at once.

    Parameters
    ----------
    handle : (words,) int64
        With a view.
    twins : (64,) int64, written
        For each of the first arrays the number of its twin; its own where it has none.

    Returns
    -------
    int
        Bytes of a row in all arrays that have no twin.

    Notes
    -----
    Units: bytes.
    Cost: O(outputs), and O(outputs) more for each that is wide and stacked.
    Errors: none.
    Sharing: reads the caller's own.
    Source: own.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    plan = handle_plan(handle)
    alone = view[BYTES]
    for output in range(min(view[OUTPUTS], STACK)):
        twins[output] = output
        if view[FLAGS] & TIME != 0 or outputs[output, KIND] != COPIED:
            continue
        field = outputs[output, ADDRESS]
        if plan[field, SIZE] < WIDE or plan[field, HEAPED] != 0:
            continue
        if view[GROUPS + outputs[output, STRIDE] * GROUP_WORDS + INNER] == 1:
            continue
        kin = kin_of(handle, output)
        if kin >= 0 and twins[kin] == kin:
            twins[kin] = output
            twins[output] = kin
            alone -= outputs[kin, SIZE] + outputs[output, SIZE]
    return alone


@kernel
def stacks_fill(
    handle: np.ndarray,
    notes: np.ndarray,
    rows: int,
    output: int,
    twin: int,
    to: int,
    twin_to: int,
) -> None:
    """
    Fill a block's rows of two twins.

    Parameters
    ----------
    handle : (words,) int64
    notes : (words,) int64
    rows : int
        Of the block.
    output : int
        The array of the earlier stacks.
    twin : int
        That of the later ones, see twins_find.
    to : int
        Address of the block's first row in the one, *written*.
    twin_to : int
        And in the other, *written*.

    Notes
    -----
    Units: frames.
    Cost: O(bytes); a frame that both stacks of a row hold is read once. The next row's first frame
    is asked for while a row is copied.
    Errors: none; a missed row becomes zeros.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    view = handle_view(handle)
    outputs = handle_outputs(handle)
    plan = handle_plan(handle)
    field = outputs[output, ADDRESS]
    base = plan[field, ADDRESS]
    stride = plan[field, STRIDE]
    size = plan[field, SIZE]
    here = GROUPS + outputs[output, STRIDE] * GROUP_WORDS
    there = GROUPS + outputs[twin, STRIDE] * GROUP_WORDS
    inner = view[here + INNER]
    begin = address_of(notes) + NOTES * rows * 8
    lanes = integers_at(begin + view[here + START] * rows * 8, rows * inner)
    others = integers_at(begin + view[there + START] * rows * 8, rows * inner)
    counts = notes_of(notes, rows, NOTE_COUNT)
    for row in range(rows):
        first = row * inner
        after = first + inner
        if row + 1 < rows:
            head_prefetch(base + lanes[after] * stride)
        # The later stack is that of so many steps after: its frames stand so much earlier in it.
        shift = min(counts[row], inner)
        for lane in range(first, first + shift):
            wide_fill(plan, field, lanes[lane], to + lane * size)
        for lane in range(first + shift, after):
            slot = lanes[lane]
            other = lane - shift
            if slot >= 0 and others[other] == slot:
                copy_twice(to + lane * size, twin_to + other * size, base + slot * stride, size)
            else:
                wide_fill(plan, field, slot, to + lane * size)
                wide_fill(plan, field, others[other], twin_to + other * size)
        for other in range(after - shift, after):
            wide_fill(plan, field, others[other], twin_to + other * size)
