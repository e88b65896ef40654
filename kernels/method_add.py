"""The methods that add rows, as CPython calls them: see `methods`."""

import numpy as np

from kernels.addresses import address_of, load_int64, stack_integers, stack_page
from kernels.codes import HELD_BACK, MISMATCH
from kernels.entries import call_4
from kernels.handle import (
    ADD,
    DESCR_INT64,
    IDS,
    LIMITS,
    NOTICED,
    OPEN,
    ROW_BYTES,
    handle_at,
    handle_plan,
)
from kernels.interpreter import (
    ADD as ADD_NAME,
)
from kernels.interpreter import (
    ADD_NOTICED,
    EXTEND,
    EXTEND_REST,
    NEW_IDS,
    drop_reference,
    new_integer,
    take_reference,
    word,
)
from kernels.jit import kernel
from kernels.methods import (
    LIST_ITEMS,
    LIST_SIZE,
    array_free,
    method_owner,
    method_python,
)
from kernels.object_calls import OUT, row_sources, rows_sources
from kernels.objects import array_data, array_rows
from kernels.walk_limit import claims_back, insert_claim

#: Rows of more bytes are stored without the interpreter's lock, by Python.
LONG = 1 << 16


@kernel
def method_add(me: int, arguments: int, count: int, names: int) -> int:
    """
    Store one row: `add` of buffers and writers.

    Parameters
    ----------
    me, arguments, count, names : int
        See `methods`; a value a field, by name or in the order of the fields.

    Returns
    -------
    int
        The row's id, a new reference; 0 where Python has an error set.

    Notes
    -----
    Units: rows.
    Cost: rows_add, and a few loads a field.
    Errors: those of the method in Python.
    Sharing: any number of writers; the interpreter's lock is held.
    Source: own.
    """
    owner = method_owner(me)
    if owner != 0:
        handle = handle_at(array_data(owner))
        sources = stack_integers()
        numbers = stack_integers()
        # Named: what the sources point at must last until the row is stored.
        page = stack_page()
        if (
            handle[ADD] != 0
            and row_sources(handle, arguments, count, names, sources, numbers, page) == 0
            and (handle[LIMITS] == 0 or insert_claim(handle, 1) != HELD_BACK)
        ):
            ids = address_of(numbers)
            if call_4(handle[ADD], address_of(handle), address_of(sources), 1, ids) == 1:
                if handle[NOTICED] == 0:
                    return new_integer(numbers[0])
                identity = new_integer(numbers[0])
                if identity == 0:
                    return 0
                return method_python(word(ADD_NOTICED), me, identity, 0, 0, 0, 0)
            claims_back(handle, 1, 0)
    return method_python(word(ADD_NAME), me, 0, 0, arguments, count, names)


@kernel
def ids_array(handle: np.ndarray, me: int, count: int) -> int:
    """
    Take an array for ids that nobody holds, or have one made.

    Parameters
    ----------
    handle : (words,) int64
    me : int
        Whose arrays they are.
    count : int
        Ids wanted.

    Returns
    -------
    int
        A new reference; 0 where Python has an error set, MISMATCH where there is none to be had.

    Notes
    -----
    Units: none.
    Cost: a few loads an array that is kept.
    Errors: as returned.
    Sharing: the interpreter's lock is held.
    Source: own.
    """
    kept = handle[IDS]
    items = load_int64(kept + LIST_ITEMS)
    plan = handle_plan(handle)
    for place in range(load_int64(kept + LIST_SIZE)):
        thing = load_int64(items + place * 8)
        if array_rows(handle, thing, handle[DESCR_INT64], OUT, plan, -1) == count and array_free(
            thing
        ):
            take_reference(thing)
            return thing
    wanted = new_integer(count)
    if wanted == 0:
        return 0
    made = method_python(word(NEW_IDS), me, wanted, 0, 0, 0, 0)
    if made != 0 and array_rows(handle, made, handle[DESCR_INT64], OUT, plan, -1) != count:
        drop_reference(made)
        return MISMATCH
    return made


@kernel
def extend_plainly(handle: np.ndarray, me: int, arguments: int, count: int, names: int) -> int:
    """
    Store many rows, by a handle that the caller holds.

    Parameters
    ----------
    handle : (words,) int64
    me, arguments, count, names : int
        As method_extend.

    Returns
    -------
    int
        As method_extend; MISMATCH, nothing having been done, where Python has to look.

    Notes
    -----
    Units: rows.
    Cost: as method_extend.
    Errors: as method_extend.
    Sharing: as method_extend.
    Source: own.
    """
    if handle[ADD] == 0:
        return MISMATCH
    sources = stack_integers()
    rows = rows_sources(handle, arguments, count, names, -1, sources)
    if rows < 1 or rows * handle[ROW_BYTES] > LONG:
        return MISMATCH
    ids = ids_array(handle, me, rows)
    if ids == 0 or ids == MISMATCH:
        return ids
    if handle[OPEN] == 0 or (handle[LIMITS] != 0 and insert_claim(handle, rows) == HELD_BACK):
        drop_reference(ids)
        return MISMATCH
    at = address_of(handle)
    stored = call_4(handle[ADD], at, address_of(sources), rows, array_data(ids))
    if stored == rows and handle[NOTICED] == 0:
        return ids
    so_many = new_integer(stored)
    if so_many == 0:
        claims_back(handle, rows - stored, 0)
        drop_reference(ids)
        return 0
    return method_python(word(EXTEND_REST), me, ids, so_many, arguments, count, names)


@kernel
def method_extend(me: int, arguments: int, count: int, names: int) -> int:
    """
    Store many rows: `extend` of buffers and writers.

    Parameters
    ----------
    me, arguments, count, names : int
        See `methods`; an array a field, by name or in the order of the fields.

    Returns
    -------
    int
        The rows' ids, a new reference; 0 where Python has an error set.

    Notes
    -----
    Units: rows.
    Cost: rows_add, and a few loads a field.
    Errors: those of the method in Python.
    Sharing: any number of writers; the interpreter's lock is held.
    Source: own.
    """
    owner = method_owner(me)
    if owner != 0:
        # What makes the array of ids may close the buffer, which takes the handle from it.
        take_reference(owner)
        handle = handle_at(array_data(owner))
        ids = extend_plainly(handle, me, arguments, count, names)
        drop_reference(owner)
        if ids != MISMATCH:
            return ids
    return method_python(word(EXTEND), me, 0, 0, arguments, count, names)
