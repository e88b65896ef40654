"""The replay buffer that the demo learns from."""

import os
import secrets

import numpy as np

import replay
from replay.demo.config import OBS_SIZE, Config


def make_buffer(config: Config, name: str | None) -> replay.ReplayBuffer:
    """
    Make the buffer: one stream per actor.

    Parameters
    ----------
    config : Config
        Says the capacity, the sampler, the streams and the seed.
    name : str or None
        Under which other processes attach; None for a buffer of this process alone.

    Returns
    -------
    replay.ReplayBuffer
        Close it to free its memory and its name.
    """
    sampler: replay.Sampler = replay.Uniform()
    if config.sampler == "prioritized":
        updates = max(1, config.updates_due(config.steps))
        sampler = replay.Proportional(
            alpha=config.alpha, beta=replay.Linear(config.beta, 1.0, steps=updates)
        )
    return replay.ReplayBuffer(
        config.capacity,
        fields={
            "obs": (np.float32, (OBS_SIZE,)),
            "action": np.int64,
            "reward": np.float32,
            "next_obs": (np.float32, (OBS_SIZE,)),
            "terminated": bool,
            "truncated": bool,
        },
        sampler=sampler,
        streams=config.actors,
        name=name,
        seed=config.seed,
    )


def unique_name() -> str:
    """
    Make up a name that no other run has.

    Returns
    -------
    str
        With this process's number, for whoever looks into /dev/shm.
    """
    return f"cartpole-{os.getpid()}-{secrets.token_hex(4)}"


def load_kernels(config: Config) -> None:
    """
    Compile what the demo calls, or load it from the cache.

    Done once here, in a buffer without a name, so that neither the actors nor the first update
    wait for it, and so that Ctrl-C meanwhile leaves nothing behind.

    Parameters
    ----------
    config : Config
        As the demo will use it.
    """
    with make_buffer(config, None) as buffer:
        obs = np.zeros(OBS_SIZE, np.float32)
        buffer.writer(0).add(obs, 0, 0.0, obs, False, False)
        batch = buffer.sample(config.batch_size)
        batch = buffer.sample(config.batch_size, out=batch)
        if config.sampler == "prioritized":
            buffer.update_priorities(batch.ids, np.ones(config.batch_size, np.float32))
