"""
Snapshots: a consistent state of a block in a file, while others go on adding and sampling.

A save writes a whole file beside the old one, which then takes its name; or, where the file there
is a snapshot of the same layout and less than half of it changed, the changed chunks, first into a
journal. Whatever ends it, a load finds the old state or the new one.

    .NAME.saving    beside NAME while a save runs: the new file, or the journal. One that a killed
                    saver left is finished if it counts, and written over if not, by the next save.
"""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.faults import (
    JOURNAL_APPLIED,
    JOURNAL_COMMITTED,
    SAVE_RENAMED,
    SAVE_SYNCED,
    SAVE_WRITTEN,
    fault_point,
)
from kernels.heap import BYTES_OF, POSITION_OF, STREAM_OF
from kernels.ring import HEAD
from kernels.walk_snapshot import DONE, TOO_MUCH
from replay.errors import BlockError, BlockFormatError, ReplayError
from replay.memory.block import Block
from replay.memory.handle import Handle, make_handle
from replay.memory.home import in_bytes
from replay.memory.journal import JournalWriter, begins_as_journal, read_journal
from replay.memory.side_file import SideFile, locked, open_file, own, sync_folder, write_at
from replay.memory.snapshot_front import Front, read_front, read_layout
from replay.memory.snapshot_layout import SnapshotLayout
from replay.memory.spread import spread
from replay.memory.stage import Stage


class _TooMuchError(Exception):
    """So much changed that a whole file is less work than a journal."""


def write_snapshot(block: Block, path: pathlib.Path) -> None:
    """
    Write the state of a block to a file.

    Every row that was committed before, and is not overwritten meanwhile, is in it.

    Parameters
    ----------
    block : Block
    path : pathlib.Path

    Raises
    ------
    BlockError
        The file cannot be written, or another save to it is under way.
    """
    try:
        # A symbolic link stays one: both ways of saving write what it points at.
        path = path.resolve()
        if path.exists() and not path.is_file():
            raise BlockError(f"{str(path)!r} cannot be written: it is no regular file")
        if block.path is not None and path.is_file() and path.samefile(block.path):
            # The file would be replaced under its buffer, whose later rows would go nowhere.
            raise BlockError(f"{str(path)!r} cannot be written: it is the buffer's own file")
        snapshot = SnapshotLayout(block.layout)
        with SideFile(path) as side, _base(path, side) as base:
            saving = _Saving(block, snapshot, path, side)
            if base is None or base.header != snapshot.header or not saving.changes(base):
                saving.whole()
    except ReplayError:
        raise
    except (OSError, RuntimeError) as error:
        # RuntimeError: a symbolic link that leads to itself, up to Python 3.12.
        raise BlockError(f"{str(path)!r} cannot be written: {error}") from None


class _Base:
    """The snapshot that lies at the path, open and this saver's own."""

    def __init__(self, descriptor: int, snapshot: SnapshotLayout) -> None:
        self.descriptor = descriptor
        self.snapshot = snapshot
        self.header = snapshot.header
        self.front = read_front(descriptor, snapshot)


@contextlib.contextmanager
def _base(path: pathlib.Path, side: SideFile) -> Iterator[_Base | None]:
    """Open the snapshot at a path and finish its journal; None where it cannot be gone on from."""
    pending = begins_as_journal(side.descriptor)
    try:
        descriptor = open_file(path, write=True)
    except FileNotFoundError:
        yield None
        return
    except PermissionError:
        if pending:
            # The journal may be the only whole state there is.
            raise
        yield None
        return
    try:
        yield _finished(descriptor, side, pending)
    finally:
        os.close(descriptor)


def _finished(descriptor: int, side: SideFile, pending: bool) -> _Base | None:
    # Who loads holds the file for as long; a journal that may count cannot be written over before.
    mine = locked(descriptor, wait=pending)
    try:
        base = _Base(descriptor, read_layout(descriptor))
        if pending:
            journal = read_journal(side.descriptor, base.snapshot, base.front.root)
            if journal is not None:
                with side.kept():
                    journal.apply(descriptor)
                base = _Base(descriptor, base.snapshot)
        base.front.check()
    except BlockFormatError:
        return None
    state = os.fstat(descriptor)
    # Another name of the file is somebody's who wants to keep it as it is.
    return base if mine and state.st_nlink == 1 and own(state) else None


