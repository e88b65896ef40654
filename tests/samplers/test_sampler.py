"""Samplers as descriptions: compared, written into a block, read back, refused."""

import dataclasses
import json

import pytest

import replay
from replay.samplers import from_json
from tests.homes import SAMPLERS


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_sampler_is_read_back_from_what_it_writes(kind):
    sampler = SAMPLERS[kind]
    assert from_json(json.loads(json.dumps(sampler.to_json()))) == sampler
    with pytest.raises(dataclasses.FrozenInstanceError):
        sampler.alpha = 3
    assert isinstance(hash(sampler), int)


WRITTEN = replay.Proportional().to_json()


@pytest.mark.parametrize(
    "described",
    [
        None, 5, [], {}, {"kind": None}, {"kind": "other"}, {"kind": ["uniform"]}, {"kind": {}},
        {"kind": "uniform", "tree": True}, {"kind": "proportional"},
        *({**WRITTEN, name: value} for name in WRITTEN if name != "kind"
          for value in (None, [], {}, "x", -1, 1e9, [1], [0.4, 0.4, "x"], [2, 3, 4], 7)
          if (name, value) not in (("normalise", None), ("epsilon", 7))),
        {**WRITTEN, "more": 1},
        {name: value for name, value in WRITTEN.items() if name != "alpha"},
    ],
)  # fmt: skip
def test_what_describes_no_sampler_is_refused(described):
    with pytest.raises(replay.InputError, match="sampler"):
        from_json(described)


@pytest.mark.parametrize("sampler", ["uniform", replay.Uniform, 5, {}])
def test_a_buffer_takes_a_sampler_alone(sampler):
    with pytest.raises(replay.InputError, match="sampler"):
        replay.ReplayBuffer(10, {"x": int}, sampler=sampler)
