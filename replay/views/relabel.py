"""Goals in hindsight: which rows of a batch get another goal, and what asks for it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import view as words
from replay.errors import InputError
from replay.memory.fields import SEPARATOR, Field, Schema

#: The array of a batch that says which of its rows got another goal.
RELABELLED = "relabelled"
#: Where a goal comes from.
STRATEGIES = {"future": words.FUTURE, "final": words.FINAL, "episode": words.ANY_STEP}
#: Goals of the first call, which shows whether a function is one of rewards.
_TRIED = 2

Reward = Callable[[npt.NDArray[Any], npt.NDArray[Any]], Any]


@dataclasses.dataclass(frozen=True)
class Relabel:
    """
    What relabelling asks of the kernels, and of a log.

    Parameters
    ----------
    strategy : str
    share : float
        Of the rows, from 0 to 1.
    achieved : str
        The field of an observation that says what goal it reached.
    desired : str
        The field that says what goal was pursued.
    reward : callable, optional
        None: no batch can be drawn.
    """

    strategy: str
    share: float
    achieved: str
    desired: str
    reward: Reward | None = dataclasses.field(default=None, compare=False)

    def check(self, schema: Schema) -> None:
        """
        Refuse fields that are not of goals and rewards, and a function that gives no rewards.

        Raises
        ------
        InputError
        """
        fields = schema.leaves
        parts = [name for name in fields if name.split(SEPARATOR)[0] == "obs"]
        for what, name in (("achieved", self.achieved), ("desired", self.desired)):
            if name not in parts:
                raise InputError(
                    f"{what} is {name!r}, which is no part of the observation: that has "
                    f"{', '.join(parts)}"
                )
            if fields[name].heaped:
                raise InputError(
                    f"{what} {name!r} is {fields[name]}: a goal is neither ragged nor compressed"
                )
        goal = fields[self.desired]
        if _kind(fields[self.achieved]) != _kind(goal):
            raise InputError(
                f"achieved {self.achieved!r} is {fields[self.achieved]}, desired "
                f"{self.desired!r} is {goal}: they must be alike"
            )
        if RELABELLED in schema.nodes:
            raise InputError(
                f"field {RELABELLED!r} comes by itself in batches of relabelled goals: leave it "
                "out of fields"
            )
        reward = fields.get("reward")
        if reward is None or reward.shape or reward.dtype.str not in ("<f4", "<f8"):
            kind = "there is none" if reward is None else f"it is {reward}"
            raise InputError(
                f"relabelled goals need a field 'reward', a single float32 or float64: {kind}"
            )
        if self.reward is not None:
            self._try(self.reward, goal)

    def _try(self, reward: Reward, goal: Field) -> None:
        """Call a function as batches will, to see at once that it is none of rewards."""
        achieved, desired = np.zeros((2, _TRIED, *goal.shape), goal.dtype)
        try:
            # Goals of zeros may have no reward; a wrong shape is wrong for all of them.
            with np.errstate(all="ignore"):
                rewards = reward(achieved, desired)
        except Exception as error:
            raise InputError(
                f"reward(achieved, desired) failed when it was called with zeros of shape "
                f"{desired.shape}, {_TRIED} goals: {type(error).__name__}: {error}"
            ) from error
        rewards_of(rewards, _TRIED)

    def tell(self, view: npt.NDArray[np.int64], names: list[str]) -> None:
        """
        Tell the kernels what to do.

        Parameters
        ----------
        view : (words,) int64 ndarray, written
        names : list of str
            Of the log's fields.
        """
        view[words.STRATEGY] = STRATEGIES[self.strategy]
        view.view(np.float64)[words.SHARE] = self.share
        view[words.ACHIEVED] = names.index(self.achieved)


def rewards_of(given: Any, goals: int) -> npt.NDArray[Any]:
    """
    Check what a function gave for so many goals.

    Raises
    ------
    InputError
    """
    rewards = np.asarray(given)
    if rewards.shape != (goals,):
        raise InputError(
            f"reward(achieved, desired) gave an array of shape {rewards.shape} for {goals} goals, "
            f"it must be ({goals},)"
        )
    if rewards.dtype.kind not in "biuf":
        raise InputError(f"reward(achieved, desired) gave {rewards.dtype}, it must be numbers")
    return rewards


def _kind(field: Field) -> Any:
    return field.dtype, field.shape
