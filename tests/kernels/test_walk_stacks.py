"""Stacks that are filled two at once: which they are, and what is in them."""

import random

import numpy as np
import pytest

import replay
from kernels.addresses import STACK
from kernels.walk_stacks import twins_find
from kernels.walk_view import MOST_ROWS
from tests.homes import fewer, opened
from tests.views.plays import playing, rows_for

#: A whole block and a part of one.
MANY = MOST_ROWS + 9

FIELDS = {
    "obs": {
        "left": (np.uint8, (16, 16)),
        "right": (np.uint16, (300,)),
        "small": (np.uint8, (255,)),
        "packed": replay.Field(np.uint8, (40, 40), compression="lz4"),
    },
    "action": np.int64,
    "reward": np.float32,
}

#: Whether the wide parts of an observation are in two stacks that are filled at once.
TWINS = {
    "stack of 4": (replay.FrameStack(4), True),
    "stack of 2 of 3 steps": (replay.FrameStack(2, replay.NStep(3, 0.9)), True),
    "stack of one part": (replay.FrameStack(3, fields=("obs/right",)), True),
    "stack of 1": (replay.FrameStack(1), False),
    "no stack": (replay.Transition(), False),
    "stack of sequence": (replay.FrameStack(2, replay.Sequence(3)), False),
}


@pytest.mark.parametrize("name", TWINS)
def test_wide_stacks_that_share_frames_are_twins(name):
    view, paired = TWINS[name]
    with opened("private", 40, FIELDS, view=view) as buffer:
        twins = np.full(STACK, -1)
        alone = twins_find(buffer._handle, twins)
        fields = buffer._batch_schema.fields
    names = list(fields)
    assert (twins[len(names) :] == -1).all()
    pairs = {names[place]: names[twin] for place, twin in enumerate(twins[: len(names)])}
    wanted = {name: name for name in names}
    for part in ("left", "right") if paired else ():
        if name != "stack of one part" or part == "right":
            wanted |= {f"obs/{part}": f"next_obs/{part}", f"next_obs/{part}": f"obs/{part}"}
    assert pairs == wanted
    assert alone == sum(fields[one].nbytes for one, twin in pairs.items() if one == twin)


def test_stacks_of_any_kind_are_what_lists_give():
    """Over the end of the ring, episodes' ends, and cuts; of rows drawn in any order."""
    generator = random.Random(0)
    for _ in range(fewer(40, 4)):
        of = replay.NStep(generator.randint(1, 6), 0.9)
        pad = generator.choice(("first", "zeros"))
        view = replay.FrameStack(generator.randint(2, 6), of, pad=pad)
        with playing(view, rows_for(view) + generator.randint(0, 20), 2) as play:
            for _ in range(generator.randint(20, fewer(200, 60))):
                play.random_step(generator)
            if play.drawable():
                play.sample(MANY)


def test_two_parts_of_an_observation_keep_apart():
    """Each is a stack of its own, and the row that a frame belongs to can be told from it."""
    with opened("private", 50, FIELDS, view=replay.FrameStack(4), seed=0) as buffer:
        writer = buffer.writer()
        for number in range(80):
            obs = {
                "left": np.full((16, 16), number, np.uint8),
                "right": np.full(300, 1000 + number, np.uint16),
                "small": np.full(255, number, np.uint8),
                "packed": np.full((40, 40), number, np.uint8),
            }
            if number % 20 == 0:
                writer.reset(obs)
            else:
                writer.step(obs, number, 0.0, False, number % 20 == 19)
        batch = buffer.sample(MANY)
        begun = batch.ids // 20 * 20
        for stacks, last in ((batch.obs, batch.ids - 1), (batch.next_obs, batch.ids)):
            rows = np.maximum(last[:, None] - np.arange(3, -1, -1), begun[:, None])
            assert (stacks["left"] == rows[:, :, None, None]).all()
            assert (stacks["right"] == 1000 + rows[:, :, None]).all()
            assert (stacks["small"] == rows[:, :, None]).all()
            assert (stacks["packed"] == rows[:, :, None, None]).all()
