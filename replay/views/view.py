"""What every view offers a buffer."""

import abc
from typing import Any, ClassVar

import numpy as np

from replay.errors import InputError
from replay.views.recipe import Recipe


class View(abc.ABC):
    """
    Says what a drawn row of a log of steps becomes.

    A view is a description: frozen, comparable, and written into the block, so that whoever
    attaches gets the same batches.
    """

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold."""

    @classmethod
    @abc.abstractmethod
    def read(cls, described: dict[str, Any]) -> "View":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """

    def described(self) -> dict[str, Any]:
        """Describe the view and its window, as the header of a block holds it."""
        return {"view": self.to_json(), "window": self.recipe.window.to_json()}


def from_json(described: Any) -> View:
    """
    Read what `View.to_json` wrote, from anywhere: nothing of it is trusted.

    Parameters
    ----------
    described : object

    Returns
    -------
    View

    Raises
    ------
    InputError
        It describes no view that this release knows.
    """
    kinds = {kind.kind: kind for kind in View.__subclasses__()}
    if not isinstance(described, dict) or described.get("kind") not in tuple(kinds):
        raise InputError(f"view {described!r} is none of {', '.join(kinds)}")
    try:
        view = kinds[described["kind"]].read(described)
        if view.to_json() == described:
            return view
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"view {described!r} cannot be: {error}") from None
    raise InputError(f"view {described!r} contradicts itself")


def from_header(described: Any) -> View | None:
    """
    Read what `View.described` wrote; nothing of it is trusted.

    Parameters
    ----------
    described : dict
        Empty where there is no view.

    Raises
    ------
    InputError
    """
    if not described:
        return None
    view = from_json(described.get("view"))
    if view.described() != described:
        raise InputError(f"view {described!r} contradicts itself")
    return view


def whole(name: str, value: Any, low: int) -> int:
    """
    Check a number of a view.

    Raises
    ------
    InputError
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be an int")
    if not low <= value <= 1 << 30:
        raise InputError(f"{name} is {value}, it must be from {low} to {1 << 30}")
    return int(value)


def names(name: str, value: Any) -> tuple[str, ...]:
    """
    Check names of fields.

    Raises
    ------
    InputError
    """
    if isinstance(value, str) or not isinstance(value, (tuple, list)):
        raise InputError(f"{name} is {value!r}, it must be a tuple of field names")
    for one in value:
        if not isinstance(one, str):
            raise InputError(f"{name} holds {one!r}, a field name is a str")
    return tuple(value)
