"""
The layout: where each part of a block lies, and the header that says so.

    part        shape               dtype   holds
    header      4096 k bytes                JSON, see below
    control     (24, 8)             int64   ready word, generator, largest priority, statistics
    members     (1024, 8)           int64   who has the block open, see kernels.members
    heads       (streams, 8)        int64   a ring's counters, see kernels.ring
    records     (slots, width)      int64   a sequence word, then the small fields of a row, and
                                            where the bytes of compressed or ragged ones lie
    column/NAME (slots, *shape)     any     a field too wide to be packed, one part each
    tree        (lines, 8)          int64   priorities, see kernels.tree; prioritized alone
    minima      (lines, 8)          int64   see kernels.minimum; weights by the buffer alone
    cursors     (streams, 8)        int64   see kernels.fifo; where rows are given out once alone
    writing     (256, 8)            int64   see kernels.heap; compressed or ragged fields alone
    heap        (streams, stride)   uint8   rings of their bytes, see kernels.heap
    dictionaries (fields, 8224)     int64   see kernels.dictionary; compressed fields alone

Parts begin at multiples of 64 bytes. The header is a valid safetensors header (eight bytes of
length, JSON padded with blanks), so that stock tools open a file of this format; gaps are declared
as padding tensors. The JSON's metadata says what the buffer is (schema, capacity, streams,
sampler, limiter, view), every offset follows from that, and whoever attaches computes the layout
anew and compares. The fingerprint is a CRC-32 of what follows from it all.
"""

import dataclasses
import json
import zlib
from typing import Any

import numpy as np

from kernels.dictionary import WORDS as DICTIONARY_WORDS
from kernels.dictionary import dictionary_fits
from kernels.handle import CONTROL_LINES
from kernels.heap import MARGIN, MOST_BYTES, WRITING
from kernels.jit import interpreted
from kernels.members import MEMBERS
from kernels.ring import LINE
from kernels.tree import tree_levels
from replay.errors import BlockFormatError, InputError, ReplayError
from replay.memory.fields import Field, Schema
from replay.memory.heaped import RATIO
from replay.memory.safetensors import MOST_PAGES, PAGE, Part, aligned, safetensors_header
from replay.memory.window import STEP, Window

FORMAT = "replay-block"
#: What `save` writes, see `snapshot_layout`.
SNAPSHOT_FORMAT = "replay-snapshot"
VERSION = 2
_OPENED_BY = {
    FORMAT: "a buffer's own file, no snapshot: replay.attach(path=...)",
    SNAPSHOT_FORMAT: "a snapshot: replay.load",
}
#: Fields of more bytes get a column of their own: several rows of it share no cache line worth
#: having, and packed they would push the small fields of a row apart.
WIDE = 256
#: What the name of a wide field's part begins with; no field's name can clash with a part's.
COLUMN = "column/"
#: Bytes of what a record holds of a field in the heap: where its bytes lie, and how many.
ENTRY = 16
#: A ticket must fit its sequence word, and a leaf its tree.
MOST_SLOTS = 1 << 40
MOST_STREAMS = 1 << 20

#: Fields that one row can have in the heap.
MOST_HEAPED = 31
#: Rows that each stream's ring of bytes has room for at least, if the stream has slots for them,
#: where nobody said how many bytes there are to be.
LEAST_ROWS = 16

