"""Whole episodes."""

import dataclasses
from typing import Any, ClassVar

from replay.errors import InputError
from replay.memory.window import Window
from replay.views.recipe import Recipe
from replay.views.view import View, names, whole

#: No episode has so many steps: windows begin with its first one alone.
_NEVER_AGAIN = 1 << 30


@dataclasses.dataclass(frozen=True)
class Episodes(View):
    """
    Whole episodes, padded with zeros to `length` steps.

    Arrays are as those of `Sequence`, with T = length; `lengths` (n,) int64 says how many steps an
    episode has, and `mask` which. Each episode that is over and stored whole is drawn alike by a
    uniform sampler, and longer ones never. The id is that of its first step.

    Parameters
    ----------
    length : int
        Steps of the longest episode, 1 or more.
    state : tuple of str
        Fields that are given of the first step alone.
    time_major : bool
        Put the axis of time before that of the batch.

    Raises
    ------
    InputError
    """

    length: int
    state: tuple[str, ...] = ()
    time_major: bool = False

    kind: ClassVar[str] = "episodes"

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", whole("length", self.length, 1))
        object.__setattr__(self, "state", names("state", self.state))
        if not isinstance(self.time_major, bool):
            raise InputError(f"time_major is {self.time_major!r}, it must be True or False")

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        window = Window(ahead=self.length, period=_NEVER_AGAIN, episode=True)
        return Recipe(window, time=True, major=self.time_major, state=self.state, lengths=True)

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""
        return {
            "kind": self.kind,
            "length": self.length,
            "state": list(self.state),
            "time_major": self.time_major,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Episodes":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        return cls(described["length"], described["state"], described["time_major"])
