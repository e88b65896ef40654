"""The high-performance library's form of a buffer."""

import threading

import numpy as np
import pytest

import replay
from replay.compat.lockfree import TYPES, ReplayBuffer
from tests.homes import fewer, fresh_name, refused

#: As its README has it, the import line changed.
SCRIPT = """
from replay.compat.lockfree import ReplayBuffer

buffer = ReplayBuffer(capacity=1000000, buffer_type='lockfree')
buffer.add(state, action, reward, next_state, done)
batch = buffer.sample(32)
"""

DRAWN = ("lockfree", "uniform", "prioritized")


def filled(count, buffer_type="lockfree", capacity=8, **options):
    buffer = ReplayBuffer(capacity, buffer_type, seed=5, **options)
    for number in range(count):
        add(buffer, number)
    return buffer


def add(buffer, number):
    state = np.array([number, 0.5])
    return buffer.add(state, number, number / 2, state + 1, number % 3 == 0)


def assert_whole(batch):
    number = batch.action
    np.testing.assert_array_equal(batch.state[:, 0], number)
    np.testing.assert_array_equal(batch.next_state[:, 0], number + 1)
    np.testing.assert_array_equal(batch.reward, number / 2)
    np.testing.assert_array_equal(batch.done, number % 3 == 0)


def test_the_script_runs():
    state = np.arange(4, dtype=np.float32)
    known = {"state": state, "action": 1, "reward": 0.5, "next_state": state + 1, "done": True}
    exec(SCRIPT, known)
    batch = known["batch"]
    assert batch["state"].shape == (32, 4)
    state, action, reward, next_state, done, weights, ids = batch
    assert (next_state == state + 1).all()
    assert [array.dtype.str for array in (action, reward, done, weights, ids)] == [
        "<i8", "<f4", "|b1", "<f4", "<i8",
    ]  # fmt: skip
    assert known["buffer"].capacity == 1_000_000


@pytest.mark.parametrize("buffer_type", TYPES)
def test_every_type_stores_and_gives_back(buffer_type):
    buffer = filled(6, buffer_type)
    assert (len(buffer), buffer.size, buffer.capacity, buffer.is_full) == (6, 6, 8, False)
    batch = buffer.sample(6)
    assert_whole(batch)
    assert set(batch.ids) <= set(range(6))
    assert (batch.weights > 0).all()


@pytest.mark.parametrize("buffer_type", TYPES)
def test_every_type_drops_the_oldest(buffer_type):
    buffer = filled(21, buffer_type)
    assert buffer.is_full
    batch = buffer.sample(8)
    assert_whole(batch)
    assert set(batch.action) <= set(range(13, 21))


@pytest.mark.parametrize("buffer_type", TYPES)
def test_every_type_can_be_cleared_and_filled_anew(buffer_type):
    buffer = filled(5, buffer_type)
    buffer.clear()
    assert len(buffer) == 0
    with pytest.raises(replay.EmptyError):
        buffer.sample(1)
    assert add(buffer, 9) == 5
    batch = buffer.sample(1)
    assert_whole(batch)
    assert batch.action.tolist() == [9]


@pytest.mark.parametrize("buffer_type", DRAWN)
def test_one_seed_gives_one_sequence_of_batches(buffer_type):
    one, other = filled(8, buffer_type), filled(8, buffer_type)
    for _ in range(3):
        for first, second in zip(one.sample(16), other.sample(16), strict=True):
            np.testing.assert_array_equal(first, second)


def test_fifo_hands_rows_out_oldest_first_each_once():
    buffer = filled(5, "fifo")
    assert buffer.sample(2).action.tolist() == [0, 1]
    assert buffer.sample(2).action.tolist() == [2, 3]
    assert len(buffer) == 1
    for number in range(5, 12):
        add(buffer, number)
    assert buffer.is_full
    last = buffer.sample(8)
    assert_whole(last)
    assert last.action.tolist() == last.ids.tolist() == list(range(4, 12))
    assert (last.weights == 1).all()
    assert len(buffer) == 0


def test_fifo_counts_the_rows_that_were_overwritten_before_they_were_taken():
    buffer = filled(8, "fifo")
    buffer.sample(3)
    for number in range(8, 13):
        add(buffer, number)
    assert buffer.stats()["lost"] == 2
    assert buffer.sample(1).action.tolist() == [5]


