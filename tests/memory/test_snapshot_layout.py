"""The layout of snapshots: as it is drawn, cut into chunks, and read with no trust."""

import re

import numpy as np
import pytest

from replay import Field
from replay.errors import BlockFormatError
from replay.memory import snapshot_layout
from replay.memory.layout import Layout
from replay.memory.parse import parse_schema
from replay.memory.safetensors import PAGE
from replay.memory.snapshot_layout import CHUNK_BYTES, SnapshotLayout, read_snapshot_header
from tests.homes import fewer

SCHEMA = {"frame": (np.uint8, (20, 20)), "reward": np.float32}


def laid_out(capacity=1000, fields=SCHEMA, **sampler):
    return SnapshotLayout(Layout(parse_schema(fields), capacity, 2, sampler))


def test_the_drawing_is_the_layout():
    drawn = re.findall(r"^    (\S+) +(\(.*\)) +(\w+) ", snapshot_layout.__doc__, re.MULTILINE)
    packed = SCHEMA | {"note": bytes, "packed": Field(np.uint8, (6, 5), compression="lz4")}
    layout = laid_out(1000, packed, tree=True, minima=True, cursors=True)
    values = {"streams": 2, "slots": 1000, "parts": 4, "chunks": 4, "fields": 1}
    assert [name.replace("NAME", "frame") for name, _, _ in drawn] == list(layout.parts)
    for (name, shape, dtype), part in zip(drawn, layout.parts.values(), strict=True):
        for size, known in zip(shape.strip("()").split(", "), part.shape, strict=False):
            if size not in ("*shape", "width", ""):
                assert values.get(size.strip(",")) == known or size.strip(",") == str(known), name
        assert dtype in ("any", part.dtype.name)
    layout = laid_out(tree=True, minima=True, cursors=True)
    assert layout.parts["records"].shape == (1000, 2)
    assert (layout.chunk, layout.chunks, layout.widths) == (256, 4, [16, 400, 8])


def test_chunks_of_wide_rows_have_fewer_slots():
    for nbytes in (1, CHUNK_BYTES // 256, CHUNK_BYTES // 10, CHUNK_BYTES, 3 * CHUNK_BYTES):
        layout = laid_out(10, {"x": (np.uint8, (nbytes,))})
        wanted = max(1, min(256, CHUNK_BYTES // nbytes))
        assert wanted / 2 < layout.chunk <= wanted
        assert layout.chunk & (layout.chunk - 1) == 0


@pytest.mark.parametrize("capacity", [2, 256, 258, 5000, 100_000])
def test_pieces_are_all_slots_in_whole_chunks(capacity):
    layout = laid_out(capacity, tree=True)
    pieces = layout.pieces()
    assert [first for first, _ in pieces] == [0, *np.cumsum([n for _, n in pieces])[:-1]]
    assert sum(count for _, count in pieces) == capacity
    assert all(first % layout.chunk == 0 for first, _ in pieces)
    assert layout.room % layout.chunk == 0
    assert layout.piece % layout.room == 0
    assert layout.room * sum(layout.widths) <= snapshot_layout.ROOM_BYTES
    assert layout.piece * sum(layout.widths) <= snapshot_layout.PIECE_BYTES


def test_every_byte_is_of_a_part_or_of_a_gap():
    layout = laid_out(14, {"x": (np.uint8, (257,)), "y": (np.uint8, (3,))}, tree=True)
    covered = np.zeros(layout.nbytes, int)
    covered[: len(layout.header)] += 1
    covered[slice(*layout.front)] += 1
    for part in layout.cut:
        covered[part.offset : part.offset + part.nbytes] += 1
    for start, end in layout.gaps():
        covered[start:end] += 1
    assert (covered == 1).all()


def test_a_header_is_read_back():
    layout = laid_out(14, tree=True)
    assert read_snapshot_header(layout.header, layout.nbytes) == layout
    assert read_snapshot_header(layout.header, layout.nbytes).header == layout.header


def test_a_header_of_many_fields_takes_more_pages():
    fields = {f"a_field_of_number_{number}": (np.uint8, (300,)) for number in range(100)}
    layout = laid_out(14, fields)
    assert len(layout.header) > 2 * PAGE
    assert len(layout.header) % PAGE == 0
    assert read_snapshot_header(layout.header, layout.nbytes) == layout


def test_any_flipped_byte_of_a_header_is_refused():
    layout = laid_out(14, tree=True)
    header = bytearray(layout.header)
    for place in range(0, PAGE, fewer(1, 7)):
        for flip in (1, 128):
            header[place] ^= flip
            with pytest.raises(BlockFormatError):
                read_snapshot_header(bytes(header), layout.nbytes)
            header[place] ^= flip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"replay-snapshot", b"replay-block   ", "format"),
        (b'"replay-snapshot"', b'"replay-block"   ', "own file"),
        (b'"version": "', b'"version": "9', "version"),
        (b'"capacity": "14"', b'"capacity": "15"', "describes no buffer"),
        (b'"capacity": "14"', b'"capacity": "16"', "contradicts"),
        (b'"capacity": "14"', b'"capacity": "-2"', "describes no buffer"),
        (b'"streams": "2"', b'"streams": []  ', "describes no buffer"),
        (b"__metadata__", b"__metalata__", "no description"),
    ],
)
def test_a_header_that_lies_is_refused(old, new, said):
    layout = laid_out(14, tree=True)
    header = layout.header.replace(old, new, 1).ljust(PAGE)[:PAGE]
    with pytest.raises(BlockFormatError, match=said):
        read_snapshot_header(header, layout.nbytes)


