"""The DQN form of the buffers."""

import itertools

import numpy as np
import pytest

import replay
from replay.compat.dqn import Experience, PrioritizedReplayBuffer, ReplayBuffer
from replay.memory import layout
from tests.homes import refused

#: As the project has it, the import lines changed. The dots are its own: the state stays.
SCRIPT = """
import numpy as np
from replay.compat.dqn import PrioritizedReplayBuffer, ReplayBuffer

buffer = ReplayBuffer(capacity=1000, seed=42)
for i in range(100):
    state = np.random.randn(60).astype(np.float32)
    next_state = np.random.randn(60).astype(np.float32)
    buffer.push(state, action=i % 7, reward=np.random.randn(), next_state=next_state, done=False)
len(buffer); buffer.is_ready(32)
states, actions, rewards, next_states, dones = buffer.sample(32)

pbuffer = PrioritizedReplayBuffer(capacity=1000)
for i in range(100):
    ...
    pbuffer.push(state, action=i % 7, reward=np.random.randn(), next_state=next_state, done=False)
states, actions, rewards, next_states, dones, weights, indices = pbuffer.sample(32)
pbuffer.update_priorities(indices, np.abs(np.random.randn(32)) + 0.01)
"""

CLASSES = (ReplayBuffer, PrioritizedReplayBuffer)
both = pytest.mark.parametrize("cls", CLASSES)


def push(buffer, number, **options):
    state = np.array([number, 0.5])
    buffer.push(state, number % 5, number / 2, state + 1, number % 3 == 0, **options)


def filled(cls, count, capacity=8, **options):
    buffer = cls(capacity, seed=7, **options)
    for number in range(count):
        push(buffer, number)
    return buffer


def numbers(batch):
    """Check that rows are whole, and say which they are."""
    states, actions, rewards, next_states, dones = batch[:5]
    number = states[:, 0].astype(int)
    np.testing.assert_array_equal(actions, number % 5)
    np.testing.assert_array_equal(rewards, number / 2)
    np.testing.assert_array_equal(next_states, states + 1)
    np.testing.assert_array_equal(dones, number % 3 == 0)
    return number


def test_the_script_runs():
    known = {}
    exec(SCRIPT, known)
    assert len(known["buffer"]) == len(known["pbuffer"]) == 100
    assert known["buffer"].is_ready(32)
    assert known["states"].shape == (32, 60)
    assert known["weights"].max() == 1.0


def test_the_training_loop_runs():
    """Q-learning on a corridor, a column of signed TD errors for priorities."""
    random = np.random.default_rng(0)
    buffer = PrioritizedReplayBuffer(64, beta_frames=40, seed=0)
    values, batch_size, state = np.zeros((5, 2), np.float32), 16, 0
    for _ in range(300):
        action = int(random.integers(2))
        place = max(state - 1, 0) if action == 0 else state + 1
        buffer.push(np.eye(5)[state], action, float(place == 4), np.eye(5)[place], place == 4)
        state = 0 if place == 4 else place
        if buffer.is_ready(batch_size):
            s, a, r, s_, d, w, idx = buffer.sample(batch_size)
            rows = s.argmax(axis=1)
            target = r + 0.9 * (1 - d) * values[s_.argmax(axis=1)].max(axis=1)
            td_error = target - values[rows, a]
            np.add.at(values, (rows, a), 0.2 * w * td_error)
            buffer.update_priorities(idx, td_error[:, None])
    assert (values[:4].argmax(axis=1) == 1).all()
    assert buffer.beta == 1.0


@both
def test_arrays_have_the_types_that_networks_take_whatever_came_in(cls):
    buffer = cls(8)
    buffer.push(np.arange(3), np.int8(1), np.float64(0.5), [1, 2, 3], np.bool_(True))
    buffer.push([0.5, 1.5, 2.5], 2.0, 1, (1.0, 2.0, 3.0), 0)
    buffer.push(np.zeros(3, np.float16), np.array(3), np.float32(0), np.ones(3), 1.0)
    assert [(array.dtype.str, array.shape) for array in buffer.sample(2)] == [
        ("<f4", (2, 3)), ("<i8", (2,)), ("<f4", (2,)), ("<f4", (2, 3)), ("<f4", (2,)),
        ("<f4", (2,)), ("<i8", (2,)),
    ][: 5 if cls is ReplayBuffer else 7]  # fmt: skip
    found = {int(a): (float(r), float(d)) for _ in range(20) for a, r, d in rows_of(buffer)}
    assert found == {1: (0.5, 1.0), 2: (1.0, 0.0), 3: (0.0, 1.0)}


