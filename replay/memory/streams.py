"""Who writes the steps of a stream: one at a time, or its episodes would be mixed up."""

import secrets
from typing import Any

from kernels import handle as words
from kernels import members
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring

#: Of a token: the member's number, when it joined, and what tells its writers apart.
_NUMBER = members.MEMBERS - 1
_JOINED_SHIFT = 10
_JOINED = (1 << 32) - 1
_SERIAL_SHIFT = 42


def take_streams(ring: Ring, handle: Handle, streams: range) -> None:
    """
    Make a handle's writer the one that writes the steps of some streams.

    Parameters
    ----------
    ring : Ring
    handle : Handle
        Written: its token.
    streams : range

    Raises
    ------
    InputError
        Another opening of the buffer, alive, writes to one of them; nothing was taken. A writer
        of this one, or of a process that died, loses it.
    """
    number = ring.members.number
    joined = int(ring.members.line(number)[members.JOINED_AT]) & _JOINED
    token = (secrets.randbits(20) + 1) << _SERIAL_SHIFT | joined << _JOINED_SHIFT | number
    before: list[int] = []
    for stream in streams:
        while True:
            found = ring.token(stream)
            if found and found & _NUMBER != number and _alive(ring, found):
                pid = int(ring.members.line(found & _NUMBER)[members.PROCESS])
                # Also to those of this process that had them.
                for taken, owner in zip(streams, before, strict=False):
                    ring.run(ring.calls.token_exchange, handle, taken, token, owner)
                raise InputError(
                    f"stream {stream} has a writer already, of process {pid}: steps of two would "
                    "mix their episodes, give each a stream of its own"
                )
            if ring.run(ring.calls.token_exchange, handle, stream, found, token):
                before.append(found)
                break
    handle[words.TOKEN] = token


def release_streams(ring: Ring, handle: Handle, streams: range) -> None:
    """Give streams back, where they are still the handle's writer's."""
    token = int(handle[words.TOKEN])
    if token and handle[words.OPEN]:
        for stream in streams:
            ring.run(ring.calls.token_exchange, handle, stream, token, 0)


def holds_stream(ring: Ring, handle: Any, stream: int) -> bool:
    """Say whether a stream is still the handle's writer's."""
    return ring.token(stream) == int(handle[words.TOKEN])


def _alive(ring: Ring, token: int) -> bool:
    number = token & _NUMBER
    line = ring.members.line(number)
    if line[members.STATE] == members.FREE or number in ring.members.dead():
        return False
    # Its place may be another's by now.
    return int(line[members.JOINED_AT]) & _JOINED == token >> _JOINED_SHIFT & _JOINED
