"""The walk of drawn rows: from slots to arrays, each row checked to be whole."""

import numpy as np

from kernels.addresses import address_of, integers_at
from kernels.atomics import fetch_add, load
from kernels.entries import call_4
from kernels.handle import (
    AGES,
    HEAP,
    NOTICED,
    REDRAWS,
    ROWS,
    SAMPLES,
    STREAMS,
    handle_heads,
    handle_line,
    handle_plan,
    handle_records,
)
from kernels.heap import GATHER, LINES
from kernels.jit import kernel
from kernels.ring import LINE
from kernels.rows import rows_get

#: Sorts of ages: of 0 bits, of 1 bit, ..., of as many or more.
AGE_SORTS = 32


@kernel
def age_of(handle: np.ndarray, identity: int) -> int:
    """
    Say how many rows its stream has claimed since a row.

    Parameters
    ----------
    handle : (words,) int64
    identity : int
        The row's id.

    Returns
    -------
    int

    Notes
    -----
    Units: rows of a stream; the newest has age 0.
    Cost: a load, and a division with several streams.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    streams = handle[STREAMS]
    ticket = identity if streams == 1 else identity // streams
    return load(handle_heads(handle), (identity - ticket * streams) * LINE) - 1 - ticket


@kernel
def ages_count(handle: np.ndarray, ids: np.ndarray, missed: int) -> None:
    """
    Count the ages of rows that are given out.

    Parameters
    ----------
    handle : (words,) int64
        The statistics it points at are *written*.
    ids : (n,) int64
        -1 for a row that was missed.
    missed : int
        How many those are, fewer than n.

    Notes
    -----
    Units: as age_of.
    Cost: O(n), and three atomic additions.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    total = 0
    if handle[STREAMS] == 1 and missed == 0:
        for row in range(ids.size):
            total -= ids[row]
        total += ids.size * (load(handle_heads(handle), 0) - 1)
    else:
        for row in range(ids.size):
            if ids[row] >= 0:
                total += age_of(handle, ids[row])
    samples = handle_line(handle, SAMPLES)
    fetch_add(samples, 2, total)
    fetch_add(samples, 3, ids.size - missed)
    # One row stands for the batch, at a place that says nothing about its age.
    one = ids[total % ids.size]
    if one >= 0:
        age = age_of(handle, one)
        bits = 0
        while age > 0 and bits < AGE_SORTS - 1:
            age >>= 1
            bits += 1
        fetch_add(handle_line(handle, AGES + (bits >> 3)), bits & 7, 1)


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
        How many were missed, see rows_get and heap_gather.

    Notes
    -----
    Units: as rows_get.
    Cost: as rows_get.
    Errors: as returned.
    Sharing: as rows_get.
    Source: own.
    """
    if handle[HEAP] != 0:
        gather = integers_at(handle[HEAP], LINES)[GATHER]
        at = address_of(slots)
        missed = call_4(gather, address_of(handle), address_of(targets), at, slots.size)
    else:
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
    if missed < slots.size:
        ages_count(handle, slots, missed)
    return missed
