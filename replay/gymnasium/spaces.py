"""From an environment's spaces to the fields of a buffer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from replay.errors import FieldError, InputError


def fields(env: Any) -> dict[str, Any]:
    """
    Say what a buffer stores of an environment's steps.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Of a vector environment, what one of its environments gives.

    Returns
    -------
    dict
        The spaces "obs" and "action", and "reward" as float32. To be handed to `ReplayBuffer` as
        `fields`, with more beside: `{**fields(env), "log_prob": np.float32}`.

    Raises
    ------
    InputError
        `env` is no environment of Gymnasium's.
    FieldError
        A space has values of no fixed shape: Text, Graph, Sequence, OneOf and spaces of one's
        own. Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them, are stored.

    Notes
    -----
    Fields keep the dtypes of their spaces: a uint8 image stays uint8, a Discrete is int64.
    """
    if count_environments(env) is None:
        obs, action = env.observation_space, env.action_space
    else:
        obs, action = env.single_observation_space, env.single_action_space
    _check_space("obs", obs)
    _check_space("action", action)
    return {"obs": obs, "action": action, "reward": np.float32}


def count_environments(env: Any) -> int | None:
    """
    Count the environments of a vector environment.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv

    Returns
    -------
    int or None
        None for a single environment, which has no leading axis.

    Raises
    ------
    InputError
        Neither.
    """
    import gymnasium

    if isinstance(env, gymnasium.vector.VectorEnv):
        return int(env.num_envs)
    if isinstance(env, gymnasium.Env):
        return None
    raise InputError(
        f"env is {type(env).__name__}, it must be a gymnasium.Env or a gymnasium.vector.VectorEnv"
    )


def _check_space(path: str, space: Any) -> None:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        parts: Mapping[Any, Any] = space.spaces
    elif isinstance(space, spaces.Tuple):
        parts = dict(enumerate(space.spaces))
    elif isinstance(
        space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    ):
        return
    else:
        raise FieldError(
            f"field {path!r} is a {type(space).__name__} space, which is not stored: it must be a "
            "Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple of them"
        )
    for name, part in parts.items():
        _check_space(f"{path}/{name}", part)
