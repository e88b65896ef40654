"""Prioritized replay, in proportion to |TD error| ** alpha."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.object_calls import object_draw_proportional
from kernels.walk_draw import draw_proportional
from kernels.weights import BATCH_LARGEST, BUFFER_LARGEST, NOT_NORMALISED
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.samplers.sampler import Sampler
from replay.samplers.schedule import Linear

_NORMALISE = {"batch": BATCH_LARGEST, "buffer": BUFFER_LARGEST, None: NOT_NORMALISED}


@dataclasses.dataclass(frozen=True)
class Proportional(Sampler):
    """
    Draw rows in proportion to priority ** alpha, and weigh them by (size * P(i)) ** -beta.

    New rows enter at the largest priority so far, 1 at first. A row of priority 0 is never drawn.

    Parameters
    ----------
    alpha : float
        0 draws all rows of positive priority alike, 1 in proportion; from 0 to 4.
    beta : float or Linear
        0 corrects nothing, 1 all of the bias that drawing in proportion brings; from 0 to 1. A
        `Linear` grows with the batches drawn.
    epsilon : float
        Added to every priority that `update_priorities` is given; 0 or more.
    stratified : bool
        Draw one row from each of n equal parts of the total, as in the paper; else n plain draws.
    normalise : {"batch", "buffer", None}
        Divide the weights by the largest of the batch, by the largest of the whole buffer (which
        keeps a second tree of minima), or not.

    Raises
    ------
    InputError

    Notes
    -----
    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay, sections 3.3 and
    3.4.
    """

    alpha: float = 0.6
    beta: float | Linear = 0.4
    epsilon: float = 0.0
    stratified: bool = True
    normalise: str | None = "batch"

    kind: ClassVar[str] = "proportional"

    def __post_init__(self) -> None:
        _within("alpha", self.alpha, 0.0, 4.0)
        if isinstance(self.beta, Linear):
            _within("beta's first value", self.beta.first, 0.0, 1.0)
            _within("beta's last value", self.beta.last, 0.0, 1.0)
        else:
            _within("beta", self.beta, 0.0, 1.0)
        _within("epsilon", self.epsilon, 0.0, 1e6)
        if not isinstance(self.stratified, bool):
            raise InputError(f"stratified is {self.stratified!r}, it must be True or False")
        if self.normalise not in tuple(_NORMALISE):
            raise InputError(
                f"normalise is {self.normalise!r}, it must be 'batch', 'buffer' or None"
            )

    @property
    def prioritized(self) -> bool:
        """Whether it needs the priority tree: it does."""
        return True

    @property
    def line(self) -> Linear:
        """Beta as a line, level where it was given as a number."""
        if isinstance(self.beta, Linear):
            return self.beta
        return Linear(self.beta, self.beta, 1)

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {
            "kind": self.kind,
            "tree": True,
            "minima": self.normalise == "buffer",
            "alpha": float(self.alpha),
            "beta": [float(self.line.first), float(self.line.last), int(self.line.steps)],
            "epsilon": float(self.epsilon),
            "stratified": self.stratified,
            "normalise": self.normalise,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Proportional":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        try:
            first, last, steps = described["beta"]
            level = first == last and steps == 1
            sampler = cls(
                described["alpha"],
                first if level else Linear(first, last, steps),
                described["epsilon"],
                described["stratified"],
                described["normalise"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"sampler {described!r} cannot be: {error}") from None
        if sampler.to_json() != described:
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""
        numbers = handle.view(np.float64)
        numbers[words.ALPHA] = self.alpha
        numbers[words.EPSILON] = self.epsilon
        numbers[words.BETA_FIRST] = self.line.first
        numbers[words.BETA_LAST] = self.line.last
        numbers[words.BETA_STEPS] = self.line.steps
        handle[words.STRATIFIED] = self.stratified
        handle[words.NORMALISE] = _NORMALISE[self.normalise]

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_proportional

    @property
    def object_kernel(self) -> Any:
        """The kernel that draws into a batch's objects."""
        return object_draw_proportional

    def settle(self, weights: npt.NDArray[np.float32]) -> None:
        """Make the largest weight of the batch 1 again, where the batch normalises."""
        if self.normalise == "batch":
            weights /= weights.max()


def _within(name: str, value: Any, low: float, high: float) -> None:
    known = isinstance(value, (int, float, np.integer, np.floating))
    if not known or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be a number")
    if not math.isfinite(value) or not low <= value <= high:
        raise InputError(f"{name} is {value}, it must be from {low:g} to {high:g}")
