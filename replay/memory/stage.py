"""The stage: where rows are summed and checked on their way between a block and a file."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import walk_snapshot as walk
from kernels.jit import INTERPRETED, entry_point, interpreted
from kernels.ring import LINE
from kernels.tree import tree_leaf_bits, tree_levels
from kernels.walk_copy import BLOCK, SIZE, STAGE
from replay.memory.block import Block
from replay.memory.snapshot_front import Front
from replay.memory.snapshot_layout import SnapshotLayout
from replay.progress import compiling


class Stage:
    """
    Owns memory for one piece of a snapshot, so many slots of each part, and what kernels move by.

    One thread works on it at a time.

    Parameters
    ----------
    snapshot : SnapshotLayout
    block : Block or None
        Whose rows come and go; None where rows are only looked at.
    descriptor : int
        Of the file that is written or read: a snapshot, or a journal.
    front : Front
        Whose checksums and heads are filled by saving; those to be met by loading.
    parts : slice
        Which parts move: all, or `SnapshotLayout.rows` of them, or `SnapshotLayout.heap`.
    """

    def __init__(
        self,
        snapshot: SnapshotLayout,
        block: Block | None,
        descriptor: int,
        front: Front,
        parts: slice = slice(None),
    ) -> None:
        self._snapshot = snapshot
        self._front = front
        self._calls = calls()
        # Holds the mapping: the block may be closed meanwhile.
        self._memory = None if block is None else block.memory
        bits = int(interpreted(tree_leaf_bits)(snapshot.layout.capacity))
        self._arrays: list[npt.NDArray[np.uint8]] = []
        self._shape = np.zeros(walk.SHAPE_WORDS, np.int64)
        self._shape[walk.ROWS] = snapshot.layout.rows
        self._shape[walk.CHUNK] = snapshot.chunk
        self._shape[walk.ROOM] = snapshot.room
        self._shape[walk.FILE] = descriptor
        self._shape[walk.MOST] = 1 << bits if "leaves" in snapshot.parts else -1
        self._shape[walk.LEAVES] = snapshot.leaves
        self._shape[walk.PART] = parts.start or 0
        self._parts = parts
        places = np.zeros((len(snapshot.cut), walk.PLACE_WORDS), np.int64)
        places[:, BLOCK] = _starts(snapshot, block)
        places[:, SIZE] = snapshot.widths
        places[:, walk.OFFSET] = [part.offset for part in snapshot.cut]
        self._places = np.ascontiguousarray(places[parts])

    def save(
        self,
        journal: npt.NDArray[np.int64],
        old: npt.NDArray[np.uint64] | None,
        kept: npt.NDArray[np.int64],
        first: int,
        count: int,
    ) -> int:
        """
        Bring slots of the block into the file.

        Parameters
        ----------
        journal : (words,) int64 ndarray, written
            See `kernels.walk_snapshot`.
        old : (parts, chunks) uint64 ndarray or None
            Checksums of a snapshot: what differs goes to a journal.
        kept : (words,) int64 ndarray
            See `kernels.walk_copy`.
        first : int
        count : int

        Returns
        -------
        int
            A code of `kernels.walk_snapshot.rows_save`.
        """
        self._make_room()
        self._places[:, walk.SUMS] = _lines(self._front.checksums)[self._parts]
        self._places[:, walk.OLD] = 0 if old is None else _lines(old)[self._parts]
        return self._calls.rows_save(
            self._places, self._front.heads, self._shape, journal, kept, first, count
        )

    def load(
        self,
        heads: npt.NDArray[np.int64],
        found: npt.NDArray[np.uint64],
        journal: tuple[int, npt.NDArray[np.int64]],
        into: int,
        first: int,
        count: int,
    ) -> int:
        """
        Read and check slots of the file, and bring them into the block.

        Parameters
        ----------
        heads : (streams, 8) int64 ndarray, written
            Whole rows are counted.
        found : (parts, chunks) uint64 ndarray, written
            Checksums of what was read.
        journal : (int, (parts, chunks) int64 ndarray)
            Its descriptor, and where in it a chunk lies.
        into : int
            LOOK, PASTE, FRESH or EMPTY of `kernels.walk_snapshot`.
        first : int
        count : int

        Returns
        -------
        int
            A code of `kernels.walk_snapshot.rows_load`.
        """
        if into != walk.FRESH:
            self._make_room()
        self._shape[walk.JOURNAL], where = journal
        where = np.ascontiguousarray(where[self._parts])
        self._shape[walk.INTO] = into
        self._places[:, walk.SUMS] = _lines(found)[self._parts]
        self._places[:, walk.OLD] = _lines(self._front.checksums)[self._parts]
        return self._calls.rows_load(self._places, heads, self._shape, where, first, count)

    def _make_room(self) -> None:
        if not self._arrays:
            room = self._snapshot.room
            widths = self._snapshot.widths[self._parts]
            self._arrays = [np.empty((room, width), np.uint8) for width in widths]
            self._places[:, STAGE] = [array.ctypes.data for array in self._arrays]


class _Calls:
    """Owns the entries of the kernels that a stage needs, compiled for the types it passes."""

    rows_save: Callable[..., int]
    rows_load: Callable[..., int]

    def __init__(self) -> None:
        signature = None
        if not INTERPRETED:
            from numba import types

            lines = types.Array(types.int64, 2, "C")
            words = types.Array(types.int64, 1, "C")
            number = types.int64
        with compiling() as ready:
            for name, kernel in (("rows_save", walk.rows_save), ("rows_load", walk.rows_load)):
                if not INTERPRETED:
                    others = (words, words) if name == "rows_save" else (lines,)
                    signature = (lines, lines, words, *others, number, number)
                # Without the interpreter's lock: other threads go on adding and sampling.
                setattr(self, name, entry_point(kernel, signature, nogil=True))
                ready(name)


@functools.cache
def calls() -> _Calls:
    """Compile or load the kernels of snapshots."""
    return _Calls()


def _lines(checksums: npt.NDArray[np.uint64]) -> list[int]:
    """Say where the checksums of each part lie."""
    return [checksums.ctypes.data + part * checksums.strides[0] for part in range(len(checksums))]


def _starts(snapshot: SnapshotLayout, block: Block | None) -> Any:
    """Say where slot 0 of each part lies in the block."""
    if block is None:
        return 0
    layout = snapshot.layout
    starts = []
    for name, part in snapshot.parts.items():
        if part not in snapshot.cut:
            continue
        offset = layout.parts["tree" if name == "leaves" else name].offset
        if name == "leaves":
            offset += int(interpreted(tree_levels)(layout.capacity)[-2]) * LINE * 8
        starts.append(block.memory.ctypes.data + offset)
    return starts
