"""Rewards in hindsight: what the relabelled rows of a batch earn by their new goals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import view as words
from replay.errors import InputError
from replay.memory.fields import Schema
from replay.views.recipe import Output, Recipe
from replay.views.relabel import RELABELLED, Reward, rewards_of


class Rewards:
    """
    Gives the relabelled rows of a batch the rewards of their new goals.

    Parameters
    ----------
    reward : callable
    recipe : Recipe
        Of a view that relabels.
    schema : Schema
        Of the log.
    """

    def __init__(self, reward: Reward, recipe: Recipe, schema: Schema) -> None:
        assert recipe.relabel is not None
        outputs = recipe.outputs(schema)
        names = list(outputs)
        self._reward = reward
        self._flags = names.index(RELABELLED)
        self._rewards = names.index("reward")
        self._achieved = _goals(outputs, "next_" + recipe.relabel.achieved)
        self._desired = _goals(outputs, "next_" + recipe.relabel.desired)

    def __call__(self, flat: tuple[npt.NDArray[Any], ...]) -> None:
        """
        Write the rewards into a batch.

        Parameters
        ----------
        flat : tuple of (n, ...) ndarray, written
            Its arrays, every row of them whole.

        Raises
        ------
        InputError
            The function gave no finite number a row. What it raises itself is passed on.
        """
        rows = np.flatnonzero(flat[self._flags])
        if not rows.size:
            return
        # Copies: whatever becomes of them, the batch keeps its goals.
        achieved, desired = (
            flat[place][rows, -1] if stacked else flat[place][rows]
            for place, stacked in (self._achieved, self._desired)
        )
        into = flat[self._rewards]
        given = rewards_of(self._reward(achieved, desired), rows.size)
        with np.errstate(over="ignore"):
            rewards = given.astype(into.dtype)
        wrong = np.flatnonzero(~np.isfinite(rewards))
        if wrong.size:
            first = wrong[0]
            raise InputError(
                f"reward(achieved, desired) gave {given[first]} for {wrong.size} of {rows.size} "
                f"goals, it must be finite, as {into.dtype}; the first of them is for achieved "
                f"{flat[self._achieved[0]][rows[first]]}, desired "
                f"{flat[self._desired[0]][rows[first]]}"
            )
        into[rows] = rewards


def _goals(outputs: dict[str, Output], name: str) -> tuple[int, bool]:
    """Say which array of a batch holds goals, and whether several of a stack each."""
    return list(outputs).index(name), outputs[name].group == words.NEXT
