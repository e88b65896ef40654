"""Opening buffers that exist: by name, by path, or out of a snapshot."""

import os
import pathlib

from replay import samplers
from replay.buffers.replay_buffer import ReplayBuffer
from replay.errors import BlockFormatError, InputError
from replay.memory.limiter import RateLimiter
from replay.memory.snapshot_load import snapshot_layout_of
from replay.views import from_header


def attach(
    name: str | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> ReplayBuffer:
    """
    Open a buffer that another process made, or that a file holds.

    Parameters
    ----------
    name : str, optional
        Of a named buffer on this machine.
    path : str or path, optional
        Of a file.
    force : bool
        Open a file that was open when its machine went down, as it is.

    Returns
    -------
    ReplayBuffer
        The same rows, priorities, generator and counters as all others who have it open.

    Raises
    ------
    BlockMissingError
        There is none.
    BlockFormatError
        It is no block, of another format version, cut short, or damaged.
    UnflushedError
        The file was open when its machine went down: rows may be lost or torn.
    """
    if (name is None) == (path is None):
        raise InputError(f"name is {name!r} and path is {path!r}: one of them says what to attach")
    return ReplayBuffer._attach(name, path, force=force)


def load(path: str | os.PathLike[str], *, name: str | None = None) -> ReplayBuffer:
    """
    Make a buffer of what `ReplayBuffer.save` wrote; the file stays as it is.

    Parameters
    ----------
    path : str or path
    name : str, optional
        Put the new buffer into shared memory under this name.

    Returns
    -------
    ReplayBuffer

    Raises
    ------
    BlockMissingError
        There is no such file.
    BlockFormatError
        It is no snapshot, cut short, or damaged.
    """
    layout = snapshot_layout_of(pathlib.Path(path))
    try:
        sampler = samplers.from_json(layout.sampler)
        limiter = RateLimiter.read(layout.limiter, layout.capacity)
        view = from_header(layout.view)
    except InputError as error:
        raise BlockFormatError(f"{str(path)!r} is no block of ours: {error}") from None
    buffer = ReplayBuffer(
        layout.capacity,
        sampler=sampler,
        view=view,
        streams=layout.streams,
        name=name,
        seed=0,
        limiter=limiter,
    )
    try:
        buffer.restore(path)
    except BaseException:
        buffer.close()
        raise
    return buffer
