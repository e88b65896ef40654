"""
The composed kernels over Python's own objects: what a buffer's methods call first.

Each resolves its arguments to addresses and hands them to the kernel of the same walk.
MISMATCH means that an argument was not of the plainest form and nothing was done.
"""

from typing import Any

import numpy as np

from kernels.addresses import (
    STACK,
    address_of,
    floats_at,
    integers_at,
    load_int64,
    stack_integers,
    stack_page,
)
from kernels.codes import CLOSED, HELD_BACK, JAMMED, MISMATCH, NOTICE, NOTICED_ID
from kernels.handle import (
    DESCR_FLOAT32,
    DESCR_FLOAT64,
    DESCR_INT64,
    FIELDS,
    LIMITS,
    NOTICED,
    OPEN,
    STREAM,
    handle_outputs,
    handle_plan,
    handle_view,
)
from kernels.jit import kernel
from kernels.objects import (
    ALIGNED,
    ARRAY_DIMS,
    C_CONTIGUOUS,
    WRITEABLE,
    array_columns,
    array_data,
    array_rows,
    field_unit,
    object_address,
    object_source,
    tuple_item,
    tuple_size,
)
from kernels.rows import DESCR, DIMS, SCALAR, SIZE
from kernels.view import LANES, MAJOR
from kernels.walk_add import rows_add
from kernels.walk_draw import draw_proportional, draw_uniform
from kernels.walk_gather import rows_gather
from kernels.walk_limit import claims_back, insert_claim
from kernels.walk_notes import NOTES
from kernels.walk_update import priorities_update
from kernels.walk_view import MOST_ROWS, view_gather

_OUT = C_CONTIGUOUS | ALIGNED | WRITEABLE


@kernel
def object_handle(thing: Any) -> Any:
    """Read the words of a handle, (words,) int64: less work than an array argument is."""
    address = object_address(thing)
    return integers_at(array_data(address), load_int64(load_int64(address + ARRAY_DIMS)))


@kernel
def object_row(
    handle: np.ndarray, row: Any, sources: np.ndarray, numbers: np.ndarray, page: np.ndarray
) -> int:
    """
    Resolve the values of a row, and begin to add it where the buffer is limited.

    Parameters
    ----------
    handle : (words,) int64
    row : tuple
        A value a field.
    sources : (64,) int64, written
        Addresses of the values.
    numbers : (64,) int64, written
        For numbers that must be converted.
    page : (512,) int64, written
        For arrays that must be.

    Returns
    -------
    int
        0, MISMATCH, CLOSED or HELD_BACK.

    Notes
    -----
    Units: none.
    Cost: a few loads a field.
    Errors: as returned.
    Sharing: the caller holds the row; sources, numbers and page are its own.
    Source: own.
    """
    if handle[OPEN] == 0:
        return CLOSED
    items = object_address(row)
    fields = handle[FIELDS]
    if fields > STACK or tuple_size(items) != fields:
        return MISMATCH
    plan = handle_plan(handle)
    used = 0
    for field in range(fields):
        number = address_of(numbers) + field * 8
        item = tuple_item(items, field)
        source = object_source(handle, plan, field, item, number, page, used)
        if source == 0:
            return MISMATCH
        if source == address_of(page) + used * 8:
            used += (plan[field, SIZE] + 7) // 8
        sources[field] = source
        if field > 0 and field_unit(plan, field - 1) != 0:
            # How many elements the row before has: no more than its array is known to have.
            dims = load_int64(tuple_item(items, field - 1) + ARRAY_DIMS)
            if load_int64(source) != load_int64(dims):
                return MISMATCH
    if handle[LIMITS] != 0 and insert_claim(handle, 1) == HELD_BACK:
        return HELD_BACK
    return 0


