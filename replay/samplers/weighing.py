"""What prioritized samplers have in common: the numbers they weigh their rows by."""

import math
from typing import Any

import numpy as np

from kernels import handle as words
from kernels.weights import BATCH_LARGEST, BUFFER_LARGEST, NOT_NORMALISED
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.samplers.schedule import Linear

_NORMALISE = {"batch": BATCH_LARGEST, "buffer": BUFFER_LARGEST, None: NOT_NORMALISED}


def within(name: str, value: Any, low: float, high: float) -> None:
    """
    Check a number of a sampler.

    Raises
    ------
    InputError
    """
    known = isinstance(value, (int, float, np.integer, np.floating))
    if not known or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be a number")
    if not math.isfinite(value) or not low <= value <= high:
        raise InputError(f"{name} is {value}, it must be from {low:g} to {high:g}")


def check_weighing(sampler: Any) -> None:
    """
    Check alpha, beta, epsilon, stratified and normalise of a sampler.

    Raises
    ------
    InputError
    """
    within("alpha", sampler.alpha, 0.0, 4.0)
    if isinstance(sampler.beta, Linear):
        within("beta's first value", sampler.beta.first, 0.0, 1.0)
        within("beta's last value", sampler.beta.last, 0.0, 1.0)
    else:
        within("beta", sampler.beta, 0.0, 1.0)
    within("epsilon", sampler.epsilon, 0.0, 1e6)
    if not isinstance(sampler.stratified, bool):
        raise InputError(f"stratified is {sampler.stratified!r}, it must be True or False")
    if sampler.normalise not in tuple(_NORMALISE):
        raise InputError(
            f"normalise is {sampler.normalise!r}, it must be 'batch', 'buffer' or None"
        )


def beta_line(beta: float | Linear) -> Linear:
    """Give beta as a line, level where it is a number."""
    return beta if isinstance(beta, Linear) else Linear(beta, beta, 1)


def describe_weighing(sampler: Any) -> dict[str, Any]:
    """Describe a sampler's weighing in what JSON can hold."""
    line = beta_line(sampler.beta)
    return {
        "alpha": float(sampler.alpha),
        "beta": [float(line.first), float(line.last), int(line.steps)],
        "epsilon": float(sampler.epsilon),
        "stratified": sampler.stratified,
        "normalise": sampler.normalise,
    }


def read_weighing(described: dict[str, Any]) -> dict[str, Any]:
    """
    Undo `describe_weighing`: give a sampler's arguments.

    Raises
    ------
    KeyError, TypeError, ValueError
    """
    first, last, steps = described["beta"]
    level = first == last and steps == 1
    return {
        "alpha": described["alpha"],
        "beta": first if level else Linear(first, last, steps),
        "epsilon": described["epsilon"],
        "stratified": described["stratified"],
        "normalise": described["normalise"],
    }


def prepare_weighing(handle: Handle, sampler: Any) -> None:
    """Write into a handle what the kernels need to know of a sampler's weighing."""
    line = beta_line(sampler.beta)
    numbers = handle.view(np.float64)
    numbers[words.ALPHA] = sampler.leaf_alpha
    numbers[words.EPSILON] = sampler.epsilon
    numbers[words.BETA_FIRST] = line.first
    numbers[words.BETA_LAST] = line.last
    numbers[words.BETA_STEPS] = line.steps
    handle[words.STRATIFIED] = sampler.stratified
    handle[words.NORMALISE] = _NORMALISE[sampler.normalise]
