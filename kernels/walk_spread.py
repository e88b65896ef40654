"""The walk of rows that are spread over streams: one of each environment."""

import numpy as np

from kernels.addresses import address_of, integers_at
from kernels.codes import HELD_BACK, NOTICE
from kernels.handle import LIMITS, NOTICED, handle_plan
from kernels.jit import kernel
from kernels.rows import SIZE
from kernels.walk_add import rows_add
from kernels.walk_limit import insert_claim


@kernel
def rows_spread(handle: np.ndarray, sources: np.ndarray, streams: np.ndarray) -> int:
    """
    Store rows, each in a stream of its own.

    Parameters
    ----------
    handle : (words,) int64
        The block it points at is *written*.
    sources : (fields,) int64, written
        Addresses of each field's rows; moved on.
    streams : (n,) int64, written
        Which stream takes a row, below 0 where none does; after, the ids of those that were
        stored.

    Returns
    -------
    int
        n, or the first row that found no slot; NOTICE in place of n; HELD_BACK where nothing was
        done. A limiter has counted all that were to be stored: who gives up gives the rest back.

    Notes
    -----
    Units: rows.
    Cost: rows_add a row.
    Errors: as returned.
    Sharing: any number of writers.
    Source: own.
    """
    plan = handle_plan(handle)
    if handle[LIMITS] != 0:
        wanted = 0
        for row in range(streams.size):
            wanted += np.int64(streams[row] >= 0)
        if wanted != 0 and insert_claim(handle, wanted) == HELD_BACK:
            return HELD_BACK
    for row in range(streams.size):
        if streams[row] >= 0:
            stored = integers_at(address_of(streams) + row * 8, 1)
            if rows_add(handle, sources, streams[row], 1, stored) == 0:
                return row
        for field in range(plan.shape[0]):
            sources[field] += plan[field, SIZE]
    return NOTICE if handle[NOTICED] != 0 else streams.size
