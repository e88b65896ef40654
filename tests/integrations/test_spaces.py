"""Fields read off spaces: rows go in and come out as the spaces have them."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import replay
from replay.gymnasium import fields

STORED = {
    "Box": spaces.Box(-1, 1, (2, 3), np.float64),
    "image": spaces.Box(0, 255, (4, 4), np.uint8),
    "Discrete": spaces.Discrete(5, start=-2),
    "MultiDiscrete": spaces.MultiDiscrete([3, 4]),
    "MultiBinary": spaces.MultiBinary((2, 2)),
    "Dict": spaces.Dict(
        {"a": spaces.Discrete(2), "b": spaces.Dict({"c": spaces.Box(0, 1, (2,))})}
    ),
    "Tuple": spaces.Tuple((spaces.Discrete(3), spaces.Tuple((spaces.MultiBinary(2),)))),
}

REFUSED = {
    "Text": spaces.Text(4),
    "Graph": spaces.Graph(spaces.Box(0, 1, (2,)), None),
    "Sequence": spaces.Sequence(spaces.Discrete(3)),
    "OneOf": spaces.OneOf((spaces.Discrete(3), spaces.Box(0, 1, (2,)))),
}


class Blank(gymnasium.Env):
    """Has spaces, and nothing else."""

    def __init__(self, obs, action):
        self.observation_space = obs
        self.action_space = action

    def reset(self, **options):
        return self.observation_space.sample(), {}


def leaves(value):
    if isinstance(value, dict):
        return [leaf for name in sorted(value) for leaf in leaves(value[name])]
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [np.asarray(value)]


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("many", [False, True])
def test_what_a_space_gives_is_stored_as_it_is(name, many):
    env = Blank(STORED[name], STORED[name])
    envs = gymnasium.vector.SyncVectorEnv([lambda: env] * 2) if many else env
    space = STORED[name]
    space.seed(1)
    obs, action, after = space.sample(), space.sample(), space.sample()
    with replay.ReplayBuffer(4, fields(envs), view=replay.Transition()) as buffer:
        writer = buffer.writer(0)
        writer.reset(obs)
        writer.step(after, action, 0.5, False, True)
        batch = buffer.sample(3)
        for got, given in zip(
            leaves((batch.obs, batch.action, batch.next_obs)),
            leaves((obs, action, after)),
            strict=True,
        ):
            assert got.dtype == given.dtype
            np.testing.assert_array_equal(got, np.stack([given] * 3))
        assert batch.reward.tolist() == [0.5] * 3
        assert batch.reward.dtype == np.float32


@pytest.mark.parametrize("name", REFUSED)
def test_a_space_of_no_fixed_shape_is_named(name):
    nested = spaces.Dict({"part": spaces.Tuple((spaces.Discrete(2), REFUSED[name]))})
    with pytest.raises(replay.FieldError, match=f"'obs/part/1' is a {name} space"):
        fields(Blank(nested, spaces.Discrete(2)))
    with pytest.raises(replay.FieldError, match=f"'action' is a {name} space"):
        fields(Blank(spaces.Discrete(2), REFUSED[name]))


def test_images_are_compressed_where_that_is_asked_for():
    image = spaces.Box(0, 255, (8, 8), np.uint8)
    space = spaces.Dict(
        image=image,
        depth=spaces.Box(0, 1, (8, 8), np.float32),
        both=spaces.Tuple([image, spaces.Box(0, 255, (8,), np.uint8)]),
    )
    made = fields(Blank(space, spaces.Discrete(3)), compression="lz4")
    with replay.ReplayBuffer(10, made) as buffer:
        packed = {name for name, field in buffer.fields.items() if field.compression}
        assert packed == {"obs/image", "obs/both/0"}
        row = space.sample()
        buffer.add(obs=row, action=1, reward=0.0)
        assert (buffer.sample(1).obs["image"][0] == row["image"]).all()
    with pytest.raises(replay.FieldError, match="compression"):
        fields(Blank(space, spaces.Discrete(3)), compression="zip")


def test_what_is_no_environment_is_refused():
    with pytest.raises(replay.InputError, match=r"env is Box.*gymnasium\.Env"):
        fields(STORED["Box"])
