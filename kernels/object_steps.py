"""The composed kernels over Python's own objects that a log of steps has besides."""

from typing import Any

from kernels.addresses import integers_at, stack_integers, stack_page
from kernels.codes import JAMMED, NOTICED_ID
from kernels.handle import NOTICED, STREAM
from kernels.jit import kernel
from kernels.object_calls import object_handle, object_row, object_rows
from kernels.objects import array_data, object_address
from kernels.walk_limit import claims_back
from kernels.walk_step_add import rows_spread, rows_step


@kernel
def object_step(owner: Any, row: Any) -> int:
    """
    Store the row of one step.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    row : tuple
        A value a field, its number among them.

    Returns
    -------
    int
        The row's id, or NOTICED_ID less the id, MISMATCH, CLOSED, HELD_BACK or JAMMED.

    Notes
    -----
    Units: rows.
    Cost: rows_step, and a few loads a field.
    Errors: as returned.
    Sharing: the one writer of the stream; the interpreter's lock is held.
    Source: own.
    """
    handle = object_handle(owner)
    sources = stack_integers()
    numbers = stack_integers()
    # Named: what the sources point at must last until the row is stored.
    page = stack_page()
    code = object_row(handle, row, sources, numbers, page)
    if code != 0:
        return code
    if rows_step(handle, sources, handle[STREAM], 1, numbers) == 0:
        claims_back(handle, 1, 0)
        return JAMMED
    return numbers[0] if handle[NOTICED] == 0 else NOTICED_ID - numbers[0]


@kernel
def object_spread(owner: Any, rows: Any, ids: Any) -> int:
    """
    Store the row of a step in each of several streams.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    rows : tuple
        An array a field, rows first.
    ids : numpy.ndarray
        (n,) int64, *written*: the stream that takes the row, below 0 where none does; after, the
        row's id.

    Returns
    -------
    int
        As rows_spread, MISMATCH or CLOSED.

    Notes
    -----
    Units: rows.
    Cost: rows_spread, and a few loads a field.
    Errors: as returned.
    Sharing: the one writer of these streams.
    Source: own.
    """
    handle = object_handle(owner)
    sources = stack_integers()
    count = object_rows(handle, rows, ids, sources)
    if count < 0:
        return count
    return rows_spread(handle, sources, integers_at(array_data(object_address(ids)), count))