class _Saving:
    """One save: from a block into its side file, and from there to the path."""

    def __init__(
        self, block: Block, snapshot: SnapshotLayout, path: pathlib.Path, side: SideFile
    ) -> None:
        self._block = block
        self._snapshot = snapshot
        self._path = path
        self._side = side

    def whole(self) -> None:
        """Write a whole file and let it take the name."""
        side, snapshot = self._side, self._snapshot
        side.clear()
        os.ftruncate(side.descriptor, snapshot.nbytes)
        write_at(side.descriptor, snapshot.header, 0)
        front = self._copy(np.zeros(0, np.int64), None)
        write_at(side.descriptor, front.content, snapshot.front[0])
        fault_point(SAVE_WRITTEN)
        os.fsync(side.descriptor)
        fault_point(SAVE_SYNCED)
        side.become()
        fault_point(SAVE_RENAMED)
        sync_folder(self._path.parent)

    def changes(self, base: _Base) -> bool:
        """Write what differs from a snapshot; False: too much for that, nothing was written."""
        side, snapshot = self._side, self._snapshot
        heads = self._block.part("heads")
        rows = snapshot.layout.rows
        # Each new ticket has a row overwritten: known before a byte is read.
        new = int(np.clip(heads[:, HEAD] - base.front.heads[:, HEAD], 0, rows).sum())
        if 2 * new > snapshot.layout.capacity:
            return False
        side.clear()
        journal = JournalWriter(side.descriptor, snapshot, base.front.root)
        try:
            front = self._copy(journal.words, base.front.checksums)
        except _TooMuchError:
            return False
        if front.root == base.front.root:
            os.fsync(base.descriptor)
            return True
        counted = journal.commit(front)
        # Its name must last before the first byte is written over.
        sync_folder(self._path.parent)
        with side.kept():
            fault_point(JOURNAL_COMMITTED)
            counted.apply(base.descriptor)
            fault_point(JOURNAL_APPLIED)
        # Its removal need not last: a journal that comes back is of this state, or counts not.
        return True

    def _copy(self, journal: npt.NDArray[np.int64], old: npt.NDArray[np.uint64] | None) -> Front:
        """Take the block piece by piece, and all that is said of the rows in front of them."""
        snapshot, block, descriptor = self._snapshot, self._block, self._side.descriptor
        front = Front.of(snapshot, block)
        kept, holder = _kept(block)
        parts = snapshot.heap

        def worker() -> Callable[[int, int], None]:
            stage = Stage(snapshot, block, descriptor, front, parts)

            def work(first: int, count: int) -> None:
                code = stage.save(journal, old, kept, first, count)
                if code == TOO_MUCH:
                    raise _TooMuchError
                if code != DONE:
                    # What the kernel could not write is tried again here, to raise what it was.
                    write_at(
                        descriptor, bytes(max(snapshot.widths) * snapshot.room), snapshot.nbytes
                    )
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

            return work

        what = f"saving {in_bytes(snapshot.nbytes)} to {self._path}"
        # The heap first: a row that is whole after that has had its bytes copied.
        if "heap" in snapshot.parts:
            spread(snapshot.pieces(), worker, what)
        parts = snapshot.rows
        spread(snapshot.pieces(), worker, what)
        del holder
        largest = block.part("control")[words.PRIORITY, 0]
        # A row's leaf may be from after the counters were read.
        front.control[words.PRIORITY, 0] = max(front.control[words.PRIORITY, 0], largest)
        front.seal()
        return front


def _kept(block: Block) -> tuple[npt.NDArray[np.int64], Handle | None]:
    """Say what of the heap will be in a snapshot whose heads were taken, see `walk_copy`."""
    if not block.layout.room:
        return np.zeros(0, np.int64), None
    # Keeps the words that the first one points at.
    handle = make_handle(block, 0)
    writing = block.part("writing")
    unfinished = writing[writing[:, BYTES_OF] > 0][:, [STREAM_OF, POSITION_OF]]
    if unfinished.size:
        # Not those that were announced, and then claimed and finished by somebody else.
        layout, records = block.layout, block.part("records")
        place = next(layout.places[name] for name, f in layout.schema.fields.items() if f.heaped)
        whole = np.flatnonzero((records[:, 0] != 0) & (records[:, 0] & 1 == 0))
        rows = np.stack([whole // layout.rows, records[whole, place.offset // 8]], axis=1)
        finished = (unfinished[:, None] == rows).all(axis=2).any(axis=1)
        unfinished = unfinished[~finished]
    return np.append(handle[words.HEAP], unfinished.reshape(-1)), handle
