"""Sequences of steps, for recurrent networks."""

import dataclasses
from typing import Any, ClassVar

from replay.errors import InputError
from replay.memory.window import Window
from replay.views.recipe import Recipe
from replay.views.view import View, names, whole


@dataclasses.dataclass(frozen=True)
class Sequence(View):
    """
    Steps that follow each other: `burn_in` to warm a recurrent state up, then `length` to learn.

    Each field of a step has an axis of T = burn_in + length steps behind that of the batch.
    Observations have one more: obs[:, t + 1] is what step t led to. A sequence never leaves its
    episode: where that ends early, zeros follow, and `mask` (n, T) bool says which steps are
    there. Sequences begin at every `period`-th step of an episode, at its first one to begin
    with, and overlap where that is less than their length. One is drawn once it is stored whole,
    or its episode is over after more than burn_in steps.

    Parameters
    ----------
    length : int
        1 or more.
    period : int, optional
        1 or more; None: `length`.
    burn_in : int
        0 or more.
    state : tuple of str
        Fields that are given of the first step alone, without the axis of time: the recurrent
        state that the step was made in.
    time_major : bool
        Put the axis of time before that of the batch.

    Raises
    ------
    InputError

    Notes
    -----
    Kapturowski et al. (2019), Recurrent Experience Replay in Distributed Reinforcement Learning,
    section 2.3. `replay.priorities.sequence` gives their priorities.
    """

    length: int
    period: int | None = None
    burn_in: int = 0
    state: tuple[str, ...] = ()
    time_major: bool = False

    kind: ClassVar[str] = "sequence"

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", whole("length", self.length, 1))
        if self.period is not None:
            object.__setattr__(self, "period", whole("period", self.period, 1))
        object.__setattr__(self, "burn_in", whole("burn_in", self.burn_in, 0))
        object.__setattr__(self, "state", names("state", self.state))
        if not isinstance(self.time_major, bool):
            raise InputError(f"time_major is {self.time_major!r}, it must be True or False")

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        window = Window(
            ahead=self.burn_in + self.length,
            period=self.length if self.period is None else self.period,
            burn_in=self.burn_in,
        )
        return Recipe(window, time=True, major=self.time_major, state=self.state)

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""
        return {
            "kind": self.kind,
            "length": self.length,
            "period": self.period,
            "burn_in": self.burn_in,
            "state": list(self.state),
            "time_major": self.time_major,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Sequence":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        return cls(
            described["length"],
            described["period"],
            described["burn_in"],
            described["state"],
            described["time_major"],
        )
