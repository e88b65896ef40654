"""A block: one piece of mapped memory that describes itself."""

import contextlib
import errno
import mmap
import os
import pathlib
import stat
import sys
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.handle import READY
from replay.errors import (
    BlockError,
    BlockExistsError,
    BlockFormatError,
    BlockMissingError,
    ClosedError,
    RoomError,
)
from replay.memory.home import check_folder, check_memory, in_bytes, named_path
from replay.memory.layout import MOST_PAGES, PAGE, Layout, read_header
from replay.progress import Progress

if sys.platform != "win32":
    import fcntl

#: What the ready word holds once all else is in place: "REPLAY01" as a little-endian integer.
READY_WORD = int.from_bytes(b"REPLAY01", "little")
#: Bytes reserved at a time, so that a long reservation can say how far it is.
_STEP = 1 << 28


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
    unlink : bool
        Whether closing removes the file.
    """

    def __init__(
        self,
        layout: Layout,
        memory: mmap.mmap,
        path: pathlib.Path | None,
        descriptor: int | None,
        unlink: bool,
    ) -> None:
        self.layout = layout
        self.path = path
        self.memory: npt.NDArray[np.uint8] = np.frombuffer(memory, np.uint8)
        self._release = weakref.finalize(self, _release, path, descriptor, unlink, os.getpid())

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
        block = cls(layout, memory, None, None, False)
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
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise BlockExistsError(_exists(path, named)) from None
        except OSError as error:
            raise BlockError(f"{where} cannot be created: {error}") from None
        try:
            _lock(descriptor)
            _reserve(descriptor, layout.nbytes, where)
            memory = mmap.mmap(descriptor, layout.nbytes)
        except BaseException:
            # Ctrl-C too: what is half made must not stay.
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        block = cls(layout, memory, path, descriptor, named)
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
            _lock(descriptor)
            size = os.fstat(descriptor).st_size
            start = os.read(descriptor, PAGE * MOST_PAGES)
            try:
                layout = read_header(start, size)
            except BlockFormatError as error:
                raise BlockFormatError(f"{where} is no block of ours: {error}") from None
            memory = mmap.mmap(descriptor, size)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, BlockError):
                raise BlockError(f"{where} cannot be mapped: {error}") from None
            raise
        block = cls(layout, memory, path, descriptor, False)
        if load_word(block.part("control"), READY) != READY_WORD:
            block.close()
            raise BlockFormatError(
                f"{where} is no block of ours: its creator did not finish it, or is still at it"
            )
        return block

    @staticmethod
    def layout_of(path: pathlib.Path) -> Layout:
        """
        Read the layout of a file, checking every byte of its header.

        Raises
        ------
        BlockMissingError, BlockFormatError, BlockError
        """
        if path.exists() and not path.is_file():
            raise BlockFormatError(f"{str(path)!r} is no block of ours: it is no regular file")
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                return read_header(file.read(PAGE * MOST_PAGES), size)
        except FileNotFoundError:
            raise BlockMissingError(f"{str(path)!r} does not exist") from None
        except BlockFormatError as error:
            raise BlockFormatError(f"{str(path)!r} is no block of ours: {error}") from None
        except OSError as error:
            raise BlockError(f"{str(path)!r} cannot be read: {error}") from None

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

    def flush(self) -> None:
        """Hand the pages of a file on disk to it; no news for the other homes."""
        if isinstance(self.memory.base, mmap.mmap):
            self.memory.base.flush()

    def close(self) -> None:
        """Let the block go; its creator unlinks the name. Closing twice is harmless."""
        self._release()
        self.memory = self.memory[:0].copy()

    def discard(self) -> None:
        """Close a block that was never finished, and remove its file, which nobody can attach."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.close()

    def _begin(self) -> None:
        """Write the header; the ready word is for whoever has filled the control words."""
        header = np.frombuffer(self.layout.header, np.uint8)
        self.memory[: header.size] = header


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
    if not path.exists():
        raise BlockMissingError(f"there is no buffer {name!r}: {path} does not exist")
    if not force and in_use(path):
        raise BlockError(f"buffer {name!r} is open in a process: force=True removes its name")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BlockError(f"buffer {name!r} cannot be removed: {error}") from None


def in_use(path: pathlib.Path) -> bool:
    """
    Say whether any process has a block open.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bool
        True too where there is no telling: the system has no file locks, or what lies there is
        no file that this process may open.
    """
    if sys.platform == "win32" or not path.is_file():
        return True
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def shown(path: pathlib.Path, named: bool) -> str:
    """Name a block in a message: by its name, or by its path."""
    return repr(path.name.removeprefix("replay.")) if named else repr(str(path))


def _exists(path: pathlib.Path, named: bool) -> str:
    where = shown(path, named)
    if not named:
        return f"{where} exists already: replay.attach(path={where}) opens it"
    if in_use(path):
        return f"buffer {where} exists and is in use: replay.attach({where}) joins it"
    return (
        f"buffer {where} was left behind by a process that was killed: replay.attach({where}) "
        f"opens it, replay.unlink({where}) removes it"
    )


def _lock(descriptor: int) -> None:
    """Hold a shared lock for as long as the file is open; the system drops it with the process."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _reserve(descriptor: int, nbytes: int, where: str) -> None:
    """Make a full disk an error now, and not a bus error at the first touch of a page."""
    os.ftruncate(descriptor, nbytes)
    if not hasattr(os, "posix_fallocate"):
        return
    progress = Progress(f"reserving {in_bytes(nbytes)} for {where}", nbytes)
    try:
        for start in range(0, nbytes, _STEP):
            os.posix_fallocate(descriptor, start, min(_STEP, nbytes - start))
            progress.step(start)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
            raise RoomError(
                f"{where} needs {in_bytes(nbytes)}, the room ran out: {error.strerror}"
            ) from None
        raise BlockError(f"{where} cannot be given {in_bytes(nbytes)}: {error}") from None
    finally:
        progress.end()


def _release(
    path: pathlib.Path | None, descriptor: int | None, unlink: bool, creator: int
) -> None:
    """Close and, in the process that created it alone, unlink."""
    if path is not None and unlink and os.getpid() == creator:
        with contextlib.suppress(OSError):
            path.unlink()
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)
