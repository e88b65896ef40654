"""
The layout: where each part of a block lies, and the header that says so.

    part        shape               dtype   holds
    header      4096 k bytes                JSON, see below
    control     (24, 8)             int64   ready word, generator, largest priority, statistics
    members     (1024, 8)           int64   who has the block open, see kernels.members
    heads       (streams, 8)        int64   a ring's counters, see kernels.ring
    records     (slots, width)      int64   a sequence word, then the small fields of a row
    column/NAME (slots, *shape)     any     a field too wide to be packed, one part each
    tree        (lines, 8)          int64   priorities, see kernels.tree; prioritized alone
    minima      (lines, 8)          int64   see kernels.minimum; weights by the buffer alone

Parts begin at multiples of 64 bytes. The header is a valid safetensors header (eight bytes of
length, JSON padded with blanks), so that stock tools open a file of this format; gaps are declared
as padding tensors. The JSON's metadata says what the buffer is (schema, capacity, streams,
sampler, limiter), every offset follows from that, and whoever attaches computes the layout anew
and compares. The fingerprint is a CRC-32 of what follows from it all.
"""

import dataclasses
import json
import zlib
from typing import Any

import numpy as np

from kernels.handle import CONTROL_LINES
from kernels.jit import interpreted
from kernels.members import MEMBERS
from kernels.ring import LINE
from kernels.tree import tree_levels
from replay.errors import BlockFormatError, InputError, ReplayError
from replay.memory.fields import Schema

FORMAT = "replay-block"
#: What `save` writes, see `snapshot_layout`.
SNAPSHOT_FORMAT = "replay-snapshot"
VERSION = 2
#: The header is made of pages of so many bytes, at most so many.
PAGE = 4096
MOST_PAGES = 256
#: Fields of more bytes get a column of their own: several rows of it share no cache line worth
#: having, and packed they would push the small fields of a row apart.
WIDE = 256
#: What the name of a wide field's part begins with; no field's name can clash with a part's.
COLUMN = "column/"
#: Parts begin at multiples of a cache line.
ALIGNMENT = 64
#: A ticket must fit its sequence word, and a leaf its tree.
MOST_SLOTS = 1 << 40
MOST_STREAMS = 1 << 20

_TENSOR_TYPES = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<u2": "U16", "<i2": "I16", "<f2": "F16",
    "<u4": "U32", "<i4": "I32", "<f4": "F32", "<u8": "U64", "<i8": "I64", "<f8": "F64",
}  # fmt: skip

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
class Part:
    """Where a part lies, in bytes from the start of the block, and what it is an array of."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the part."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


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
        The sampler in what JSON can hold; "tree" and "minima" say which parts it needs.
    limiter : dict
        The rate limiter in what JSON can hold; empty where there is none.

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
    parts: dict[str, Part] = dataclasses.field(init=False, compare=False, repr=False)
    places: dict[str, Place] = dataclasses.field(init=False, compare=False, repr=False)
    header: bytes = dataclasses.field(init=False, compare=False, repr=False)
    nbytes: int = dataclasses.field(init=False, compare=False)

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
        object.__setattr__(self, "nbytes", _align(last.offset + last.nbytes))

    @property
    def rows(self) -> int:
        """Slots of a stream."""
        return self.capacity // self.streams

    def _places(self) -> tuple[int, dict[str, Place]]:
        """Pack small fields behind the sequence word, the widest elements first."""
        small = [(name, f) for name, f in self.schema.fields.items() if f.nbytes <= WIDE]
        small.sort(key=lambda named: -min(named[1].dtype.itemsize, 8))
        offset = 8
        offsets = {}
        for name, field in small:
            offsets[name] = offset
            offset += field.nbytes
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
        parts = {}
        for name, shape, dtype in wanted:
            parts[name] = Part(start, tuple(int(size) for size in shape), dtype)
            start = _align(start + parts[name].nbytes)
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
        tensors: dict[str, Any] = {}
        end = start
        for number, (name, part) in enumerate(parts.items()):
            if part.offset > end:
                tensors[f"_gap{number}"] = _tensor("U8", (part.offset - end,), end - start)
            kind = _TENSOR_TYPES.get(part.dtype.str)
            shape = part.shape if kind else (*part.shape, part.dtype.itemsize)
            tensors[name] = _tensor(kind or "U8", shape, part.offset - start, part.nbytes)
            end = part.offset + part.nbytes
        if _align(end) > end:
            tensors["_end"] = _tensor("U8", (_align(end) - end,), end - start)
        body = json.dumps({"__metadata__": metadata, **tensors})
        metadata["fingerprint"] = f"{zlib.crc32(body.encode()):08x}"
        body = json.dumps({"__metadata__": metadata, **tensors})
        return (start - 8).to_bytes(8, "little") + body.encode()


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
    if len(start) < PAGE:
        raise BlockFormatError(f"it has {len(start)} bytes, a block has {PAGE} at least")
    pages, rest = divmod(int.from_bytes(start[:8], "little") + 8, PAGE)
    if rest or not 1 <= pages <= MOST_PAGES or start[8:9] != b"{":
        raise BlockFormatError("it does not begin with the header of a block")
    if len(start) < pages * PAGE:
        raise BlockFormatError(f"its header of {pages * PAGE} bytes ends after {len(start)}")
    header = start[: pages * PAGE]
    try:
        metadata = json.loads(header[8:])["__metadata__"]
        found = {name: metadata[name] for name in ("format", "version", "fingerprint")}
    except _REFUSED:
        raise BlockFormatError("its header is no description of a block") from None
    if found["format"] == SNAPSHOT_FORMAT:
        raise BlockFormatError("it is a snapshot: replay.load opens it")
    if found["format"] != FORMAT:
        raise BlockFormatError(f"its format is {found['format']!r}, not {FORMAT!r}")
    if found["version"] != str(VERSION):
        raise BlockFormatError(
            f"its format version is {found['version']}, this release reads version {VERSION}"
        )
    try:
        layout = Layout(
            Schema.from_json(json.loads(metadata["schema"])),
            int(metadata["capacity"]),
            int(metadata["streams"]),
            json.loads(metadata["sampler"]),
            json.loads(metadata["limiter"]),
        )
    except _REFUSED as error:
        raise BlockFormatError(f"its header describes no buffer: {error}") from None
    if layout.header != header:
        raise BlockFormatError(
            f"its header, of fingerprint {found['fingerprint']}, contradicts itself"
        )
    if layout.nbytes != available:
        raise BlockFormatError(f"it has {available} bytes, its header says {layout.nbytes}")
    return layout


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _tensor(kind: str, shape: tuple[int, ...], start: int, nbytes: int | None = None) -> Any:
    size = shape[0] if nbytes is None else nbytes
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, start + size]}


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be an int")
    if not low <= value <= high:
        raise InputError(f"{name} is {value}, it must be from {low} to {high}")
