"""The same play twice: by a recorder into a buffer, and env by env into plain lists."""

import numpy as np

import replay
import replay.gymnasium
from kernels.jit import INTERPRETED
from tests.homes import fewer
from tests.integrations.environments import FLAT, MAKE
from tests.naive_steps import Log, assert_batch

#: What a policy might store beside: a number and a recurrent state.
EXTRAS = {"log_prob": (np.float32, ()), "state": (np.float32, (2,))}

SEED = 7

VIEWS = (
    replay.Transition(),
    replay.NStep(3, 0.9),
    replay.FrameStack(3),
    replay.FrameStack(2, of=replay.NStep(2, 0.5), pad="zeros"),
    replay.Sequence(4, period=2, burn_in=1, state=("state",)),
)


def make_actions(name, steps, count=None):
    """Give (steps, ...) actions of an environment, or (steps, count, ...) of count."""
    space = MAKE[name]().action_space
    space.seed(SEED)
    drawn = np.stack([space.sample() for _ in range(steps * (count or 1))])
    return drawn if count is None else drawn.reshape(steps, count, *drawn.shape[1:])


def extras(time, place):
    """Give the extras of a step of one environment."""
    return {
        "log_prob": np.float32(1000 * place + time),
        "state": np.array([place, -time], np.float32),
    }


def all_extras(time, count):
    """Give the extras of a step of many environments."""
    each = [extras(time, place) for place in range(count)]
    return {name: np.stack([one[name] for one in each]) for name in EXTRAS}


def make_buffer(env, rows, streams, **options):
    """Make a log of steps for an environment."""
    return replay.ReplayBuffer(
        rows * streams,
        {**replay.gymnasium.fields(env), **EXTRAS},
        view=replay.Transition(),
        streams=streams,
        seed=SEED,
        **options,
    )


def make_log(name, rows, streams):
    """Make the lists of the same."""
    return Log(streams, rows, {**FLAT[name], "reward": (np.float32, ()), **EXTRAS})


def play(recorder, actions):
    """Play with a recorder; the caller resets where the environments do not."""
    recorder.reset(seed=SEED)
    for time, action in enumerate(actions):
        _, _, terminated, truncated, _ = recorder.step(action, **all_extras(time, len(action)))
        ended = terminated | truncated
        if recorder.env.metadata["autoreset_mode"].name == "DISABLED":
            for place in np.flatnonzero(ended):
                recorder.reset(options={"reset_mask": np.arange(ended.size) == place})


def play_one(recorder, actions):
    """Play a single environment that does not reset by itself."""
    recorder.reset(seed=SEED)
    for time, action in enumerate(actions):
        _, _, terminated, truncated, _ = recorder.step(action, **extras(time, 0))
        if terminated or truncated:
            recorder.reset()


def play_lists(log, name, actions, stream, place=0, *, skips=False):
    """
    Play one environment by itself into the lists.

    Parameters
    ----------
    skips : bool
        The step after an end is the reset, and its action is lost; else the reset comes at once.

    Returns
    -------
    (int, int)
        Episodes that terminated, and that were truncated.
    """
    env = MAKE[name]()
    ends = [0, 0]
    obs, _ = env.reset(seed=SEED + place)
    log.reset(stream, flat(obs))
    over = False
    for time, action in enumerate(actions):
        if over and skips:
            obs, _ = env.reset()
            log.reset(stream, flat(obs))
            over = False
            continue
        obs, reward, terminated, truncated, _ = env.step(action)
        row = {**flat(obs), "action": action, "reward": reward, **extras(time, place)}
        log.step(stream, row, terminated, truncated)
        ends[0] += terminated
        ends[1] += truncated
        over = terminated or truncated
        if over and not skips:
            obs, _ = env.reset()
            log.reset(stream, flat(obs))
    env.close()
    return tuple(ends)


def flat(value, name="obs"):
    """Name the parts of an observation."""
    if not isinstance(value, dict):
        return {name: value}
    return {path: v for key in value for path, v in flat(value[key], f"{name}/{key}").items()}


def assert_recorded(buffer, log, views=VIEWS, draws=4000, *, every=not INTERPRETED):
    """Compare every field of the rows that each view draws, and what it draws, with the lists."""
    for view in views:
        batch = buffer.reader(view=view).sample(fewer(draws, draws // 20))
        drawn, drawable = set(batch.ids.tolist()), set(log.drawable(view))
        assert drawn <= drawable, view
        assert drawn == drawable or not every, view
        assert_batch(log, view, batch)
