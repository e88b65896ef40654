"""The methods that draw batches and set priorities, as CPython calls them: see `methods`."""

import numpy as np

from kernels.addresses import address_of, load_float64, load_int64, stack_integers
from kernels.codes import CLOSED, MISMATCH
from kernels.entries import call_4
from kernels.handle import (
    BATCH_BYTES,
    BATCH_TYPE,
    BATCHES,
    BUSY,
    DECAY,
    DRAW,
    FLAT,
    GATHER,
    NOTICED,
    OPEN,
    TYPE_FLOAT,
    UPDATE,
    handle_at,
    handle_outputs,
)
from kernels.interpreter import (
    BATCH_SIZE,
    DRESSED,
    LEFT,
    NEW_BATCH,
    NONE,
    OUT,
    SAMPLE,
    SAMPLE_REST,
    TIMEOUT,
    drop_reference,
    lock_acquire,
    lock_release,
    new_float,
    new_integer,
    take_reference,
    word,
)
from kernels.interpreter import (
    UPDATE as UPDATE_NAME,
)
from kernels.jit import kernel
from kernels.method_add import LONG
from kernels.methods import (
    LIST_ITEMS,
    LIST_SIZE,
    REFERENCES,
    array_free,
    method_owner,
    method_python,
)
from kernels.object_calls import ids_priorities, object_batch
from kernels.objects import TYPE, array_data, object_integer, tuple_item, tuple_size
from kernels.power import bits_float

#: Places of what `sample_arguments` finds.
ROWS_WANTED = 0
INTO = 1
PATIENCE = 2


@kernel
def sample_arguments(
    handle: np.ndarray, arguments: int, count: int, names: int, found: np.ndarray
) -> bool:
    """
    Take the arguments of `sample` apart.

    Parameters
    ----------
    handle : (words,) int64
    arguments, count, names : int
        See `methods`.
    found : (64,) int64, written
        The batch size, 0 where none is given; addresses of `out`, 0 where there is none, and of
        the timeout or of None.

    Returns
    -------
    bool
        False: it is not a plain call.

    Notes
    -----
    Units: none.
    Cost: a few loads an argument.
    Errors: as returned.
    Sharing: the caller holds the arguments.
    Source: own.
    """
    found[ROWS_WANTED] = 0
    found[INTO] = 0
    found[PATIENCE] = word(NONE)
    if count > 1:
        return False
    named = tuple_size(names) if names != 0 else 0
    for place in range(count + named):
        thing = load_int64(arguments + place * 8)
        name = word(BATCH_SIZE) if place < count else tuple_item(names, place - count)
        if name == word(BATCH_SIZE):
            if place >= count and count != 0:
                return False
            fits, rows = object_integer(handle, thing)
            if not fits or rows < 1:
                return False
            found[ROWS_WANTED] = rows
        elif name == word(OUT):
            if thing != word(NONE):
                found[INTO] = thing
        elif name == word(TIMEOUT):
            if thing != word(NONE):
                if load_int64(thing + TYPE) == handle[TYPE_FLOAT]:
                    fits = load_float64(thing + 16) >= 0.0
                else:
                    fits, rows = object_integer(handle, thing)
                    fits = fits and rows >= 0
                if not fits:
                    return False
                found[PATIENCE] = thing
        else:
            return False
    return found[ROWS_WANTED] != 0 or found[INTO] != 0


@kernel
def batch_free(handle: np.ndarray, batch: int, count: int, targets: np.ndarray) -> bool:
    """
    Say whether a batch that was given out is held by nobody any more, and of the size wanted.

    Parameters
    ----------
    handle : (words,) int64
    batch : int
        Address of an object.
    count : int
        Rows wanted.
    targets : (64,) int64, written
        Addresses of its arrays.

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: a few loads an array.
    Errors: none.
    Sharing: the interpreter's lock is held.
    Source: as array_free.
    """
    if load_int64(batch + TYPE) != handle[BATCH_TYPE]:
        return False
    if load_int64(batch + REFERENCES) & 0xFFFFFFFF != 1:
        return False
    if object_batch(handle, batch, targets) != count:
        return False
    for place in range(tuple_size(batch)):
        if not array_free(tuple_item(batch, place)):
            return False
    return True


