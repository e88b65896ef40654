"""The front of a snapshot: all of it but the rows, behind one checksum."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.checksum import checksum
from kernels.dictionary import OWNER
from kernels.fifo import COUNT_BITS, CURSOR, LOST, MOST, RANGES
from kernels.heap import CLEAR
from kernels.ring import BASE, BURNT, FILLED, FLOOR, HEAD
from replay.errors import BlockFormatError
from replay.memory.block import Block
from replay.memory.damage import check_words
from replay.memory.safetensors import MOST_PAGES, PAGE
from replay.memory.side_file import read_at
from replay.memory.snapshot_layout import SnapshotLayout, read_snapshot_header


class Front:
    """
    Owns the control words, heads and checksums of one state of a buffer, and their root.

    The root is a checksum over all checksums, so it names the state: two saves of the same state
    have the same root.

    Parameters
    ----------
    snapshot : SnapshotLayout
    content : bytes, optional
        As it lies in the file; nothing of it is trusted before `check`.
    """

    def __init__(self, snapshot: SnapshotLayout, content: bytes | None = None) -> None:
        self._snapshot = snapshot
        start, end = snapshot.front
        self.content: npt.NDArray[np.uint8] = np.zeros(end - start, np.uint8)
        if content is not None:
            self.content[:] = np.frombuffer(content, np.uint8)
        self.control = self._part("control")
        self.heads = self._part("heads")
        self.cursors = self._part("cursors") if "cursors" in snapshot.parts else None
        learned = "dictionaries" in snapshot.parts
        self.dictionaries = self._part("dictionaries") if learned else None
        self.checksums = self._part("checksums")

    @classmethod
    def of(cls, snapshot: SnapshotLayout, block: Block) -> "Front":
        """Take a block's control words and heads as they are now."""
        front = cls(snapshot)
        if front.cursors is not None:
            # Before the heads: no cursor is in front of its head. Before their own ranges: what is
            # in both, was given its range after the cursor was read, and is in front of it still.
            cursors = block.part("cursors")
            front.cursors[:, CURSOR] = cursors[:, CURSOR]
            front.cursors[:, LOST:] = cursors[:, LOST:]
            ranges = front.cursors[:, RANGES:]
            ranges[ranges < 0] = 0
            ranges[(ranges >> COUNT_BITS) + (ranges & MOST) > front.cursors[:, :1]] = 0
        # Heads first: of rows that come in between the counters know, and not the other way.
        front.heads[:] = block.part("heads")
        front.heads[:, FILLED] = 0
        # Not copied at once: a base or a floor may be younger than its head.
        floors = np.maximum(front.heads[:, BASE], front.heads[:, FLOOR])
        np.maximum(front.heads[:, HEAD], floors, out=front.heads[:, HEAD])
        # Who writes the bytes of a row meanwhile is none of the snapshot's.
        front.heads[:, CLEAR] = 0
        if front.dictionaries is not None:
            # After the heads: the rows of the snapshot were packed against no later ones.
            front.dictionaries[:] = block.part("dictionaries")
            front.dictionaries[:, OWNER] = 0
        front.control[words.GENERATOR :] = block.part("control")[words.GENERATOR :]
        return front

    def _part(self, name: str) -> npt.NDArray[Any]:
        part = self._snapshot.parts[name]
        start = part.offset - self._snapshot.front[0]
        return self.content[start : start + part.nbytes].view(part.dtype).reshape(part.shape)

    @property
    def root(self) -> int:
        """The root, as it was stored."""
        return int(self.content[:8].view(np.uint64)[0])

    def seal(self) -> None:
        """Store the root, once all else is in place."""
        self.content[:8].view(np.uint64)[0] = self._root()

    def _root(self) -> int:
        header: npt.NDArray[np.uint8] = np.frombuffer(self._snapshot.header, np.uint8)
        rest = self.content[8:]
        seed = int(checksum(header.ctypes.data, header.size, 0)) >> 1
        return int(checksum(rest.ctypes.data, rest.size, seed))

    def check(self) -> None:
        """
        Refuse a front that is not as it was sealed, or that no buffer can have.

        Raises
        ------
        BlockFormatError
        """
        if self.root != self._root():
            raise BlockFormatError("it is damaged: its root does not fit its checksums")
        layout, heads = self._snapshot.layout, self.heads
        check_words(layout, self.control, heads, "it")
        head = heads[:, HEAD]
        if (
            (heads[:, BASE] > head).any()
            or (heads[:, FLOOR] > head).any()
            or (heads[:, BURNT] > head).any()
            or (heads[:, FILLED] > layout.rows).any()
        ):
            raise BlockFormatError("its heads are those of no buffer")
        if self.cursors is not None and (
            (self.cursors < 0).any() or (self.cursors[:, CURSOR] > head).any()
        ):
            raise BlockFormatError("its cursors are those of no buffer")


def read_layout(descriptor: int) -> SnapshotLayout:
    """
    Read the layout of an open snapshot.

    Raises
    ------
    BlockFormatError
    OSError
    """
    size = os.fstat(descriptor).st_size
    start = os.pread(descriptor, PAGE, 0)
    told = int.from_bytes(start[:8], "little") + 8
    if PAGE < told <= PAGE * MOST_PAGES:
        start = os.pread(descriptor, told, 0)
    return read_snapshot_header(start, size)


def read_front(descriptor: int, snapshot: SnapshotLayout) -> Front:
    """
    Read the front of an open snapshot, without checking it.

    Raises
    ------
    BlockFormatError
    OSError
    """
    start, end = snapshot.front
    content = bytearray(end - start)
    if not read_at(descriptor, content, start):
        raise BlockFormatError("it was cut short meanwhile")
    return Front(snapshot, bytes(content))
