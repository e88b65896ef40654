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
    integers_at,
    load_int64,
    stack_integers,
    stack_page,
)
from kernels.codes import CLOSED, HELD_BACK, JAMMED, MISMATCH, NOTICE, NOTICED_ID
from kernels.entries import call_4
from kernels.handle import (
    ADD,
    DESCR_FLOAT32,
    DESCR_FLOAT64,
    DESCR_INT64,
    DRAW,
    FIELDS,
    GATHER,
    HEAP,
    LIMITS,
    NAMES,
    NOTICED,
    OPEN,
    UPDATE,
    handle_outputs,
    handle_plan,
)
from kernels.jit import kernel
from kernels.objects import (
    ALIGNED,
    ARRAY_DIMS,
    C_CONTIGUOUS,
    ITEMS,
    WRITEABLE,
    array_columns,
    array_data,
    array_rows,
    field_unit,
    object_address,
    object_plainest,
    object_source,
    tuple_item,
    tuple_size,
)
from kernels.power import bits_float
from kernels.rows import DESCR, DIMS, PLAN_WIDTH, SCALAR, SIZE
from kernels.view import MAJOR
from kernels.walk_limit import claims_back, insert_claim
from kernels.walks import SIZE_BITS

#: NumPy's flags of an array that is written.
OUT = C_CONTIGUOUS | ALIGNED | WRITEABLE


@kernel
def object_handle(thing: Any) -> Any:
    """Read the words of a handle, (words,) int64: less work than an array argument is."""
    address = object_address(thing)
    return integers_at(array_data(address), load_int64(load_int64(address + ARRAY_DIMS)))


@kernel
def name_place(handle: np.ndarray, name: int, guess: int) -> int:
    """
    Find a field by its name.

    Parameters
    ----------
    handle : (words,) int64
    name : int
        Address of a str.
    guess : int
        Where it is looked for first.

    Returns
    -------
    int
        The field's place; -1 where this very str names none.

    Notes
    -----
    Units: none.
    Cost: a load where the guess is right, O(fields) where it is not.
    Errors: none; two strs of the same letters may be two, and the caller has another way.
    Sharing: reads alone.
    Source: own.
    """
    names = integers_at(handle[NAMES], handle[FIELDS])
    if guess < names.size and names[guess] == name:
        return guess
    for field in range(names.size):
        if names[field] == name:
            return field
    return -1


