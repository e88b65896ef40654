"""The three homes of a block: private memory, a name in shared memory, a file on disk."""

import os
import pathlib
import re
import tempfile

from replay.errors import BlockError, InputError, RoomError

#: Where named blocks live: memory that any process of this machine can map by name.
SHARED_MEMORY = pathlib.Path("/dev/shm")
PREFIX = "replay."
MOST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def named_folder() -> pathlib.Path:
    """
    Say where named blocks live on this machine.

    Returns
    -------
    pathlib.Path
        /dev/shm; the folder for temporary files where there is none (macOS, Windows).
    """
    return SHARED_MEMORY if SHARED_MEMORY.is_dir() else pathlib.Path(tempfile.gettempdir())


def named_path(name: str) -> pathlib.Path:
    """
    Say in which file the block of a name lives.

    Parameters
    ----------
    name : str
        Letters, digits, `_`, `.` and `-`, at most 200, not beginning with `.` or `-`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        The name has another character, a slash say, or is too long.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MOST_NAME:
        raise InputError(
            f"name {name!r} cannot name a block: 1 to {MOST_NAME} letters, digits, '_', '.' and "
            "'-', beginning with none of the last two"
        )
    return named_folder() / (PREFIX + name)


def available_memory() -> int | None:
    """
    Estimate how much memory this process can still take.

    Returns
    -------
    int or None
        Bytes; None where the system does not tell.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            told = dict(line.split(":", 1) for line in lines)
        known = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        # A container's limit lies below the machine's.
        group = pathlib.Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            used = int((group / "memory.current").read_text())
            known = min(known, max(int(limit) - used, 0))
    except (OSError, ValueError):
        pass
    return known


def check_memory(nbytes: int, where: str) -> None:
    """
    Refuse what memory cannot hold: the system would grant it and kill the process later.

    Parameters
    ----------
    nbytes : int
    where : str
        For the message.

    Raises
    ------
    RoomError
        Says how much is needed and how much there is.
    """
    available = available_memory()
    if available is not None and nbytes > available:
        raise RoomError(
            f"{where} needs {in_bytes(nbytes)} of memory, {in_bytes(available)} are available"
        )


def check_folder(nbytes: int, folder: pathlib.Path, where: str) -> None:
    """
    Refuse what the file system of a folder cannot hold.

    Parameters
    ----------
    nbytes : int
    folder : pathlib.Path
    where : str
        For the message.

    Raises
    ------
    RoomError
        Says how much is needed and how much there is.
    BlockError
        There is no such folder.
    """
    if not hasattr(os, "statvfs"):
        return
    try:
        state = os.statvfs(folder)
    except OSError as error:
        raise BlockError(f"{where} cannot be created: {error}") from None
    free = state.f_bavail * state.f_frsize
    if nbytes > free:
        raise RoomError(
            f"{where} needs {in_bytes(nbytes)} in {folder}, {in_bytes(free)} are free there"
        )


def in_bytes(nbytes: int) -> str:
    """Write a number of bytes as a person reads it: "1.50 GB (1500000000 bytes)"."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= size:
            return f"{nbytes / size:.2f} {unit} ({nbytes} bytes)"
    return f"{nbytes} bytes"
