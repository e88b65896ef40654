"""A block: one piece of mapped memory that describes itself."""

import contextlib
import mmap
import os
import pathlib
import stat
import sys
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.faults import HEADED, RESERVED, fault_point
from kernels.handle import READY
from replay.errors import (
    BlockError,
    BlockExistsError,
    BlockFormatError,
    BlockMissingError,
    ClosedError,
    RoomError,
)
from replay.memory import block_file
from replay.memory.held import Held, all_held
from replay.memory.home import check_folder, check_memory, in_bytes, named_path
from replay.memory.layout import Layout, read_header
from replay.memory.safetensors import MOST_PAGES, PAGE

#: What the ready word holds once all else is in place: "REPLAY01" as a little-endian integer.
READY_WORD = int.from_bytes(b"REPLAY01", "little")


class Block:
    """
    Owns the mapping of one block and gives out its parts as arrays.

    The mapping lives until the last array into it is gone, so no array dangles after `close`. A
    named block is unlinked by the process that created it, when it closes the block or exits; a
    file on disk stays.

    Parameters
    ----------
    layout : Layout
    memory : mmap.mmap
    path : pathlib.Path or None
        None for a private block.
    descriptor : int or None
        An open file whose shared lock tells others that the block is in use.
    created : bool
        Whether this opening made the block.
    unlink : bool
        Whether closing removes the file.
    """

    def __init__(
        self,
        layout: Layout,
        memory: mmap.mmap,
        path: pathlib.Path | None,
        descriptor: int | None,
        created: bool,
        unlink: bool,
    ) -> None:
        self.layout = layout
        self.path = path
        #: Whether it is known by a name, and not by the path of its file.
        self.named = False
        self.memory: npt.NDArray[np.uint8] = np.frombuffer(memory, np.uint8)
        self.held = Held(path, descriptor, os.getpid() if created else 0, unlink)
        self._release = weakref.finalize(self, self.held.release)
        self._release.atexit = False
        all_held.add(self.held)

    @classmethod
    def private(cls, layout: Layout) -> "Block":
        """
        Create a block for this process and its threads.

        Raises
        ------
        RoomError
        """
        check_memory(layout.nbytes, "a private buffer")
        try:
            if sys.platform == "win32":
                memory = mmap.mmap(-1, layout.nbytes)
            else:
                # Private pages: after a fork, parent and child each have a buffer of their own.
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
                memory = mmap.mmap(-1, layout.nbytes, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise RoomError(
                f"a private buffer needs {in_bytes(layout.nbytes)} of memory: {error}"
            ) from None
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):
                # Random rows of gigabytes in 4 KiB pages miss the TLB at each draw.
                memory.madvise(mmap.MADV_HUGEPAGE)
        block = cls(layout, memory, None, None, True, False)
        block._begin()
        return block

    @classmethod
    def create(cls, layout: Layout, path: pathlib.Path, *, named: bool) -> "Block":
        """
        Create a block in a file that did not exist.

        Parameters
        ----------
        layout : Layout
        path : pathlib.Path
        named : bool
            In shared memory: gone when its creator closes it.

        Raises
        ------
        BlockExistsError, RoomError, BlockError
        """
        where = f"buffer {shown(path, named)}"
        check_folder(layout.nbytes, path.parent, where)
        if named:
            check_memory(layout.nbytes, where)
        try:
            descriptor = block_file.create_file(path)
        except FileExistsError:
            raise BlockExistsError(_exists(path, named)) from None
        except OSError as error:
            raise BlockError(f"{where} cannot be created: {error}") from None
        try:
            block_file.reserve(descriptor, layout.nbytes, where)
            fault_point(RESERVED)
            memory = block_file.map_file(descriptor, layout.nbytes)
        except BaseException:
            # Ctrl-C too: what is half made must not stay.
            block_file.remove_file(path, descriptor)
            os.close(descriptor)
            raise
        block = cls(layout, memory, path, descriptor, True, named)
        block.named = named
        block._begin()
        return block

    @classmethod
    def attach(cls, path: pathlib.Path, *, named: bool) -> "Block":
        """
        Map a block that exists, after checking every byte of its header.

        Parameters
        ----------
        path : pathlib.Path
        named : bool

        Raises
        ------
        BlockMissingError, BlockFormatError, BlockError
        """
        where = f"buffer {shown(path, named)}"
        try:
            flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise BlockMissingError(f"there is no {where}: {path} does not exist") from None
        except OSError as error:
            raise BlockError(f"{where} cannot be opened: {error}") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                # To read from a pipe would be to wait for ever.
                raise BlockFormatError(f"{where} is no block of ours: it is no regular file")
            block_file.lock_file(descriptor)
            if not os.fstat(descriptor).st_nlink:
                raise BlockMissingError(f"there is no {where}: it was removed at this moment")
            size = os.fstat(descriptor).st_size
            start = os.read(descriptor, PAGE * MOST_PAGES)
            try:
                layout = read_header(start, size)
            except BlockFormatError as error:
                raise BlockFormatError(f"{where} is no block of ours: {error}") from None
            memory = block_file.map_file(descriptor, size)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, BlockError):
                raise BlockError(f"{where} cannot be mapped: {error}") from None
            raise
        block = cls(layout, memory, path, descriptor, False, False)
        block.named = named
        if load_word(block.part("control"), READY) != READY_WORD:
            block.close()
            raise BlockFormatError(
                f"{where} is no block of ours: its creator did not finish it, or is still at it"
            )
        return block

    def part(self, name: str) -> npt.NDArray[Any]:
        """
        View a part of the layout, without a copy.

        Raises
        ------
        ClosedError
        """
        part = self.layout.parts[name]
        if not self._release.alive:
            raise ClosedError("the buffer is closed")
        view = self.memory[part.offset : part.offset + part.nbytes].view(part.dtype)
        return view.reshape(part.shape)

    @property
    def closed(self) -> bool:
        """Whether this process has let the block go."""
        return not self._release.alive

    def is_at_its_path(self) -> bool:
        """Say whether others can still open the block."""
        descriptor = self.held.descriptor
        return (
            self.path is not None
            and descriptor is not None
            and block_file.is_at(self.path, descriptor)
        )

    def close(self) -> None:
        """Let the block go; its creator unlinks the name. Closing twice is harmless."""
        self._release()
        self.memory = self.memory[:0].copy()

    def discard(self) -> None:
        """Close a block that was never finished, and remove its file, which nobody can attach."""
        if self.path is not None and self.held.descriptor is not None:
            block_file.remove_file(self.path, self.held.descriptor)
        self.close()

    def _begin(self) -> None:
        """Write the header; the ready word is for whoever has filled the control words."""
        header = np.frombuffer(self.layout.header, np.uint8)
        self.memory[: header.size] = header
        fault_point(HEADED)


