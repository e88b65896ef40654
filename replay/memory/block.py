"""A block: one piece of mapped memory that describes itself."""

import atexit
import contextlib
import errno
import mmap
import multiprocessing
import multiprocessing.util
import os
import pathlib
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
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
from replay.memory.home import check_folder, check_memory, in_bytes, named_path
from replay.memory.layout import MOST_PAGES, PAGE, Layout, read_header
from replay.progress import Progress

if sys.platform != "win32":
    import fcntl

#: What the ready word holds once all else is in place: "REPLAY01" as a little-endian integer.
READY_WORD = int.from_bytes(b"REPLAY01", "little")
#: A block is for its user alone.
MODE = 0o600
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
        _all_held.add(self.held)
        # Children of multiprocessing end without the interpreter's exit, and forget what was
        # registered before they began to run, but not this.
        multiprocessing.util.register_after_fork(self.held, Held.release_at_end)
        if multiprocessing.parent_process() is not None:
            self.held.release_at_end(self.held)

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
            descriptor = _create(path)
        except FileExistsError:
            raise BlockExistsError(_exists(path, named)) from None
        except OSError as error:
            raise BlockError(f"{where} cannot be created: {error}") from None
        try:
            _reserve(descriptor, layout.nbytes, where)
            fault_point(RESERVED)
            memory = _map(descriptor, layout.nbytes)
        except BaseException:
            # Ctrl-C too: what is half made must not stay.
            _remove(path, descriptor)
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
            _lock(descriptor)
            if not os.fstat(descriptor).st_nlink:
                raise BlockMissingError(f"there is no {where}: it was removed at this moment")
            size = os.fstat(descriptor).st_size
            start = os.read(descriptor, PAGE * MOST_PAGES)
            try:
                layout = read_header(start, size)
            except BlockFormatError as error:
                raise BlockFormatError(f"{where} is no block of ours: {error}") from None
            memory = _map(descriptor, size)
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
        return self.path is not None and descriptor is not None and _is_at(self.path, descriptor)

    def close(self) -> None:
        """Let the block go; its creator unlinks the name. Closing twice is harmless."""
        self._release()
        self.memory = self.memory[:0].copy()

    def discard(self) -> None:
        """Close a block that was never finished, and remove its file, which nobody can attach."""
        if self.path is not None and self.held.descriptor is not None:
            _remove(self.path, self.held.descriptor)
        self.close()

    def _begin(self) -> None:
        """Write the header; the ready word is for whoever has filled the control words."""
        header = np.frombuffer(self.layout.header, np.uint8)
        self.memory[: header.size] = header
        fault_point(HEADED)


class Held:
    """
    What a process holds of a block, and lets go when it closes the block or ends.

    Parameters
    ----------
    path : pathlib.Path or None
    descriptor : int or None
        An open file, with the locks that others see.
    creator : int
        The process that made the block, 0 for another one than this.
    unlink : bool
        Whether the creator removes the file.
    """

    def __init__(
        self, path: pathlib.Path | None, descriptor: int | None, creator: int, unlink: bool
    ) -> None:
        self.path = path
        self.descriptor = descriptor
        self.creator = creator
        self.unlink = unlink
        #: Leaves the register, see `Members.leave`.
        self.leave: Callable[[bool], bool] = _nothing
        self._at_end: multiprocessing.util.Finalize | None = None

    @property
    def created(self) -> bool:
        """Whether this process made the block; a child that was forked since did not."""
        return self.creator == os.getpid()

    def release(self, at_end: bool = False) -> None:
        """
        Leave the register, close, and where this process created the block unlink it.

        Parameters
        ----------
        at_end : bool
            The process ends with the block open.
        """
        leave, self.leave = self.leave, _nothing
        left = leave(at_end)
        if self._at_end is not None:
            self._at_end.cancel()
            self._at_end = None
        if self.path is not None and self.descriptor is not None and self.created and self.unlink:
            self.unlink = False
            _remove(self.path, self.descriptor)
        # With other threads inside, the locks are held until the process has ended.
        if left and self.descriptor is not None:
            descriptor, self.descriptor = self.descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def reopen(self) -> None:
        """
        Open the file anew in a child after a fork.

        Locks belong to what was opened, and the parent holds those of what the child inherits.
        """
        if self.descriptor is None:
            return
        inherited, self.descriptor = self.descriptor, None
        try:
            descriptor = _open_again(inherited)
            # Before the inherited one goes: without any lock the file is taken for a leftover.
            _lock(descriptor)
        finally:
            os.close(inherited)
        self.descriptor = descriptor

    @staticmethod
    def release_at_end(held: "Held") -> None:
        """Have a child of multiprocessing release what it holds."""
        # Late: after the threads of multiprocessing's queues, of priority -5, have ended.
        held._at_end = multiprocessing.util.Finalize(
            held, Held.release, (held, True), exitpriority=-10
        )


