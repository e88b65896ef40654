"""Loads: what a snapshot holds, checked and brought into a block."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from kernels import handle as words
from kernels.dictionary import OWNER
from kernels.jit import interpreted
from kernels.minimum import minimum_rebuild
from kernels.ring import FILLED, STEPS
from kernels.tree import tree_levels, tree_rebuild
from kernels.walk_snapshot import DAMAGED, DONE, EMPTY, FRESH, IMPOSSIBLE, LOOK, PASTE
from replay.errors import BlockError, BlockFormatError, BlockMissingError, ReplayError
from replay.memory.block import READY_WORD, Block
from replay.memory.home import in_bytes
from replay.memory.journal import Journal, read_journal
from replay.memory.layout import Layout
from replay.memory.safetensors import Part
from replay.memory.side_file import open_file, read_at, shared, side_path
from replay.memory.snapshot_front import Front, read_front, read_layout
from replay.memory.snapshot_layout import SnapshotLayout
from replay.memory.spread import spread
from replay.memory.stage import Stage


def snapshot_layout_of(path: pathlib.Path) -> Layout:
    """
    Read of which layout the buffer in a snapshot is.

    Raises
    ------
    BlockMissingError, BlockFormatError, BlockError
    """
    with _reading(path) as descriptor:
        return read_layout(descriptor).layout


def read_snapshot(path: pathlib.Path, block: Block) -> None:
    """
    Fill a block with a snapshot of the same layout.

    Parameters
    ----------
    path : pathlib.Path
    block : Block
        *Written*. One that is in use already, after every check has passed; a fresh one at once:
        it is to be thrown away if this raises.

    Raises
    ------
    BlockMissingError, BlockFormatError, BlockError
    """
    with _reading(path) as descriptor, contextlib.ExitStack() as opened:
        snapshot = read_layout(descriptor)
        if snapshot.layout.header != block.layout.header:
            raise BlockFormatError(
                "it is of another buffer: its fields, capacity, streams, sampler or limiter differ"
            )
        front = read_front(descriptor, snapshot)
        journal = _journal(path.resolve(), descriptor, snapshot, front, opened)
        if journal is not None:
            front = journal.front
        front.check()
        loading = _Loading(descriptor, snapshot, front, journal)
        if block.part("control")[words.READY, 0] == READY_WORD:
            loading.read(None, LOOK, f"checking {in_bytes(snapshot.nbytes)} of {path}")
            into = PASTE
        else:
            into = FRESH
        what = f"loading {in_bytes(snapshot.nbytes)} from {path}"
        rows = slice(None)
        if into == PASTE and "heap" in snapshot.parts:
            # Readers that are inside a row must see its word change before its bytes do.
            rows = snapshot.rows
            loading.read(block, EMPTY, what, rows)
            loading.read(block, PASTE, what, snapshot.heap)
        loading.teach(block)
        loading.read(block, into, what, rows)
        loading.finish(block)


class _Loading:
    """One load: from a file, and its journal if there is one, into a block."""

    def __init__(
        self, descriptor: int, snapshot: SnapshotLayout, front: Front, journal: Journal | None
    ) -> None:
        self._descriptor = descriptor
        self._snapshot = snapshot
        self._front = front
        self._journal = journal

    def read(self, block: Block | None, into: int, what: str, parts: slice = slice(None)) -> None:
        """Read and check some parts or all, and bring them into a block, or only look at them."""
        snapshot, front = self._snapshot, self._front
        heads = front.heads.copy()
        heads[:, FILLED] = 0
        found = np.empty_like(front.checksums)
        journal = -1, np.zeros((0, 0), np.int64)
        if self._journal is not None:
            journal = self._journal.descriptor, self._journal.where()

        def worker() -> Callable[[int, int], None]:
            stage = Stage(snapshot, block, self._descriptor, front, parts)

            def work(first: int, count: int) -> None:
                code = stage.load(heads, found, journal, into, first, count)
                if code != DONE:
                    self._explain(code, snapshot.cut[parts])

            return work

        for start, end in snapshot.gaps():
            gap = np.empty(end - start, np.uint8)
            if not read_at(self._descriptor, gap, start) or gap.any():
                raise BlockFormatError("it is damaged between its parts")
        spread(snapshot.pieces(), worker, what)
        counted = into != EMPTY and (parts.start or 0) == 0
        if counted and (heads[:, FILLED] != front.heads[:, FILLED]).any():
            raise BlockFormatError("it does not hold as many rows as it says")

    def _explain(self, code: int, cut: list[Part]) -> None:
        """Raise what a kernel's code stands for, of some parts."""
        snapshot = self._snapshot
        place, kind = divmod(code, 3)
        slot, part = divmod(place, len(cut))
        if kind == IMPOSSIBLE:
            raise BlockFormatError(f"its slot {slot} holds what no slot can")
        if kind == DAMAGED:
            last = min(slot + snapshot.chunk, snapshot.layout.capacity) - 1
            name = next(name for name, one in snapshot.parts.items() if one is cut[part])
            raise BlockFormatError(
                f"it is damaged: the {name} of slots {slot} to {last} do not fit their checksum"
            )
        # What the kernel could not read is tried again here, to raise what it was.
        read_at(self._descriptor, bytearray(1), snapshot.nbytes - 1)
        raise BlockFormatError("it was cut short meanwhile")

    def teach(self, block: Block) -> None:
        """Set the dictionaries, before the first row comes that was packed against them."""
        if self._front.dictionaries is not None:
            dictionaries = block.part("dictionaries")
            dictionaries[:] = self._front.dictionaries
            # Of whoever the file names as adding a row, nobody here is.
            dictionaries[:, OWNER] = 0

    def finish(self, block: Block) -> None:
        """Set what follows from the rows, and the counters."""
        heads = self._front.heads.copy()
        # Whoever writes steps is in an episode of another log: a stream is to be taken anew.
        heads[:, STEPS] = 0
        block.part("heads")[:] = heads
        if "tree" in block.layout.parts:
            tree = block.part("tree")
            levels = interpreted(tree_levels)(block.layout.capacity)
            tree_rebuild(tree, levels)
            if "minima" in block.layout.parts:
                minimum_rebuild(block.part("minima"), tree, levels)
        control = block.part("control")
        durability = control[words.DURABILITY].copy()
        control[words.GENERATOR :] = self._front.control[words.GENERATOR :]
        # What the block's own file is worth is not in the snapshot.
        control[words.DURABILITY] = durability
        if self._front.cursors is not None:
            block.part("cursors")[:] = self._front.cursors


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[int]:
    """Open a snapshot while no save writes into it, and say of which file an error is."""
    try:
        descriptor = open_file(path.resolve())
        try:
            shared(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise BlockMissingError(f"{str(path)!r} does not exist") from None
    except IsADirectoryError:
        raise BlockFormatError(f"{str(path)!r} is no snapshot: it is no regular file") from None
    except BlockFormatError as error:
        raise BlockFormatError(f"{str(path)!r} is no snapshot to load: {error}") from None
    except ReplayError:
        raise
    except (OSError, RuntimeError) as error:
        raise BlockError(f"{str(path)!r} cannot be read: {error}") from None


def _journal(
    path: pathlib.Path,
    descriptor: int,
    snapshot: SnapshotLayout,
    front: Front,
    opened: contextlib.ExitStack,
) -> Journal | None:
    """Open the journal beside a snapshot, if it counts."""
    try:
        side = open_file(side_path(path))
    except OSError:
        return None
    opened.callback(os.close, side)
    # In a folder for all, anyone could put one there.
    if os.fstat(side).st_uid != os.fstat(descriptor).st_uid:
        return None
    return read_journal(side, snapshot, front.root)
