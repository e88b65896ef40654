"""Returns over several steps."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from replay.errors import InputError
from replay.memory.window import Window
from replay.views.recipe import Recipe
from replay.views.view import View, whole


@dataclasses.dataclass(frozen=True)
class NStep(View):
    """
    `n` steps, or those up to the episode's end, summed up as one transition.

    Of m steps, reward is the sum of discount ** i * reward_i, next_obs the observation after the
    last of them, terminated and truncated that one's. `discount` (n,) float32 is what the value of
    next_obs counts: discount ** m, and 0 where the episode terminated. Truncation leaves it: the
    target is reward + batch.discount * value(next_obs), always. Action and further fields are
    those of the first step. A row is drawn once its n steps are stored or its episode is over.

    Parameters
    ----------
    n : int
        1 or more.
    discount : float
        Of one step, gamma; from 0 to 1.

    Raises
    ------
    InputError

    Notes
    -----
    Sutton and Barto (2018), Reinforcement Learning, section 7.1.
    """

    n: int
    discount: float

    kind: ClassVar[str] = "n_step"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole("n", self.n, 1))
        known = isinstance(self.discount, (int, float, np.integer, np.floating))
        if not known or isinstance(self.discount, bool):
            raise InputError(f"discount is {self.discount!r}, it must be a number")
        if not math.isfinite(self.discount) or not 0 <= self.discount <= 1:
            raise InputError(f"discount is {self.discount}, it must be from 0 to 1")
        object.__setattr__(self, "discount", float(self.discount))

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        return Recipe(Window(ahead=self.n), discount=self.discount)

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""
        return {"kind": self.kind, "n": self.n, "discount": self.discount}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "NStep":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        return cls(described["n"], described["discount"])