def _nothing(at_end: bool) -> bool:
    return True


_all_held: "weakref.WeakSet[Held]" = weakref.WeakSet()


@atexit.register
def _release_all() -> None:
    for held in list(_all_held):
        held.release(at_end=True)


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
        with held_alone(path) as descriptor:
            if descriptor is not None:
                path.unlink()
                return
    except FileNotFoundError:
        raise BlockMissingError(f"there is no buffer {name!r}: {path} does not exist") from None
    except OSError as error:
        raise BlockError(f"buffer {name!r} cannot be removed: {error}") from None
    raise BlockError(f"buffer {name!r} is open in a process: force=True removes its name")


@contextlib.contextmanager
def held_alone(path: pathlib.Path) -> Iterator[int | None]:
    """
    Keep everybody else from opening a file of a block, to look at it and remove it.

    Whoever attaches or creates at this moment waits for the lock, and then finds the file removed.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    int or None
        The open file; None where a process has it open, or there is no telling.

    Raises
    ------
    OSError
        There is no such file, it may not be opened, or is no regular one.
    """
    descriptor = open_to_look(path)
    try:
        yield descriptor if _alone(descriptor, path) else None
    finally:
        os.close(descriptor)


def open_to_look(path: pathlib.Path) -> int:
    """
    Open a file for reading, and wait for nothing, whatever lies there.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    int
        The open file.

    Raises
    ------
    OSError
        There is no such file, it may not be opened, or is no regular one.
    """
    flags = os.O_RDONLY
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        # Not even opened: opening a device may do something.
        raise OSError(errno.EINVAL, "it is no regular file")
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor


def _alone(descriptor: int, path: pathlib.Path) -> bool:
    """Take the lock that those who have a block open share, if none of them is there."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Removed, and perhaps created anew, between opening and locking.
    if not _is_at(path, descriptor):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return True


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
    try:
        with held_alone(path) as descriptor:
            return descriptor is None
    except OSError:
        return True


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


def _create(path: pathlib.Path) -> int:
    """Create a file that did not exist, and lock it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    while True:
        descriptor = os.open(path, flags, MODE)
        try:
            _lock(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            _remove(path, descriptor)
            os.close(descriptor)
            raise
        # Taken for a leftover and removed between the two steps above.
        os.close(descriptor)


def _remove(path: pathlib.Path, descriptor: int) -> None:
    """Remove the name of an open file, where it has not become another file's meanwhile."""
    with contextlib.suppress(OSError):
        if _is_at(path, descriptor):
            path.unlink()


def _is_at(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open_again(descriptor: int) -> int:
    """Open the file of a descriptor anew, by no path: that may be gone, or another file's."""
    return os.open(f"/dev/fd/{descriptor}", os.O_RDWR | getattr(os, "O_CLOEXEC", 0))


def _map(descriptor: int, nbytes: int) -> mmap.mmap:
    """Map a file by an opening of its own: a mapping keeps that open, with the locks it has."""
    if sys.platform != "linux":
        return mmap.mmap(descriptor, nbytes)
    other = _open_again(descriptor)
    try:
        return mmap.mmap(other, nbytes)
    finally:
        os.close(other)


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
            had = os.fstat(descriptor).st_blocks * 512
            raise RoomError(
                f"{where} needs {in_bytes(nbytes)}, the room ran out after {in_bytes(had)}: "
                f"{error.strerror}"
            ) from None
        raise BlockError(f"{where} cannot be given {in_bytes(nbytes)}: {error}") from None
    finally:
        progress.end()
