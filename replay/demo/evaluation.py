"""Greedy play, to see what the policy is worth."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from replay.demo.environment import make_environment
from replay.demo.policy import Policy

#: Where the seeds of the evaluations during training start.
TRAINING_SEEDS = 1_000_000
#: Where those of the final evaluation start: no checkpoint was ever chosen on these.
FINAL_SEEDS = 2_000_000


def evaluate(
    policy: Policy, seeds: Sequence[int], pause: Callable[[], None]
) -> npt.NDArray[np.float64]:
    """
    Play one episode per seed, side by side and without exploration.

    Parameters
    ----------
    policy : Policy
        Unchanged.
    seeds : sequence of int
        Of each episode's first state.
    pause : callable
        Called before every step; what it raises ends the evaluation.

    Returns
    -------
    (episodes,) float64
        The returns.
    """
    environments = [make_environment() for _ in seeds]
    obs = np.stack(
        [
            environment.reset(seed=seed)[0]
            for environment, seed in zip(environments, seeds, strict=True)
        ]
    )
    returns = np.zeros(len(seeds))
    running = set(range(len(seeds)))
    while running:
        pause()
        actions = policy.values(obs).argmax(axis=1)
        for episode in sorted(running):
            obs[episode], reward, terminated, truncated, _ = environments[episode].step(
                int(actions[episode])
            )
            returns[episode] += reward
            if terminated or truncated:
                running.remove(episode)
    return returns
