"""
Bytes between memory and open files, for kernels that work without the interpreter's lock.

From Python, each call that lets the lock go waits for its turn to get it back, 5 ms beside a busy
thread: a save in pieces of a megabyte would wait for seconds. In a kernel that moves many pieces
there is one such wait.

Both calls are the C library's. What an error was is not said: whoever is told of one makes the
call again from Python, which raises it.
"""

import os
import sys
from typing import Any

from kernels.jit import INTERPRETED, kernel

if INTERPRETED or not hasattr(os, "pwrite"):
    import ctypes

    def _memory(address: int, size: int) -> Any:
        return memoryview((ctypes.c_char * int(size)).from_address(int(address))).cast("B")

    def _write(descriptor: Any, address: Any, size: Any, offset: Any) -> Any:
        try:
            return os.pwrite(int(descriptor), _memory(address, size), int(offset))
        except OSError:
            return -1

    def _read(descriptor: Any, address: Any, size: Any, offset: Any) -> Any:
        try:
            return os.preadv(int(descriptor), [_memory(address, size)], int(offset))
        except OSError:
            return -1

    _pwrite: Any = _write
    _pread: Any = _read

else:
    from numba.core import types

    _signature = types.int64(types.int32, types.int64, types.int64, types.int64)
    _pwrite = types.ExternalFunction("pwrite", _signature)
    _pread = types.ExternalFunction("pread", _signature)

if INTERPRETED or sys.platform != "linux":

    @kernel
    def file_soon(descriptor: int, offset: int, size: int) -> None:
        """Do nothing: the system writes when it sees fit."""

else:
    # The third word is SYNC_FILE_RANGE_WRITE: begin, and wait for nothing.
    _sync_file_range: Any = types.ExternalFunction(
        "sync_file_range", types.int32(types.int32, types.int64, types.int64, types.uint32)
    )

    @kernel
    def file_soon(descriptor: int, offset: int, size: int) -> None:
        """Let the system begin to write a stretch: a later fsync has little to wait for."""
        _sync_file_range(descriptor, offset, size, 2)


@kernel
def file_write(descriptor: int, address: int, size: int, offset: int) -> bool:
    """
    Write bytes to a place in a file.

    Parameters
    ----------
    descriptor : int
        Of a file that is open for writing.
    address : int
    size : int
        Bytes, 0 or more.
    offset : int

    Returns
    -------
    bool
        False: an error came.

    Notes
    -----
    Units: bytes.
    Cost: a call of the system, seldom more.
    Errors: as returned.
    Sharing: as the system says: stretches that do not overlap do not meet.
    Source: POSIX, pwrite.
    """
    done = 0
    while done < size:
        some = _pwrite(descriptor, address + done, size - done, offset + done)
        if some <= 0:
            return False
        done += some
    return True


@kernel
def file_read(descriptor: int, address: int, size: int, offset: int) -> bool:
    """
    Read bytes from a place in a file.

    Parameters
    ----------
    descriptor : int
    address : int
        *Written*.
    size : int
        Bytes, 0 or more.
    offset : int

    Returns
    -------
    bool
        False: the file ends before, or an error came.

    Notes
    -----
    Units: bytes.
    Cost: a call of the system, seldom more.
    Errors: as returned.
    Sharing: as file_write.
    Source: POSIX, pread.
    """
    done = 0
    while done < size:
        some = _pread(descriptor, address + done, size - done, offset + done)
        if some <= 0:
            return False
        done += some
    return True
