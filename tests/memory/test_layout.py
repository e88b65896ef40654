"""The layout: its drawing, its header, and what becomes of every description."""

import hashlib
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.memory import layout as layouts
from replay.memory.fields import Field, Schema
from replay.memory.heaped import RATIO
from replay.memory.layout import LEAST_ROWS, WIDE, Layout, read_header
from replay.memory.parse import parse_schema
from replay.memory.safetensors import ALIGNMENT, PAGE, aligned
from replay.memory.snapshot_layout import SnapshotLayout
from tests.homes import fewer

UNIFORM = {"kind": "uniform"}
FULL = {"kind": "proportional", "tree": True, "minima": True, "cursors": True}
FIELDS = {"obs": (np.float32, (4,)), "image": (np.uint8, (20, 20)), "flag": bool}
FRAME = Field(np.uint8, (6, 5), compression="lz4")


def make(fields=None, capacity=10, streams=1, sampler=FULL):
    return Layout(parse_schema(fields or FIELDS), capacity, streams, sampler)


def header_of(layout):
    size = int.from_bytes(layout.header[:8], "little")
    return json.loads(layout.header[8 : 8 + size])


def test_the_drawing_is_the_layout():
    lines = re.findall(r"^    ([a-zA-Z/]+) +(\(.*?\)) +(\w+) {2,}", layouts.__doc__, re.MULTILINE)
    drawn = {name: (shape, dtype) for name, shape, dtype in lines}
    layout = make({**FIELDS, "frame": FRAME}, capacity=600, streams=3)
    parts = dict(layout.parts)
    assert [name.replace("column/NAME", "column/image") for name in drawn] == list(parts)
    sizes = {"slots": 600, "streams": 3, "width": parts["records"].shape[1], "fields": 1}
    for name, (shape, dtype) in drawn.items():
        part = parts[name.replace("NAME", "image")]
        if dtype != "any":
            assert part.dtype == dtype
        axes = shape.strip("()").split(", ")
        for axis, size in zip(axes, part.shape, strict=False):
            if axis not in ("lines", "stride", "*shape"):
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


# compressed and ragged fields

#: Plain buffers are laid out as before there were any other: by capacity the start of the SHA-256
#: of the block's header, of the snapshot's, and the bytes of the block.
RECORDED = {
    (10, 1, "uniform"): ("5d81688a20c8b949", "abf1bbe6bd79f874", 76160),
    (600, 3, "full"): ("fe261b39c8e24362", "db6e040a626d70c6", 370816),
    (1048576, 8, "tree"): ("17d856127f302bbf", "c5c5af47c8dce042", 521363776),
}


def digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize("described", RECORDED)
def test_plain_buffers_are_laid_out_as_ever(described):
    capacity, streams, kind = described
    nested = {
        "obs": {"image": (np.uint8, (20, 20)), "pos": (np.float32, (4,))},
        "action": np.int64,
        "done": bool,
        "z": (np.complex64, (2, 3)),
    }
    sampler = {"uniform": UNIFORM, "full": FULL, "tree": {"kind": "proportional", "tree": True}}
    layout = make(nested, capacity, streams, sampler[kind])
    got = digest(layout.header), digest(SnapshotLayout(layout).header), layout.nbytes
    assert got == RECORDED[described]


def heaped(capacity=100, streams=2, **options):
    field = Field(np.uint8, (30, 10), compression="lz4", **options)
    return make({"frame": field, "x": np.int64}, capacity, streams, UNIFORM)


