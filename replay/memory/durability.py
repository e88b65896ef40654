"""
What a file on disk is worth after the machine went down.

The system writes the pages of a mapped file when it likes. As long as the machine runs that is
nobody's concern: whoever opens the file sees the same pages, also after every process was killed.
A machine that goes down without having written them leaves some pages new and some old, and a row
that spans two can be torn without a trace. So the file says whether it was closed, and by which
start of the machine it was opened.

    durability line of the control words
      word 0        the start of the machine that it was opened under, 0 where that is not told
      word 1        1: all was on the disk when the last process closed it, or flushed
"""

import hashlib
import mmap
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from replay.errors import UnflushedError
from replay.memory.home import in_bytes
from replay.progress import Progress

BOOT = 0
FLUSHED = 1

#: Bytes written at a time, so that a long flush can say how far it is.
_STEP = 1 << 28


def boot_id() -> int:
    """
    Give the number of this start of the machine.

    Returns
    -------
    int
        Another one after each start; 0 where the system does not tell.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            digest = hashlib.blake2b(file.read().strip(), digest_size=8).digest()
    except OSError:
        return 0
    return int.from_bytes(digest, "little") >> 1 | 1


class Durability:
    """
    Owns the words of a file that say whether its bytes reached the disk.

    Parameters
    ----------
    memory : mmap.mmap
        The whole file.
    line : (8,) int64 ndarray
        The durability line of its control words.
    where : str
        The file, for messages.
    """

    def __init__(self, memory: mmap.mmap, line: npt.NDArray[np.int64], where: str) -> None:
        self._memory = memory
        self._line = line
        self._where = where

    def begin(self, *, force: bool) -> None:
        """
        Note that the file is open, before a byte of it is changed.

        Parameters
        ----------
        force : bool
            Also where the machine went down with the file open.

        Raises
        ------
        UnflushedError
        """
        now, then = boot_id(), int(self._line[BOOT])
        if now and then and now != then and not self._line[FLUSHED] and not force:
            raise UnflushedError(
                f"buffer {self._where} was open when its machine went down, or when it was copied "
                "from another machine: rows written since the last flush may be lost or torn. "
                "replay.attach(path=..., force=True) opens it as it is; what save() wrote is "
                "whole, see replay.load"
            )
        self._line[BOOT] = now
        self._line[FLUSHED] = 0
        self._sync_line()

    def end(self, alone: Callable[[], bool]) -> None:
        """
        Bring all to the disk and say so, if nobody else has the file open.

        Parameters
        ----------
        alone : callable
            Says whether that is so.
        """
        if not alone():
            return
        self.flush()
        self._line[FLUSHED] = 1
        if not alone():
            # Who came meanwhile has either seen the word and zeroed it, or is seen here.
            self._line[FLUSHED] = 0
        self._sync_line()

    def flush(self) -> None:
        """Bring every page to the disk."""
        nbytes = len(self._memory)
        progress = Progress(f"writing {in_bytes(nbytes)} of {self._where} to the disk", nbytes)
        for start in range(0, nbytes, _STEP):
            self._memory.flush(start, min(_STEP, nbytes - start))
            progress.step(start)
        progress.end()

    def _sync_line(self) -> None:
        """Bring the pages of the line to the disk; mappings are flushed by whole pages."""
        start = np.frombuffer(self._memory, np.uint8).ctypes.data
        at = (self._line.ctypes.data - start) // mmap.PAGESIZE * mmap.PAGESIZE
        self._memory.flush(at, mmap.PAGESIZE)
