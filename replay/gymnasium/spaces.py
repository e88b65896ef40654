"""From an environment's spaces to the fields of a buffer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from replay.errors import FieldError, InputError
from replay.memory.fields import Field


def fields(env: Any, *, compression: str | None = None) -> dict[str, Any]:
    """
    Say what a buffer stores of an environment's steps.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Of a vector environment, what one of its environments gives.
    compression : {"lz4"}, optional
        Store images compressed: parts of the observation that are uint8 and have two axes or more.

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
    if compression is not None:
        obs = _compressed(obs, compression)
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


def _compressed(space: Any, compression: str) -> Any:
    """Give the fields of a space, its images compressed."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {name: _compressed(part, compression) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_compressed(part, compression) for part in space.spaces)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) > 1:
        return Field(space.dtype, space.shape, compression=compression)
    return space


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
