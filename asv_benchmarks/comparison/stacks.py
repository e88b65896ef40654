"""
Stacks of four frames of 84 x 84 and the next four, of those who have such a thing.

NumPy's side is `np.take` of as many bytes out of an array of single frames, without episodes. Of
each side's batches it is told how many rows are wrong: a stack must hold the last four frames of
its own episode, the first one repeated at the start, and the next stack the frame that followed.
"""

import functools
import gc
from collections.abc import Iterator

import numpy as np
import peers
from peers.peer import Frames

from .options import Found, Options
from .progress import Progress
from .tables import Row, Verdict
from .turns import in_turns

SHAPE = (84, 84)
#: Frames of an episode; a frame's bytes are its place in it.
EPISODE = 200
#: Of the frames, so many are written over again: buffers are full, and not at their first slot.
AGAIN = 0.1
#: Batches that are looked at for wrong rows.
LOOKS = 20
#: The count, whether into given arrays, and the ratio to reach.
WORKS = {
    "stack 4 + next_obs, sample(32)": (32, False, 0.0),
    "stack 4 + next_obs, sample(256)": (256, False, 0.0),
    "stack 4 + next_obs, sample(32), given": (32, True, 1.0),
    "stack 4 + next_obs, sample(256), given": (256, True, 0.7),
}
REFERENCE = "NumPy"


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    return [name for name in WORKS if options.wanted(name)]


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Fill a buffer of each, and time them in turns."""
    wanted = works(options)
    if not wanted:
        return
    found = Found()
    progress.begin(wanted[0])
    sides = full_buffers(options, progress, found)
    for name in wanted:
        if name != wanted[0]:
            progress.begin(name)
        count, given, target = WORKS[name]
        calls = {
            who: functools.partial(side.sample_given if given else side.sample, count)
            for who, side in sides.items()
            if hasattr(side, "sample_given") or not given
        }
        turns = in_turns(calls, options.rounds, progress.turn)
        times = turns.medians
        found.rows.append(Row(name, times))
        if target:
            found.verdicts.append(
                Verdict(
                    name,
                    "us np.take",
                    times[peers.OURS],
                    times[REFERENCE],
                    turns.ratio(peers.OURS, REFERENCE),
                    "us",
                    target,
                )
            )
    del sides, calls
    gc.collect()
    yield found


def full_buffers(options: Options, progress: Progress, found: Found) -> dict[str, Frames]:
    """Make the frames, and a full buffer of each."""
    place = np.arange(EPISODE, dtype=np.uint8)
    episode = np.ones((EPISODE, *SHAPE), np.uint8) * place[:, None, None]
    episodes = int((1 + AGAIN) * options.frames / (EPISODE - 1)) + 1
    sides: dict[str, Frames] = {}
    wrong = {}
    names = [peers.OURS, *(name for name in options.peers if name != REFERENCE), REFERENCE]
    for name in names:
        try:
            adapter = peers.frames(name)
            if adapter is None:
                continue
            with progress.long(f"filling {name}"):
                side = adapter(options.frames, SHAPE)
                for _ in range(episodes):
                    side.write(episode)
                wrong[name] = wrong_share(side)
            sides[name] = side
        except Exception as error:
            if name == peers.OURS:
                raise
            found.notes.append(f"{name}, stacks: left out, {type(error).__name__}: {error}")
    if wrong[peers.OURS]:
        raise AssertionError(f"replay gives wrong stacks: {100 * wrong[peers.OURS]:.2f} %")
    said = ", ".join(f"{name} {100 * share:.1f} %" for name, share in wrong.items())
    found.notes.append(f"rows of stacks that are wrong: {said}")
    return sides


def wrong_share(side: Frames) -> float:
    """Say which share of the rows that are drawn is wrong."""
    back = np.arange(-3, 1)
    wrong = drawn = 0
    for _ in range(LOOKS):
        obs, next_obs = side.stacks(side.sample(256, 1))
        # One pixel tells the frame; two are compared, so that not only one is right.
        given = np.concatenate([obs[:, :, 0, 0], next_obs[:, :, 0, 0]], 1).astype(np.int64)
        again = np.concatenate([obs[:, :, -1, -1], next_obs[:, :, -1, -1]], 1)
        last = given[:, 3:4]
        right = np.concatenate([np.maximum(last + back, 0), np.maximum(last + 1 + back, 0)], 1)
        fine = (given == right).all(1) & (given == again).all(1) & (last[:, 0] < EPISODE - 1)
        wrong += int((~fine).sum())
        drawn += len(fine)
    return wrong / drawn
