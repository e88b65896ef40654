"""
Buffers in each home and by each walk, and what tests compare of them.

A buffer's methods have two walks: kernels that read Python's objects themselves, and the plain one
over addresses, for values and interpreters that those cannot read. Both must do the same.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import tempfile

import numpy as np
import pytest

import replay
from kernels.jit import INTERPRETED
from replay.memory import calls, handle, ring

HOMES = ("private", "named", "path")
WALKS = ("object", "plain")

#: What a sampler can be made of; each draws and weighs in another way.
SAMPLERS = {
    "uniform": replay.Uniform(),
    "batch": replay.Proportional(alpha=0.6, beta=0.4, normalise="batch"),
    "buffer": replay.Proportional(alpha=0.7, beta=0.5, normalise="buffer"),
    "bare": replay.Proportional(alpha=1.0, beta=1.0, normalise=None),
    "plain draws": replay.Proportional(
        alpha=0.5, beta=replay.Linear(0.4, 1.0, steps=10), stratified=False
    ),
}

#: A transition with a row of each width that a kernel treats apart.
FIELDS = {
    "obs": (np.float32, (3,)),
    "action": np.int64,
    "reward": np.float32,
    "done": bool,
    "image": (np.uint8, (17, 17)),
}

_numbers = itertools.count()
_plain_calls = functools.cache(calls.load_calls.__wrapped__)


def fewer(compiled, interpreted):
    """Choose a size: kernels run hundreds of times slower where they are plain Python."""
    return interpreted if INTERPRETED else compiled


def fresh_name():
    """Give a name that no other test takes."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@contextlib.contextmanager
def home_of(home):
    """Give the arguments that put a buffer into a home."""
    with tempfile.TemporaryDirectory() as folder:
        if home == "named":
            yield {"name": fresh_name()}
        elif home == "path":
            yield {"path": pathlib.Path(folder) / "block"}
        else:
            yield {}


@contextlib.contextmanager
def opened(home, capacity, fields=None, **options):
    """Make a buffer in a home, and leave nothing behind."""
    with (
        home_of(home) as place,
        replay.ReplayBuffer(capacity, fields, **place, **options) as buffer,
    ):
        yield buffer


@contextlib.contextmanager
def walking(walk):
    """Have the buffers made meanwhile take a walk."""
    with pytest.MonkeyPatch.context() as patch:
        if walk == "plain":
            patch.setattr(calls, "structure", dict)
            patch.setattr(handle, "structure", dict)
            patch.setattr(ring, "load_calls", _plain_calls)
        yield


def block_bytes(buffer):
    """Copy all that a buffer is."""
    memory = buffer._ring.block.memory.copy()
    part = buffer._ring.layout.parts["members"]
    # Who is at it is not what is stored.
    memory[part.offset : part.offset + part.nbytes] = 0
    return memory.tobytes()


@contextlib.contextmanager
def refused(buffer, error, *said):
    """Expect an error of ours whose message says some words, and a buffer that is as it was."""
    before = block_bytes(buffer)
    with pytest.raises(error) as caught:
        yield
    assert isinstance(caught.value, replay.ReplayError)
    for word in said:
        assert str(word) in str(caught.value)
    assert block_bytes(buffer) == before


def row(number):
    """Give a row of FIELDS that says its number in every field."""
    return {name: array[0] for name, array in rows([number]).items()}


def rows(numbers):
    """Give rows of FIELDS that say their numbers in every field."""
    numbers = np.asarray(numbers, np.int64)
    obs = numbers[:, None] + np.array([0, 0.25, 0.5])
    image = numbers[:, None, None] % 251 + np.arange(289).reshape(17, 17) % 5
    return {
        "obs": obs.astype(np.float32),
        "action": numbers,
        "reward": (numbers / 2).astype(np.float32),
        "done": numbers % 3 == 0,
        "image": image.astype(np.uint8),
    }


def assert_rows(batch, numbers):
    """Compare a batch with the rows that say these numbers."""
    for name, wanted in rows(numbers).items():
        got = batch[name]
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted, err_msg=name)
