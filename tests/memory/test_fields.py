"""Fields: which values become rows, which are refused, and what the refusal says."""

import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels.rows import KINDS
from replay.memory.fields import RESERVED, Field, Schema
from replay.memory.ragged import FlatBytes, Padded, PaddedStr

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, np.float32, np.float64]


def says(error, *words):
    for word in words:
        assert str(word) in str(error.value), error.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_is_little_endian_whatever_it_was_given_as(kind):
    field = Field(np.dtype(kind).newbyteorder(">"), 3)
    assert field == Field(kind, (3,)) == Field(np.dtype(kind), [np.int64(3)])
    assert field.dtype.str == kind
    assert field.nbytes == 3 * np.dtype(kind).itemsize


@pytest.mark.parametrize(
    "dtype",
    [
        "O", "S4", "U2", "V8", "M8[s]", "m8[ns]", "nonsense", "f4,i4", "(2,", 5, "", np.longdouble,
        [("a", "f4")], (np.float32, (2,)), None, object(),
    ],
)  # fmt: skip
def test_a_dtype_that_no_field_can_have_is_refused(dtype):
    with pytest.raises(replay.FieldError):
        Field(dtype)
    with pytest.raises(replay.FieldError, match="field 'obs'"):
        replay.ReplayBuffer(10, {"obs": (dtype, (3,))})


@pytest.mark.parametrize("shape", [0, -1, (0,), (2, -1), (2.0,), ("a",), "ab", (True,), None, 2.5])
def test_a_shape_that_cannot_be_is_refused(shape):
    with pytest.raises(replay.FieldError, match="shape") as caught:
        Field(float, shape)
    assert "1 or more" in str(caught.value) or repr(shape) in str(caught.value)


def test_a_field_has_eight_dimensions_at_most():
    assert Field(bool, (1,) * 8).nbytes == 1
    with pytest.raises(replay.FieldError, match=r"9 dimensions, the most is 8"):
        Field(bool, (1,) * 9)


@pytest.mark.parametrize("size", [1 << 33, 1 << 62, 1 << 63, 1 << 70])
def test_a_field_of_more_bytes_than_there_are_addresses_is_refused(size):
    assert Field(bool, (size, size)).nbytes == size * size
    with pytest.raises(replay.RoomError) as caught:
        replay.ReplayBuffer(1, {"obs": (bool, (size, size))})
    needed = re.search(r"\((\d+) bytes", str(caught.value))
    assert needed is not None
    assert int(needed[1]) > size * size


@pytest.mark.parametrize(
    "name", [*sorted(RESERVED), "", "a b", "a/b", "1a", "class", "_a", "__add__", "a-b", 5, None]
)
def test_a_field_name_that_cannot_be_is_refused(name):
    with pytest.raises(replay.FieldError, match="name") as caught:
        replay.ReplayBuffer(10, {name: float})
    assert repr(str(name)) in str(caught.value) or repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["self", "row", "rows", "fields", "batch_size", "out", "sum", "ä"]
)
def test_a_field_may_have_any_other_name(name):
    with replay.ReplayBuffer(10, {name: np.int64, "other": float}) as buffer:
        buffer.add(**{name: 5, "other": 1.0})
        buffer.extend(**{name: np.array([5]), "other": np.array([1.0])})
        buffer.add(5, 1.0)
        assert buffer.sample(3)[name].tolist() == [5, 5, 5]
    with replay.ReplayBuffer(10) as buffer:
        buffer.add(**{name: 5, "other": 1.0})
        assert getattr(buffer.sample(3), name).tolist() == [5, 5, 5]


def test_a_buffer_has_one_field_at_least():
    for fields in ({}, {"obs": {}}, {"obs": {"a": {}}}):
        with pytest.raises(replay.FieldError, match="empty"):
            replay.ReplayBuffer(10, fields)
    for value in ({}, (), {"a": ()}):
        with replay.ReplayBuffer(10) as buffer:
            with pytest.raises(replay.FieldError, match="empty"):
                buffer.add(obs=value)
            assert buffer.fields == {}


