"""Goals that were reached in place of those that were pursued."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from replay.errors import InputError
from replay.views.recipe import Recipe
from replay.views.relabel import STRATEGIES, Relabel, Reward
from replay.views.transition import Transition
from replay.views.view import View, from_json, whole


@dataclasses.dataclass(frozen=True)
class Hindsight(View):
    """
    Transitions of which some get another goal: one that the agent reached in the same episode.

    A batch is one of `of`, and has `relabelled` (n,) bool besides. In the rows that it marks the
    desired goal, in obs and in next_obs, is a goal achieved in the same episode, and the reward is
    that of the new goal: reward(achieved, desired), where achieved is what next_obs achieved. All
    else is as it was stored, the rewards of the other rows too.

    `terminated` stays as well: it says whether the episode really went on, which no goal changes.
    Where reaching a goal is to end an episode, the rewards say so: terminated | (reward == 0), for
    rewards of -1 and 0.

    Rows are drawn once their episode is over. Goals come from the rows of it that are stored,
    whether its beginning still is or not.

    Parameters
    ----------
    reward : callable or None
        Of two arrays (m, *shape) of the fields' dtype, the goals achieved and those desired; gives
        (m,) finite numbers. Called once a batch, with the relabelled rows alone, plain or
        compiled; and with zeros when a buffer or a reader is made. One that takes more is wrapped,
        as Gymnasium's: lambda achieved, desired: env.compute_reward(achieved, desired, {}).
        None: no batch can be drawn.
    goals : int
        Relabelled rows for each one as it was, 1 or more.
    strategy : {"future", "final", "episode"}
        Whose goal a row gets: any from itself to the end of its episode, the last one, or any of
        the episode; each is equally likely.
    share : float, optional
        Of the rows that are relabelled, each independently, from 0 to 1; None:
        goals / (goals + 1).
    of : View
        `Transition()`, or a `FrameStack` of it. Stacked goals become k times the new one.
    achieved, desired : str
        Parts of the observation, of the same dtype and shape.

    Raises
    ------
    InputError

    Notes
    -----
    A function cannot be stored. Who attaches a buffer writes to it as it is, and draws by
    `buffer.reader(view=Hindsight(reward, ...))`, which has the buffer's priorities too where all
    but the function is the same.

    Andrychowicz et al. (2017), Hindsight Experience Replay, algorithm 1 and section 4.5.
    """

    reward: Reward | None = dataclasses.field(compare=False)
    goals: int = 4
    strategy: str = "future"
    share: float | None = None
    of: View = dataclasses.field(default_factory=Transition)
    achieved: str = "obs/achieved_goal"
    desired: str = "obs/desired_goal"

    kind: ClassVar[str] = "hindsight"

    def __post_init__(self) -> None:
        if self.reward is not None and not callable(self.reward):
            raise InputError(
                f"reward is {self.reward!r}, it must be a function of the goals achieved and "
                "desired"
            )
        object.__setattr__(self, "goals", whole("goals", self.goals, 1))
        if self.strategy not in tuple(STRATEGIES):
            known = ", ".join(map(repr, STRATEGIES))
            raise InputError(f"strategy is {self.strategy!r}, it must be one of {known}")
        if self.share is not None:
            object.__setattr__(self, "share", _share(self.share))
        if not isinstance(self.of, View):
            raise InputError(f"of is {self.of!r}, it must be a view")
        recipe = self.of.recipe
        if recipe.relabel is not None:
            raise InputError(f"of is {self.of!r}, which relabels already")
        if recipe.time or recipe.discount is not None:
            raise InputError(
                f"of is {self.of!r}: another goal changes the reward of each of its steps, and "
                "only single steps can be relabelled, Transition() or a FrameStack of it"
            )
        for name in ("achieved", "desired"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}, a field name is a str")
        if self.achieved == self.desired:
            raise InputError(f"achieved and desired are both {self.desired!r}")

    @property
    def recipe(self) -> Recipe:
        """What it asks of the kernels."""
        of = self.of.recipe
        share = self.goals / (self.goals + 1) if self.share is None else self.share
        return dataclasses.replace(
            of,
            window=dataclasses.replace(of.window, ended=True),
            relabel=Relabel(self.strategy, share, self.achieved, self.desired, self.reward),
        )

    def to_json(self) -> dict[str, Any]:
        """Describe the view in what JSON can hold, without the function."""
        return {
            "kind": self.kind,
            "goals": self.goals,
            "strategy": self.strategy,
            "share": self.share,
            "of": self.of.to_json(),
            "achieved": self.achieved,
            "desired": self.desired,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Hindsight":
        """
        Undo `to_json`, but for the function.

        Raises
        ------
        InputError
        """
        return cls(
            None,
            described["goals"],
            described["strategy"],
            described["share"],
            from_json(described["of"]),
            described["achieved"],
            described["desired"],
        )


def _share(share: Any) -> float:
    known = isinstance(share, (int, float, np.integer, np.floating))
    if not known or isinstance(share, bool):
        raise InputError(f"share is {share!r}, it must be a number")
    if not math.isfinite(share) or not 0 <= share <= 1:
        raise InputError(f"share is {share}, it must be from 0 to 1")
    return float(share)
