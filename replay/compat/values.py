"""From what callers of other interfaces hand over to what a buffer stores, or why it cannot be."""

from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import FieldError, InputError
from replay.memory import Field
from replay.memory.fields import as_array

_MOST = float(1 << 63)


def integer(name: str, value: Any, least: int) -> int:
    """
    Check a whole number among a call's arguments.

    Parameters
    ----------
    name : str
        For the message.
    value : object
    least : int

    Returns
    -------
    int

    Raises
    ------
    InputError
        No integer, or below `least`.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}, it must be an int, {least} or more")
    return int(value)


def stored_rows(batch_size: Any, size: int) -> int:
    """
    Check the size of a batch that may be no larger than what is stored.

    Parameters
    ----------
    batch_size : int
    size : int
        Rows stored.

    Returns
    -------
    int

    Raises
    ------
    InputError
        Below 1, or above `size`.
    """
    wanted = integer("batch_size", batch_size, 1)
    if wanted > size:
        raise InputError(f"batch_size is {wanted}, only {size} transitions are stored")
    return wanted


def observed(name: str, value: Any) -> npt.NDArray[Any]:
    """
    Read the observation that shows the type of all later ones.

    Parameters
    ----------
    name : str
        For the message.
    value : array-like

    Returns
    -------
    ndarray
        Arrays keep their dtype, so uint8 images stay small; a plain int is int64. Other plain
        Python values are float32: a list of ints may be followed by one of floats.

    Raises
    ------
    FieldError
        Not numbers.
    """
    array = as_array(name, value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, (bool, float, list, tuple)) and not whole:
        return Field(np.float32, array.shape).convert(name, array)
    return array


def action_of(value: Any) -> Any:
    """
    Read an action: a number is the discrete kind, an array of floats the continuous kind.

    Parameters
    ----------
    value : array-like

    Returns
    -------
    int or ndarray
        Whole numbers, or a float array of one dimension or more.

    Raises
    ------
    FieldError
        A single number that is not whole.
    """
    if type(value) is int:
        return value
    array = as_array("action", value)
    if array.dtype.kind != "f" or array.ndim:
        return array
    if not -_MOST <= array < _MOST or array != np.floor(array):
        raise FieldError(
            f"field 'action' is {array.item()!r}: a single number is a discrete action, a whole "
            "one; give a continuous action as an array of shape (1,)"
        )
    return array.astype(np.int64)


def flag(name: str, value: Any) -> Any:
    """
    Read a truth value, also where it comes as 0.0 or 1.0.

    Parameters
    ----------
    name : str
        For the message.
    value : array-like

    Returns
    -------
    bool or ndarray
        Boolean or integer; whoever stores it checks shape and range.

    Raises
    ------
    FieldError
        A float other than 0 and 1, or no number.
    """
    if isinstance(value, bool):
        return value
    array = as_array(name, value)
    if array.dtype.kind != "f":
        return array
    if not np.isin(array, (0.0, 1.0)).all():
        raise FieldError(f"field {name!r} is {array.tolist()!r}, it must be 0 or 1")
    return array.astype(bool)


def td_errors_of(name: str, values: Any) -> npt.NDArray[np.float64]:
    """
    Read TD errors, of either sign.

    Parameters
    ----------
    name : str
        For the message.
    values : (n,) or (n, 1) array-like of float
        The second shape is how a network's column of values comes.

    Returns
    -------
    (n,) float64 ndarray

    Raises
    ------
    InputError
        Of another shape, no real numbers, or one is not finite.
    """
    array = as_array(name, values)
    if array.dtype.kind == "c":
        raise InputError(f"{name} is {array.dtype}, it must be real numbers")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{name} has shape {array.shape}, it must be (n,)")
    for place in np.flatnonzero(~np.isfinite(array))[:1]:
        raise InputError(f"{name}[{place}] is {array[place]}, it must be finite")
    return array.astype(np.float64)


def first_row(
    state: npt.NDArray[Any],
    action: Any,
    reward: Any,
    next_state: Any,
    done: Any,
    done_type: npt.DTypeLike,
) -> dict[str, npt.NDArray[Any]]:
    """
    Make the row that a buffer learns its fields from.

    Parameters
    ----------
    state : (*shape) ndarray
        Of the dtype that states are to have.
    action, reward, next_state, done : array-like
    done_type : dtype-like
        Of `done`.

    Returns
    -------
    dict of str to ndarray
        Actions are int64, continuous ones float32; rewards float32.

    Raises
    ------
    FieldError
        A value does not fit; `next_state` has another shape than `state`.
    """
    acted = as_array("action", action_of(action))
    kind = np.float32 if acted.dtype.kind in "fc" else np.int64
    return {
        "state": state,
        "action": Field(kind, acted.shape).convert("action", acted),
        "reward": Field(np.float32).convert("reward", reward),
        "next_state": Field(state.dtype, state.shape).convert("next_state", next_state),
        "done": Field(done_type).convert("done", done),
    }
