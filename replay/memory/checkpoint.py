"""Snapshots: a block written to a file, whole or not at all, behind a checksum."""

import contextlib
import os
import pathlib
import tempfile
import zlib

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from replay.errors import BlockError, BlockFormatError, BlockMissingError
from replay.memory.block import READY_WORD, Block
from replay.memory.home import in_bytes
from replay.progress import Progress

#: Bytes written and summed at a time.
_STEP = 1 << 24
#: Which word of the ready line holds a snapshot's checksum.
_CHECKSUM_WORD = 2


def write_snapshot(block: Block, path: pathlib.Path) -> None:
    """
    Write a block to a file.

    The bytes go to a temporary file beside it, which takes the name once it is on the disk: a
    crash leaves the old file or the new one.

    Parameters
    ----------
    block : Block
    path : pathlib.Path

    Raises
    ------
    BlockError
        The file cannot be written.
    """
    if block.path is not None and path.is_file() and path.samefile(block.path):
        # The file would be replaced under its buffer, whose later rows would go nowhere.
        raise BlockError(f"{str(path)!r} cannot be written: it is the buffer's own file")
    layout = block.layout
    control = layout.parts["control"]
    body = control.offset + control.nbytes
    progress = Progress(f"saving {in_bytes(layout.nbytes)} to {path}", layout.nbytes)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BlockError(f"{str(path)!r} cannot be written: {error}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(block.memory[: control.offset].data)
            first = np.array(block.part("control"))
            file.write(first.tobytes())
            checksum = 0
            for start in range(body, layout.nbytes, _STEP):
                # A copy: what is summed must be what is written, also while writers go on.
                piece = block.memory[start : start + _STEP].tobytes()
                checksum = zlib.crc32(piece, checksum)
                file.write(piece)
                progress.step(start)
            first[words.READY, _CHECKSUM_WORD] = _total(first, checksum)
            file.seek(control.offset)
            file.write(first.tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise BlockError(f"{str(path)!r} cannot be written: {error}") from None
        raise
    finally:
        progress.end()


def read_snapshot(path: pathlib.Path, block: Block) -> None:
    """
    Fill a block with a snapshot of the same layout.

    Parameters
    ----------
    path : pathlib.Path
    block : Block
        *Written*, after every check has passed.

    Raises
    ------
    BlockMissingError, BlockFormatError, BlockError
    """
    layout = Block.layout_of(path)
    if layout.header != block.layout.header:
        raise BlockFormatError(
            f"{str(path)!r} is of another buffer: its fields, capacity, streams or sampler differ"
        )
    control = layout.parts["control"]
    body = control.offset + control.nbytes
    try:
        memory: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
    except FileNotFoundError:
        raise BlockMissingError(f"{str(path)!r} does not exist") from None
    except (OSError, ValueError) as error:
        raise BlockError(f"{str(path)!r} cannot be read: {error}") from None
    first = memory[control.offset : body].copy().view(np.int64).reshape(control.shape)
    if first[words.READY, 0] != READY_WORD:
        raise BlockFormatError(f"{str(path)!r} was never finished")
    progress = Progress(f"loading {in_bytes(layout.nbytes)} from {path}", 2 * layout.nbytes)
    try:
        checksum = 0
        for start in range(body, layout.nbytes, _STEP):
            checksum = zlib.crc32(memory[start : start + _STEP].data, checksum)
            progress.step(start)
        if first[words.READY, _CHECKSUM_WORD] != _total(first, checksum):
            raise BlockFormatError(
                f"{str(path)!r} is damaged, or no snapshot: its checksum does not fit its bytes"
            )
        for start in range(body, layout.nbytes, _STEP):
            block.memory[start : start + _STEP] = memory[start : start + _STEP]
            progress.step(layout.nbytes + start)
    finally:
        progress.end()
    mine = block.part("control")
    mine[words.GENERATOR :] = first[words.GENERATOR :]


def _total(control: npt.NDArray[np.int64], checksum: int) -> int:
    """Sum the control words too; 1 << 32 tells a snapshot from a block that is in use."""
    return zlib.crc32(control[words.GENERATOR :].tobytes(), checksum) | 1 << 32


def _sync_folder(folder: pathlib.Path) -> None:
    """Make the new name last: a rename is in the folder, and the folder may not be on disk yet."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
