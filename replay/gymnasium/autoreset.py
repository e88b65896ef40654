"""How environments begin a new episode after an end: by themselves and when, or not."""

import enum
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import InputError


class Autoreset(enum.Enum):
    """When an environment that has ended is reset; Gymnasium's own names."""

    #: By the step after the end, whose action is ignored.
    NEXT_STEP = "nextstep"
    #: By the step that ends it, whose final observation comes beside.
    SAME_STEP = "samestep"
    #: By the caller.
    DISABLED = "disabled"


def autoreset_of(env: Any) -> Autoreset:
    """
    Read when a single environment is reset.

    Parameters
    ----------
    env : gymnasium.Env

    Returns
    -------
    Autoreset
        NEXT_STEP where a wrapper sees to it, else DISABLED.
    """
    from gymnasium import Wrapper, wrappers

    while isinstance(env, Wrapper):
        if isinstance(env, wrappers.Autoreset):
            return Autoreset.NEXT_STEP
        env = env.env
    return Autoreset.DISABLED


def autoreset_of_vector(envs: Any) -> Autoreset:
    """
    Read when the environments of a vector environment are reset.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv

    Returns
    -------
    Autoreset
        NEXT_STEP where nothing is said: Gymnasium 1.0 knows no other.

    Raises
    ------
    InputError
        A mode that Gymnasium does not have.
    """
    said = envs.metadata.get("autoreset_mode")
    inner = envs.unwrapped
    if envs.metadata is inner.metadata:
        # Before Gymnasium 1.4 this is the dict of the environment's class, in which every vector
        # environment of that class overwrites the mode of those before it.
        said = getattr(inner, "autoreset_mode", said)
    if said is None:
        return Autoreset.NEXT_STEP
    plain = str(getattr(said, "value", said)).lower().replace("_", "").replace("-", "")
    try:
        return Autoreset(plain)
    except ValueError:
        raise InputError(
            f"metadata['autoreset_mode'] is {said!r}, it must be NEXT_STEP, SAME_STEP or DISABLED"
        ) from None


def with_final_obs(obs: Any, infos: Mapping[str, Any], ended: npt.NDArray[np.bool_]) -> Any:
    """
    Put final observations in the places of those that episodes begin with.

    Parameters
    ----------
    obs : array, or nested mappings and tuples of arrays, of N rows
        As a SAME_STEP vector environment's step gave it; not written.
    infos : mapping
        "final_obs" holds the final observations: an array of N objects, of which "_final_obs"
        says which are there, or arrays nested as `obs` is.
    ended : (N,) array of bool
        Whose episodes have ended.

    Returns
    -------
    array, or nested mappings and tuples of arrays
        As `obs`; a copy.

    Raises
    ------
    InputError
        The final observation of an episode that has ended is missing, or has another shape.
    """
    if "final_obs" not in infos:
        raise InputError("infos lacks 'final_obs', which autoreset_mode SAME_STEP brings")
    there = infos.get("_final_obs", ended)
    finals = {row: _row(infos["final_obs"], row) for row in np.flatnonzero(ended).tolist()}
    missing = [row for row, final in finals.items() if final is None or not there[row]]
    if missing:
        raise InputError(f"infos['final_obs'] lacks those of environments {missing}")
    return _placed(obs, finals)


def _row(final: Any, row: int) -> Any:
    if isinstance(final, Mapping):
        return {name: _row(part, row) for name, part in final.items()}
    if isinstance(final, tuple):
        return tuple(_row(part, row) for part in final)
    return final[row]


def _placed(obs: Any, finals: dict[int, Any]) -> Any:
    if isinstance(obs, Mapping):
        return {
            name: _placed(part, {row: final[name] for row, final in finals.items()})
            for name, part in obs.items()
        }
    if isinstance(obs, tuple):
        return tuple(
            _placed(part, {row: final[number] for row, final in finals.items()})
            for number, part in enumerate(obs)
        )
    placed = np.array(obs)
    for row, final in finals.items():
        # An assignment would spread a smaller one over the row.
        if np.shape(final) != placed.shape[1:]:
            raise InputError(
                f"infos['final_obs'][{row}] has shape {np.shape(final)}, it must be "
                f"{placed.shape[1:]}"
            )
        placed[row] = final
    return placed