@pytest.mark.parametrize("fields", [[float], "obs", 5, np.float32, {"obs": [float, 2, 3]}])
def test_fields_that_are_no_description_are_refused(fields):
    with pytest.raises(replay.FieldError):
        replay.ReplayBuffer(10, fields)


def test_names_that_would_be_one_column_are_refused():
    for parts in ({"a/b": float}, {"(tuple)": float}, {1: float, "1": float}):
        with pytest.raises(replay.FieldError, match="'obs'"):
            replay.ReplayBuffer(10, {"obs": parts})


# values


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_fit_up_to_the_limits_of_their_type(dtype):
    info = np.iinfo(dtype)
    field = Field(dtype)
    for value in (info.min, info.max):
        value = int(value)
        assert field.convert("x", value) == value
        assert field.convert("x", np.array(value)).dtype == dtype
    for value in (int(info.min) - 1, int(info.max) + 1, 1 << 64, -(1 << 70)):
        with pytest.raises(replay.FieldError, match="field 'x'") as caught:
            field.convert("x", value)
        says(caught, value)
        if -(1 << 63) <= value < 1 << 64:
            says(caught, info.min, info.max, np.dtype(dtype))


def test_300_does_not_become_uint8():
    with pytest.raises(replay.FieldError, match=r"'x' holds 300, uint8 goes from 0 to 255"):
        Field(np.uint8, (2,)).convert("x", [1, 300])
    with pytest.raises(replay.FieldError, match=r"'x' holds -1, uint8 goes from 0 to 255"):
        Field(np.uint8, (2,)).convert("x", np.array([-1, 3]))
    with pytest.raises(replay.FieldError, match=r"'x' holds 2, bool goes from 0 to 1"):
        Field(bool).convert("x", 2)


@pytest.mark.parametrize("dtype", [bool, *INTEGERS])
@pytest.mark.parametrize("value", [1.0, 0.5, np.float32(1), np.nan, 1 + 0j])
def test_a_float_does_not_become_an_integer(dtype, value):
    with pytest.raises(replay.FieldError, match="without loss") as caught:
        Field(dtype).convert("x", value)
    says(caught, "'x'", np.dtype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_complex_number_does_not_become_a_float(dtype):
    with pytest.raises(replay.FieldError, match="complex128, which does not become"):
        Field(dtype).convert("x", 1j)


@pytest.mark.parametrize(
    "value", ["1.0", b"1", None, object(), {"a": 1}, {1, 2}, "", [None], [[]]]
)
def test_what_is_no_number_is_refused(value):
    for field in (Field(float), Field(int, (1,)), Field(bool)):
        with pytest.raises(replay.FieldError, match="field 'x'"):
            field.convert("x", value)


@pytest.mark.parametrize("value", [np.datetime64("2020-01-01"), np.array(["a"]), np.array([None])])
def test_arrays_of_anything_but_numbers_are_refused(value):
    with pytest.raises(replay.FieldError, match="not numbers"):
        Field(float, np.shape(value)).convert("x", value)


def test_a_ragged_value_is_refused():
    with pytest.raises(replay.FieldError, match="field 'x' is no array of numbers"):
        Field(float, (2, 2)).convert("x", [[1, 2], [3]])


def test_a_long_value_is_not_printed_in_full():
    with pytest.raises(replay.FieldError) as caught:
        Field(float).convert("x", "y" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ((3,), np.zeros(4)), ((3,), np.zeros((1, 3))), ((3,), 0.0), ((), np.zeros(1)), ((1,), 0.0),
        ((2, 3), np.zeros((3, 2))), ((2, 3), np.zeros(6)), ((3,), []),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_refused_and_nothing_is_broadcast(shape, value):
    with pytest.raises(replay.FieldError, match="field 'x' has shape") as caught:
        Field(float, shape).convert("x", value)
    says(caught, np.shape(value), shape)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.float32, 1e39), (np.float32, -1e39), (np.float16, 70_000), (np.float16, 1e5),
        (np.float16, np.uint32(1 << 20)), (np.complex64, 1e39 + 0j), (np.complex64, 1e39),
        (np.float64, np.longdouble("1e4000")), (np.float32, np.longdouble("1e4000")),
    ],
)  # fmt: skip
def test_a_number_too_large_for_its_float_is_refused(dtype, value):
    if not np.isfinite(value):
        pytest.skip("long doubles are doubles here")
    with pytest.raises(replay.FieldError, match=r"field 'x' holds .*the largest of"):
        Field(dtype).convert("x", value)
    with pytest.raises(replay.FieldError, match="the largest of"):
        Field(dtype, (2,)).convert("x", np.array([1, value]))


