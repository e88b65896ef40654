"""The walk of forgetting: every row that was claimed before it is gone, and its priority."""

import numpy as np

from kernels.atomics import load
from kernels.handle import (
    MINIMA,
    PRIORITY,
    ROWS,
    STREAMS,
    TREE,
    handle_heads,
    handle_levels,
    handle_line,
    handle_minima,
    handle_records,
    handle_tree,
)
from kernels.jit import kernel
from kernels.minimum import minimum_update
from kernels.ring import ring_clear, ring_rebase
from kernels.tree import tree_set


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
    Cost: O(slots), O(log capacity) more each with priorities.
    Errors: none.
    Sharing: writers and readers may go on; rows that are claimed meanwhile stay. A row that comes
    between the emptying of its slot and the clearing of its leaf is found by a second look, and
    gets the priority of new rows.
    Source: own.
    """
    heads = handle_heads(handle)
    records = handle_records(handle)
    width = records.shape[1]
    rows = handle[ROWS]
    forgotten = 0
    for stream in range(handle[STREAMS]):
        ring_rebase(heads, stream)
        for slot in range(stream * rows, (stream + 1) * rows):
            if not ring_clear(heads, records, stream, slot):
                continue
            forgotten += 1
            if handle[TREE] != 0:
                tree = handle_tree(handle)
                levels = handle_levels(handle)
                tree_set(tree, levels, slot, 0)
                if load(records, slot * width) != 0:
                    tree_set(tree, levels, slot, load(handle_line(handle, PRIORITY), 0))
                if handle[MINIMA] != 0:
                    minimum_update(handle_minima(handle), tree, levels, slot)
    return forgotten
