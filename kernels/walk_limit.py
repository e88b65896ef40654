"""The walk of limits: what an add or a sample must be given before it begins."""

import numpy as np

from kernels.atomics import load
from kernels.codes import HELD_BACK
from kernels.handle import LIMITER, LIMITS, STREAMS, handle_heads, handle_limits, handle_line
from kernels.jit import kernel
from kernels.limit import LEAST, limit_back, limit_insert, limit_sample
from kernels.ring import FILLED, LINE


@kernel
def rows_stored(handle: np.ndarray) -> int:
    """
    Count the slots that hold a row.

    Parameters
    ----------
    handle : (words,) int64

    Returns
    -------
    int

    Notes
    -----
    Units: rows.
    Cost: a cache line a stream.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    heads = handle_heads(handle)
    stored = 0
    for stream in range(handle[STREAMS]):
        # Not tickets: those of writers that died would count for ever.
        stored += load(heads, stream * LINE + FILLED)
    return stored


@kernel
def insert_claim(handle: np.ndarray, count: int) -> int:
    """
    Begin an add, where the buffer is limited.

    Parameters
    ----------
    handle : (words,) int64
        The balance of its block is *written*.
    count : int

    Returns
    -------
    int
        `count` or HELD_BACK.

    Notes
    -----
    Units: rows.
    Cost: limit_insert; only where the balance forbids it, a cache line a stream.
    Errors: as returned.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[LIMITS] == 0:
        return count
    line = handle_line(handle, LIMITER)
    limits = handle_limits(handle)
    if limit_insert(line, limits, limits[LEAST], count):
        return count
    stored = rows_stored(handle)
    if stored < limits[LEAST] and limit_insert(line, limits, stored, count):
        return count
    return HELD_BACK


@kernel
def sample_claim(handle: np.ndarray, count: int) -> int:
    """
    Begin a sample, where the buffer is limited.

    Parameters
    ----------
    handle : (words,) int64
        The balance of its block is *written*.
    count : int

    Returns
    -------
    int
        `count` or HELD_BACK.

    Notes
    -----
    Units: rows.
    Cost: limit_sample, and a cache line a stream.
    Errors: as returned.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[LIMITS] == 0:
        return count
    line = handle_line(handle, LIMITER)
    if limit_sample(line, handle_limits(handle), rows_stored(handle), count):
        return count
    return HELD_BACK


@kernel
def claims_back(handle: np.ndarray, inserts: int, samples: int) -> int:
    """
    Give back what was claimed, where the buffer is limited.

    Parameters
    ----------
    handle : (words,) int64
        The balance of its block is *written*.
    inserts : int
        Rows that were to be added and were not.
    samples : int
        Rows that were to be drawn and were not.

    Returns
    -------
    int
        0.

    Notes
    -----
    Units: rows.
    Cost: limit_back.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    if handle[LIMITS] != 0:
        limit_back(handle_line(handle, LIMITER), handle_limits(handle), inserts, samples)
    return 0
