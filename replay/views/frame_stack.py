"""Stacks of observations."""

import dataclasses
from typing import Any, ClassVar

from replay.errors import InputError
from replay.views.recipe import Recipe
from replay.views.transition import Transition
from replay.views.view import View, from_json, names, whole

_PADS = ("first", "zeros")


@dataclasses.dataclass(frozen=True)
class FrameStack(View):
    """
    Each observation with the k - 1 before it, out of single ones that are stored once.

    Observations of a batch have an axis of k before their own, the oldest first. Before an
    episode's first observation comes that one again, or zeros; never one of another episode.

    Parameters
    ----------
    k : int
        1 or more.
    of : View
        What the stacks are parts of.
    fields : tuple of str, optional
        Which parts of a nested observation are stacked, as "obs/image"; None: all.
    pad : {"first", "zeros"}

    Raises
    ------
    InputError

    Notes
    -----
    Mnih et al. (2015), Human-level control through deep reinforcement learning, methods.
    """

    k: int
    of: View = dataclasses.field(default_factory=Transition)
    fields: tuple[str, ...] | None = None
    pad: str = "first"

    kind: ClassVar[str] = "frame_stack"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole("k", self.k, 1))
        if not isinstance(self.of, View):
            raise InputError(f"of is {self.of!r}, it must be a view")
        if self.of.recipe.stacks:
            raise InputError(f"of is {self.of!r}, which stacks already")
        if self.fields is not None:
            object.__setattr__(self, "fields", names("fields", self.fields))
            if not self.fields:
                raise InputError(
                    "fields is (), it must name a part of the observation, or be None"
                )
        if self.pad not in _PADS:
            raise InputError(f"pad is {self.pad!r}, it must be 'first' or 'zeros'")

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        of = self.of.recipe
        return dataclasses.replace(
            of,
            window=dataclasses.replace(of.window, stack=self.k),
            stacks=True,
            stacked=self.fields,
            zeros=self.pad == "zeros",
        )

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""
        return {
            "kind": self.kind,
            "k": self.k,
            "of": self.of.to_json(),
            "fields": None if self.fields is None else list(self.fields),
            "pad": self.pad,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "FrameStack":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        of = from_json(described["of"])
        return cls(described["k"], of, described["fields"], described["pad"])
