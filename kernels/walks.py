"""
The walks as entries, of addresses and numbers alone: compiled once for whoever calls them.

A handle keeps where they begin, and the kernels that Python calls find them there.
"""

import numpy as np

from kernels.addresses import floats_at, integers_at
from kernels.codes import MISMATCH
from kernels.handle import FIELDS, STREAM, handle_at, handle_outputs, handle_view
from kernels.interpreter import raw_free, raw_memory
from kernels.jit import kernel
from kernels.lifo import draw_lifo
from kernels.power import float_bits
from kernels.recent import draw_recent
from kernels.view import LANES
from kernels.walk_add import rows_add
from kernels.walk_distinct import draw_distinct
from kernels.walk_draw import draw_proportional, draw_uniform
from kernels.walk_gather import rows_gather
from kernels.walk_notes import NOTES
from kernels.walk_update import priorities_update
from kernels.walk_view import MOST_ROWS, view_gather

#: How many rows, and in the low bits how many bytes each has.
SIZE_BITS = 4


@kernel
def enter_add(handle: int, sources: int, count: int, ids: int) -> int:
    """Store rows of addresses, see rows_add; into the stream of the handle at an address."""
    words = handle_at(handle)
    fields = integers_at(sources, words[FIELDS])
    return rows_add(words, fields, words[STREAM], count, integers_at(ids, count))


@kernel
def enter_gather(handle: int, targets: int, slots: int, count: int) -> int:
    """Copy the rows of slots, see rows_gather."""
    words = handle_at(handle)
    return rows_gather(words, integers_at(targets, words[FIELDS]), integers_at(slots, count))


@kernel
def enter_view(handle: int, targets: int, slots: int, count: int) -> int:
    """Copy what a view makes of slots, see view_gather; MISMATCH where memory is short."""
    words = handle_at(handle)
    outputs = handle_outputs(words).shape[0]
    size = min(count, MOST_ROWS) * (NOTES + handle_view(words)[LANES])
    notes = raw_memory(size * 8)
    if notes == 0:
        return MISMATCH
    missed = view_gather(
        words, integers_at(targets, outputs), integers_at(slots, count), integers_at(notes, size)
    )
    raw_free(notes)
    return missed


@kernel
def enter_uniform(handle: int, slots: int, weights: int, count: int) -> int:
    """Draw, see draw_uniform; what it gives as the bits of a float64."""
    drawn = draw_uniform(handle_at(handle), integers_at(slots, count), floats_at(weights, count))
    return float_bits(np.float64(drawn))


@kernel
def enter_distinct(handle: int, slots: int, weights: int, count: int) -> int:
    """Draw, see draw_distinct; what it gives as the bits of a float64."""
    drawn = draw_distinct(handle_at(handle), integers_at(slots, count), floats_at(weights, count))
    return float_bits(np.float64(drawn))


@kernel
def enter_recent(handle: int, slots: int, weights: int, count: int) -> int:
    """Draw, see draw_recent; what it gives as the bits of a float64."""
    drawn = draw_recent(handle_at(handle), integers_at(slots, count), floats_at(weights, count))
    return float_bits(np.float64(drawn))


@kernel
def enter_lifo(handle: int, slots: int, weights: int, count: int) -> int:
    """Draw, see draw_lifo; what it gives as the bits of a float64."""
    drawn = draw_lifo(handle_at(handle), integers_at(slots, count), floats_at(weights, count))
    return float_bits(np.float64(drawn))


@kernel
def enter_proportional(handle: int, slots: int, weights: int, count: int) -> int:
    """Draw, see draw_proportional; what it gives as the bits of a float64."""
    words = handle_at(handle)
    drawn = draw_proportional(words, integers_at(slots, count), floats_at(weights, count))
    return float_bits(np.float64(drawn))


@kernel
def enter_update(handle: int, ids: int, priorities: int, size: int) -> int:
    """Set priorities, see priorities_update; the size is count << SIZE_BITS | itemsize."""
    count = size >> SIZE_BITS
    itemsize = size & ((1 << SIZE_BITS) - 1)
    return priorities_update(handle_at(handle), integers_at(ids, count), priorities, itemsize)