def test_the_room_is_what_was_asked_for():
    """Of each stream, up to the next cache line."""
    assert heaped(room=12_800).room == 6400
    assert heaped(room=12_801).room == 6464
    assert heaped(1000, ratio=10).room == aligned(500 * 300 // 10)
    assert heaped(1000).room == aligned(int(500 * 300 / RATIO))
    # Of all rows uncompressed more is never needed; of few rows less is of no use.
    assert heaped(room=1 << 40).room == aligned(50 * 300)
    assert heaped(ratio=0.01).room == aligned(50 * 300)
    assert heaped(ratio=1e9).room == aligned(2 * 300)
    assert heaped(2, ratio=1e9).room == aligned(2 * 300)
    # Where nobody said anything, a small buffer has enough.
    assert heaped(100).room == aligned(LEAST_ROWS * 300)
    assert heaped(20).room == aligned(10 * 300)


@pytest.mark.parametrize(
    ("capacity", "streams", "options"),
    [
        (1, 1, {}),
        (7, 1, {"room": 600}),
        (100, 2, {"room": 5000}),
        (999, 3, {"ratio": 20.0}),
        (100_000, 10, {"room": 30_000}),
        (1_000_000, 1, {"ratio": 100}),
    ],
)
def test_the_memory_is_bounded_by_the_room(capacity, streams, options):
    """Beside a plain buffer's: the room, entries, a margin a stream, claims and a dictionary."""
    layout = heaped(capacity, streams, **options)
    plain = make({"x": np.int64}, capacity, streams, UNIFORM)
    heap = layout.parts["heap"]
    rows = capacity // streams
    assert heap.shape == (streams, heap.shape[1])
    assert heap.shape[1] % rows == 0
    assert heap.shape[1] >= layout.room + 300 + 64
    assert heap.nbytes <= (layout.room + 300 + 64 + rows) * streams
    assert layout.room <= max(options.get("room", 0) / streams, rows * 300, 600) + 64
    assert layout.nbytes <= plain.nbytes + heap.nbytes + 16 * capacity + 256 * 64 + 66_000 + 4096


def test_entries_lie_in_the_record():
    layout = make({"text": str, "frame": FRAME, "x": np.int8, "wide": (np.uint8, (300,))})
    places = layout.places
    assert {places[name].part for name in ("text/values", "text/lengths", "frame")} == {"records"}
    starts = sorted((places[n].offset, s) for n, s in (("text/values", 16), ("frame", 16)))
    assert starts[0][0] % 8 == starts[1][0] % 8 == 0
    assert starts[0][0] + 16 <= starts[1][0]
    assert places["wide"].part == "column/wide"
    assert layout.parts["dictionaries"].shape[0] == 1


@pytest.mark.parametrize(
    ("options", "streams", "said"),
    [
        ({"room": 599}, 1, r"room is 599 .*'frame'.* must be 600 or more"),
        ({"room": 1198}, 2, r"room is 1198 .* must be 1200 or more: two of the largest rows"),
    ],
)
def test_a_room_for_less_than_two_rows_is_refused(options, streams, said):
    with pytest.raises(replay.InputError, match=said):
        heaped(100, streams, **options)
    assert heaped(100, streams, room=600 * streams).room == 640


def test_fields_of_too_many_bytes_are_refused():
    with pytest.raises(replay.InputError, match=r"limits are 31 and 268435455"):
        make({"a": Field(bytes, longest=200_000_000), "b": Field(bytes, longest=100_000_000)})


@settings(deadline=None, derandomize=True, max_examples=fewer(60, 30))
@given(st.data())
def test_a_header_gives_back_compressed_and_ragged_fields(data):
    def field():
        kind = data.draw(st.sampled_from("?bHifdD"))
        options = {}
        for name, value in {
            "ratio": st.floats(0.01, 1e6),
            "room": st.integers(1 << 20, 1 << 40),
        }.items():
            if not options and data.draw(st.booleans()):
                options[name] = data.draw(value)
        if data.draw(st.booleans()):
            options["compression"] = "lz4"
            if data.draw(st.booleans()):
                return Field(kind, data.draw(SHAPES.filter(len)), **options)
        options["flat"] = data.draw(st.booleans())
        options["longest"] = data.draw(st.integers(1, 2000))
        text = data.draw(st.sampled_from([None, str, bytes]))
        if text is not None:
            return Field(text, **options)
        return Field(kind, (None, *data.draw(SHAPES)), **options)

    fields = {name: field() for name in data.draw(st.sets(NAMES.filter(lambda n: n != "as")))}
    fields |= {"obs": {"a": field(), "b": np.int8}}
    streams, rows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 200))
    layout = Layout(parse_schema(fields), rows * streams, streams, FULL)
    read = read_header(layout.header, layout.nbytes)
    assert read == layout
    assert (read.parts, read.places, read.room) == (layout.parts, layout.places, layout.room)
    assert read.schema.fields == layout.schema.fields
    offsets = {layout.places[name].offset for name in layout.schema.fields}
    assert len(offsets - {0}) >= sum(field.heaped for field in layout.schema.fields.values())


