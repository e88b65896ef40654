"""Environments whose episodes are short and end in every way."""

import functools

import gymnasium
import numpy as np


class Maze(gymnasium.Env):
    """
    Sees its episode and its step, in an observation of parts; ends by chance.

    Episodes have 1 to 8 steps, and end terminated, truncated or both.
    """

    observation_space = gymnasium.spaces.Dict(
        {
            "image": gymnasium.spaces.Box(0, 255, (3, 4), np.uint8),
            "near": gymnasium.spaces.Dict(
                {
                    "door": gymnasium.spaces.Discrete(50),
                    "walls": gymnasium.spaces.MultiBinary(3),
                }
            ),
        }
    )
    action_space = gymnasium.spaces.MultiDiscrete([3, 2])

    def __init__(self):
        self._episode = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._episode += 1
        self._left = int(self.np_random.integers(1, 9))
        self._seen = self._look()
        return self._seen, {"episode": self._episode}

    def step(self, action):
        self._left -= 1
        self._seen = self._look()
        reward = float(self.np_random.standard_normal() + action.sum())
        how = int(self.np_random.integers(1, 4)) if self._left == 0 else 0
        return self._seen, reward, bool(how & 1), bool(how & 2), {"left": self._left}

    def _look(self):
        return {
            "image": self.np_random.integers(0, 256, (3, 4), np.uint8),
            "near": {
                "door": np.int64(self._episode % 50),
                "walls": self.np_random.integers(0, 2, 3, np.int8),
            },
        }


def breakout():
    """Make a game of Atari's, of few steps: each shows every 8th frame."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    return gymnasium.make(
        "ALE/Breakout-v5",
        obs_type="grayscale",
        frameskip=8,
        max_episode_steps=40,
        disable_env_checker=True,
    )


def breakouts(count, mode=gymnasium.vector.AutoresetMode.NEXT_STEP):
    """Make some in Atari's own vector environment, which also shrinks their frames."""
    import ale_py
    from ale_py.vector_env import AtariVectorEnv

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return AtariVectorEnv(
        "breakout",
        count,
        stack_num=1,
        frameskip=8,
        noop_max=4,
        max_num_frames_per_episode=200,
        repeat_action_probability=0.25,
        autoreset_mode=mode,
    )


class OneOfBreakouts(gymnasium.Env):
    """One of those by itself; its reset is the step after an end."""

    observation_space = gymnasium.spaces.Box(0, 255, (1, 84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        if seed is None:
            return self._envs.step(np.zeros(1, np.int64))[0][0], {}
        self._envs = breakouts(1)
        return self._envs.reset(seed=seed)[0][0], {}

    def step(self, action):
        obs, reward, terminated, truncated, _ = self._envs.step(np.array([action]))
        return obs[0], reward[0], terminated[0], truncated[0], {}


MAKE = {
    "CartPole": functools.partial(
        gymnasium.make, "CartPole-v1", max_episode_steps=14, disable_env_checker=True
    ),
    "Pendulum": functools.partial(
        gymnasium.make, "Pendulum-v1", max_episode_steps=7, disable_env_checker=True
    ),
    "Maze": Maze,
    "Breakout": breakout,
    "Breakouts": OneOfBreakouts,
}

#: Fields of a buffer, flat.
FLAT = {
    "CartPole": {"obs": (np.float32, (4,)), "action": (np.int64, ())},
    "Pendulum": {"obs": (np.float32, (3,)), "action": (np.float32, (1,))},
    "Maze": {
        "obs/image": (np.uint8, (3, 4)),
        "obs/near/door": (np.int64, ()),
        "obs/near/walls": (np.int8, (3,)),
        "action": (np.int64, (2,)),
    },
    "Breakout": {"obs": (np.uint8, (210, 160)), "action": (np.int64, ())},
    "Breakouts": {"obs": (np.uint8, (1, 84, 84)), "action": (np.int64, ())},
}