@pytest.mark.parametrize("dtype", [*FLOATS, np.complex64, np.complex128])
def test_nan_and_infinity_are_the_users_business(dtype):
    got = Field(dtype, (3,)).convert("x", [np.nan, np.inf, -np.inf])
    assert np.isnan(got[0])
    assert np.isinf(got[1:]).all()


def test_a_float64_becomes_float32():
    value = np.array([0.1, 1e-50, 3.4e38, 3.4028235e38])
    got = Field(np.float32, (4,)).convert("x", value)
    assert got.dtype == np.float32
    assert (got == value.astype(np.float32)).all()


def test_a_long_double_becomes_a_double():
    assert Field(np.float64).convert("x", np.longdouble(0.5)) == 0.5
    assert Field(np.complex64).convert("x", np.clongdouble(0.5j)) == 0.5j


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a[::2],
        lambda a: np.asfortranarray(a[::2]),
        lambda a: a[::-2][::-1].copy()[:, ::-1][:, ::-1],
        lambda a: a[::2].astype(">f8"),
        lambda a: a[::2].tolist(),
        lambda a: tuple(map(tuple, a[::2].tolist())),
        lambda a: np.frombuffer(b"\0" + a[::2].tobytes(), np.uint8)[1:].view("f8").reshape(-1, 4),
    ],
)
def test_an_array_of_any_memory_layout_becomes_a_contiguous_one(make):
    array = np.arange(24.0).reshape(6, 4)
    value = make(array)
    if len(value) != 3:
        value = value[::-1][::2][::-1] if isinstance(value, np.ndarray) else value
    got = Field(float, (4,)).convert("x", value, rows=3)
    assert got.flags.c_contiguous
    assert got.flags.aligned
    assert got.dtype == np.float64
    assert (got == np.asarray(value)).all()


def test_the_users_array_is_not_copied_where_it_fits():
    array = np.zeros((3, 4))
    assert np.shares_memory(Field(float, (4,)).convert("x", array, rows=3), array)


# nesting


NESTED = Schema(
    {"obs": {"a": Field(int), "b": (Field(bool), {"c": Field(float, (2,))})}, "r": Field(int)}
)


def test_a_nested_schema_is_flattened_and_nested_again():
    assert list(NESTED.fields) == ["obs/a", "obs/b/0", "obs/b/1/c", "r"]
    values = ({"b": (True, {"c": "c"}), "a": 1}, 2)
    assert NESTED.flatten(values) == (1, True, "c", 2)
    assert NESTED.nest((1, True, "c", 2)) == ({"a": 1, "b": (True, {"c": "c"})}, 2)
    assert Schema.from_json(NESTED.to_json()) == NESTED


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, "'obs' is int, it must be a mapping"),
        ({"a": 1}, "'obs' lacks 'b'"),
        ({"a": 1, "b": (), "c": 2}, "'obs' has unknown 'c'"),
        ({1: 1, None: 2}, "'obs' lacks 'a', 'b' and has unknown 1, None"),
        ({"a": 1, "b": (True,)}, "'obs/b' has 1 parts, it must be 2 parts"),
        ({"a": 1, "b": 7}, "'obs/b' has 7, it must be 2 parts"),
        ({"a": 1, "b": (True, [0, 0])}, "'obs/b/1' is list, it must be a mapping"),
    ],
)
def test_a_nested_value_of_another_form_is_refused(value, said):
    with pytest.raises(replay.FieldError) as caught:
        NESTED.flatten((value, 2))
    assert f"field {said}" in str(caught.value)


