"""
The layout of a snapshot: where each part lies in the file, and the header that says so.

    part        shape               dtype   holds
    header      4096 k bytes                JSON, as that of a block
    root        (8,)                uint64  the checksum of the header and of the front behind it
    control     (24, 8)             int64   as a block's, without its ready line
    heads       (streams, 8)        int64   as a block's
    cursors     (streams, 8)        int64   as a block's; of a sampler that keeps them alone
    dictionaries (fields, 8224)     int64   as a block's; of compressed fields alone
    checksums   (parts, chunks)     uint64  XXH64 of each chunk of each part below
    records     (slots, width)      int64   as a block's; zeros where a slot held no whole row
    column/NAME (slots, *shape)     any     as a block's
    leaves      (slots,)            int64   the leaves of the priority tree; prioritized alone
    heap        (slots, width)      uint8   as a block's, cut in as many parts as there are slots

The parts from root to checksums are the front. The parts below are cut into chunks of so many
slots each, the same for all parts; what a later save finds unchanged it leaves as it is. Sums and
minima of the tree follow from the leaves and are not kept.

The file is a valid safetensors file, as a block is: stock tools read its columns.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels.handle import CONTROL_LINES
from kernels.ring import LINE
from replay.errors import BlockFormatError
from replay.memory.layout import (
    COLUMN,
    SNAPSHOT_FORMAT,
    Layout,
    check_header,
    read_description,
)
from replay.memory.safetensors import PAGE, Part, aligned, safetensors_header

#: Slots of a chunk, fewer where a chunk of the widest part would be larger than so many bytes: a
#: row that changed costs the writing of its chunk.
CHUNK = 256
CHUNK_BYTES = 1 << 20
#: Bytes that a stage has room for: few enough for a processor's second cache, where they are
#: summed between two copies.
ROOM_BYTES = 1 << 20
#: Bytes of a piece, which a thread moves in one call, without the interpreter's lock.
PIECE_BYTES = 1 << 24


@dataclasses.dataclass(frozen=True)
class SnapshotLayout:
    """
    All that follows from the layout of the block that is saved.

    Parameters
    ----------
    layout : Layout
    """

    layout: Layout
    parts: dict[str, Part] = dataclasses.field(init=False, compare=False, repr=False)
    #: The parts that are cut into chunks, in the order of the checksums, and their bytes a slot.
    cut: list[Part] = dataclasses.field(init=False, compare=False, repr=False)
    widths: list[int] = dataclasses.field(init=False, compare=False, repr=False)
    header: bytes = dataclasses.field(init=False, compare=False, repr=False)
    nbytes: int = dataclasses.field(init=False, compare=False)
    #: Slots of a chunk, and how many chunks a part has.
    chunk: int = dataclasses.field(init=False, compare=False)
    chunks: int = dataclasses.field(init=False, compare=False)
    #: Slots of a stage, and of a piece.
    room: int = dataclasses.field(init=False, compare=False)
    piece: int = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        layout = self.layout
        slotted = {
            name: (part.shape, part.dtype)
            for name, part in layout.parts.items()
            if name == "records" or name.startswith(COLUMN)
        }
        if "tree" in layout.parts:
            slotted["leaves"] = ((layout.capacity,), np.dtype(np.int64))
        if layout.room:
            width = layout.parts["heap"].nbytes // layout.capacity
            slotted["heap"] = ((layout.capacity, width), np.dtype(np.uint8))
        empty = {name: Part(0, shape, dtype) for name, (shape, dtype) in slotted.items()}
        widths = [part.nbytes // layout.capacity for part in empty.values()]
        chunk = CHUNK
        while chunk > 1 and chunk * max(widths) > CHUNK_BYTES:
            chunk //= 2
        chunks = -(-layout.capacity // chunk)
        room = chunk * max(1, ROOM_BYTES // (chunk * sum(widths)))
        words = np.dtype(np.int64)
        sums = np.dtype(np.uint64)
        wanted: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            "root": ((LINE,), sums),
            "control": ((CONTROL_LINES, LINE), words),
            "heads": ((layout.streams, LINE), words),
            **{
                name: (layout.parts[name].shape, words)
                for name in ("cursors", "dictionaries")
                if name in layout.parts
            },
            "checksums": ((len(slotted), chunks), sums),
            **slotted,
        }
        pages = 1
        while True:
            parts = {}
            start = pages * PAGE
            for name, (shape, dtype) in wanted.items():
                parts[name] = Part(start, shape, dtype)
                start = aligned(start + parts[name].nbytes)
            header = safetensors_header(self._metadata(), parts, pages * PAGE)
            if len(header) <= pages * PAGE:
                break
            # A page more than the block's: the names of the parts are nearly the same.
            pages = -(-len(header) // PAGE)
        for name, value in (
            ("parts", parts),
            ("cut", [parts[name] for name in slotted]),
            ("widths", widths),
            ("header", header.ljust(pages * PAGE, b" ")),
            ("nbytes", start),
            ("chunk", chunk),
            ("chunks", chunks),
            ("room", room),
            ("piece", room * max(1, PIECE_BYTES // (room * sum(widths)))),
        ):
            object.__setattr__(self, name, value)

    def _metadata(self) -> dict[str, str]:
        """Say what the block's header says, and of what block it is."""
        described: dict[str, str] = json.loads(self.layout.header[8:])["__metadata__"]
        return {**described, "format": SNAPSHOT_FORMAT}

    @property
    def leaves(self) -> int:
        """Say which part the leaves are; any, where there are none."""
        return len(self.cut) - 1 - ("heap" in self.parts)

    @property
    def rows(self) -> slice:
        """Say which parts hold rows: all but the heap."""
        return slice(self.leaves + 1)

    @property
    def heap(self) -> slice:
        """Say which parts are the heap."""
        return slice(self.leaves + 1, None)

    @property
    def front(self) -> tuple[int, int]:
        """Where the front begins in the file and ends."""
        return self.parts["root"].offset, self.parts["records"].offset

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield where the bytes between and behind the parts begin and end."""
        ends = [part.offset for part in self.cut[1:]] + [self.nbytes]
        for part, end in zip(self.cut, ends, strict=True):
            if part.offset + part.nbytes < end:
                yield part.offset + part.nbytes, end

    def pieces(self) -> list[tuple[int, int]]:
        """Cut the slots into pieces of whole chunks: the first slot and the count of each."""
        capacity, piece = self.layout.capacity, self.piece
        return [(first, min(piece, capacity - first)) for first in range(0, capacity, piece)]


def read_snapshot_header(start: bytes, available: int) -> SnapshotLayout:
    """
    Read the layout of a snapshot out of its first bytes, trusting none of them.

    Parameters
    ----------
    start : bytes
        The first bytes of the file, `PAGE` * `MOST_PAGES` of them or as many as there are.
    available : int
        Bytes of the whole file.

    Returns
    -------
    SnapshotLayout

    Raises
    ------
    BlockFormatError
        Foreign, of another format version, cut short, or damaged.
    """
    return _read(bytes(start), available)


@functools.lru_cache(maxsize=2)
def _read(start: bytes, available: int) -> SnapshotLayout:
    """Read a header; the last ones are remembered, since one load reads its own several times."""
    layout, header, fingerprint = read_description(start, SNAPSHOT_FORMAT, "snapshot")
    snapshot = SnapshotLayout(layout)
    check_header(header, snapshot.header, fingerprint)
    if snapshot.nbytes != available:
        raise BlockFormatError(f"it has {available} bytes, its header says {snapshot.nbytes}")
    return snapshot
