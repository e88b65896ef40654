"""The layout: its drawing, its header, and what becomes of every description."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.memory import layout as layouts
from replay.memory.fields import Schema
from replay.memory.layout import WIDE, Layout, read_header
from replay.memory.parse import parse_schema
from replay.memory.safetensors import ALIGNMENT, PAGE
from tests.homes import fewer

UNIFORM = {"kind": "uniform"}
FULL = {"kind": "proportional", "tree": True, "minima": True, "cursors": True}
FIELDS = {"obs": (np.float32, (4,)), "image": (np.uint8, (20, 20)), "flag": bool}


def make(fields=None, capacity=10, streams=1, sampler=FULL):
    return Layout(parse_schema(fields or FIELDS), capacity, streams, sampler)


def header_of(layout):
    size = int.from_bytes(layout.header[:8], "little")
    return json.loads(layout.header[8 : 8 + size])


def test_the_drawing_is_the_layout():
    lines = re.findall(r"^    ([a-zA-Z/]+) +(\(.*?\)) +(\w+) {2,}", layouts.__doc__, re.MULTILINE)
    drawn = {name: (shape, dtype) for name, shape, dtype in lines}
    layout = make(capacity=600, streams=3)
    parts = dict(layout.parts)
    assert [name.replace("column/NAME", "column/image") for name in drawn] == list(parts)
    sizes = {"slots": 600, "streams": 3, "width": parts["records"].shape[1]}
    for name, (shape, dtype) in drawn.items():
        part = parts[name.replace("NAME", "image")]
        if dtype != "any":
            assert part.dtype == dtype
        axes = shape.strip("()").split(", ")
        for axis, size in zip(axes, part.shape, strict=False):
            if axis not in ("lines", "*shape"):
                assert size == (int(axis) if axis.isdigit() else sizes[axis])


def test_parts_follow_each_other_at_cache_lines():
    for capacity, streams in ((1, 1), (7, 7), (64, 4), (1000, 8)):
        layout = make(capacity=capacity, streams=streams)
        end = len(layout.header)
        assert end % PAGE == 0
        for part in layout.parts.values():
            assert part.offset % ALIGNMENT == 0
            assert 0 <= part.offset - end < ALIGNMENT
            end = part.offset + part.nbytes
        assert 0 <= layout.nbytes - end < ALIGNMENT


def test_small_fields_are_packed_and_wide_ones_have_a_column():
    layout = make({"wide": (np.uint8, (WIDE + 1,)), "edge": (np.uint8, (WIDE,)), "x": np.int64})
    assert layout.places["wide"].part == "column/wide"
    assert layout.places["edge"].part == layout.places["x"].part == "records"
    assert layout.places["x"].offset == 8
    assert layout.places["edge"].offset == 16
    assert layout.parts["records"].shape == (10, (8 + 8 + WIDE) // 8)


def test_packed_fields_do_not_overlap_and_are_aligned():
    kinds = [bool, np.int8, np.uint16, np.float32, np.int64, np.complex128, np.float16]
    layout = make({f"f{n}": (kind, (n + 1,)) for n, kind in enumerate(kinds)})
    taken = np.zeros(layout.parts["records"].shape[1] * 8, int)
    taken[:8] += 1
    for name, place in layout.places.items():
        field = layout.schema.fields[name]
        assert place.offset % min(field.dtype.itemsize, 8) == 0
        taken[place.offset : place.offset + field.nbytes] += 1
    assert taken.max() == 1
    assert (taken == 0).sum() < 8


def test_the_header_is_a_safetensors_header_without_gaps():
    layout = make(capacity=13)
    described = header_of(layout)
    metadata = described.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    end = 0
    for tensor in sorted(described.values(), key=lambda tensor: tensor["data_offsets"]):
        first, after = tensor["data_offsets"]
        assert first == end
        end = after
    assert end == layout.nbytes - len(layout.header)
    for name, part in layout.parts.items():
        assert described[name]["data_offsets"][0] + len(layout.header) == part.offset


def test_a_header_of_many_fields_takes_several_pages():
    layout = make({f"observation_{number:03}": np.float32 for number in range(400)})
    assert len(layout.header) > PAGE
    assert read_header(layout.header, layout.nbytes) == layout


def test_a_schema_that_no_header_holds_is_refused():
    with pytest.raises(replay.InputError, match="the most is"):
        make({f"f{number}_{'x' * 200}": np.float32 for number in range(6000)})


def test_the_fingerprint_is_of_all_that_follows():
    prints = {
        header_of(made)["__metadata__"]["fingerprint"]
        for made in (
            make(),
            make(capacity=11),
            make(streams=2),
            make(sampler=UNIFORM),
            make({**FIELDS, "flag": np.uint8}),
            make({**FIELDS, "flags": bool}),
            make(dict(reversed(FIELDS.items()))),
        )
    }
    assert len(prints) == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("capacity", value) for value in (0, -1, 1.5, "10", None, True, (1 << 40) + 1, np.float64(3))]
    + [("streams", value) for value in (0, -1, 2.0, "1", False, (1 << 20) + 1)],
)
def test_a_number_that_cannot_be_is_named_with_its_limits(name, value):
    with pytest.raises(replay.InputError, match=name) as caught:
        replay.ReplayBuffer(**{"capacity": 10, "fields": FIELDS, name: value})
    assert str(value) in str(caught.value)
    with pytest.raises(replay.InputError, match=name):
        replay.ReplayBuffer(**{"capacity": 10, name: value})


def test_a_capacity_must_divide_among_the_streams():
    with pytest.raises(replay.InputError, match=r"10 .* 3 streams: 9 or 12"):
        replay.ReplayBuffer(10, FIELDS, streams=3)
    with pytest.raises(replay.InputError):
        replay.ReplayBuffer(2, FIELDS, streams=3)


def test_a_capacity_may_be_a_numpy_integer():
    with replay.ReplayBuffer(np.int32(10), FIELDS, streams=np.uint8(2)) as buffer:
        assert type(buffer.capacity) is int
        assert buffer.capacity == 10


SHAPES = st.lists(st.integers(1, 6), max_size=3).map(tuple)
LEAVES = st.tuples(st.sampled_from("?bBhHiIqQefdFD"), SHAPES)
NODES = st.recursive(
    LEAVES,
    lambda below: st.dictionaries(st.text("abc:() ", min_size=1, max_size=3), below, min_size=1),
    max_leaves=5,
)
NAMES = st.text("abcxyz", min_size=1, max_size=4).filter(str.isidentifier)


@settings(deadline=None, derandomize=True, max_examples=fewer(80, 40))
@given(
    st.dictionaries(NAMES.filter(lambda n: n not in ("as", "ids")), NODES, min_size=1, max_size=6),
    st.integers(1, 300),
    st.integers(1, 5),
    st.sampled_from([UNIFORM, FULL, {"kind": "x", "tree": True, "minima": False}]),
)
def test_a_header_gives_back_the_layout(fields, rows, streams, sampler):
    try:
        schema = parse_schema(fields)
    except replay.FieldError:
        return
    layout = Layout(schema, rows * streams, streams, sampler)
    start = layout.header + bytes(layout.nbytes - len(layout.header))
    read = read_header(start[: PAGE * 256], layout.nbytes)
    assert read == layout
    assert (read.parts, read.places, read.header) == (layout.parts, layout.places, layout.header)
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))).fields == schema.fields


@settings(deadline=None, derandomize=True, max_examples=fewer(200, 100))
@given(st.data())
def test_a_header_that_someone_wrote_is_refused_and_nothing_else(data):
    metadata = header_of(make())["__metadata__"]
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=7), below),
        max_leaves=6,
    )
    name = data.draw(st.sampled_from(["schema", "capacity", "streams", "sampler"]))
    value = data.draw(junk)
    if name == "schema":
        dtype = data.draw(st.sampled_from(["<f4", "|b1", "O", "(2,", "V8", ""]))
        size = data.draw(st.sampled_from([0, 1, 1 << 40, 1 << 62, 1 << 64, 1 << 200, -3, 2.5]))
        value = data.draw(st.just(value) | st.just({"a": [dtype, [size, size]]}))
    text = json.dumps(value) if data.draw(st.booleans()) else str(value)
    metadata[name] = data.draw(st.just(text) | st.just(value))
    body = json.dumps({"__metadata__": metadata}).encode()
    header = ((PAGE - 8).to_bytes(8, "little") + body).ljust(PAGE)
    with pytest.raises(replay.BlockFormatError):
        read_header(header[:PAGE], 100_000)