def load_word(control: npt.NDArray[np.int64], line: int) -> int:
    """Read word 0 of a line of the control words."""
    return int(control[line, 0])


def unlink(name: str, *, force: bool = False) -> None:
    """
    Remove a named block that nobody has open: what a killed process left behind.

    Parameters
    ----------
    name : str
    force : bool
        Remove it even while processes have it open; they keep their mapping.

    Raises
    ------
    BlockMissingError
        No block has this name.
    BlockError
        A process has it open, and `force` was not given.
    """
    path = named_path(name)
    try:
        if force:
            path.unlink()
            return
        with block_file.held_alone(path) as descriptor:
            if descriptor is not None:
                path.unlink()
                return
    except FileNotFoundError:
        raise BlockMissingError(f"there is no buffer {name!r}: {path} does not exist") from None
    except OSError as error:
        raise BlockError(f"buffer {name!r} cannot be removed: {error}") from None
    raise BlockError(f"buffer {name!r} is open in a process: force=True removes its name")


def shown(path: pathlib.Path, named: bool) -> str:
    """Name a block in a message: by its name, or by its path."""
    return repr(path.name.removeprefix("replay.")) if named else repr(str(path))


def _exists(path: pathlib.Path, named: bool) -> str:
    where = shown(path, named)
    if not named:
        return f"{where} exists already: replay.attach(path={where}) opens it"
    if block_file.in_use(path):
        return f"buffer {where} exists and is in use: replay.attach({where}) joins it"
    return (
        f"buffer {where} was left behind by a process that was killed: replay.attach({where}) "
        f"opens it, replay.unlink({where}) removes it"
    )
