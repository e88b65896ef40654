"""The replay service's form of a buffer."""

import dataclasses

import numpy as np
import pytest

import replay
from replay.compat.service import BufferConfig, ReplayBuffer
from tests.homes import fresh_name, refused

#: As its README has it, the import line changed. It asks for 1_000_000 transitions of two 84x84x4
#: images, 56 GB as uint8: the test puts a smaller number in its place.
SCRIPT = """
from replay.compat.service import BufferConfig, ReplayBuffer

config = BufferConfig(capacity=1_000_000, strategy="prioritized", alpha=0.6, beta=0.4)
buffer = ReplayBuffer(config, obs_shape=(84, 84, 4), action_dim=6)
buffer.add(obs, action, reward, next_obs, done)
batch = buffer.sample(batch_size=32)     # {'obs': ndarray, 'action': ndarray, 'reward': ndarray, ...}
buffer.update_priorities(indices, td_errors)
buffer.size; buffer.capacity; buffer.is_full
"""  # noqa: E501


def filled(count, capacity=8, **options):
    buffer = ReplayBuffer(BufferConfig(capacity, **{"seed": 3, **options}), (2,), 4)
    for number in range(count):
        buffer.add([number, 0.5], number % 4, number / 2, [number + 1, 0.5], number % 3 == 0)
    return buffer


def test_the_script_runs():
    known = {
        "obs": np.full((84, 84, 4), 7, np.uint8),
        "action": 5,
        "reward": 0.5,
        "next_obs": np.full((84, 84, 4), 8, np.uint8),
        "done": False,
        "indices": np.array([0]),
        "td_errors": np.array([-2.0]),
    }
    exec(SCRIPT.replace("1_000_000", "1_0"), known)
    buffer, batch = known["buffer"], known["batch"]
    assert {name: (array.dtype.str, array.shape) for name, array in batch.items()} == {
        "obs": ("|u1", (32, 84, 84, 4)),
        "action": ("<i8", (32,)),
        "reward": ("<f4", (32,)),
        "next_obs": ("|u1", (32, 84, 84, 4)),
        "done": ("|b1", (32,)),
        "weights": ("<f4", (32,)),
        "indices": ("<i8", (32,)),
    }
    assert (batch["obs"] == 7).all()
    assert (batch["next_obs"] == 8).all()
    assert (buffer.size, buffer.capacity, buffer.is_full) == (1, 10, False)


def test_a_row_comes_back_as_it_went_in():
    batch = filled(5).sample(50)
    number = batch["indices"]
    assert set(number) == set(range(5))
    np.testing.assert_array_equal(batch["obs"][:, 0], number)
    np.testing.assert_array_equal(batch["next_obs"][:, 0], number + 1)
    np.testing.assert_array_equal(batch["action"], number % 4)
    np.testing.assert_array_equal(batch["reward"], number / 2)
    np.testing.assert_array_equal(batch["done"], number % 3 == 0)
    assert batch["obs"].dtype == np.float32


def test_the_default_batch_is_of_32_rows():
    assert len(filled(3).sample()["reward"]) == 32


def test_a_full_buffer_drops_the_oldest():
    buffer = filled(11)
    assert buffer.is_full
    assert (buffer.size, len(buffer)) == (8, 8)
    assert set(buffer.sample(200)["indices"]) == set(range(3, 11))


def test_uniform_weights_are_1():
    assert (filled(5).sample(10)["weights"] == 1).all()


@pytest.mark.parametrize("strategy", ["uniform", "prioritized"])
def test_one_seed_gives_one_sequence_of_batches(strategy):
    one, other = (filled(8, strategy=strategy) for _ in range(2))
    for _ in range(3):
        first, second = one.sample(16), other.sample(16)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_signed_td_errors_count_by_their_size():
    buffer = filled(2, strategy="prioritized", alpha=1.0, epsilon=0.0)
    assert buffer.update_priorities([0, 1], [0.0, -3.0]) == 2
    assert (buffer.sample(50)["indices"] == 1).all()
    assert buffer._buffer.priorities.largest == pytest.approx(3.0)


def test_epsilon_keeps_a_row_without_error_alive():
    buffer = filled(2, strategy="prioritized", alpha=1.0, epsilon=0.25)
    buffer.update_priorities([0, 1], [0.0, 0.0])
    assert buffer._buffer.priorities.smallest == pytest.approx(0.25)


def test_a_column_of_td_errors_is_taken():
    buffer = filled(3, strategy="prioritized")
    assert buffer.update_priorities(np.arange(3), np.ones((3, 1), np.float32)) == 3


def test_the_priority_of_an_overwritten_row_is_dropped():
    buffer = filled(9, strategy="prioritized")
    assert buffer.update_priorities([0, 8], [5.0, 5.0]) == 1


def test_beta_may_anneal():
    buffer = filled(4, strategy="prioritized", alpha=1.0, beta=replay.Linear(0.0, 1.0, 1))
    buffer.update_priorities(np.arange(4), [1.0, 1.0, 4.0, 4.0])
    assert (buffer.sample(64)["weights"] == 1).all()
    assert sorted(set(buffer.sample(64)["weights"])) == pytest.approx([0.25, 1.0])


