"""The shared-memory circular buffer."""

import gc
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import replay
from replay.compat.circular import SharedCircularBuffer
from replay.memory.home import named_path
from tests.homes import fewer, fresh_name, refused

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ["states", "actions", "rewards", "next_states", "dones"]


def push(buffer, number):
    buffer.push([number, 0.5], number, number / 2, [number + 1, 0.5], number % 3 == 0)


def filled(count, capacity=8, **options):
    buffer = SharedCircularBuffer(capacity, 2, **options)
    for number in range(count):
        push(buffer, number)
    return buffer


def numbers(batch):
    """Check that rows are whole lists, and say which they are."""
    assert list(batch) == NAMES
    found = batch["actions"]
    assert batch == {
        "states": [[float(number), 0.5] for number in found],
        "actions": found,
        "rewards": [number / 2 for number in found],
        "next_states": [[number + 1.0, 0.5] for number in found],
        "dones": [number % 3 == 0 for number in found],
    }
    return found


def python(script):
    """Run a process of its own, not a child that inherits anything."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    ).stdout


def test_the_exercise_runs():
    buffer = SharedCircularBuffer(capacity=3, state_dim=2)
    for number in range(5):
        state = np.array([number, number])
        buffer.push(state, number, 1.0, state + 1, number == 4)
    assert len(buffer) == 3
    assert buffer.latest(2) == {
        "states": [[3.0, 3.0], [4.0, 4.0]],
        "actions": [3, 4],
        "rewards": [1.0, 1.0],
        "next_states": [[4.0, 4.0], [5.0, 5.0]],
        "dones": [False, True],
    }
    assert set(buffer.sample(30, seed=0)["actions"]) == {2, 3, 4}
    buffer.close()


def test_every_value_is_a_python_value():
    with filled(3) as buffer:
        for batch in (buffer.sample(2, seed=1), buffer.latest(2)):
            assert {name: type(batch[name]) for name in NAMES} == dict.fromkeys(NAMES, list)
            assert [type(batch[name][0]) for name in NAMES] == [list, int, float, list, bool]
            assert type(batch["states"][0][0]) is float


def test_float64_is_kept_to_the_last_bit():
    with SharedCircularBuffer(2, 1) as buffer:
        buffer.push([0.1], -(1 << 62), 1 / 3, [1e-300], 1.0)
        assert buffer.latest(1) == {
            "states": [[0.1]],
            "actions": [-(1 << 62)],
            "rewards": [1 / 3],
            "next_states": [[1e-300]],
            "dones": [True],
        }


@pytest.mark.parametrize("count", [1, 5, 8, 9, 20])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_samples_are_those_of_the_random_state(count, seed):
    with filled(count) as buffer:
        arrays = [None] * 8
        for number in range(count):
            arrays[number % 8] = number
        indices = np.random.RandomState(seed).randint(0, min(count, 8), 50)
        for _ in range(2):
            assert numbers(buffer.sample(50, seed=seed)) == [arrays[index] for index in indices]


def test_samples_without_a_seed_differ():
    with filled(8) as buffer:
        # Alike by chance once in 8**30.
        assert buffer.sample(30) != buffer.sample(30)


@pytest.mark.parametrize("capacity", [1, 7, 8])
def test_the_latest_come_oldest_first(capacity):
    with SharedCircularBuffer(capacity, 2) as buffer:
        for number in range(20):
            push(buffer, number)
            stored = list(range(max(number + 1 - capacity, 0), number + 1))
            assert len(buffer) == len(stored)
            for n in (0, 1, 3, capacity, capacity + 1, 1000):
                assert numbers(buffer.latest(n)) == stored[max(len(stored) - n, 0) :]


def test_the_latest_of_an_empty_buffer_are_none():
    with filled(0) as buffer:
        assert len(buffer) == 0
        assert buffer.latest(5) == {name: [] for name in NAMES}


def test_the_latest_pass_over_a_row_that_was_never_finished():
    with filled(11) as buffer:
        # The word of row 9, in slot 1, as a writer has it while it is at it.
        buffer._buffer._ring.block.part("records")[1, 0] |= 1
        assert numbers(buffer.latest(1)) == [10]
        assert numbers(buffer.latest(3)) == [7, 8, 10]
        assert numbers(buffer.latest(100)) == [3, 4, 5, 6, 7, 8, 10]
        assert 9 not in numbers(buffer.sample(100, seed=0))


def test_wide_states_are_stored_too():
    with SharedCircularBuffer(3, 100) as buffer:
        for number in range(4):
            buffer.push(np.full(100, number), number, 0, np.full(100, number + 1), False)
        assert buffer.latest(2)["states"] == [[2.0] * 100, [3.0] * 100]
        assert buffer.latest(1)["next_states"] == [[4.0] * 100]


def test_it_lies_in_shared_memory_under_a_name_of_its_own():
    with filled(1) as one, filled(1) as other:
        assert one.name != other.name
        assert named_path(one.name).exists()
        assert named_path(one.name).stat().st_mode & 0o777 == 0o600
    assert not named_path(one.name).exists()


def test_it_is_gone_when_nobody_holds_it():
    buffer = filled(3)
    path = named_path(buffer.name)
    buffer.latest(2)
    assert path.exists()
    del buffer
    gc.collect()
    assert not path.exists()


def test_it_is_gone_when_its_process_ends():
    name = python(
        "from replay.compat.circular import SharedCircularBuffer\n"
        "buffer = SharedCircularBuffer(4, 2)\n"
        "buffer.push([0, 0], 0, 0, [0, 0], False)\n"
        "print(buffer.name)"
    ).strip()
    assert name.startswith("circular-")
    assert not named_path(name).exists()


def test_another_process_joins_it_by_name_and_leaves_it_in_place():
    name = fresh_name()
    with filled(3, name=name) as buffer:
        out = python(
            "from replay.compat.circular import SharedCircularBuffer\n"
            f"buffer = SharedCircularBuffer.attach({name!r})\n"
            "print(len(buffer), buffer.capacity, buffer.sample(5, seed=3)['actions'])\n"
            "buffer.push([3, 0.5], 3, 1.5, [4, 0.5], True)"
        )
        indices = np.random.RandomState(3).randint(0, 3, 5).tolist()
        assert out.strip() == f"3 8 {indices}"
        assert numbers(buffer.latest(2)) == [2, 3]
        assert named_path(name).exists()


def test_pickled_it_attaches():
    with filled(3) as buffer, pickle.loads(pickle.dumps(buffer)) as other:
        push(other, 3)
        assert numbers(buffer.latest(10)) == numbers(other.latest(10)) == [0, 1, 2, 3]
        other.close()
        assert named_path(buffer.name).exists()


@pytest.mark.parametrize("read", [lambda b: b.sample(8), lambda b: b.latest(8)])
def test_rows_read_beside_writers_are_whole(read):
    rows = fewer(2000, 40)
    with filled(4, capacity=16) as buffer:

        def fill(first):
            for number in range(first, rows, 2):
                push(buffer, number)

        threads = [threading.Thread(target=fill, args=(first,)) for first in (0, 1)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            numbers(read(buffer))
        for thread in threads:
            thread.join()
        assert len(numbers(buffer.latest(100))) == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", [0, 0, 0]),
        ("state", 0),
        ("state", [0, "a"]),
        ("next_state", [[0, 0]]),
        ("action", 0.5),
        ("action", [1]),
        ("action", 1 << 63),
        ("reward", [0.0]),
        ("reward", None),
        ("done", 2),
        ("done", 0.5),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(name, value):
    with filled(3) as buffer:
        row = {
            "state": [0, 0], "action": 0, "reward": 0, "next_state": [0, 0], "done": 0, name: value
        }  # fmt: skip
        with refused(buffer._buffer, replay.FieldError, name):
            buffer.push(**row)
        assert numbers(buffer.latest(10)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 2), "capacity is 0"),
        ((2.5, 2), "capacity is 2.5"),
        ((2, 0), "state_dim is 0"),
        ((2, (3,)), "state_dim is"),
        ((2, 2, "a/b"), "'a/b' cannot name a block"),
        ((2, 2, 3), "name 3 cannot name a block"),
    ],
)
def test_a_buffer_that_cannot_be_is_refused(arguments, said):
    with pytest.raises(replay.InputError, match=said):
        SharedCircularBuffer(*arguments)


def test_too_little_room_is_said_before_it_is_taken():
    with pytest.raises(replay.RoomError, match="needs"):
        SharedCircularBuffer(1 << 36, 64)


def test_a_name_that_is_taken_is_refused():
    with filled(1, name=fresh_name()) as buffer:
        with pytest.raises(replay.BlockExistsError, match=buffer.name):
            filled(1, name=buffer.name)
        assert numbers(buffer.latest(1)) == [0]


def test_only_a_circular_buffer_can_be_attached():
    name = fresh_name()
    with pytest.raises(replay.BlockMissingError, match=name):
        SharedCircularBuffer.attach(name)
    other = {"states": (np.float64, (2, 2)), "actions": np.int64}
    swapped = {
        "states": (np.float64, (2,)), "rewards": np.float64, "actions": np.int64,
        "next_states": (np.float64, (2,)), "dones": bool,
    }  # fmt: skip
    for fields in ({"x": bool}, other, swapped):
        with (
            replay.ReplayBuffer(4, fields, name=name),
            pytest.raises(replay.BlockFormatError, match=f"'{name}' is no circular buffer"),
        ):
            SharedCircularBuffer.attach(name)


@pytest.mark.parametrize("seed", [-1, 2**32, "a", 1.5])
def test_a_seed_that_cannot_be_is_refused(seed):
    with filled(2) as buffer, pytest.raises(replay.InputError, match="seed is"):
        buffer.sample(1, seed=seed)


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_a_batch_size_that_cannot_be_is_refused(count):
    with filled(2) as buffer, pytest.raises(replay.InputError, match="batch_size is"):
        buffer.sample(count)


@pytest.mark.parametrize("count", [-1, 1.5, None])
def test_a_number_of_latest_that_cannot_be_is_refused(count):
    with filled(2) as buffer, pytest.raises(replay.InputError, match="n is"):
        buffer.latest(count)


def test_an_empty_buffer_refuses_to_sample():
    with filled(0) as buffer, pytest.raises(replay.EmptyError):
        buffer.sample(1)


def test_a_closed_buffer_says_so():
    buffer = filled(3)
    buffer.close()
    buffer.close()
    for use in (lambda: push(buffer, 3), lambda: buffer.sample(1), lambda: buffer.latest(1)):
        with pytest.raises(replay.ClosedError):
            use()
