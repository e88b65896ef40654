"""The walk of forgetting: every row that was claimed before it is gone, and its priority."""

import numpy as np

from kernels.handle import (
    HEAP,
    ROWS,
    STREAMS,
    TREE,
    handle_heads,
    handle_member,
    handle_records,
)
from kernels.jit import kernel
from kernels.members import CLEARING, member_enter, member_leave
from kernels.ring import ring_clear, ring_rebase
from kernels.walk_evict import slot_lost
from kernels.walk_leaf import leaf_settle


@kernel
def rows_forget(handle: np.ndarray) -> int:
    """
    Empty every slot whose row is older than its stream's base, or has lost its bytes.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.

    Returns
    -------
    int
        How many rows were forgotten.

    Notes
    -----
    Units: rows.
    Cost: O(slots), O(log capacity) more each with priorities.
    Errors: none.
    Sharing: writers and readers may go on; rows that are claimed meanwhile stay. A row that comes
    between the emptying of its slot and the clearing of its leaf gets the priority of new rows.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    rows = handle[ROWS]
    forgotten = 0
    member_enter(handle_member(handle), CLEARING)
    for stream in range(handle[STREAMS]):
        for slot in range(stream * rows, (stream + 1) * rows):
            lost = handle[HEAP] != 0 and slot_lost(handle, stream, slot)
            if not lost and not ring_clear(heads, records, stream, slot):
                continue
            forgotten += 1
            if handle[TREE] != 0:
                leaf_settle(handle, slot)
    member_leave(handle_member(handle), CLEARING)
    return forgotten


@kernel
def rows_clear(handle: np.ndarray) -> int:
    """
    Forget every row that is stored; ids go on growing.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.

    Returns
    -------
    int
        How many rows were forgotten.

    Notes
    -----
    Units: rows.
    Cost: as rows_forget.
    Errors: none. Of one that is killed, repair does the rest.
    Sharing: as rows_forget.
    Source: own.
    """
    member_enter(handle_member(handle), CLEARING)
    for stream in range(handle[STREAMS]):
        ring_rebase(handle_heads(handle), stream)
    forgotten = rows_forget(handle)
    member_leave(handle_member(handle), CLEARING)
    return forgotten
