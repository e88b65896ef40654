"""
Arguments that cannot be: each is an error of ours that names the field, the value and the limit.

The buffer is as it was to the last byte. Attaching to what is no block is in test_block, room in
test_home, priorities and ids in test_priority_tree, samplers' parameters in test_proportional.
"""

import numpy as np
import pytest

import replay
from tests.homes import FIELDS, WALKS, opened, refused, row, rows, walking


@pytest.fixture(params=WALKS)
def buffer(request):
    with walking(request.param), opened("private", 10, FIELDS, seed=0) as buffer:
        buffer.extend(**rows(range(13)))
        yield buffer


WRONG = [
    ("obs", np.zeros(4, np.float32), ["(4,)", "(3,)"]),
    ("obs", np.zeros((1, 3), np.float32), ["(1, 3)", "(3,)"]),
    ("obs", np.float32(1), ["()", "(3,)"]),
    ("obs", 1.0, ["()", "(3,)"]),
    ("obs", np.zeros(3, complex), ["complex128", "float32"]),
    ("obs", np.array([0, 1e39, 0]), ["1e+39", "3.4028235e+38"]),
    ("obs", ["a", "b", "c"], ["not numbers"]),
    ("obs", [[1], [1, 2], 3], ["no array"]),
    ("obs", None, ["not numbers"]),
    ("action", np.zeros(1, np.int64), ["(1,)", "()"]),
    ("action", 1.0, ["float64", "int64"]),
    ("action", 1 << 63, [1 << 63, (1 << 63) - 1]),
    ("action", 1 << 80, [1 << 80, (1 << 64) - 1]),
    ("action", "1", ["'1'"]),
    ("reward", "1.5", ["'1.5'"]),
    ("reward", 1e39, ["1e+39", "3.4028235e+38"]),
    ("reward", np.zeros((1, 1), np.float32), ["(1, 1)", "()"]),
    ("done", 2, ["2", "0 to 1"]),
    ("done", 0.0, ["float64", "bool"]),
    ("done", -1, ["-1", "0 to 1"]),
    ("image", np.full((17, 17), 300), ["300", "255"]),
    ("image", np.full((17, 17), -1, np.int8), ["-1", "0 to 255"]),
    ("image", np.zeros((17, 17)), ["float64", "uint8"]),
    ("image", np.zeros((17, 16), np.uint8), ["(17, 16)", "(17, 17)"]),
    ("image", np.zeros(289, np.uint8), ["(289,)", "(17, 17)"]),
]


@pytest.mark.parametrize(("field", "value", "said"), WRONG)
def test_a_value_that_does_not_fit_its_field(buffer, field, value, said):
    with refused(buffer, replay.FieldError, f"field {field!r}", *said):
        buffer.add(**{**row(1), field: value})
    with refused(buffer, replay.FieldError, f"field {field!r}", *said):
        buffer.add(*{**row(1), field: value}.values())


@pytest.mark.parametrize(("field", "value", "said"), WRONG)
def test_rows_with_a_value_that_does_not_fit_its_field(buffer, field, value, said):
    good = row(1)[field]
    values = [good, value, good]
    if isinstance(value, np.ndarray) and value.shape != np.shape(good):
        values = [value] * 3
    with refused(buffer, replay.FieldError, f"field {field!r}"):
        buffer.extend(**{**rows([1, 2, 3]), field: values})


@pytest.mark.parametrize("given", [0, 1, 4, 6])
def test_a_row_of_too_few_or_too_many_values(buffer, given):
    values = (list(row(1).values()) * 2)[:given]
    with refused(buffer, replay.FieldError, given, 5, "obs, action, reward, done, image"):
        buffer.add(*values)
    values = (list(rows([1, 2]).values()) * 2)[:given]
    with refused(buffer, replay.FieldError, given, 5):
        buffer.extend(*values)


def test_a_missing_an_unknown_and_a_double_field(buffer):
    made = row(1)
    for use, made in ((buffer.add, row(1)), (buffer.extend, rows([1]))):
        left = {name: value for name, value in made.items() if name not in ("done", "obs")}
        with refused(buffer, replay.FieldError, "lacks field 'obs', 'done'", ", ".join(FIELDS)):
            use(**left)
        with refused(buffer, replay.FieldError, "unknown field 'extra'"):
            use(**made, extra=1)
        with refused(buffer, replay.FieldError, "field"):
            use(**left, done_=1, obs_=1)
        with refused(buffer, replay.FieldError, "twice field 'obs'"):
            use(made["obs"], **made)
        with refused(buffer, replay.FieldError, "lacks field"):
            use(made["obs"], action=1)


def test_rows_of_different_numbers(buffer):
    made = rows(range(4))
    for name in made:
        short = {**made, name: made[name][:3]}
        other = "action" if name == "obs" else "obs"
        with refused(buffer, replay.FieldError, "3", "4", repr(name), repr(other)):
            buffer.extend(**short)
        with refused(buffer, replay.FieldError, "rows"):
            buffer.extend(*short.values())


def test_rows_that_are_one_row(buffer):
    with refused(buffer, replay.FieldError, "field"):
        buffer.extend(**row(1))
    for value in (5, 1.5, np.float32(1), np.array(3), None):
        with refused(buffer, replay.FieldError, "'reward' is a single", "(n, )"):
            buffer.extend(**{**rows([1]), "reward": value})
    with refused(buffer, replay.FieldError, "field 'reward'"):
        buffer.extend(**{**rows([1]), "reward": "a"})