def test_a_given_dtype_is_kept_whatever_comes_in():
    buffer = ReplayBuffer(BufferConfig(4), 3, 2, obs_dtype=np.float64)
    buffer.add([1, 2, 3], np.int8(1), 1, np.zeros(3, np.float32), np.array(1.0))
    batch = buffer.sample(1)
    assert batch["obs"].dtype == np.float64
    assert batch["done"].all()


def test_a_name_puts_it_into_shared_memory():
    name = fresh_name()
    with filled(3, name=name) as buffer, replay.attach(name) as other:
        assert len(other) == 3
        buffer.add([3, 0], 0, 0, [4, 0], False)
        assert len(other) == 4
    with pytest.raises(replay.BlockMissingError):
        replay.attach(name)


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BufferConfig(4).capacity = 5


@pytest.mark.parametrize("action", [6, -1, 1.0, True, "1", [1], None])
def test_an_action_that_is_none_is_refused(action):
    buffer = filled(3)
    with refused(buffer._buffer, replay.FieldError, "action"):
        buffer.add([0, 0], action, 0, [0, 0], False)
    fresh = filled(0)
    with pytest.raises(replay.FieldError, match="action"):
        fresh.add([0, 0], action, 0, [0, 0], False)
    assert fresh.size == 0


def test_an_action_out_of_range_is_refused_with_the_range():
    with pytest.raises(replay.FieldError, match=r"is 4, action_dim is 4: .* from 0 to 3"):
        filled(0).add([0, 0], 4, 0, [0, 0], False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("obs", [0, 0, 0]),
        ("obs", 0),
        ("obs", "ab"),
        ("next_obs", [[0, 0]]),
        ("next_obs", [[0], [0, 0]]),
        ("reward", [1.0]),
        ("reward", 1e300),
        ("reward", 1j),
        ("done", 2),
        ("done", 0.5),
        ("done", [True]),
    ],
)
@pytest.mark.parametrize("count", [0, 3])
def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(name, value, count):
    buffer = filled(count)
    row = {"obs": [0, 0], "action": 0, "reward": 0, "next_obs": [0, 0], "done": 0, name: value}
    if count:
        with refused(buffer._buffer, replay.FieldError, repr(name)):
            buffer.add(**row)
    else:
        with pytest.raises(replay.FieldError, match=repr(name)):
            buffer.add(**row)
        # It taught the buffer nothing either.
        buffer.add(np.zeros(2, np.uint8), 0, 0, np.zeros(2, np.uint8), False)
        assert buffer.sample(1)["obs"].dtype == np.uint8


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"capacity": 0}, "capacity is 0"),
        ({"capacity": 1.5}, "capacity is 1.5"),
        ({"capacity": True}, "capacity is True"),
        ({"strategy": "rank"}, "strategy is 'rank'"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"beta": 1.1}, "beta is 1.1"),
        ({"epsilon": -1}, "epsilon is -1"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changed, said):
    with pytest.raises(replay.InputError, match=said):
        BufferConfig(**{"capacity": 8, **changed})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (({"capacity": 8}, (2,), 4), "config is dict"),
        ((BufferConfig(8), (0,), 4), "obs_shape is"),
        ((BufferConfig(8), "ab", 4), "obs_shape is 'ab'"),
        ((BufferConfig(8), None, 4), "obs_shape is None"),
        ((BufferConfig(8), (2,), 0), "action_dim is 0"),
        ((BufferConfig(8), (2,), 2.0), "action_dim is 2.0"),
        ((BufferConfig(8, seed=-1), (2,), 4), "seed is -1"),
        ((BufferConfig(8, name="a/b"), (2,), 4), "a/b"),
        ((BufferConfig(8), (2,), 4, "U3"), "cannot be a field"),
    ],
)
def test_a_buffer_that_cannot_be_is_refused(arguments, said):
    with pytest.raises(replay.InputError, match=said):
        ReplayBuffer(*arguments)


@pytest.mark.parametrize(
    ("indices", "errors", "said"),
    [
        ([0], [np.nan], "td_errors[0] is nan"),
        ([0, 1], [0.0, -np.inf], "td_errors[1] is -inf"),
        ([0], [1j], "complex"),
        ([0], ["a"], "td_errors"),
        ([0], [[1.0, 2.0]], "shape"),
        ([0, 1], [1.0], "2 ids"),
        ([3], [1.0], "3"),
        ([-1], [1.0], "-1"),
        ([0.0], [1.0], "integers"),
    ],
)
def test_a_priority_that_cannot_be_is_refused(indices, errors, said):
    buffer = filled(3, strategy="prioritized")
    with refused(buffer._buffer, replay.InputError, said):
        buffer.update_priorities(indices, errors)


def test_a_uniform_buffer_refuses_priorities():
    with pytest.raises(replay.InputError, match="strategy is 'uniform'"):
        filled(3).update_priorities([0], [1.0])


def test_an_empty_buffer_refuses_to_sample():
    with pytest.raises(replay.EmptyError):
        filled(0).sample()


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(replay.InputError, match="batch_size is 0"):
        filled(3).sample(0)


def test_a_closed_buffer_says_so():
    buffer = filled(3)
    buffer.close()
    with pytest.raises(replay.ClosedError):
        buffer.sample()
    with pytest.raises(replay.ClosedError):
        buffer.add([0, 0], 0, 0, [0, 0], False)