def rows_of(buffer):
    _, actions, rewards, _, dones = buffer.sample(3)[:5]
    return zip(actions, rewards, dones, strict=True)


def test_continuous_actions_are_float32_arrays():
    buffer = ReplayBuffer(4)
    buffer.push([0.0], np.array([0.25, -1.0]), 0, [0.0], False)
    buffer.push([0.0], [1, 2], 0, [0.0], False)
    actions = buffer.sample(2)[1]
    assert (actions.dtype, actions.shape) == (np.float32, (2, 2))


def test_images_and_plain_numbers_are_states_too():
    for state in (np.ones((2, 3, 4), np.uint8), 3):
        buffer = ReplayBuffer(4)
        buffer.push(state, 0, 0, state, False)
        states = buffer.sample(1)[0]
        assert (states.dtype, states.shape) == (np.float32, (1, *np.shape(state)))
        assert (states == state).all()


def test_an_experience_can_be_pushed():
    experience = Experience(state=[1.0], action=1, reward=2, next_state=[3.0], done=False)
    assert Experience._fields == ("state", "action", "reward", "next_state", "done")
    buffer = ReplayBuffer(4)
    buffer.push(*experience)
    assert [array.item() for array in buffer.sample(1)] == [1.0, 1, 2.0, 3.0, 0.0]


@both
@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_the_oldest_are_dropped_first(cls, capacity):
    buffer = cls(capacity, seed=0)
    for number in range(20):
        push(buffer, number)
        assert len(buffer) == min(number + 1, capacity)
    seen = {number for _ in range(60) for number in numbers(buffer.sample(capacity))}
    assert seen == set(range(20 - capacity, 20))
    assert buffer.capacity == capacity


@both
def test_one_seed_gives_one_sequence_of_batches(cls):
    one, other = filled(cls, 8), filled(cls, 8)
    for _ in range(3):
        for first, second in zip(one.sample(8), other.sample(8), strict=True):
            np.testing.assert_array_equal(first, second)


def test_seeds_differ():
    batches = [filled(ReplayBuffer, 8).sample(8)[0], ReplayBuffer(8, seed=8)]
    for number in range(8):
        push(batches[1], number)
    assert (batches[0] != batches[1].sample(8)[0]).any()


@both
def test_it_is_ready_once_a_batch_is_stored(cls):
    buffer = filled(cls, 4)
    assert buffer.is_ready(4)
    assert not buffer.is_ready(5)
    assert not cls(8).is_ready(1)


@both
def test_cleared_it_is_empty_and_fills_anew(cls):
    buffer = filled(cls, 11)
    buffer.clear()
    assert len(buffer) == 0
    assert not buffer.is_ready(1)
    push(buffer, 20)
    assert numbers(buffer.sample(1)).tolist() == [20]
    fresh = cls(4)
    fresh.clear()
    assert len(fresh) == 0


def test_beta_anneals_with_the_samples_and_then_stays():
    buffer = PrioritizedReplayBuffer(8, beta_start=0.4, beta_end=1.0, beta_frames=4)
    assert buffer.beta == 0.4
    push(buffer, 0)
    seen = []
    for _ in range(6):
        seen.append(buffer.beta)
        buffer.sample(1)
    assert seen == pytest.approx([0.4, 0.55, 0.7, 0.85, 1.0, 1.0])


def test_beta_goes_on_where_it_was_after_clear():
    buffer = filled(PrioritizedReplayBuffer, 4, beta_frames=2)
    buffer.sample(1)
    buffer.clear()
    assert buffer.beta == pytest.approx(0.7)


def test_weights_are_those_of_beta_with_the_largest_1():
    buffer = filled(
        PrioritizedReplayBuffer, 4, alpha=1.0, beta_start=0.5, beta_end=0.5, epsilon=0.0
    )
    buffer.update_priorities(np.arange(4), [1.0, 1.0, 4.0, 16.0])
    *_, weights, indices = (np.concatenate(parts) for parts in zip(*draws(buffer), strict=True))
    wanted = np.array([1.0, 1.0, 0.5, 0.25])
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, wanted[indices], rtol=1e-6)