def test_fifo_rows_are_arrays_of_their_own():
    buffer = filled(2, "fifo", capacity=2)
    batch = buffer.sample(2)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in batch)
    add(buffer, 2)
    assert_whole(batch)


def test_fifo_refuses_to_hand_out_more_than_is_left():
    buffer = filled(5, "fifo")
    with pytest.raises(replay.InputError, match="batch_size is 6, only 5"):
        buffer.sample(6)
    assert buffer.sample(5).action.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(replay.EmptyError, match="handed out"):
        buffer.sample(1)


def test_fifo_gives_each_row_to_one_of_many_threads():
    rows = fewer(400, 40)
    buffer = ReplayBuffer(rows, "fifo")
    add(buffer, 0)
    taken = []

    def fill(first):
        for number in range(first, rows, 2):
            add(buffer, number)

    def drain():
        # Ends once all have come: nothing is lost, the buffer holds every row.
        while len(taken) < rows:
            try:
                batch = buffer.sample(1)
            except replay.EmptyError:
                continue
            assert_whole(batch)
            taken.append(int(batch.action[0]))

    threads = [threading.Thread(target=fill, args=(first,)) for first in (1, 2)]
    threads += [threading.Thread(target=drain) for _ in range(2)]
    run(threads)
    assert sorted(taken) == list(range(rows))


