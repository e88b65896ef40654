"""Transitions of a log of steps."""

import dataclasses
from typing import Any, ClassVar

from replay.views.recipe import Recipe
from replay.views.view import View


@dataclasses.dataclass(frozen=True)
class Transition(View):
    """
    One step: obs, action, reward, next_obs, terminated and truncated.

    `next_obs` is the observation that the step led to, at an episode's end the true last one:
    nothing is stored twice. Further fields follow, as the step brought them.
    """

    kind: ClassVar[str] = "transition"

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        return Recipe()

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""
        return {"kind": self.kind}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Transition":
        """Undo `to_json`."""
        return cls()
