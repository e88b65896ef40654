"""The file beside a snapshot: what a save writes before the snapshot may be touched."""

import contextlib
import os
import pathlib
import stat
import sys
from collections.abc import Iterator
from typing import Any

from replay.errors import BlockError

if sys.platform != "win32":
    import fcntl

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def side_path(path: pathlib.Path) -> pathlib.Path:
    """Name the file beside a snapshot: one name, so that killed savers leave one file at most."""
    return path.with_name(f".{path.name}.saving")


class SideFile:
    """
    Owns the file beside a snapshot, empty or as a killed saver left it, and the right to save.

    Its lock is the saver's: one at a time saves to a path, and the system drops the lock with the
    process. It is removed at the end, unless it took the snapshot's name, or an error came while
    it was `kept`.

    Parameters
    ----------
    path : pathlib.Path
        Of the snapshot.

    Raises
    ------
    BlockError
        Another one saves to this path, or what lies there is not ours.
    OSError
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._target = path
        self._path = side_path(path)
        self._remove = True
        while True:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _FLAGS | _BINARY, 0o600)
            try:
                state = os.fstat(self.descriptor)
                if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1 or not own(state):
                    raise BlockError(
                        f"{str(path)!r} cannot be written: {self._path} is in the way"
                    )
                if not locked(self.descriptor):
                    raise BlockError(
                        f"{str(path)!r} cannot be written: another save to it is under way"
                    )
                # Its last owner may have renamed or removed it between the two steps.
                if same_file(self.descriptor, self._path):
                    return
            except BaseException:
                os.close(self.descriptor)
                raise
            os.close(self.descriptor)

    def clear(self) -> None:
        """Empty the file."""
        os.ftruncate(self.descriptor, 0)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Leave the file where it is if an error comes: it is part of the snapshot meanwhile."""
        self._remove = False
        yield
        self._remove = True

    def become(self) -> None:
        """Give the file the snapshot's name, in place of an earlier one."""
        os.replace(self._path, self._target)
        self._remove = False

    def __enter__(self) -> "SideFile":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        if self._remove:
            # Before its lock is let go: nobody else can have begun to use it.
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self.descriptor)


def locked(descriptor: int, *, wait: bool = False) -> bool:
    """
    Take a file for oneself, until it is closed.

    Parameters
    ----------
    descriptor : int
    wait : bool
        Until whoever has it lets it go.

    Returns
    -------
    bool
        False: another one has it. True too where the system or the file system has no locks.
    """
    return _lock(descriptor, "LOCK_EX", wait)


def shared(descriptor: int) -> None:
    """Wait until nobody has the file for oneself, and keep it so."""
    _lock(descriptor, "LOCK_SH", True)


def _lock(descriptor: int, kind: str, wait: bool) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, getattr(fcntl, kind) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def own(state: os.stat_result) -> bool:
    """Say whether a file is this user's."""
    return not hasattr(os, "geteuid") or state.st_uid == os.geteuid()


def same_file(descriptor: int, path: pathlib.Path) -> bool:
    """Say whether an open file is still the one of a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def open_file(path: pathlib.Path, *, write: bool = False) -> int:
    """
    Open a regular file, without waiting where it is none.

    Raises
    ------
    OSError
    """
    # A pipe would wait for its other end.
    wanted = (os.O_RDWR if write else os.O_RDONLY) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, wanted | _FLAGS | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(f"{path} is no regular file")
    return descriptor


def write_at(descriptor: int, content: Any, offset: int) -> None:
    """
    Write all bytes.

    Raises
    ------
    OSError
        The disk is full, say.
    """
    view = memoryview(content).cast("B")
    while view:
        done = os.pwrite(descriptor, view, offset)
        view = view[done:]
        offset += done


def read_at(descriptor: int, target: Any, offset: int) -> bool:
    """
    Read as many bytes as the target has.

    Returns
    -------
    bool
        False: the file ends before.

    Raises
    ------
    OSError
    """
    view = memoryview(target).cast("B")
    while view:
        done = os.preadv(descriptor, [view], offset)
        if not done:
            return False
        view = view[done:]
        offset += done
    return True


def sync_folder(folder: pathlib.Path) -> None:
    """Make names last: they are in the folder, and the folder may not be on disk yet."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