#: What reading a header that somebody made up may raise; an infinite capacity overflows.
_REFUSED = (
    ReplayError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a field's bytes lie: the part, the offset inside a slot's bytes, the stride."""

    part: str
    offset: int
    stride: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """
    All that follows from a buffer's description.

    Parameters
    ----------
    schema : Schema
    capacity : int
        Slots over all streams; a multiple of `streams`.
    streams : int
    sampler : dict
        The sampler in what JSON can hold; "tree", "minima" and "cursors" say which parts it
        needs.
    limiter : dict
        The rate limiter in what JSON can hold; empty where there is none.
    view : dict
        The view in what JSON can hold, with its "window"; empty where rows are no steps.

    Raises
    ------
    InputError
        A number is out of range.
    """

    schema: Schema
    capacity: int
    streams: int
    sampler: dict[str, Any]
    limiter: dict[str, Any] = dataclasses.field(default_factory=dict)
    view: dict[str, Any] = dataclasses.field(default_factory=dict)
    parts: dict[str, Part] = dataclasses.field(init=False, compare=False, repr=False)
    places: dict[str, Place] = dataclasses.field(init=False, compare=False, repr=False)
    header: bytes = dataclasses.field(init=False, compare=False, repr=False)
    nbytes: int = dataclasses.field(init=False, compare=False)
    #: Bytes of a stream's ring in the heap, and of the largest row there; 0 without a heap.
    room: int = dataclasses.field(init=False, compare=False, repr=False)
    largest: int = dataclasses.field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _whole("capacity", self.capacity, 1, MOST_SLOTS)
        _whole("streams", self.streams, 1, MOST_STREAMS)
        if self.capacity % self.streams:
            below = self.capacity - self.capacity % self.streams
            raise InputError(
                f"capacity {self.capacity} does not divide among {self.streams} streams: "
                f"{below} or {below + self.streams} does"
            )
        object.__setattr__(self, "capacity", int(self.capacity))
        object.__setattr__(self, "streams", int(self.streams))
        if self.view:
            self.window.check(self.capacity, self.streams)
            if self.schema.fields.get(STEP) != Field(np.int32):
                raise InputError(f"a log of steps has a field {STEP!r} of int32")
        self._measure_heap()
        width, places = self._places()
        object.__setattr__(self, "places", places)
        pages = 1
        while True:
            parts = self._parts(pages * PAGE, width)
            header = self._header(parts, pages * PAGE)
            if len(header) <= pages * PAGE:
                break
            pages = -(-len(header) // PAGE)
            if pages > MOST_PAGES:
                raise InputError(f"the schema takes {len(header)} bytes, the most is {PAGE * 256}")
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "header", header.ljust(pages * PAGE, b" "))
        last = max(parts.values(), key=lambda part: part.offset)
        object.__setattr__(self, "nbytes", aligned(last.offset + last.nbytes))

    @property
    def rows(self) -> int:
        """Slots of a stream."""
        return self.capacity // self.streams

    @staticmethod
    def learns(field: Field) -> bool:
        """Say whether a field has a dictionary: one that is packed, with rows that fit into it."""
        fits = interpreted(dictionary_fits)(field.nbytes)
        return field.compression is not None and fits > 0

    @property
    def window(self) -> Window:
        """
        The window of the view.

        Raises
        ------
        InputError
            There is none, or it cannot be.
        """
        return Window.read(self.view.get("window"))

    def _measure_heap(self) -> None:
        """Find how many bytes each stream has room for."""
        heaped = {name: f for name, f in self.schema.fields.items() if f.heaped}
        largest = sum(field.nbytes for field in heaped.values())
        room = 0
        if heaped:
            if len(heaped) > MOST_HEAPED or largest > MOST_BYTES:
                raise InputError(
                    f"a row has {len(heaped)} compressed or ragged fields of {largest} bytes at "
                    f"most, together: the limits are {MOST_HEAPED} and {MOST_BYTES}"
                )
            wanted = sum(field.room_for(self.capacity) for field in heaped.values())
            room = -(-wanted // self.streams)
            # What somebody chose is kept to; of what nobody did, a small buffer has enough.
            given = any(field.room is not None for field in heaped.values())
            chosen = given or any(field.ratio != RATIO for field in heaped.values())
            if given and room < 2 * largest:
                raise InputError(
                    f"room is {wanted} bytes for {', '.join(map(repr, heaped))}, it must be "
                    f"{2 * largest * self.streams} or more: two of the largest rows a stream"
                )
            # No more than can ever be needed.
            if not chosen:
                room = max(room, LEAST_ROWS * largest)
            room = aligned(max(min(room, self.rows * largest), 2 * largest))
        object.__setattr__(self, "room", room)
        object.__setattr__(self, "largest", largest)

    def _places(self) -> tuple[int, dict[str, Place]]:
        """Pack small fields behind the sequence word, the widest elements first."""
        small = [
            (name, ENTRY, 8) if f.heaped else (name, f.nbytes, min(f.dtype.itemsize, 8))
            for name, f in self.schema.fields.items()
            if f.heaped or f.nbytes <= WIDE
        ]
        small.sort(key=lambda packed: -packed[2])
        offset = 8
        offsets = {}
        for name, nbytes, _ in small:
            offsets[name] = offset
            offset += nbytes
        stride = -(-offset // 8) * 8
        places = {name: Place("records", offsets[name], stride) for name in offsets}
        for name, field in self.schema.fields.items():
            if name not in places:
                places[name] = Place(COLUMN + name, 0, field.nbytes)
        return stride // 8, places

    def _parts(self, start: int, width: int) -> dict[str, Part]:
        words = np.dtype(np.int64)
        wanted: list[tuple[str, tuple[int, ...], np.dtype[Any]]] = [
            ("control", (CONTROL_LINES, LINE), words),
            ("members", (MEMBERS, LINE), words),
            ("heads", (self.streams, LINE), words),
            ("records", (self.capacity, width), words),
        ]
        for name, place in self.places.items():
            if place.part == COLUMN + name:
                field = self.schema.fields[name]
                wanted.append((place.part, (self.capacity, *field.shape), field.dtype))
        levels = interpreted(tree_levels)(self.capacity)
        if self.sampler.get("tree"):
            wanted.append(("tree", (int(levels[-1]), LINE), words))
        if self.sampler.get("minima") and levels[-2]:
            wanted.append(("minima", (int(levels[-2]), LINE), words))
        if self.sampler.get("cursors"):
            wanted.append(("cursors", (self.streams, LINE), words))
        if self.room:
            wanted.append(("writing", (WRITING, LINE), words))
            # As many bytes as slots, or some times so many: a snapshot cuts it as it cuts columns.
            stride = -(-(self.room + self.largest + MARGIN) // self.rows) * self.rows
            wanted.append(("heap", (self.streams, stride), np.dtype(np.uint8)))
            learned = sum(self.learns(field) for field in self.schema.fields.values())
            if learned:
                wanted.append(("dictionaries", (learned, DICTIONARY_WORDS), words))
        parts = {}
        for name, shape, dtype in wanted:
            parts[name] = Part(start, tuple(int(size) for size in shape), dtype)
            start = aligned(start + parts[name].nbytes)
        return parts

    def _header(self, parts: dict[str, Part], start: int) -> bytes:
        metadata = {
            "format": FORMAT,
            "version": str(VERSION),
            "schema": json.dumps(self.schema.to_json()),
            "capacity": str(self.capacity),
            "streams": str(self.streams),
            "sampler": json.dumps(self.sampler, sort_keys=True),
            "limiter": json.dumps(self.limiter, sort_keys=True),
        }
        if self.view:
            metadata["view"] = json.dumps(self.view, sort_keys=True)
        described = safetensors_header(metadata, parts, start)
        metadata["fingerprint"] = f"{zlib.crc32(described[8:]):08x}"
        return safetensors_header(metadata, parts, start)


def read_header(start: bytes, available: int) -> Layout:
    """
    Read the layout of a block out of its first bytes, trusting none of them.

    Parameters
    ----------
    start : bytes
        The first bytes of the block, `PAGE` * `MOST_PAGES` of them or as many as there are.
    available : int
        Bytes of the whole block.

    Returns
    -------
    Layout

    Raises
    ------
    BlockFormatError
        Foreign, of another format version, cut short, or damaged.
    """
    layout, header, fingerprint = read_description(start, FORMAT, "block")
    check_header(header, layout.header, fingerprint)
    if layout.nbytes != available:
        raise BlockFormatError(f"it has {available} bytes, its header says {layout.nbytes}")
    return layout


def read_description(start: bytes, wanted: str, what: str) -> tuple[Layout, bytes, str]:
    """
    Read of which buffer a header says it is; that it says nothing else is not checked yet.

    Parameters
    ----------
    start : bytes
        The first bytes of the file, as many as a header can have or as there are.
    wanted : str
        FORMAT or SNAPSHOT_FORMAT.
    what : str
        What such a file is called, for messages.

    Returns
    -------
    tuple of Layout, bytes and str
        The layout, the whole header, and its fingerprint, for messages.

    Raises
    ------
    BlockFormatError
    """
    if len(start) < PAGE:
        raise BlockFormatError(f"it has {len(start)} bytes, a {what} has {PAGE} at least")
    pages, rest = divmod(int.from_bytes(start[:8], "little") + 8, PAGE)
    if rest or not 1 <= pages <= MOST_PAGES or start[8:9] != b"{":
        raise BlockFormatError(f"it does not begin with the header of a {what}")
    if len(start) < pages * PAGE:
        raise BlockFormatError(f"its header of {pages * PAGE} bytes ends after {len(start)}")
    header = start[: pages * PAGE]
    try:
        metadata = json.loads(header[8:])["__metadata__"]
        form, version, fingerprint = (
            metadata[name] for name in ("format", "version", "fingerprint")
        )
    except _REFUSED:
        raise BlockFormatError(f"its header is no description of a {what}") from None
    if form != wanted and form in _OPENED_BY:
        raise BlockFormatError(f"it is {_OPENED_BY[form]} opens it")
    if form != wanted:
        raise BlockFormatError(f"its format is {form!r}, not {wanted!r}")
    if version != str(VERSION):
        raise BlockFormatError(
            f"its format version is {version}, this release reads version {VERSION}"
        )
    try:
        layout = Layout(
            Schema.from_json(json.loads(metadata["schema"])),
            int(metadata["capacity"]),
            int(metadata["streams"]),
            json.loads(metadata["sampler"]),
            json.loads(metadata["limiter"]),
            json.loads(metadata.get("view", "{}")),
        )
    except _REFUSED as error:
        raise BlockFormatError(f"its header describes no buffer: {error}") from None
    return layout, header, str(fingerprint)


def check_header(found: bytes, computed: bytes, fingerprint: str) -> None:
    """
    Refuse a header that is not the one that follows from its own description.

    Raises
    ------
    BlockFormatError
    """
    if found != computed:
        raise BlockFormatError(f"its header, of fingerprint {fingerprint}, contradicts itself")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be an int")
    if not low <= value <= high:
        raise InputError(f"{name} is {value}, it must be from {low} to {high}")
