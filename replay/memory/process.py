"""A process beyond its id, which the system gives to another one later."""

import os


def started(pid: int) -> int:
    """
    Say when a process started.

    Parameters
    ----------
    pid : int

    Returns
    -------
    int
        Clock ticks since the machine did; 0 where the system does not tell.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The name, in parentheses, may hold anything.
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def namespace() -> int:
    """
    Say which namespace of process ids this process is in.

    Returns
    -------
    int
        0 where the system does not tell.
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def command(pid: int) -> str | None:
    """
    Say what a process runs.

    Parameters
    ----------
    pid : int

    Returns
    -------
    str or None
        The beginning of its command line; None where the system does not tell.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
    except OSError:
        return None
    return " ".join(os.fsdecode(word) for word in words) or None