@pytest.mark.parametrize("size", [0, 7, PAGE - 1])
def test_a_short_header_is_refused(size):
    layout = laid_out(14)
    with pytest.raises(BlockFormatError, match="bytes"):
        read_snapshot_header(layout.header[:size], layout.nbytes)
    with pytest.raises(BlockFormatError, match="its header says"):
        read_snapshot_header(layout.header, layout.nbytes + 1)


# the heap


def packed(capacity=14, **options):
    fields = {"x": Field(np.uint8, (9, 7), compression="lz4", **options), "y": np.int64}
    return laid_out(capacity, fields, tree=True)


@pytest.mark.parametrize("capacity", [2, 14, 258, 5000, 100_000])
def test_a_heap_is_cut_in_as_many_parts_as_there_are_slots(capacity):
    layout = packed(capacity)
    heap = layout.layout.parts["heap"]
    assert layout.parts["heap"].nbytes == heap.nbytes
    assert layout.parts["heap"].shape == (capacity, heap.nbytes // capacity)
    assert list(layout.parts)[-1] == "heap"
    assert layout.cut[layout.heap] == [layout.parts["heap"]]
    assert layout.cut[layout.rows] == [layout.parts["records"], layout.parts["leaves"]]
    assert layout.cut[layout.leaves] is layout.parts["leaves"]
    assert sum(count for _, count in layout.pieces()) == capacity
    assert layout.room * sum(layout.widths) <= max(
        snapshot_layout.ROOM_BYTES, layout.chunk * sum(layout.widths)
    )


def test_every_byte_of_a_heap_is_of_a_part():
    layout = packed(18, room=1000)
    covered = np.zeros(layout.nbytes, int)
    covered[: len(layout.header)] += 1
    covered[slice(*layout.front)] += 1
    for part in layout.cut:
        covered[part.offset : part.offset + part.nbytes] += 1
    for start, end in layout.gaps():
        covered[start:end] += 1
    assert (covered == 1).all()
    front = layout.parts["dictionaries"]
    assert layout.front[0] <= front.offset
    assert front.offset + front.nbytes <= layout.front[1]


def test_a_header_with_a_heap_is_read_back():
    layout = packed(room=5000)
    assert read_snapshot_header(layout.header, layout.nbytes) == layout
    for old, new in ((b'room\\": 5000', b'room\\": 5001'), (b"lz4", b"lz5")):
        assert old in layout.header
        header = layout.header.replace(old, new, 1)
        with pytest.raises(BlockFormatError, match=r"describes no buffer|contradicts"):
            read_snapshot_header(header, layout.nbytes)