# ragged and compressed fields


HEAPED = [
    # field, shape of the largest row, ragged, unit, said
    (Field(np.uint8, (84, 84), compression="lz4"), (84, 84), False, 0, "compression='lz4'"),
    (Field(np.float32, (None, 3)), (1024, 3), True, 12, "shape=(None, 3))"),
    (Field(np.float32, [None, 3], longest=np.int64(5)), (5, 3), True, 12, "longest=5"),
    (Field(np.int32, (None,), longest=512, ratio=2), (512,), True, 4, "ratio=2.0"),
    (Field(np.int16, (None, 2, 2), room=1 << 20), (1024, 2, 2), True, 8, "room=1048576"),
    (Field(bytes), (1024,), True, 1, "Field(bytes)"),
    (Field(str, longest=7, flat=True), (7,), True, 1, "Field(str, longest=7, flat=True)"),
    (Field(str, compression="lz4"), (1024,), True, 1, "Field(str, compression='lz4')"),
    (Field(">u2", (None, 9), compression="lz4"), (1024, 9), True, 18, "compression='lz4'"),
]


@pytest.mark.parametrize(("field", "shape", "ragged", "unit", "said"), HEAPED)
def test_a_field_whose_rows_differ_in_bytes(field, shape, ragged, unit, said):
    assert (field.shape, field.ragged, field.unit, field.heaped) == (shape, ragged, unit, True)
    assert field.nbytes == np.prod(shape) * field.dtype.itemsize
    assert field.longest == (shape[0] if ragged else 0)
    assert said in repr(field)
    assert field.bare == field.bare.bare
    assert (field.bare.ragged, field.bare.flat, field.bare.text) == (
        ragged,
        field.flat,
        field.text,
    )
    assert (field.bare.shape, field.bare.compression) == (shape, None)
    assert field != field.bare or field.compression is field.room is None
    assert len({field, Field(field.dtype, shape)}) == 2


def test_a_plain_field_is_as_it_was():
    field = Field(np.float32, (3,))
    assert repr(field) == "Field(dtype=dtype('float32'), shape=(3,))"
    assert not field.heaped
    assert not field.ragged
    assert field.bare is field
    assert (field.unit, field.longest, field.compression, field.text) == (0, 0, None, None)
    schema = Schema({"a": field, "b": {"c": (Field(bool),)}})
    assert schema.to_json() == {"a": ["<f4", [3]], "b": {"c": {"(tuple)": [["|b1", []]]}}}