@kernel
def row_sources(
    handle: np.ndarray,
    items: int,
    count: int,
    names: int,
    sources: np.ndarray,
    numbers: np.ndarray,
    page: np.ndarray,
) -> int:
    """
    Resolve the values of a row.

    Parameters
    ----------
    handle : (words,) int64
    items : int
        Address of the addresses of the values.
    count : int
        How many of them come in the order of the fields.
    names : int
        Address of a tuple with the names of the others; 0: there are none.
    sources : (64,) int64, written
        Addresses of the bytes of the values.
    numbers : (64,) int64, written
        For numbers that must be converted.
    page : (512,) int64, written
        For arrays that must be.

    Returns
    -------
    int
        0, MISMATCH or CLOSED.

    Notes
    -----
    Units: none.
    Cost: a few loads a field.
    Errors: as returned.
    Sharing: the caller holds the values; sources, numbers and page are its own.
    Source: own.
    """
    if handle[OPEN] == 0:
        return CLOSED
    fields = handle[FIELDS]
    named = tuple_size(names) if names != 0 else 0
    if fields > STACK or count + named != fields:
        return MISMATCH
    plan = handle_plan(handle)
    used = 0
    for place in range(fields):
        field = place
        if place >= count:
            field = name_place(handle, tuple_item(names, place - count), place)
            # Names differ from each other: so many of so many fields are all there are.
            if field < count:
                return MISMATCH
        number = address_of(numbers) + field * 8
        item = load_int64(items + place * 8)
        source = object_plainest(
            address_of(handle), address_of(plan) + field * PLAN_WIDTH * 8, item, number
        )
        if source == 0:
            source = object_source(handle, plan, field, item, number, page, used)
            if source == 0:
                return MISMATCH
            if source == address_of(page) + used * 8:
                used += (plan[field, SIZE] + 7) // 8
        sources[field] = source
        if handle[HEAP] != 0 and field > 0 and field_unit(plan, field - 1) != 0:
            if names != 0:
                return MISMATCH
            # How many elements the row before has: no more than its array is known to have.
            dims = load_int64(load_int64(items + place * 8 - 8) + ARRAY_DIMS)
            if load_int64(source) != load_int64(dims):
                return MISMATCH
    return 0


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
    Cost: as row_sources.
    Errors: as returned.
    Sharing: the caller holds the row; sources, numbers and page are its own.
    Source: own.
    """
    items = object_address(row)
    code = row_sources(handle, items + ITEMS, tuple_size(items), 0, sources, numbers, page)
    if code == 0 and handle[LIMITS] != 0 and insert_claim(handle, 1) == HELD_BACK:
        return HELD_BACK
    return code


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
    if handle[ADD] == 0:
        return MISMATCH
    code = object_row(handle, row, sources, numbers, page)
    if code != 0:
        return code
    at = address_of(handle)
    if call_4(handle[ADD], at, address_of(sources), 1, address_of(numbers)) == 0:
        claims_back(handle, 1, 0)
        return JAMMED
    return numbers[0] if handle[NOTICED] == 0 else NOTICED_ID - numbers[0]


@kernel
def rows_sources(
    handle: np.ndarray, items: int, count: int, names: int, rows: int, sources: np.ndarray
) -> int:
    """
    Resolve the arrays of many rows.

    Parameters
    ----------
    handle : (words,) int64
    items : int
        Address of the addresses of the arrays, one a field, rows first.
    count : int
        How many of them come in the order of the fields.
    names : int
        Address of a tuple with the names of the others; 0: there are none.
    rows : int
        How many rows each must have; -1: as many as the first.
    sources : (64,) int64, written
        Addresses of their first rows.

    Returns
    -------
    int
        How many rows, 1 or more; MISMATCH or CLOSED.

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
    fields = handle[FIELDS]
    named = tuple_size(names) if names != 0 else 0
    if fields > STACK or count + named != fields or rows == 0:
        return MISMATCH
    plan = handle_plan(handle)
    for place in range(fields):
        field = place
        if place >= count:
            field = name_place(handle, tuple_item(names, place - count), place)
            if field < count:
                return MISMATCH
        item = load_int64(items + place * 8)
        found = array_rows(handle, item, plan[field, DESCR], C_CONTIGUOUS, plan, field)
        if rows < 0:
            rows = found
        if found < 1 or found != rows:
            return MISMATCH
        sources[field] = array_data(item)
        if field > 0 and field_unit(plan, field - 1) != 0:
            if names != 0:
                return MISMATCH
            lengths = integers_at(sources[field], rows)
            for row in range(rows):
                if not 0 <= lengths[row] <= plan[field - 1, DIMS]:
                    return MISMATCH
    return rows