def draws(buffer):
    # Four strata, the first of which holds rows 0, 1 and 2: each of them has a row of weight 1
    # only where 0 or 1 is drawn, so others are passed over.
    found = [batch for batch in (buffer.sample(4) for _ in range(60)) if batch[6].min() < 2]
    assert len(found) > 5
    return found


def test_the_largest_weight_of_every_batch_is_1():
    buffer = filled(PrioritizedReplayBuffer, 8)
    for _ in range(5):
        *_, weights, indices = buffer.sample(8)
        assert weights.max() == 1.0
        buffer.update_priorities(indices, np.linspace(0.1, 3, 8))


def test_new_experiences_enter_at_the_largest_priority():
    buffer = filled(PrioritizedReplayBuffer, 2, alpha=1.0, epsilon=0.0)
    assert buffer.tree.total == pytest.approx(2.0)
    buffer.update_priorities([0, 1], [6.0, 0.5])
    push(buffer, 2)
    buffer.update_priorities([0], [0.25])
    push(buffer, 3)
    assert buffer.tree.total == pytest.approx(0.25 + 0.5 + 6 + 6)


def test_an_experience_may_bring_its_priority():
    buffer = PrioritizedReplayBuffer(8, alpha=1.0, epsilon=0.0, seed=0)
    push(buffer, 0, priority=0.5)
    assert (buffer.tree.min, buffer.tree.max) == pytest.approx((0.5, 0.5))
    push(buffer, 1, priority=-3.0)
    assert buffer.tree.max == pytest.approx(3.0)
    push(buffer, 2, priority=0)
    assert set(np.concatenate([buffer.sample(3)[6] for _ in range(20)])) == {0, 1}
    push(buffer, 3)
    assert buffer.tree.total == pytest.approx(0.5 + 3 + 0 + 3)


def test_priorities_change_what_is_drawn():
    buffer = filled(PrioritizedReplayBuffer, 8, epsilon=0.0)
    buffer.update_priorities(np.arange(8), [0, 0, 0, -2.0, 0, 0, 0, 0])
    assert (numbers(buffer.sample(8)) == 3).all()


def test_epsilon_keeps_an_experience_without_error_alive():
    buffer = filled(PrioritizedReplayBuffer, 2, alpha=1.0, epsilon=0.125)
    buffer.update_priorities([0, 1], [0.0, 1.0])
    assert (buffer.tree.min, buffer.tree.max) == pytest.approx((0.125, 1.125))


def test_the_tree_says_total_largest_and_smallest():
    buffer = filled(PrioritizedReplayBuffer, 5, alpha=0.5, epsilon=0.0)
    buffer.update_priorities(np.arange(5), [4.0, 9.0, 16.0, 1.0, 0.25])
    tree = buffer.tree
    assert tree.total == pytest.approx(2 + 3 + 4 + 1 + 0.5)
    assert tree.max == pytest.approx(16.0)
    assert tree.min == pytest.approx(0.25)
    assert repr(tree) == "<SumTree total=10.5, max=16, min=0.25>"


@pytest.mark.parametrize("clear", [False, True])
def test_the_tree_of_an_empty_buffer_is_0(clear):
    buffer = filled(PrioritizedReplayBuffer, 3 if clear else 0)
    if clear:
        buffer.clear()
    assert (buffer.tree.total, buffer.tree.max, buffer.tree.min) == (0.0, 0.0, 0.0)


def test_the_priority_of_an_experience_overwritten_since_is_dropped():
    buffer = filled(PrioritizedReplayBuffer, 8, alpha=1.0, epsilon=0.0)
    *_, indices = buffer.sample(8)
    for number in range(8, 16):
        push(buffer, number)
    assert buffer.update_priorities(indices, np.full(8, 99.0)) == 0
    assert buffer.tree.total == pytest.approx(8.0)


