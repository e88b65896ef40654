"""
The journal: changed chunks of a snapshot, beside it until all of them are in their places.

    bytes                   holds
    4096                    eight words: magic, root of the old state, root of the new one, chunks,
                            their bytes, a checksum of all behind them, one of these words
    the chunks              one after the other, as they are to lie in the snapshot
    (chunks, 2) int64       each one's part, a position in `SnapshotLayout.cut`, and its number
    the front               of the new state

A journal counts once every byte of it is right: one fsync, then. Until then the snapshot is as it
was. From then on the journal is the new state, whatever has become of the chunks' places: writing
them is repeated, or read past, until the file is removed. One that knows neither the old nor the
new root of the snapshot is another's, and counts for nothing.
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.checksum import checksum
from kernels.faults import JOURNAL_APPLYING, JOURNAL_WRITTEN, fault_point
from kernels.walk_snapshot import CURSOR, FIRST, LIMIT, LINE_WORDS, LINES
from replay.errors import BlockFormatError
from replay.memory.safetensors import PAGE
from replay.memory.side_file import read_at, write_at
from replay.memory.snapshot_front import Front
from replay.memory.snapshot_layout import SnapshotLayout

MAGIC = int.from_bytes(b"REPLAYJ1", "little")
_WORDS = 8
_MAGIC, _OLD, _NEW, _CHUNKS, _BYTES, _REST, _SELF = range(7)
#: Bytes brought to their places at a time.
_STEP = 1 << 20


class JournalWriter:
    """
    Writes a journal: kernels its chunks, this class all else.

    Parameters
    ----------
    descriptor : int
        Of an empty file.
    snapshot : SnapshotLayout
    old : int
        The root of the state that the snapshot holds.
    """

    def __init__(self, descriptor: int, snapshot: SnapshotLayout, old: int) -> None:
        self._descriptor = descriptor
        self._snapshot = snapshot
        self._old = old
        # Room for every chunk; what is never touched takes no memory.
        chunks = len(snapshot.cut) * snapshot.chunks
        self.words: npt.NDArray[np.int64] = np.empty(FIRST + LINE_WORDS * chunks, np.int64)
        self.words[:FIRST] = 0
        self.words[CURSOR] = PAGE
        # Chunks of a journal are written twice.
        self.words[LIMIT] = PAGE + snapshot.nbytes // 2

    def _index(self) -> npt.NDArray[np.int64]:
        """List the chunks in the order in which they lie in the file."""
        lines = self.words[FIRST : FIRST + LINE_WORDS * int(self.words[LINES])]
        lines = lines.reshape(-1, LINE_WORDS)
        part, first, count, _ = lines[np.argsort(lines[:, 3])].T
        behind = np.cumsum(count)
        numbers = np.arange(count.sum()) + np.repeat(first - behind + count, count)
        return np.stack([np.repeat(part, count), numbers], 1)

    def commit(self, front: Front) -> "Journal":
        """
        Write all that makes the journal count; it does once it is on the disk.

        Returns
        -------
        Journal

        Raises
        ------
        OSError
        """
        index = self._index()
        nbytes = int(self.words[CURSOR]) - PAGE
        rest = np.concatenate([index.reshape(-1).view(np.uint8), front.content])
        write_at(self._descriptor, rest, PAGE + nbytes)
        fault_point(JOURNAL_WRITTEN)
        first = np.zeros(PAGE // 8, np.uint64)
        first[:_SELF] = MAGIC, self._old, front.root, len(index), nbytes, _sum(rest)
        first[_SELF] = _sum(first[:_SELF])
        write_at(self._descriptor, first, 0)
        os.fsync(self._descriptor)
        return Journal(self._descriptor, self._snapshot, index, front)


class Journal:
    """
    A journal that counts: which chunks it holds, where, and the front of the new state.

    Parameters
    ----------
    descriptor : int
    snapshot : SnapshotLayout
    index : (chunks, 2) int64 ndarray
    front : Front
    """

    def __init__(
        self,
        descriptor: int,
        snapshot: SnapshotLayout,
        index: npt.NDArray[np.int64],
        front: Front,
    ) -> None:
        self.descriptor = descriptor
        self._snapshot = snapshot
        self.front = front
        parts, numbers = index[:, 0], index[:, 1]
        widths = np.array(snapshot.widths, np.int64)[parts]
        starts = np.array([part.offset for part in snapshot.cut], np.int64)[parts]
        slots = numbers * snapshot.chunk
        #: Where each chunk belongs, its bytes, and where in the journal it is.
        self.places = starts + slots * widths
        self.sizes = np.minimum(snapshot.chunk, snapshot.layout.capacity - slots) * widths
        self.offsets = PAGE + np.cumsum(self.sizes) - self.sizes
        self._index = index
        self._sums = front.checksums[parts, numbers]

    def whole(self) -> bool:
        """Say whether the chunks are those of the front."""
        content = np.empty(max(self.sizes, default=0), np.uint8)
        for offset, size, known in zip(self.offsets, self.sizes, self._sums, strict=True):
            if not read_at(self.descriptor, content[:size], int(offset)):
                return False
            if checksum(content.ctypes.data, int(size), 0) != known:
                return False
        return True

    def where(self) -> npt.NDArray[np.int64]:
        """Say where in the journal each chunk lies, 0 for those that it lacks."""
        where = np.zeros((len(self._snapshot.cut), self._snapshot.chunks), np.int64)
        where[self._index[:, 0], self._index[:, 1]] = self.offsets
        return where

    def apply(self, descriptor: int) -> None:
        """
        Write all chunks to their places, and then the front; on the disk once it returns.

        Parameters
        ----------
        descriptor : int
            Of the snapshot.

        Raises
        ------
        OSError
        """
        piece = np.empty(_STEP, np.uint8)
        # Chunks that follow each other in the journal and in the snapshot are one stretch.
        broken = self.places[1:] != self.places[:-1] + self.sizes[:-1]
        firsts = np.flatnonzero(np.append(True, broken)) if self.places.size else self.places
        lengths = np.add.reduceat(self.sizes, firsts) if firsts.size else firsts
        for place, offset, size in zip(
            self.places[firsts], self.offsets[firsts], lengths, strict=True
        ):
            for done in range(0, int(size), _STEP):
                some = piece[: int(size) - done]
                if not read_at(self.descriptor, some, int(offset) + done):
                    raise BlockFormatError("its journal was cut short meanwhile")
                write_at(descriptor, some, int(place) + done)
                fault_point(JOURNAL_APPLYING)
        write_at(descriptor, self.front.content, self._snapshot.front[0])
        getattr(os, "fdatasync", os.fsync)(descriptor)


def begins_as_journal(descriptor: int) -> bool:
    """Say whether a file begins as a journal does; it may be damaged behind that."""
    word = np.zeros(1, np.uint64)
    return read_at(descriptor, word, 0) and int(word[0]) == MAGIC


def read_journal(descriptor: int, snapshot: SnapshotLayout, root: int) -> Journal | None:
    """
    Read a journal, trusting nothing of it.

    Parameters
    ----------
    descriptor : int
    snapshot : SnapshotLayout
        Of the file beside it.
    root : int
        The root as it stands there.

    Returns
    -------
    Journal or None
        None: it does not count.

    Raises
    ------
    OSError
    """
    first = np.zeros(PAGE // 8, np.uint64)
    if not read_at(descriptor, first, 0) or int(first[_MAGIC]) != MAGIC:
        return None
    if _sum(first[:_SELF]) != int(first[_SELF]) or first[_SELF + 1 :].any():
        return None
    old, new, chunks, nbytes, known = (int(word) for word in first[_OLD:_SELF])
    most = len(snapshot.cut) * snapshot.chunks
    start, end = snapshot.front
    rest_bytes = chunks * 16 + end - start
    if root not in (old, new) or chunks > most:
        return None
    if os.fstat(descriptor).st_size != PAGE + nbytes + rest_bytes:
        return None
    rest = np.empty(rest_bytes, np.uint8)
    if not read_at(descriptor, rest, PAGE + nbytes) or _sum(rest) != known:
        return None
    index = rest[: chunks * 16].view(np.int64).reshape(-1, 2)
    if not _possible(index, snapshot):
        return None
    front = Front(snapshot, rest[chunks * 16 :].tobytes())
    try:
        front.check()
    except BlockFormatError:
        return None
    journal = Journal(descriptor, snapshot, index, front)
    if front.root != new or int(journal.sizes.sum()) != nbytes or not journal.whole():
        return None
    return journal


def _possible(index: npt.NDArray[np.int64], snapshot: SnapshotLayout) -> bool:
    """Say whether the lines name chunks that there are, none of them twice."""
    limits = np.array([len(snapshot.cut), snapshot.chunks])
    if (index < 0).any() or (index >= limits).any():
        return False
    numbers = index[:, 0] * snapshot.chunks + index[:, 1]
    return bool(np.unique(numbers).size == numbers.size)


def _sum(content: npt.NDArray[Any]) -> int:
    return int(checksum(content.ctypes.data, content.nbytes, 0))