@pytest.mark.parametrize(
    "size",
    [0, -1, 1.0, "1", None, (2, 2), (3,), [3], (), True, np.float64(3), 1 << 70, -(1 << 70)],
)
def test_a_batch_size_that_cannot_be(buffer, size):
    one = buffer.sample(1)
    with refused(buffer, replay.InputError, "batch_size"):
        buffer.sample(size)
    if size is not None:
        with refused(buffer, replay.InputError, repr(size)):
            buffer.sample(size, out=one)


def test_a_batch_of_more_memory_than_there_is(buffer):
    with refused(buffer, replay.InputError, "batch_size", 1 << 58):
        buffer.sample(1 << 58)


def test_a_batch_size_may_be_a_numpy_integer(buffer):
    assert buffer.sample(np.int32(3)).ids.shape == (3,)
    assert buffer.sample(np.array(3)).ids.shape == (3,)


def test_an_out_that_is_no_batch_of_this_buffer(buffer):
    batch = buffer.sample(6)
    fixed = batch.obs.copy()
    fixed.flags.writeable = False
    wrong = [
        (None, "batch_size"),
        ((), "batch"),
        (list(batch), "batch"),
        (tuple(batch)[:-1], "batch"),
        ("out", "batch"),
        (batch._replace(obs=np.zeros((6, 4), np.float32)), "out.obs has shape (6, 4)"),
        (batch._replace(obs=np.zeros((5, 3), np.float32)), "must be (6, 3)"),
        (batch._replace(obs=np.zeros((6, 3))), "out.obs is float64"),
        (batch._replace(obs=np.zeros((6, 3), ">f4")), "out.obs is >f4"),
        (batch._replace(obs=np.zeros((3, 6), np.float32).T), "out.obs must be contiguous"),
        (batch._replace(obs=fixed), "out.obs must be contiguous, aligned and writeable"),
        (batch._replace(obs=[[0.0] * 3] * 6), "out.obs has shape None"),
        (batch._replace(ids=np.zeros(5, np.int64)), "shape"),
        (batch._replace(ids=np.zeros(6, np.int32)), "out.ids is int32"),
        (batch._replace(ids=None), "out.ids"),
        (batch._replace(ids=6), "out.ids"),
        (batch._replace(ids=[1, 2]), "out.ids"),
        (batch._replace(weights=np.zeros(6)), "out.weights is float64"),
        (tuple(np.zeros((0, *a.shape[1:]), a.dtype) for a in batch), "batch_size"),
    ]
    for out, said in wrong:
        with refused(buffer, replay.InputError, said):
            buffer.sample(out=out)
    with refused(buffer, replay.InputError, "(6,", "(7,"):
        buffer.sample(7, out=batch)


@pytest.mark.parametrize("seed", [-1, 1 << 63, 1.0, "1", True, [1], np.nan])
def test_a_seed_that_cannot_be(seed):
    with pytest.raises(replay.InputError, match="seed") as caught:
        replay.ReplayBuffer(10, FIELDS, seed=seed)
    assert repr(seed) in str(caught.value)
    assert str((1 << 63) - 1) in str(caught.value)


def test_a_buffer_has_one_home(tmp_path):
    with pytest.raises(replay.InputError, match="one home"):
        replay.ReplayBuffer(10, FIELDS, name="a", path=tmp_path / "b")


@pytest.mark.parametrize("home", ["named", "path"])
def test_what_is_refused_at_creation_leaves_no_file(home, tmp_path):
    place = {"named": {"name": "test-refused"}, "path": {"path": tmp_path / "block"}}[home]
    for options in ({"capacity": 0}, {"streams": 3}, {"seed": -1}, {"fields": {"a b": int}}):
        given = {"capacity": 10, "fields": FIELDS, **options}
        with pytest.raises(replay.InputError):
            replay.ReplayBuffer(**given, **place)
    with pytest.raises(replay.BlockMissingError):
        replay.attach(**place)


def test_a_nested_row_that_does_not_fit(buffer):
    fields = {"obs": {"a": np.int64, "b": (np.float32, (2,))}, "r": float}
    with opened("private", 5, fields) as nested:
        nested.add({"a": 1, "b": [1, 2]}, 1.0)
        for obs, said in (
            ({"a": 1}, "'obs' lacks 'b'"),
            ({"a": 1, "b": [1, 2], "c": 3}, "'obs' has unknown 'c'"),
            ({"a": 1.5, "b": [1, 2]}, "'obs/a' is float64"),
            ({"a": 1, "b": [1, 2, 3]}, "'obs/b' has shape (3,), it must be (2,)"),
            (np.zeros(2), "'obs' is ndarray, it must be a mapping"),
        ):
            with refused(nested, replay.FieldError, f"field {said}"):
                nested.add(obs=obs, r=1.0)
        with refused(nested, replay.FieldError, "'obs/b' has 3 rows, field 'obs/a' has 2"):
            nested.extend(obs={"a": [1, 2], "b": np.zeros((3, 2))}, r=[1.0, 2.0])


def test_every_error_is_ours_and_also_what_python_calls_it():
    assert issubclass(replay.InputError, ValueError)
    assert issubclass(replay.FieldError, replay.InputError)
    assert issubclass(replay.EmptyError, LookupError)
    assert issubclass(replay.RoomError, MemoryError)
    assert issubclass(replay.BlockMissingError, FileNotFoundError)
    assert issubclass(replay.BlockExistsError, FileExistsError)
    names = [name for name in replay.__all__ if name.endswith("Error")]
    assert all(issubclass(getattr(replay, name), replay.ReplayError) for name in names)