def run(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("buffer_type", DRAWN)
def test_rows_drawn_beside_writers_are_whole(buffer_type):
    buffer = filled(4, buffer_type, capacity=16)
    rows = fewer(2000, 40)

    def fill(first):
        for number in range(first, rows, 2):
            add(buffer, number)

    threads = [threading.Thread(target=fill, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert_whole(buffer.sample(8))
    for thread in threads:
        thread.join()
    assert buffer.stats()["added"] == rows + 4


def test_first_rows_of_two_threads_are_both_kept():
    for _ in range(fewer(20, 3)):
        buffer = ReplayBuffer(4)
        run([threading.Thread(target=add, args=(buffer, number)) for number in (0, 1)])
        assert len(buffer) == 2


def test_priorities_are_the_sizes_of_td_errors():
    buffer = filled(2, "prioritized", alpha=1.0, epsilon=0.0)
    assert buffer.update_priorities([0, 1], [-4.0, 0.0]) == 2
    assert (buffer.sample(40).ids == 0).all()


def test_a_priority_function_of_ones_own_is_used():
    buffer = filled(
        3, "prioritized", alpha=1.0, epsilon=0.0, priority=lambda errors: np.maximum(errors, 0)
    )
    buffer.update_priorities([0, 1, 2], np.array([[-4.0], [2.0], [-1.0]]))
    assert (buffer.sample(40).ids == 1).all()


def test_new_rows_enter_at_the_largest_priority():
    buffer = filled(1, "prioritized", alpha=1.0, epsilon=0.0)
    buffer.update_priorities([0], [9.0])
    add(buffer, 1)
    buffer.update_priorities([0], [0.0])
    assert buffer._buffer.priorities.total == pytest.approx(9.0)


@pytest.mark.parametrize(
    "priority", [lambda e: -np.ones(2), lambda e: e * np.nan, lambda e: e[:1]]
)
def test_a_priority_function_that_gives_no_priorities_is_refused(priority):
    buffer = filled(3, "prioritized", priority=priority)
    with refused(buffer._buffer, replay.InputError, "priorities"):
        buffer.update_priorities([0, 1], [1.0, 2.0])


@pytest.mark.parametrize(
    ("state", "dtype", "shape"),
    [
        (np.zeros((3, 4), np.uint8), "|u1", (3, 4)),
        (np.zeros(3), "<f8", (3,)),
        ([0, 1, 2], "<f4", (3,)),
        ((0.5, 1.5), "<f4", (2,)),
        (3, "<i8", ()),
        (0.5, "<f4", ()),
    ],
)
def test_the_first_state_shows_the_type_of_all(state, dtype, shape):
    buffer = ReplayBuffer(4)
    buffer.add(state, 0, 1, state, False)
    buffer.add(state, 0, 0.5, state, 1.0)
    batch = buffer.sample(2)
    assert batch.state.dtype.str == batch.next_state.dtype.str == dtype
    assert batch.state.shape == (2, *shape)


@pytest.mark.parametrize(
    ("action", "dtype", "shape"),
    [
        (2, "<i8", ()),
        (2.0, "<i8", ()),
        (np.int32(2), "<i8", ()),
        (np.array([1, 2], np.int16), "<i8", (2,)),
        (np.array([0.25, 2.0]), "<f4", (2,)),
    ],
)
def test_the_first_action_shows_the_kind_of_all(action, dtype, shape):
    buffer = ReplayBuffer(4)
    for _ in range(2):
        buffer.add([0.0], action, 1, [0.0], False)
    batch = buffer.sample(3)
    assert (batch.action.dtype.str, batch.action.shape) == (dtype, (3, *shape))
    assert (batch.action == action).all()


def test_a_name_puts_it_into_shared_memory():
    name = fresh_name()
    with filled(3, "prioritized", name=name), replay.attach(name) as other:
        assert_whole(other.sample(5))
    with pytest.raises(replay.BlockMissingError):
        replay.attach(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", np.zeros(3)),
        ("state", 0.0),
        ("state", ["a", "b"]),
        ("next_state", np.zeros((1, 2))),
        ("action", 0.5),
        ("action", float("nan")),
        ("action", 1e30),
        ("action", [1]),
        ("reward", np.zeros(2)),
        ("done", 3),
        ("done", 0.1),
    ],
)
@pytest.mark.parametrize("buffer_type", TYPES)
def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(name, value, buffer_type):
    buffer = filled(3, buffer_type)
    row = {"state": [0, 0], "action": 0, "reward": 0, "next_state": [0, 0], "done": 0, name: value}
    with refused(buffer._buffer, replay.FieldError, repr(name)):
        buffer.add(**row)
    assert len(buffer) == 3


def test_a_first_row_that_does_not_fit_together_is_refused_and_teaches_nothing():
    buffer = ReplayBuffer(4)
    with pytest.raises(replay.FieldError, match="'next_state'"):
        buffer.add(np.zeros(3), 0, 0, np.zeros(4), False)
    buffer.add(np.zeros(4), 0, 0, np.zeros(4), False)
    assert len(buffer) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"capacity": 0}, "capacity is 0"),
        ({"buffer_type": "lifo"}, "buffer_type is 'lifo'.* lockfree, fifo, uniform, prioritized"),
        ({"buffer_type": ["fifo"]}, "buffer_type is"),
        ({"priority": abs}, "buffer_type 'prioritized'; it is 'lockfree'"),
        ({"priority": 3, "buffer_type": "prioritized"}, "priority is 3"),
        ({"alpha": 5.0}, "alpha is 5"),
        ({"beta": -1.0}, "beta is -1"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"name": "x", "buffer_type": "fifo"}, "name is 'x'"),
        ({"name": "../x"}, "cannot name a block"),
    ],
)
def test_a_buffer_that_cannot_be_is_refused(options, said):
    with pytest.raises(replay.InputError, match=said):
        ReplayBuffer(**options)


@pytest.mark.parametrize("buffer_type", ["lockfree", "uniform", "fifo"])
def test_only_a_prioritized_buffer_takes_priorities(buffer_type):
    with pytest.raises(replay.InputError, match=f"buffer_type is '{buffer_type}'"):
        filled(3, buffer_type).update_priorities([0], [1.0])


@pytest.mark.parametrize("buffer_type", TYPES)
def test_an_empty_buffer_refuses_to_sample(buffer_type):
    with pytest.raises(replay.EmptyError):
        filled(0, buffer_type).sample(1)


@pytest.mark.parametrize("buffer_type", TYPES)
@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, None])
def test_a_batch_size_that_cannot_be_is_refused(buffer_type, batch_size):
    with pytest.raises(replay.InputError, match="batch_size is"):
        filled(3, buffer_type).sample(batch_size)


@pytest.mark.parametrize("buffer_type", TYPES)
def test_a_closed_buffer_says_so(buffer_type):
    with filled(3, buffer_type) as buffer:
        pass
    with pytest.raises(replay.ClosedError):
        buffer.sample(1)
    with pytest.raises(replay.ClosedError):
        add(buffer, 1)