def test_the_room_is_given_or_follows_from_a_ratio():
    assert Field(np.uint8, (10, 10), compression="lz4").room_for(7) == 175
    assert Field(np.uint8, (10, 10), compression="lz4", ratio=3).room_for(7) == 234
    assert Field(np.uint8, (10, 10), compression="lz4", room=1000).room_for(7) == 1000
    assert Field(bytes, ratio=4.0) == Field(bytes) != Field(bytes, ratio=5)
    # Exact, and of any size: who has the room for it is another question.
    assert Field(bytes, longest=3, ratio=1e-300).room_for(1 << 40) > 1 << 1000
    assert Field(bytes, longest=3, ratio=1e300).room_for(1 << 40) == 1


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ((np.uint8, (4,)), {"compression": "zip"}, ["'zip'", "'lz4'"]),
        ((np.uint8, (4,)), {"compression": ["lz4"]}, ["['lz4']"]),
        ((np.uint8,), {"compression": "lz4"}, ["single number"]),
        ((np.uint8, (4, None)), {}, ["(4, None)", "first"]),
        ((np.uint8, (None, None)), {}, ["(None, None)", "first"]),
        ((np.uint8, (None, 0)), {}, ["0", "1 or more"]),
        ((np.uint8, (None,) + (1,) * 8), {}, ["9 dimensions"]),
        ((bytes, (3,)), {}, ["bytes", "(3,)", "longest="]),
        ((str, (None,)), {}, ["str", "(None,)", "longest="]),
        ((str,), {"longest": 0}, ["longest is 0", "from 1 to"]),
        ((np.float64, (None, 2)), {"longest": 1 << 31}, [str(1 << 31), "16 bytes"]),
        ((np.uint8, (None, 1 << 21)), {}, ["1024 where it is left out", "longest"]),
        ((str,), {"longest": 5.0}, ["5.0", "int"]),
        ((str,), {"longest": True}, ["True", "int"]),
        ((np.uint8, (3,)), {"longest": 5}, ["longest is 5", "(3,)", "None"]),
        ((np.uint8, (3,)), {"compression": "lz4", "longest": 5}, ["longest is 5", "None"]),
        ((np.uint8, (3,)), {"flat": True}, ["flat is True", "(3,)"]),
        ((bytes,), {"flat": 1}, ["flat is 1", "bool"]),
        ((np.uint8, (3,)), {"ratio": 2.0}, ["ratio is 2.0", "neither"]),
        ((np.uint8, (3,)), {"room": 200}, ["room is 200", "neither"]),
        ((bytes,), {"room": 2000, "ratio": 2.0}, ["2000", "2.0"]),
        ((bytes,), {"ratio": 0}, ["ratio is 0", "above 0"]),
        ((bytes,), {"ratio": -1.5}, ["-1.5"]),
        ((bytes,), {"ratio": float("nan")}, ["nan"]),
        ((bytes,), {"ratio": float("inf")}, ["inf"]),
        ((bytes,), {"ratio": 10**400}, ["above 0 and finite"]),
        ((bytes,), {"ratio": "4"}, ["'4'", "number"]),
        ((bytes,), {"ratio": True}, ["True", "number"]),
        ((bytes,), {"room": 1023}, ["1023", "1024"]),
        ((bytes,), {"room": 2048.0}, ["2048.0", "int"]),
        ((bytes,), {"room": True}, ["True", "int"]),
        ((bytes,), {"room": 1 << 70}, [str(1 << 70)]),
        ((bool, (1 << 20, 1 << 20)), {"compression": "lz4"}, [str(1 << 40), "the most is"]),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(given, options, said):
    with pytest.raises(replay.FieldError) as caught:
        Field(*given, **options)
    says(caught, *said)


@pytest.mark.parametrize("field", [field for field, *_ in HEAPED])
def test_a_heaped_field_is_described_and_read_again(field):
    schema = Schema({"a": field, "b": {"c": (field, Field(bool))}})
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.to_json() == schema.to_json()
    assert pickle.loads(pickle.dumps(field)) == field


def test_what_is_usual_is_not_described():
    nodes = {"a": Field(str, longest=1024, ratio=4), "b": Field(np.int8, (None, 2), flat=True)}
    assert Schema(nodes).to_json() == {
        "a": ["|u1", [None], {"text": "str"}],
        "b": ["|i1", [None, 2], {"flat": True}],
    }


@pytest.mark.parametrize(
    "described",
    [
        ["|u1", [None]],
        ["|u1", [3], {}],
        ["|u1", [None], None],
        ["|u1", [None], []],
        ["|u1", [None], {}, {}],
        ["u1", [None], {}],
        ["|u1", [None, None], {}],
        ["|u1", [None], {"other": 1}],
        ["|u1", [None], {"flat": False}],
        ["|u1", [None], {"flat": 1}],
        ["|u1", [None], {"longest": 1024}],
        ["|u1", [None], {"longest": None}],
        ["|u1", [None], {"longest": True}],
        ["|u1", [None], {"longest": 1 << 40}],
        ["|u1", [None], {"longest": [5]}],
        ["|u1", [None], {"ratio": 3}],
        ["|u1", [None], {"ratio": 4.0}],
        ["|u1", [None], {"ratio": float("nan")}],
        ["|u1", [None], {"ratio": float("inf")}],
        ["|u1", [None], {"ratio": True}],
        ["|u1", [None], {"room": 1 << 80}],
        ["|u1", [None], {"room": 2e9}],
        ["|u1", [None], {"ratio": 2.0, "room": 5000}],
        ["|u1", [None], {"text": "char"}],
        ["|u1", [None], {"text": ["str"]}],
        ["|u1", [None], {"text": None}],
        ["|i1", [None], {"text": "str"}],
        ["|u1", [1024], {"text": "str"}],
        ["|u1", [None, 2], {"text": "bytes"}],
        ["|u1", [3], {"compression": "zip"}],
        ["|u1", [3], {"compression": None}],
        ["|u1", [], {"compression": "lz4"}],
    ],
)
def test_a_description_of_no_field_is_refused(described):
    with pytest.raises(replay.InputError):
        Schema.from_json({"a": described})
    with pytest.raises(replay.InputError):
        Schema.from_json({"a": {"(tuple)": [described]}})