@both
def test_saved_and_loaded_it_goes_on_as_it_was(cls, tmp_path):
    buffer = filled(cls, 11)
    if cls is PrioritizedReplayBuffer:
        buffer.update_priorities(np.arange(3, 11), np.linspace(0.1, 2, 8))
        buffer.sample(4)
    buffer.save(tmp_path / "saved")
    fresh, used = cls(8, seed=1), cls(8, seed=2)
    push(used, 50)
    for other in (fresh, used):
        other.load(str(tmp_path / "saved"))
        assert len(other) == 8
    if cls is PrioritizedReplayBuffer:
        assert buffer.beta == fresh.beta == used.beta > 0.4
        assert buffer.tree.total == fresh.tree.total == used.tree.total
    for _ in range(3):
        for one, two, three in zip(*(b.sample(8) for b in (buffer, fresh, used)), strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one, three)
    push(fresh, 30)
    assert len(fresh) == 8


@both
def test_an_emptied_buffer_can_be_saved_and_loaded(cls, tmp_path):
    buffer = filled(cls, 4)
    buffer.clear()
    buffer.save(tmp_path / "saved")
    other = cls(8)
    other.load(tmp_path / "saved")
    assert len(other) == 0


def test_continuous_actions_are_saved_and_loaded(tmp_path):
    buffer = ReplayBuffer(4)
    buffer.push([0.0], np.array([0.25, -1.0]), 0, [0.0], False)
    buffer.save(tmp_path / "saved")
    other = ReplayBuffer(4)
    other.load(tmp_path / "saved")
    np.testing.assert_array_equal(other.sample(1)[1], [[0.25, -1.0]])


