"""
Priorities out of TD errors, for `ReplayBuffer.update_priorities`.

Each takes what NumPy can make an array of, and gives an array as `update_priorities` takes it:
float32 out of float32, else float64. Any other function will do as well, a compiled one too:

    buffer.update_priorities(batch.ids, priorities.absolute(td_errors))
    buffer.update_priorities(batch.ids, my_function(td_errors))
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import InputError

__all__ = ["absolute", "clipped", "lap", "sequence"]


def absolute(td_errors: Any, epsilon: float = 1e-6) -> npt.NDArray[Any]:
    """
    Give |TD error| + epsilon.

    Parameters
    ----------
    td_errors : (n,) array of float
        Finite.
    epsilon : float
        0 or more. With 0 a row without error is never drawn again. Beside the sampler's own, which
        is added to whatever it is given.

    Returns
    -------
    (n,) ndarray of float32 or float64

    Raises
    ------
    InputError

    Notes
    -----
    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay, section 3.3.
    """
    errors = _errors(td_errors)
    return np.asarray(np.abs(errors) + errors.dtype.type(_number("epsilon", epsilon)))


def clipped(td_errors: Any, largest: float = 1.0, epsilon: float = 1e-6) -> npt.NDArray[Any]:
    """
    Give min(|TD error|, largest) + epsilon, so that no row outweighs the others for long.

    Parameters
    ----------
    td_errors : (n,) array of float
        Finite.
    largest : float
        0 or more.
    epsilon : float
        As `absolute` takes it.

    Returns
    -------
    (n,) ndarray of float32 or float64

    Raises
    ------
    InputError

    Notes
    -----
    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay, section 4, clips TD
    errors to [-1, 1].
    """
    errors = _errors(td_errors)
    most = errors.dtype.type(_number("largest", largest))
    least = errors.dtype.type(_number("epsilon", epsilon))
    return np.asarray(np.minimum(np.abs(errors), most) + least)


def lap(td_errors: Any) -> npt.NDArray[Any]:
    """
    Give max(|TD error|, 1), loss-adjusted where sampler and loss are those that belong to it.

    Parameters
    ----------
    td_errors : (n,) array of float
        Finite.

    Returns
    -------
    (n,) ndarray of float32 or float64

    Raises
    ------
    InputError

    Notes
    -----
    The sampler raises it to alpha, and max(|TD error|, 1) ** alpha is the paper's
    max(|TD error| ** alpha, 1). The rest of the paper's method is the caller's: the sampler is
    `Proportional(alpha, beta=0.0, epsilon=0.0)`, so that all weights are 1, and the loss is the
    Huber loss that turns from square to linear at 1: the rows that are drawn alike have the
    square, those that are drawn by their error the linear part. With the squared loss, or with
    weights, the priorities are not those of the paper.

    Fujimoto, Meger and Precup (2020), An Equivalence between Loss Functions and Non-Uniform
    Sampling in Experience Replay, sections 4 and 5.
    """
    errors = _errors(td_errors)
    return np.asarray(np.maximum(np.abs(errors), errors.dtype.type(1.0)))


def sequence(
    td_errors: Any, mask: Any = None, eta: float = 0.9, *, time_major: bool = False
) -> npt.NDArray[Any]:
    """
    Give eta * max |TD error| + (1 - eta) * mean |TD error| of each sequence.

    Parameters
    ----------
    td_errors : (batch, steps) array of float
        Finite where they count; (steps, batch) where `time_major`, and the mask as well.
    mask : (batch, steps) array, optional
        True or above 0 for the steps that count, at least one of each sequence: not the burn-in,
        not what only fills a sequence up. None: all of them.
    eta : float
        0 gives the mean, 1 the maximum.
    time_major : bool
        The steps come first, as in batches of a `Sequence` that is time-major.

    Returns
    -------
    (batch,) ndarray of float32 or float64

    Raises
    ------
    InputError

    Notes
    -----
    Kapturowski, Ostrovski, Quan, Munos and Dabney (2019), Recurrent Experience Replay in
    Distributed Reinforcement Learning, section 2.3.
    """
    share = _number("eta", eta, 1.0)
    errors = _array("td_errors", td_errors)
    wanted = "(steps, batch)" if time_major else "(batch, steps)"
    if errors.ndim != 2 or not errors.shape[0 if time_major else 1]:
        raise InputError(f"td_errors has shape {errors.shape}, it must be {wanted}")
    if time_major:
        errors = errors.T
    if mask is None:
        steps: Any = errors.shape[1]
    else:
        counts = _array("mask", mask) > 0
        counts = counts.T if time_major else counts
        if counts.shape != errors.shape:
            raise InputError(
                f"mask has shape {np.shape(mask)}, td_errors has {np.shape(td_errors)}"
            )
        steps = np.count_nonzero(counts, axis=1)
        for place in np.flatnonzero(steps == 0)[:1]:
            raise InputError(f"mask[{place}] has no step that counts")
        # Not multiplied: what does not count may be anything, also what was never written.
        errors = np.where(counts, errors, errors.dtype.type(0))
    _check_finite(errors)
    errors = np.abs(errors)
    mean = errors.sum(axis=1) / steps
    priorities = share * errors.max(axis=1) + (1.0 - share) * mean
    return np.asarray(priorities, errors.dtype)


def _errors(td_errors: Any) -> npt.NDArray[Any]:
    """Take TD errors as a finite array of floats."""
    errors = _array("td_errors", td_errors)
    if errors.ndim != 1:
        raise InputError(f"td_errors has shape {errors.shape}, it must be (n,)")
    _check_finite(errors)
    return errors


def _array(name: str, given: Any) -> npt.NDArray[Any]:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is no array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} is of {array.dtype}, it must be of real numbers")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def _check_finite(errors: npt.NDArray[Any]) -> None:
    if np.isfinite(errors).all():
        return
    place = tuple(int(number) for number in np.argwhere(~np.isfinite(errors))[0])
    raise InputError(
        f"td_errors[{', '.join(map(str, place))}] is {errors[place]}, TD errors are finite"
    )


def _number(name: str, value: Any, most: float = math.inf) -> float:
    known = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    if not known or not math.isfinite(value) or not 0 <= value <= most:
        limit = "0 or more" if most == math.inf else f"from 0 to {most:g}"
        raise InputError(f"{name} is {value!r}, it must be a number, {limit}")
    return float(value)
