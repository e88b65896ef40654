"""The walk of drawn rows: from slots to arrays, each row checked to be whole."""

import numpy as np

from kernels.atomics import fetch_add
from kernels.handle import (
    NOTICED,
    REDRAWS,
    ROWS,
    STREAMS,
    handle_line,
    handle_plan,
    handle_records,
)
from kernels.jit import kernel
from kernels.rows import rows_get


@kernel
def rows_gather(handle: np.ndarray, targets: np.ndarray, slots: np.ndarray) -> int:
    """
    Copy the rows of slots into arrays, and turn the slots into ids.

    Parameters
    ----------
    handle : (words,) int64
        The statistics it points at are *written*.
    targets : (fields,) int64
        Addresses of the arrays that are *written*.
    slots : (n,) int64, written

    Returns
    -------
    int
        How many were missed, see rows_get.

    Notes
    -----
    Units: as rows_get.
    Cost: as rows_get.
    Errors: as returned.
    Sharing: as rows_get.
    Source: own.
    """
    missed = rows_get(
        handle_plan(handle),
        handle_records(handle),
        handle[ROWS],
        handle[STREAMS],
        targets,
        slots,
    )
    if missed != 0:
        fetch_add(handle_line(handle, REDRAWS), 0, missed)
        handle[NOTICED] = 1
    return missed