@kernel
def object_add(owner: Any, row: Any) -> int:
    """
    Store one row.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    row : tuple
        A value a field.

    Returns
    -------
    int
        The row's id, or NOTICED_ID less the id, MISMATCH, CLOSED, HELD_BACK or JAMMED.

    Notes
    -----
    Units: rows.
    Cost: rows_add, and a few loads a field.
    Errors: as returned.
    Sharing: any number of writers; the interpreter's lock is held.
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
    if rows_add(handle, sources, handle[STREAM], 1, numbers) == 0:
        claims_back(handle, 1, 0)
        return JAMMED
    return numbers[0] if handle[NOTICED] == 0 else NOTICED_ID - numbers[0]


@kernel
def object_rows(handle: np.ndarray, rows: Any, ids: Any, sources: np.ndarray) -> int:
    """
    Resolve the arrays of many rows.

    Parameters
    ----------
    handle : (words,) int64
    rows : tuple
        An array a field, rows first.
    ids : numpy.ndarray
        (n,) int64.
    sources : (64,) int64, written
        Addresses of the arrays.

    Returns
    -------
    int
        n, MISMATCH or CLOSED.

    Notes
    -----
    Units: rows.
    Cost: a few loads a field.
    Errors: as returned.
    Sharing: the caller holds the objects; sources are its own.
    Source: own.
    """
    if handle[OPEN] == 0:
        return CLOSED
    items = object_address(rows)
    fields = handle[FIELDS]
    if fields > STACK or tuple_size(items) != fields:
        return MISMATCH
    plan = handle_plan(handle)
    count = array_rows(handle, object_address(ids), handle[DESCR_INT64], _OUT, plan, -1)
    if count < 1:
        return MISMATCH
    for field in range(fields):
        item = tuple_item(items, field)
        descr = plan[field, DESCR]
        if array_rows(handle, item, descr, C_CONTIGUOUS, plan, field) != count:
            return MISMATCH
        sources[field] = array_data(item)
        if field > 0 and field_unit(plan, field - 1) != 0:
            lengths = integers_at(sources[field], count)
            for row in range(count):
                if not 0 <= lengths[row] <= plan[field - 1, DIMS]:
                    return MISMATCH
    return count


@kernel
def object_extend(owner: Any, rows: Any, ids: Any) -> int:
    """
    Store many rows.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    rows : tuple
        An array a field, rows first.
    ids : numpy.ndarray
        (n,) int64, *written*.

    Returns
    -------
    int
        n, or fewer where no slot of the stream is to be had; NOTICE in place of n; MISMATCH,
        CLOSED or HELD_BACK. A limiter has counted all n: who gives up gives the rest back.

    Notes
    -----
    Units: rows.
    Cost: rows_add, and a few loads a field.
    Errors: as returned.
    Sharing: any number of writers.
    Source: own.
    """
    handle = object_handle(owner)
    sources = stack_integers()
    count = object_rows(handle, rows, ids, sources)
    if count < 0:
        return count
    if handle[LIMITS] != 0 and insert_claim(handle, count) == HELD_BACK:
        return HELD_BACK
    written = integers_at(array_data(object_address(ids)), count)
    stored = rows_add(handle, sources, handle[STREAM], count, written)
    return NOTICE if stored == count and handle[NOTICED] != 0 else stored


@kernel
def object_batch(handle: np.ndarray, batch: int, targets: np.ndarray) -> int:
    """
    Resolve the arrays of a batch.

    Parameters
    ----------
    handle : (words,) int64
    batch : int
        Address of a tuple: an array a field, or what a view makes of them; then weights and ids.
    targets : (64,) int64, written
        Their addresses.

    Returns
    -------
    int
        Rows of the batch, or MISMATCH or CLOSED.

    Notes
    -----
    Units: rows.
    Cost: a few loads a field.
    Errors: as returned.
    Sharing: reads alone; the caller holds the objects.
    Source: own.
    """
    if handle[OPEN] == 0:
        return CLOSED
    plan = handle_outputs(handle)
    fields = plan.shape[0]
    if fields + 2 > STACK or tuple_size(batch) != fields + 2:
        return MISMATCH
    ids = tuple_item(batch, fields + 1)
    count = array_rows(handle, ids, handle[DESCR_INT64], _OUT, plan, -1)
    weights = tuple_item(batch, fields)
    if count < 1:
        return MISMATCH
    if array_rows(handle, weights, handle[DESCR_FLOAT32], _OUT, plan, -1) != count:
        return MISMATCH
    targets[fields] = array_data(weights)
    targets[fields + 1] = array_data(ids)
    for field in range(fields):
        item = tuple_item(batch, field)
        if plan[field, SCALAR] == MAJOR:
            if array_columns(handle, item, _OUT, plan, field) != count:
                return MISMATCH
        elif array_rows(handle, item, plan[field, DESCR], _OUT, plan, field) != count:
            return MISMATCH
        targets[field] = array_data(item)
    return count


@kernel
def object_check(owner: Any, batch: Any) -> int:
    """
    Look whether a batch is one that a draw and a gather can be given.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        As object_gather's.

    Returns
    -------
    int
        Rows of the batch, MISMATCH or CLOSED.

    Notes
    -----
    Units: rows.
    Cost: a few loads a field.
    Errors: as returned.
    Sharing: reads alone.
    Source: own.
    """
    return object_batch(object_handle(owner), object_address(batch), stack_integers())


@kernel
def object_gather(owner: Any, batch: Any) -> int:
    """
    Copy the rows of slots into a batch, and turn its slots into ids.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        An array a field, *written*, then weights and slots, *written*.

    Returns
    -------
    int
        How many rows were missed, NOTICE in place of 0, MISMATCH or CLOSED.

    Notes
    -----
    Units: as rows_get.
    Cost: rows_gather, and a few loads a field.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return count
    missed = rows_gather(handle, targets, integers_at(targets[handle[FIELDS] + 1], count))
    return NOTICE if missed == 0 and handle[NOTICED] != 0 else missed