@kernel
def batch_find(handle: np.ndarray, me: int, found: np.ndarray, targets: np.ndarray) -> int:
    """
    Find the batch to draw into: the caller's, one that nobody holds, or a new one.

    Parameters
    ----------
    handle : (words,) int64
    me : int
        Whose batches they are.
    found : (64,) int64, written
        As sample_arguments; the batch size is there after.
    targets : (64,) int64, written
        Addresses of the batch's arrays.

    Returns
    -------
    int
        A new reference; 0 where Python has an error set, MISMATCH where `out` is no plain batch.

    Notes
    -----
    Units: none.
    Cost: a few loads an array.
    Errors: as returned.
    Sharing: the interpreter's lock is held.
    Source: own.
    """
    wanted = found[ROWS_WANTED]
    batch = found[INTO]
    if batch != 0:
        if load_int64(batch + TYPE) != handle[BATCH_TYPE] or handle[FLAT] != 0:
            return MISMATCH
        rows = object_batch(handle, batch, targets)
        if rows < 1 or (wanted != 0 and wanted != rows):
            return MISMATCH
        found[ROWS_WANTED] = rows
        take_reference(batch)
        return batch
    kept = handle[BATCHES]
    items = load_int64(kept + LIST_ITEMS)
    for place in range(load_int64(kept + LIST_SIZE)):
        batch = load_int64(items + place * 8)
        if batch_free(handle, batch, wanted, targets):
            take_reference(batch)
            return batch
    number = new_integer(wanted)
    if number == 0:
        return 0
    batch = method_python(word(NEW_BATCH), me, number, 0, 0, 0, 0)
    if batch != 0 and (
        load_int64(batch + TYPE) != handle[BATCH_TYPE]
        or object_batch(handle, batch, targets) != wanted
    ):
        # Closed meanwhile, or not to be had this way.
        drop_reference(batch)
        return MISMATCH
    return batch


@kernel
def walk_run(handle: np.ndarray, me: int, walk: int, first: int, second: int, count: int) -> int:
    """
    Take a walk of a batch, that of a large one without the interpreter's lock.

    Parameters
    ----------
    handle : (words,) int64
    me : int
        Whose batch it is.
    walk : int
        Address of an entry.
    first, second : int
        What it takes between the handle and the count.
    count : int
        Rows of the batch.

    Returns
    -------
    int
        What the walk gives; CLOSED where Python has an error set.

    Notes
    -----
    Units: none.
    Cost: that of the walk.
    Errors: as returned.
    Sharing: a block that another thread closes meanwhile is let go by the last who leaves it; its
    memory stays for as long as the caller holds the handle.
    Source: own.
    """
    at = address_of(handle)
    if count * handle[BATCH_BYTES] <= LONG:
        return call_4(walk, at, first, second, count)
    handle[BUSY] += 1
    state = lock_release()
    given = call_4(walk, at, first, second, count)
    lock_acquire(state)
    handle[BUSY] -= 1
    if handle[OPEN] == 0:
        left = method_python(word(LEFT), me, 0, 0, 0, 0, 0)
        if left == 0:
            return CLOSED
        drop_reference(left)
    return given


