"""The file of a block: created, locked, mapped, looked at and removed."""

import contextlib
import errno
import mmap
import os
import pathlib
import stat
import sys
import time
from collections.abc import Iterator

from replay.errors import BlockError, RoomError
from replay.memory.home import in_bytes
from replay.progress import Progress

if sys.platform != "win32":
    import fcntl

#: A block is for its user alone.
MODE = 0o600
#: Bytes reserved at a time, so that a long reservation can say how far it is.
_STEP = 1 << 28
#: Seconds that the lock of one who removes the file is waited for.
_PATIENCE = 5.0


def create_file(path: pathlib.Path) -> int:
    """Create a file that did not exist, and lock it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    while True:
        descriptor = os.open(path, flags, MODE)
        try:
            lock_file(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            remove_file(path, descriptor)
            os.close(descriptor)
            raise
        # Taken for a leftover and removed between the two steps above.
        os.close(descriptor)


def remove_file(path: pathlib.Path, descriptor: int) -> None:
    """Remove the name of an open file, where it has not become another file's meanwhile."""
    with contextlib.suppress(OSError):
        if is_at(path, descriptor):
            path.unlink()


def is_at(path: pathlib.Path, descriptor: int) -> bool:
    """Say whether a path leads to an open file, and to no other."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def open_again(descriptor: int) -> int:
    """Open the file of a descriptor anew, by no path: that may be gone, or another file's."""
    return os.open(f"/dev/fd/{descriptor}", os.O_RDWR | getattr(os, "O_CLOEXEC", 0))


def map_file(descriptor: int, nbytes: int) -> mmap.mmap:
    """Map a file by an opening of its own: a mapping keeps that open, with the locks it has."""
    if sys.platform != "linux":
        return mmap.mmap(descriptor, nbytes)
    other = open_again(descriptor)
    try:
        return mmap.mmap(other, nbytes)
    finally:
        os.close(other)


def lock_file(descriptor: int) -> None:
    """
    Hold a shared lock for as long as the file is open; the system drops it with the process.

    Whoever removes a leftover holds it alone for some microseconds. One that is stopped just then
    is not waited for.
    """
    if sys.platform == "win32":
        return
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise BlockError(
                    "its file is locked by a process that is about to remove it, and stopped"
                ) from None
            time.sleep(0.001)
        else:
            return


def reserve(descriptor: int, nbytes: int, where: str) -> None:
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
        yield descriptor if lock_alone(descriptor, path) else None
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


def lock_alone(descriptor: int, path: pathlib.Path) -> bool:
    """Take the lock that those who have a block open share, if none of them is there."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Removed, and perhaps created anew, between opening and locking.
    if not is_at(path, descriptor):
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
