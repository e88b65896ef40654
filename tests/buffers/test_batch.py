"""Batches: named tuples that unpack, index by name, and travel."""

import pickle

import numpy as np
import pytest

from replay.buffers.batch import batch_type
from tests.homes import FIELDS, opened, rows


@pytest.fixture
def batch():
    made = batch_type(("obs", "action"))
    obs = {"image": np.zeros((2, 3)), "pair": (np.ones(2), np.full(2, 2.0))}
    return made(obs, np.arange(2), np.ones(2, np.float32), np.arange(2))


def test_a_batch_is_a_named_tuple(batch):
    assert isinstance(batch, tuple)
    assert type(batch).__bases__ == (tuple,)
    assert batch._fields == ("obs", "action", "weights", "ids")
    obs, action, weights, ids = batch
    assert obs is batch.obs is batch["obs"] is batch[0]
    assert ids is batch["ids"] is batch[-1]
    assert action is batch[1]
    assert weights is batch[2:3][0]
    assert set(batch._asdict()) == set(batch._fields)


def test_parts_of_nested_observations_have_paths(batch):
    assert batch["obs/image"] is batch.obs["image"]
    assert batch["obs/pair/1"] is batch.obs["pair"][1]


def test_a_name_that_is_not_there_is_a_key_error(batch):
    with pytest.raises(KeyError, match="obs, action, weights, ids"):
        batch["other"]


def test_batches_of_the_same_fields_are_of_one_type():
    assert batch_type(("a", "b")) is batch_type(("a", "b"))
    assert batch_type(("a", "b")) is not batch_type(("b", "a"))


def test_a_batch_can_be_pickled(batch):
    again = pickle.loads(pickle.dumps(batch))
    assert type(again) is type(batch)
    assert (again["obs/image"] == batch["obs/image"]).all()
    assert again.ids.tolist() == [0, 1]


def test_a_batch_shows_shapes_and_no_numbers(batch):
    assert repr(batch) == (
        "Batch(obs={image: float64[2, 3], pair: (float64[2], float64[2])}, action=int64[2], "
        "weights=float32[2], ids=int64[2])"
    )


def test_batches_of_a_buffer_are_of_its_type():
    with opened("private", 5, FIELDS) as buffer:
        buffer.extend(**rows(range(3)))
        batch = buffer.sample(2)
        assert type(batch) is batch_type(tuple(FIELDS))
        assert type(buffer.sample(2)) is type(batch)