@kernel
def sample_plainly(handle: np.ndarray, me: int, arguments: int, count: int, names: int) -> int:
    """
    Draw a batch, by a handle that the caller holds.

    Parameters
    ----------
    handle : (words,) int64
    me, arguments, count, names : int
        As method_sample.

    Returns
    -------
    int
        As method_sample; MISMATCH where Python has to look at the arguments.

    Notes
    -----
    Units: rows.
    Cost: as method_sample.
    Errors: as method_sample.
    Sharing: as method_sample.
    Source: own.
    """
    found = stack_integers()
    targets = stack_integers()
    if handle[BATCHES] == 0 or handle[OPEN] == 0:
        return MISMATCH
    if not sample_arguments(handle, arguments, count, names, found):
        return MISMATCH
    batch = batch_find(handle, me, found, targets)
    if batch == 0 or batch == MISMATCH:
        return batch
    if handle[OPEN] == 0:
        # Closed while Python made the batch.
        drop_reference(batch)
        return MISMATCH
    rows = found[ROWS_WANTED]
    outputs = handle_outputs(handle).shape[0]
    slots = targets[outputs + 1]
    drawn = walk_run(handle, me, handle[DRAW], slots, targets[outputs], rows)
    missed = -1
    if drawn > 0:
        missed = walk_run(handle, me, handle[GATHER], address_of(targets), slots, rows)
    if drawn == CLOSED or missed == CLOSED:
        drop_reference(batch)
        return 0
    if missed == 0 and handle[NOTICED] == 0:
        if handle[FLAT] == 0:
            return batch
        return method_python(word(DRESSED), me, batch, 0, 0, 0, 0)
    return sample_rest(me, batch, bits_float(drawn), missed, found[PATIENCE])


@kernel
def method_sample(me: int, arguments: int, count: int, names: int) -> int:
    """
    Draw a batch: `sample` of buffers and readers.

    Parameters
    ----------
    me, arguments, count, names : int
        See `methods`; batch_size, out, timeout.

    Returns
    -------
    int
        The batch, a new reference; 0 where Python has an error set.

    Notes
    -----
    Units: rows.
    Cost: the draw and the gathering, and a few loads a field.
    Errors: those of the method in Python.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    owner = method_owner(me)
    if owner != 0:
        # Whoever closes the buffer meanwhile, another thread or what Python calls, takes the
        # handle from it.
        take_reference(owner)
        batch = sample_plainly(handle_at(array_data(owner)), me, arguments, count, names)
        drop_reference(owner)
        if batch != MISMATCH:
            return batch
    return method_python(word(SAMPLE), me, 0, 0, arguments, count, names)


@kernel
def sample_rest(me: int, batch: int, drawn: float, missed: int, patience: int) -> int:
    """
    Go on in Python with a batch that is not whole.

    Parameters
    ----------
    me : int
    batch : int
        A reference, which is given up.
    drawn : float
        What the draw gave.
    missed : int
        What the gathering gave; -1 where nothing was drawn.
    patience : int
        Address of the timeout, or of None.

    Returns
    -------
    int
        As method_sample.

    Notes
    -----
    Units: none.
    Cost: that of the method.
    Errors: those of the method.
    Sharing: the interpreter's lock is held.
    Source: own.
    """
    numbers = stack_integers()
    numbers[0] = new_integer(missed)
    numbers[1] = patience
    divided = new_float(drawn)
    result = 0
    if numbers[0] != 0 and divided != 0:
        take_reference(batch)
        rest = word(SAMPLE_REST)
        result = method_python(rest, me, batch, divided, address_of(numbers), 2, 0)
    if numbers[0] != 0:
        drop_reference(numbers[0])
    drop_reference(batch)
    return result


@kernel
def method_update(me: int, arguments: int, count: int, names: int) -> int:
    """
    Set priorities by id: `update_priorities` of buffers.

    Parameters
    ----------
    me, arguments, count, names : int
        See `methods`; ids and priorities.

    Returns
    -------
    int
        How many were applied, a new reference; 0 where Python has an error set.

    Notes
    -----
    Units: priorities before alpha.
    Cost: priorities_update, and a few loads.
    Errors: those of the method in Python.
    Sharing: any number of learners beside writers; the interpreter's lock is held.
    Source: own.
    """
    owner = method_owner(me)
    if owner != 0 and count == 2 and names == 0:
        handle = handle_at(array_data(owner))
        if handle[OPEN] != 0 and handle[UPDATE] != 0 and handle[DECAY] == 0:
            ids = load_int64(arguments)
            priorities = load_int64(arguments + 8)
            size = ids_priorities(handle, ids, priorities)
            if size >= 0:
                at = address_of(handle)
                data = array_data(priorities)
                applied = call_4(handle[UPDATE], at, array_data(ids), data, size)
                if applied >= 0:
                    return new_integer(applied)
    return method_python(word(UPDATE_NAME), me, 0, 0, arguments, count, names)