@kernel
def object_view(owner: Any, batch: Any, scratch: Any) -> int:
    """
    Copy what a view makes of slots into a batch, and turn its slots into ids.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        An array an output, *written*, then weights and slots, *written*.
    scratch : numpy.ndarray
        (min(n, MOST_ROWS) * (4 + LANES),) int64, *written*.

    Returns
    -------
    int
        How many rows were missed, NOTICE in place of 0, MISMATCH or CLOSED.

    Notes
    -----
    Units: as view_gather.
    Cost: view_gather, and a few loads an array.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return count
    outputs = handle_outputs(handle)
    words = min(count, MOST_ROWS) * (NOTES + handle_view(handle)[LANES])
    paper = object_address(scratch)
    if array_rows(handle, paper, handle[DESCR_INT64], _OUT, outputs, -1) != words:
        return MISMATCH
    slots = integers_at(targets[outputs.shape[0] + 1], count)
    notes = integers_at(array_data(paper), words)
    missed = view_gather(handle, targets, slots, notes)
    return NOTICE if missed == 0 and handle[NOTICED] != 0 else missed


@kernel
def object_draw_uniform(owner: Any, batch: Any) -> int:
    """
    Draw slots uniformly into the ids of a batch.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        As object_gather's; weights and ids are *written*.

    Returns
    -------
    int
        As draw_uniform, MISMATCH or CLOSED.

    Notes
    -----
    Units: slots.
    Cost: draw_uniform, and a few loads a field.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return count
    fields = handle_outputs(handle).shape[0]
    weights = floats_at(targets[fields], count)
    return draw_uniform(handle, integers_at(targets[fields + 1], count), weights)


@kernel
def object_draw_proportional(owner: Any, batch: Any) -> float:
    """
    Draw slots in proportion into the ids of a batch, with their weights.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        As object_gather's; weights and ids are *written*.

    Returns
    -------
    float
        As draw_proportional, MISMATCH or CLOSED.

    Notes
    -----
    Units: slots.
    Cost: draw_proportional, and a few loads a field.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return np.float64(count)
    fields = handle_outputs(handle).shape[0]
    slots = integers_at(targets[fields + 1], count)
    weights = floats_at(targets[fields], count)
    return draw_proportional(handle, slots, weights)


@kernel
def object_update(owner: Any, ids: Any, priorities: Any) -> int:
    """
    Set the priorities of rows by id.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    ids : numpy.ndarray
        (n,) int64.
    priorities : numpy.ndarray
        (n,) float32 or float64.

    Returns
    -------
    int
        As priorities_update, MISMATCH or CLOSED.

    Notes
    -----
    Units: priorities before alpha.
    Cost: priorities_update, and a few loads.
    Errors: as returned.
    Sharing: any number of learners beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    if handle[OPEN] == 0:
        return CLOSED
    plan = handle_plan(handle)
    wanted = object_address(ids)
    given = object_address(priorities)
    count = array_rows(handle, wanted, handle[DESCR_INT64], C_CONTIGUOUS, plan, -1)
    if count < 0:
        return MISMATCH
    itemsize = 8
    if array_rows(handle, given, handle[DESCR_FLOAT64], C_CONTIGUOUS, plan, -1) != count:
        itemsize = 4
        if array_rows(handle, given, handle[DESCR_FLOAT32], C_CONTIGUOUS, plan, -1) != count:
            return MISMATCH
    identities = integers_at(array_data(wanted), count)
    return priorities_update(handle, identities, array_data(given), itemsize)