def damages(whole):
    yield b""
    yield b"\x80\x04\x95 not one of ours"
    yield whole[: len(whole) // 2]
    yield whole[:-64]
    middle = bytearray(whole)
    middle[len(whole) - 700] ^= 1
    yield bytes(middle)


@both
@pytest.mark.parametrize("count", [0, 3])
def test_a_file_that_cannot_be_read_is_refused_and_changes_nothing(cls, count, tmp_path):
    path = tmp_path / "saved"
    filled(cls, 8).save(path)
    whole = path.read_bytes()
    for bad in damages(whole):
        path.write_bytes(bad)
        assert_refuses(filled(cls, count), path, replay.BlockFormatError)
    assert_refuses(filled(cls, count), tmp_path / "none", replay.BlockMissingError)
    assert_refuses(filled(cls, count), tmp_path, replay.BlockError)


def assert_refuses(buffer, path, error):
    count = len(buffer)
    if count:
        with refused(buffer._buffer, error, path):
            buffer.load(path)
    else:
        with pytest.raises(error) as caught:
            buffer.load(path)
        assert str(path) in str(caught.value)
        # It learned no shapes: others do.
        buffer.push([1.0], 0, 0, [1.0], False)
    assert len(buffer) == (count or 1)


@pytest.mark.parametrize("count", [0, 3])
def test_another_buffers_file_is_refused(count, tmp_path):
    path = tmp_path / "saved"
    others = [
        filled(PrioritizedReplayBuffer, 3, capacity=9),
        filled(PrioritizedReplayBuffer, 3, alpha=0.5),
        filled(ReplayBuffer, 3),
        replay.ReplayBuffer(8, {"x": bool}, sampler=PrioritizedReplayBuffer(8)._buffer.sampler),
    ]
    for other in others:
        other.save(path)
        assert_refuses(filled(PrioritizedReplayBuffer, count), path, replay.BlockFormatError)


def test_a_file_of_other_shapes_is_refused_once_shapes_are_known(tmp_path):
    other = ReplayBuffer(8)
    other.push([0.0], 0, 0, [0.0], False)
    other.save(tmp_path / "saved")
    assert_refuses(filled(ReplayBuffer, 3), tmp_path / "saved", replay.BlockFormatError)


@both
def test_a_file_that_cannot_be_written_is_said(cls, tmp_path):
    with pytest.raises(replay.BlockError, match="none"):
        filled(cls, 2).save(tmp_path / "none" / "saved")
    with pytest.raises(replay.InputError, match="nothing was pushed"):
        cls(4).save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@both
@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", [0, 0, 0]),
        ("state", "ab"),
        ("state", [[0], [0, 0]]),
        ("state", [1e300, 0]),
        ("next_state", 0),
        ("next_state", [[0, 0]]),
        ("action", 0.5),
        ("action", "left"),
        ("action", 1j),
        ("reward", [0.0]),
        ("reward", None),
        ("done", [False]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(cls, count, name, value):
    buffer = filled(cls, count)
    row = {"state": [0, 0], "action": 0, "reward": 0, "next_state": [0, 0], "done": 0, name: value}
    if count:
        with refused(buffer._buffer, replay.FieldError, repr(name)):
            buffer.push(**row)
        assert len(buffer) == 3
    else:
        with pytest.raises(replay.FieldError, match="state" if "state" in name else repr(name)):
            buffer.push(**row)
        buffer.push(np.zeros(4), 0, 0, np.zeros(4), False)
        assert len(buffer) == 1


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("priority", [float("nan"), float("-inf"), "high", 1j, [1.0, 2.0]])
def test_a_priority_that_cannot_be_changes_nothing(count, priority):
    buffer = filled(PrioritizedReplayBuffer, count)
    with pytest.raises(replay.InputError, match="priority"):
        push(buffer, 3, priority=priority)
    assert len(buffer) == count


def test_a_uniform_buffer_takes_no_priority():
    buffer = filled(ReplayBuffer, 3)
    push(buffer, 3, priority=None)
    with pytest.raises(replay.InputError, match="priority is 1"):
        push(buffer, 4, priority=1.0)
    assert len(buffer) == 4


@pytest.mark.parametrize(
    ("indices", "priorities", "said"),
    [
        ([0], [np.nan], "priorities[0] is nan"),
        ([0, 1], [1, np.inf], "priorities[1] is inf"),
        ([0, 1], [1.0], "2 ids"),
        ([0], [[1.0, 2.0]], "shape (1, 2)"),
        ([0], 1.0, "shape ()"),
        ([3], [1.0], "ids[0] is 3"),
        ([-1], [1.0], "ids[0] is -1"),
        ([0.5], [1.0], "integers"),
        (["a"], [1.0], "integers"),
    ],
)
def test_an_update_that_cannot_be_changes_nothing(indices, priorities, said):
    buffer = filled(PrioritizedReplayBuffer, 3)
    with refused(buffer._buffer, replay.InputError, said):
        buffer.update_priorities(indices, priorities)


@pytest.mark.parametrize(
    ("cls", "options", "said"),
    [
        *itertools.product(CLASSES, [{"capacity": 0}], ["capacity is 0"]),
        *itertools.product(CLASSES, [{"capacity": -5}], ["capacity is -5"]),
        *itertools.product(CLASSES, [{"capacity": 10.0}], ["capacity is 10.0"]),
        *itertools.product(CLASSES, [{"capacity": layout.MOST_SLOTS + 1}], ["capacity is"]),
        *itertools.product(CLASSES, [{"seed": -1}], ["seed is -1"]),
        *itertools.product(CLASSES, [{"seed": 0.5}], ["seed is 0.5"]),
        (PrioritizedReplayBuffer, {"alpha": -0.1}, "alpha is -0.1"),
        (PrioritizedReplayBuffer, {"alpha": float("nan")}, "alpha is nan"),
        (PrioritizedReplayBuffer, {"alpha": "a"}, "alpha is 'a'"),
        (PrioritizedReplayBuffer, {"beta_start": 1.5}, "beta_start: beta is 1.5"),
        (PrioritizedReplayBuffer, {"beta_end": -0.5}, "beta_end: beta is -0.5"),
        (PrioritizedReplayBuffer, {"beta_frames": 0}, "beta_frames is 0"),
        (PrioritizedReplayBuffer, {"epsilon": -1e-6}, "epsilon is -1e-06"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(cls, options, said):
    with pytest.raises(replay.InputError, match=said):
        cls(**{"capacity": 8, **options})


@both
def test_a_batch_larger_than_what_is_stored_is_refused(cls):
    with pytest.raises(replay.InputError, match="batch_size is 5, only 4 transitions"):
        filled(cls, 4).sample(5)
    with pytest.raises(replay.InputError, match="batch_size is 1, only 0 transitions"):
        cls(4).sample(1)


@both
@pytest.mark.parametrize("batch_size", [0, -3, 2.0, True, None])
def test_a_batch_size_that_cannot_be_is_refused(cls, batch_size):
    with pytest.raises(replay.InputError, match="batch_size is"):
        filled(cls, 4).sample(batch_size)


def test_nothing_is_drawn_where_every_priority_is_0():
    buffer = filled(PrioritizedReplayBuffer, 2, epsilon=0.0)
    buffer.update_priorities([0, 1], [0.0, 0.0])
    with pytest.raises(replay.EmptyError, match="priority 0"):
        buffer.sample(1)