SIZES = st.integers(1, 5)
DESCRIBED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["lz4", "str"]),
    lambda inner: st.lists(inner, max_size=3),
)
NAMES = st.sampled_from(["text", "compression", "longest", "ratio", "room", "flat"])


@settings(deadline=None, max_examples=200, derandomize=True)
@given(
    st.sampled_from(KINDS),
    st.lists(st.none() | SIZES | DESCRIBED, max_size=3),
    st.dictionaries(NAMES, DESCRIBED, max_size=3),
)
def test_whatever_is_read_says_the_same_again(dtype, shape, options):
    described = {"a": [dtype, shape, options]}
    try:
        schema = Schema.from_json(described)
    except replay.InputError:
        return
    assert schema.to_json() == described
    assert Schema.from_json(schema.to_json()) == schema


RAGGED = Schema(
    {"obs": {"cloud": Field(np.float32, (None, 3)), "id": Field(int)}, "note": Field(str)}
)


def test_a_ragged_field_is_two_columns():
    columns = ["obs/cloud/values", "obs/cloud/lengths", "obs/id", "note/values", "note/lengths"]
    assert list(RAGGED.fields) == columns
    assert RAGGED.fields["obs/cloud/values"] is RAGGED.nodes["obs"]["cloud"]
    assert RAGGED.fields["note/lengths"] == Field(np.int64)
    assert list(RAGGED.leaves) == ["obs/cloud", "obs/id", "note"]
    assert RAGGED.nested
    assert Schema({"a": Field(bytes)}).nested
    assert not Schema({"a": Field(np.uint8, (4, 4), compression="lz4")}).nested


def test_a_ragged_row_is_flattened_with_its_length():
    cloud = np.arange(6, dtype=np.float32).reshape(2, 3)
    values, length, number, text, size = RAGGED.flatten(({"cloud": cloud, "id": 5}, "äb"))
    assert values is cloud
    assert (length, number, size) == (2, 5, 3)
    assert type(length) is type(size) is int
    assert text.tobytes().decode() == "äb"


def test_the_arrays_of_a_batch_are_taken_and_given_as_they_are():
    values, lengths = np.zeros((2, 1024, 3), np.float32), np.array([1, 2])
    note = PaddedStr(np.full((2, 1024), 97, np.uint8), np.array([3, 0]))
    batch = ({"cloud": Padded(values, lengths), "id": np.arange(2)}, note)
    flat = RAGGED.flatten_batch(batch)
    assert flat[0] is values
    assert flat[1] is lengths
    obs, again = RAGGED.nest(flat)
    assert obs["cloud"].values is values
    assert type(again) is PaddedStr
    assert again.tolist() == ["aaa", ""]


def test_a_flat_field_is_nested_flat_unless_padded_is_asked_for():
    schema = Schema({"a": Field(bytes, longest=4, flat=True)})
    arrays = (np.frombuffer(b"abcdefgh", np.uint8).reshape(2, 4), np.array([3, 1]))
    (flat,) = schema.nest(arrays)
    assert type(flat) is FlatBytes
    assert flat.tolist() == [b"abc", b"e"]
    assert schema.nest(arrays, padded=True)[0].values is arrays[0]
    with pytest.raises(replay.FieldError, match=r"'a' is a Flat, .* replay\.Padded"):
        schema.flatten_batch((flat,))
    with pytest.raises(replay.FieldError, match=r"'a' is ndarray, it must be a replay\.Padded"):
        schema.flatten_batch((arrays[0],))
