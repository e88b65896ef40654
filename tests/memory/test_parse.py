"""What users may write for fields, and what a first transition shows."""

import types

import numpy as np
import pytest

import replay
from replay.memory.fields import Field
from replay.memory.parse import learn_schema, parse_schema


class Space:
    """Looks like a Gymnasium space."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def sample(self):
        raise AssertionError("a schema is read, not sampled")

    def contains(self, value):
        raise AssertionError


def box(dtype, *shape):
    return Space(dtype=np.dtype(dtype), shape=shape)


def flat(schema):
    return dict(schema.fields)


def test_a_dtype_a_pair_and_a_field_say_the_same():
    wanted = {"a": Field(np.float32), "b": Field(np.uint8, (3, 2))}
    assert flat(parse_schema({"a": np.float32, "b": (np.uint8, (3, 2))})) == wanted
    assert flat(parse_schema({"a": "f4", "b": ("u1", [3, 2])})) == wanted
    assert flat(parse_schema({"a": Field("<f4"), "b": Field(np.uint8, (3, 2))})) == wanted
    assert flat(parse_schema(parse_schema(wanted))) == wanted
    assert flat(parse_schema(types.MappingProxyType(wanted))) == wanted
    assert flat(parse_schema({"a": (float, 5), "b": (int, ())})) == {
        "a": Field(float, (5,)),
        "b": Field(int),
    }


def test_spaces_are_read_and_uint8_stays_uint8():
    space = Space(
        spaces={
            "obs": Space(
                spaces={
                    "image": box(np.uint8, 8, 8, 3),
                    "pair": Space(spaces=(box(np.float32, 2), box(np.int64))),
                }
            ),
            "action": box(np.int64),
        }
    )
    wanted = {
        "obs/image": Field(np.uint8, (8, 8, 3)),
        "obs/pair/0": Field(np.float32, (2,)),
        "obs/pair/1": Field(np.int64),
        "action": Field(np.int64),
    }
    assert flat(parse_schema(space)) == wanted
    assert flat(parse_schema(space.spaces)) == wanted


def test_a_space_without_a_fixed_shape_is_refused():
    with pytest.raises(replay.FieldError, match=r"'obs' is a Space space.* no fixed shape"):
        parse_schema({"obs": Space(shape=None, dtype=None)})


def test_spaces_of_gymnasium_are_read():
    spaces = pytest.importorskip("gymnasium").spaces
    space = spaces.Dict(
        obs=spaces.Tuple((spaces.Box(0, 255, (4, 4), np.uint8), spaces.Box(-1, 1, (2,)))),
        action=spaces.Discrete(4),
        buttons=spaces.MultiBinary(3),
    )
    fields = flat(parse_schema(space))
    assert fields["obs/0"] == Field(np.uint8, (4, 4))
    assert fields["obs/1"] == Field(np.float32, (2,))
    assert fields["action"] == Field(np.int64)
    assert fields["buttons"] == Field(np.int8, (3,))
    with pytest.raises(replay.FieldError, match="no fixed shape"):
        parse_schema({"obs": spaces.Text(5)})


def test_a_first_transition_shows_its_types():
    learned = learn_schema(
        {
            "array": np.zeros((2, 3), np.uint8),
            "big": np.zeros(2, ">f8"),
            "scalar": np.float16(1),
            "list": [1.0, 2.0],
            "ints": [1, 2],
            "float": 1.5,
            "int": 3,
            "bool": True,
            "long": np.longdouble(1),
            "complex": 1j,
            "nest": {"a": (np.int8(1), 2.5)},
        }
    )
    assert flat(learned) == {
        "array": Field(np.uint8, (2, 3)),
        "big": Field(np.float64, (2,)),
        "scalar": Field(np.float16),
        "list": Field(np.float32, (2,)),
        "ints": Field(np.int64, (2,)),
        "float": Field(np.float32),
        "int": Field(np.int64),
        "bool": Field(bool),
        "long": Field(np.float64),
        "complex": Field(np.complex128),
        "nest/a/0": Field(np.int8),
        "nest/a/1": Field(np.float32),
    }


@pytest.mark.parametrize("value", ["text", None, object(), [[1], [1, 2]], np.zeros(0), {"a": "b"}])
def test_a_first_transition_of_no_numbers_shows_nothing(value):
    with replay.ReplayBuffer(10) as buffer:
        for _ in range(2):
            with pytest.raises(replay.FieldError, match="obs"):
                buffer.add(obs=value, action=1)
            with pytest.raises(replay.FieldError):
                buffer.extend(obs=value, action=[1])
            assert buffer.fields == {}
        assert buffer.add(obs=1.0, action=1) == 0


def test_a_first_transition_must_name_its_fields():
    with replay.ReplayBuffer(10) as buffer:
        with pytest.raises(replay.FieldError, match="names them"):
            buffer.add(1.0, 2)
        with pytest.raises(replay.FieldError, match="names them"):
            buffer.extend([1.0], [2])
        with pytest.raises(replay.FieldError):
            buffer.add()
        with pytest.raises(replay.FieldError):
            buffer.add(obs="no number", action=2)
        with pytest.raises(replay.FieldError, match="names them"):
            buffer.add(1.0, 2)
        assert buffer.fields == {}


@pytest.mark.parametrize(
    "rows",
    [
        {"obs": np.zeros((3, 2)), "action": np.zeros(2)},
        {"obs": [], "action": []},
        {"obs": [[1, 2], [3]], "action": [1, 2]},
        {"obs": 5.0, "action": [1]},
        {"obs": {"a": np.zeros(3), "b": np.zeros(2)}, "action": np.zeros(3)},
        {"obs": np.zeros((3, 2)), "ids": np.zeros(3)},
    ],
)
def test_first_rows_that_are_refused_show_nothing(rows, tmp_path):
    with replay.ReplayBuffer(10, path=tmp_path / "block") as buffer:
        with pytest.raises(replay.FieldError):
            buffer.extend(**rows)
        assert buffer.fields == {}
        assert not (tmp_path / "block").exists()


def test_text_is_named_by_its_type():
    cloud = Field(np.float32, (None, 3), longest=9)
    wanted = {"cloud": cloud, "note": Field(str), "raw": Field(bytes), "pair": Field(str)}
    schema = parse_schema({"cloud": cloud, "note": str, "raw": Field(bytes), "pair": (str, ())})
    assert schema.nodes == wanted
    assert parse_schema({"a": (np.float32, (None, 3))}).nodes == {"a": Field("f4", (None, 3))}
    with pytest.raises(replay.FieldError, match="field 'note': a field of str has no shape"):
        parse_schema({"note": (str, 5)})


@pytest.mark.parametrize(("value", "kind"), [("text", "str"), (b"raw", "bytes")])
def test_text_is_not_learned(value, kind):
    with replay.ReplayBuffer(10) as buffer:
        with pytest.raises(replay.FieldError, match=f"field 'note' is {kind}, .* as {kind}"):
            buffer.add(obs=1, note=value)
        assert buffer.fields == {}