PLAIN_FRAME = ["|u1", [6, 5]]
HOSTILE = {
    "unknown compression": {"compression": "zstd"},
    "compression of another type": {"compression": 4},
    "a list of compressions": {"compression": ["lz4"]},
    "no room": {"compression": "lz4", "room": 0},
    "a room below none": {"compression": "lz4", "room": -(1 << 62)},
    "a room beyond all memory": {"compression": "lz4", "room": 1 << 63},
    "a room of half a byte": {"compression": "lz4", "room": 1000.5},
    "a room that is true": {"compression": "lz4", "room": True},
    "room and ratio": {"compression": "lz4", "room": 1000, "ratio": 2.0},
    "a ratio of 0": {"compression": "lz4", "ratio": 0},
    "a ratio below 0": {"compression": "lz4", "ratio": -1.0},
    "a ratio that is none": {"compression": "lz4", "ratio": float("nan")},
    "a ratio without end": {"compression": "lz4", "ratio": float("inf")},
    "a ratio beyond floats": {"compression": "lz4", "ratio": 10**400},
    "a longest of a fixed shape": {"compression": "lz4", "longest": 3},
    "flat of a fixed shape": {"compression": "lz4", "flat": True},
    "text of a fixed shape": {"compression": "lz4", "text": "str"},
    "an option that there is not": {"compression": "lz4", "codec": 1},
    "options in a list": [["compression", "lz4"]],
    "no options": {},
    "a room of a plain field": {"room": 1000},
}
RAGGED = {
    "none": {"longest": 0},
    "fewer than none": {"longest": -1},
    "more than fit": {"longest": 1 << 28},
    "a number beyond all": {"longest": 1 << 200},
    "true": {"longest": True},
    "a float": {"longest": 5.0},
    "text of another kind": {"text": "utf-16"},
    "text that is no string": {"text": 1},
    "flat of another type": {"flat": 1},
}


@pytest.mark.parametrize(
    "described",
    [[*PLAIN_FRAME, options] for options in HOSTILE.values()]
    + [["|u1", [None], options] for options in RAGGED.values()]
    + [
        ["|u1", [None, 3]],
        ["|u1", [3, None], {"longest": 5}],
        ["|u1", [None, None], {"longest": 5}],
        ["|u1", None, {"longest": 5}],
        ["|u1", [], {"compression": "lz4"}],
        ["O", [None], {"longest": 5}],
        ["<f4", [None, 1 << 40], {"longest": 5}],
        ["<i4", [None], {"text": "str"}],
        ["|u1", [None, 2], {"text": "bytes"}],
        ["|u1", [None], {}, {}],
    ],
    ids=str,
)
def test_options_that_somebody_made_up_are_refused(described):
    """By what they say: their header is in place, and its fingerprint would be looked at later."""
    metadata = header_of(heaped())["__metadata__"]
    metadata["schema"] = json.dumps({"x": described})
    body = json.dumps({"__metadata__": metadata}).encode()
    header = ((PAGE - 8).to_bytes(8, "little") + body).ljust(PAGE)
    with pytest.raises(replay.BlockFormatError, match="describes no buffer"):
        read_header(header[:PAGE], 100_000)
