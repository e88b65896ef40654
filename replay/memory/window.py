"""The window of a view: which rows around a drawn one must be stored."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import view as words
from replay.errors import InputError
from replay.memory.fields import Field, Schema

#: The field that numbers the rows of an episode, behind those of the user.
STEP = "step"
#: What a view makes of the log by itself.
MADE = ("next_obs", "terminated", "truncated", "discount", "mask", "lengths", "relabelled", STEP)
#: What the methods of writers take besides.
_TAKEN = ("first",)
_MOST = 1 << 30


@dataclasses.dataclass(frozen=True)
class Window:
    """
    Which rows a drawn row needs, as the kernels are told.

    Parameters
    ----------
    ahead : int
        Steps from the drawn one on.
    stack : int
        Observations in a stack: so many rows before the drawn one.
    period : int
        Windows begin at every so manieth step of an episode.
    burn_in : int
        A window has more steps than these.
    episode : bool
        A window is a whole episode of `ahead` steps at most.
    ended : bool
        The episode has ended.

    Raises
    ------
    InputError
        A number is out of range.
    """

    ahead: int = 1
    stack: int = 1
    period: int = 1
    burn_in: int = 0
    episode: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        for name, low in (("ahead", 1), ("stack", 1), ("period", 1), ("burn_in", 0)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= _MOST:
                raise InputError(f"{name} is {value!r}, it must be an int from {low} to {_MOST}")
        for name in ("episode", "ended"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"{name} is {getattr(self, name)!r}, it must be True or False")

    @property
    def rows(self) -> int:
        """Rows of a stream that one drawn row needs."""
        return self.ahead + self.stack

    @property
    def need(self) -> str:
        """What a row needs to be drawn, in words."""
        if self.episode:
            return f"a finished episode of at most {self.ahead} steps"
        need = (
            "1 step" if self.ahead == 1 else f"{self.ahead} steps, or those up to an episode's end"
        )
        if self.burn_in:
            need += f", more than {self.burn_in} of them"
        if self.stack > 1:
            need += f", with {self.stack} observations before each"
        return f"{need}, of an episode that is over" if self.ended else need

    def check(self, capacity: int, streams: int) -> None:
        """
        Refuse a window that no stream has room for.

        Raises
        ------
        InputError
        """
        rows = capacity // streams
        if self.rows > rows:
            raise InputError(
                f"the view needs {self.rows} rows of a stream at once ({self.ahead} steps and "
                f"{self.stack} observations before them), a stream has {rows}: capacity is "
                f"{capacity}, streams is {streams}"
            )

    def to_json(self) -> dict[str, Any]:
        """Describe the window in what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, described: Any) -> "Window":
        """
        Undo `to_json`: nothing of it is trusted.

        Raises
        ------
        InputError
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(described, dict) or described.keys() != names:
            raise InputError(f"window {described!r} cannot be")
        return cls(**described)

    def words(self) -> npt.NDArray[np.int64]:
        """Make the words of a view that gives nothing out, (64,) int64."""
        view = np.zeros(words.VIEW_WORDS, np.int64)
        view[words.AHEAD] = self.ahead
        view[words.STACK] = self.stack
        view[words.PERIOD] = self.period
        view[words.BURN_IN] = self.burn_in
        view[words.FLAGS] = words.EPISODE * self.episode | words.ENDED * self.ended
        return view


def with_step(schema: Schema) -> Schema:
    """
    Add the field that numbers the rows of an episode.

    Raises
    ------
    InputError
        There is no observation, or a name is taken.
    """
    taken = [name for name in schema.nodes if name in MADE]
    if taken:
        raise InputError(
            f"field {taken[0]!r} comes by itself in a log of steps: leave "
            f"{', '.join(map(repr, taken))} out of fields"
        )
    for name in _TAKEN:
        if name in schema.nodes:
            raise InputError(f"field name {name!r} is taken: writers of steps have it")
    if "obs" not in schema.nodes:
        raise InputError(
            f"a log of steps needs a field 'obs', the fields are {', '.join(schema.nodes)}"
        )
    return Schema({**schema.nodes, STEP: Field(np.int32)})