@kernel
def object_rows(handle: np.ndarray, rows: Any, ids: Any, sources: np.ndarray) -> int:
    """
    Resolve the arrays of many rows, and that of their ids.

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
    Cost: as rows_sources.
    Errors: as returned.
    Sharing: the caller holds the objects; sources are its own.
    Source: own.
    """
    plan = handle_plan(handle)
    count = array_rows(handle, object_address(ids), handle[DESCR_INT64], OUT, plan, -1)
    items = object_address(rows)
    return rows_sources(handle, items + ITEMS, tuple_size(items), 0, max(count, 0), sources)


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
    if handle[ADD] == 0:
        return MISMATCH
    count = object_rows(handle, rows, ids, sources)
    if count < 0:
        return count
    if handle[LIMITS] != 0 and insert_claim(handle, count) == HELD_BACK:
        return HELD_BACK
    written = array_data(object_address(ids))
    at = address_of(handle)
    stored = call_4(handle[ADD], at, address_of(sources), count, written)
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
    count = array_rows(handle, ids, handle[DESCR_INT64], OUT, plan, -1)
    weights = tuple_item(batch, fields)
    if count < 1:
        return MISMATCH
    if array_rows(handle, weights, handle[DESCR_FLOAT32], OUT, plan, -1) != count:
        return MISMATCH
    targets[fields] = array_data(weights)
    targets[fields + 1] = array_data(ids)
    for field in range(fields):
        item = tuple_item(batch, field)
        if plan[field, SCALAR] == MAJOR:
            if array_columns(handle, item, OUT, plan, field) != count:
                return MISMATCH
        elif array_rows(handle, item, plan[field, DESCR], OUT, plan, field) != count:
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
    Copy rows, or what a view makes of them, into a batch, and turn its slots into ids.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        An array a field or output, *written*, then weights and slots, *written*.

    Returns
    -------
    int
        How many rows were missed, NOTICE in place of 0, MISMATCH or CLOSED.

    Notes
    -----
    Units: as rows_get.
    Cost: rows_gather or view_gather, and a few loads a field.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return count
    if handle[GATHER] == 0:
        return MISMATCH
    slots = targets[handle_outputs(handle).shape[0] + 1]
    missed = call_4(handle[GATHER], address_of(handle), address_of(targets), slots, count)
    return NOTICE if missed == 0 and handle[NOTICED] != 0 else missed


@kernel
def object_draw(owner: Any, batch: Any) -> float:
    """
    Draw slots into the ids of a batch, and their weights, as the handle's sampler does.

    Parameters
    ----------
    owner : numpy.ndarray
        The handle, (words,) int64.
    batch : tuple
        As object_gather's; weights and ids are *written*.

    Returns
    -------
    float
        What the sampler's kernel gives, see `walks`; MISMATCH or CLOSED.

    Notes
    -----
    Units: slots.
    Cost: the draw, and a few loads a field.
    Errors: as returned.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    handle = object_handle(owner)
    targets = stack_integers()
    count = object_batch(handle, object_address(batch), targets)
    if count < 0:
        return np.float64(count)
    if handle[DRAW] == 0:
        return np.float64(MISMATCH)
    fields = handle_outputs(handle).shape[0]
    at = address_of(handle)
    return bits_float(call_4(handle[DRAW], at, targets[fields + 1], targets[fields], count))


@kernel
def ids_priorities(handle: np.ndarray, ids: int, priorities: int) -> int:
    """
    Look at arrays of ids and of priorities.

    Parameters
    ----------
    handle : (words,) int64
    ids, priorities : int
        Addresses of any objects.

    Returns
    -------
    int
        How many there are, and the bytes of a priority, as enter_update takes them; MISMATCH.

    Notes
    -----
    Units: none.
    Cost: a few loads.
    Errors: as returned.
    Sharing: the caller holds the objects.
    Source: own.
    """
    plan = handle_plan(handle)
    count = array_rows(handle, ids, handle[DESCR_INT64], C_CONTIGUOUS, plan, -1)
    if count < 0 or handle[UPDATE] == 0:
        return MISMATCH
    if array_rows(handle, priorities, handle[DESCR_FLOAT32], C_CONTIGUOUS, plan, -1) == count:
        return count << SIZE_BITS | 4
    if array_rows(handle, priorities, handle[DESCR_FLOAT64], C_CONTIGUOUS, plan, -1) == count:
        return count << SIZE_BITS | 8
    return MISMATCH


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
    wanted = object_address(ids)
    given = object_address(priorities)
    size = ids_priorities(handle, wanted, given)
    if size < 0:
        return MISMATCH
    at = address_of(handle)
    return call_4(handle[UPDATE], at, array_data(wanted), array_data(given), size)
