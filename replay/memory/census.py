"""
The census: what a block looks like from outside, to one who does not join it.

Nothing of the block is written, no memory of it is mapped (a file that is cut short meanwhile
would end the reader), none of its bytes is trusted, and nothing is waited for.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import stat
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels import members
from kernels.ring import BURNT, FILLED, HEAD
from replay.errors import BlockFormatError
from replay.memory.block import READY_WORD
from replay.memory.block_file import MODE, open_to_look
from replay.memory.home import PREFIX, named_folder
from replay.memory.layout import FORMAT, VERSION, Layout, read_header
from replay.memory.members import Member, list_members, place_held
from replay.memory.owner import Owner, Ownership
from replay.memory.process import command, namespace, started
from replay.memory.safetensors import MOST_PAGES, PAGE

if sys.platform != "win32":
    import fcntl

#: What a block can be found as.
IN_USE = "in use"
LEFT_BEHIND = "left behind"
CLOSED = "closed"
UNFINISHED = "unfinished"
DAMAGED = "damaged"
OTHER_VERSION = "other version"
FOREIGN = "foreign"
UNREADABLE = "not readable"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_START = re.compile(
    rb'.{8}\{"__metadata__": \{"format": "' + FORMAT.encode() + rb'", "version": "(\d{1,9})"',
    re.DOTALL,
)
#: Letters of a reason, which may quote what a damaged header says.
_MOST_REASON = 300
#: Bytes of the heads read at a time.
_STEP = 1 << 22
#: More than a counter of a sound block ever holds.
_MOST_COUNT = 1 << 62


@dataclasses.dataclass(frozen=True)
class Counters:
    """
    What a block counts, at one moment.

    Parameters
    ----------
    size : int
        Rows that are stored.
    added, sampled : int
        Rows ever added, and rows ever drawn.
    repairs : tuple of int
        Members that died and were seen off, slots freed, sums corrected.
    moment : float
        When they were read, on the monotonic clock.
    """

    size: int
    added: int
    sampled: int
    repairs: tuple[int, int, int]
    moment: float


@dataclasses.dataclass(frozen=True)
class Sight:
    """
    A block as it was seen.

    Parameters
    ----------
    path : pathlib.Path
    state : str
        "in use", "left behind" by processes that were killed, "closed" (a file that nobody has
        open), "unfinished", "damaged", "other version", "foreign" (no block at all) or
        "not readable".
    reason : str
        What is wrong with it; empty where nothing is.
    open : bool or None
        Whether a process has it open; None where there is no telling.
    nbytes : int
    user : int
        Whom the file belongs to.
    identity : tuple of int
        Tells the file from another one that takes its name.
    layout : Layout or None
        None where its header could not be read.
    counters : Counters or None
    owner : Owner or None
    members : tuple of Member
    """

    path: pathlib.Path
    state: str
    reason: str = ""
    open: bool | None = None
    nbytes: int = 0
    user: int = 0
    identity: tuple[int, int] = (0, 0)
    layout: Layout | None = None
    counters: Counters | None = None
    owner: Owner | None = None
    members: tuple[Member, ...] = ()

    @property
    def dead(self) -> tuple[Member, ...]:
        """Those who died with the block open."""
        return tuple(member for member in self.members if not member.alive)


def named_files() -> list[pathlib.Path]:
    """
    List what lies where named blocks do.

    Returns
    -------
    list of pathlib.Path
        By name. Whether each is a block is still to be seen.
    """
    return sorted(named_folder().glob(PREFIX + "*"))


def look(path: pathlib.Path, *, named: bool) -> Sight:
    """
    See what lies at a path.

    Parameters
    ----------
    path : pathlib.Path
    named : bool
        Whether it is a name's; nobody having a file open is nothing odd.

    Returns
    -------
    Sight

    Raises
    ------
    FileNotFoundError
        Nothing does.
    """
    found = os.lstat(path)
    outside = _outside(path, found)
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        return dataclasses.replace(outside, reason=f"it is {_KINDS.get(kind, 'no regular file')}")
    try:
        descriptor = open_to_look(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        return dataclasses.replace(outside, state=UNREADABLE, reason=reason)
    try:
        outside = _outside(path, os.fstat(descriptor))
        return _judge(descriptor, dataclasses.replace(outside, open=_is_open(descriptor)), named)
    except OSError as error:
        reason = error.strerror or str(error)
        return dataclasses.replace(outside, state=UNREADABLE, reason=reason)
    finally:
        os.close(descriptor)


def judge_alone(descriptor: int, path: pathlib.Path) -> Sight:
    """
    See what a named file is that nobody else has open.

    Parameters
    ----------
    descriptor : int
        As `replay.memory.block_file.held_alone` gave it.
    path : pathlib.Path

    Returns
    -------
    Sight
    """
    outside = _outside(path, os.fstat(descriptor))
    return _judge(descriptor, dataclasses.replace(outside, open=False), True)


def _outside(path: pathlib.Path, found: os.stat_result) -> Sight:
    return Sight(
        path,
        FOREIGN,
        nbytes=found.st_size,
        user=found.st_uid,
        identity=(found.st_dev, found.st_ino),
    )


def _is_open(descriptor: int) -> bool | None:
    """Say whether a process has a file open; whoever attaches meanwhile waits microseconds."""
    if sys.platform == "win32":
        return None
    with contextlib.suppress(OSError):
        # A question that nobody notices; where it finds no member, one may be about to join.
        if place_held(descriptor, 0, members.MEMBERS) and sys.platform == "linux":
            return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _judge(descriptor: int, sight: Sight, named: bool) -> Sight:
    """Read the file as whoever attaches would, and say what keeps it from being one."""

    def ended(state: str, reason: str, layout: Layout | None = None) -> Sight:
        return dataclasses.replace(sight, state=state, reason=reason[:_MOST_REASON], layout=layout)

    start = os.pread(descriptor, PAGE * MOST_PAGES, 0)
    if not any(start[:PAGE]) and stat.S_IMODE(os.fstat(descriptor).st_mode) == MODE:
        return ended(UNFINISHED, _unfinished(sight))
    known = _START.match(start[: 2 * PAGE])
    if known is None:
        return ended(FOREIGN, "it does not begin as a block does")
    if int(known[1]) != VERSION:
        return ended(
            OTHER_VERSION,
            f"its format version is {int(known[1])}, this release reads version {VERSION}",
        )
    try:
        layout = read_header(start, sight.nbytes)
        control = _read(descriptor, layout, "control")
        if control[words.READY, 0] != READY_WORD:
            return ended(UNFINISHED, _unfinished(sight), layout)
        used = min(max(int(control[words.READY, 1]), 0), members.MEMBERS)
        lines = _read(descriptor, layout, "members")[:used]
        counters = _count(descriptor, layout, control)
    except BlockFormatError as error:
        return ended(DAMAGED, str(error))

    def alive(number: int) -> bool:
        return sight.open is not False and place_held(descriptor, number)

    listed = tuple(list_members(lines, alive))
    dead = any(not member.alive for member in listed)
    state = IN_USE if sight.open is not False else LEFT_BEHIND if named or dead else CLOSED
    return dataclasses.replace(
        sight,
        state=state,
        layout=layout,
        counters=counters,
        owner=Ownership(control[words.READY]).look(alive),
        members=listed,
    )


def _unfinished(sight: Sight) -> str:
    if sight.open is False:
        return "its creator was killed before it was done"
    return "its creator is still at it"


def _read(descriptor: int, layout: Layout, name: str) -> npt.NDArray[np.int64]:
    part = layout.parts[name]
    return _integers(descriptor, part.offset, part.nbytes).reshape(part.shape)


def _integers(descriptor: int, offset: int, nbytes: int) -> npt.NDArray[np.int64]:
    read = os.pread(descriptor, nbytes, offset)
    if len(read) < nbytes:
        raise BlockFormatError("it was cut short")
    return np.frombuffer(read, np.int64)


def _count(descriptor: int, layout: Layout, control: npt.NDArray[Any]) -> Counters:
    heads = layout.parts["heads"]
    moment = time.monotonic()
    size = claimed = burnt = 0
    for first in range(0, heads.nbytes, _STEP):
        taken = min(_STEP, heads.nbytes - first)
        lines = _integers(descriptor, heads.offset + first, taken).reshape(-1, heads.shape[1])
        tickets, filled, lost = (lines[:, word] for word in (HEAD, FILLED, BURNT))
        # Each member may be between two steps of its own, but no further.
        fewest, most = int(filled.min()), int(filled.max())
        sound = fewest >= -members.MEMBERS and most <= layout.rows + members.MEMBERS
        if not sound or min(tickets.min(), lost.min()) < 0:
            raise BlockFormatError("its streams count what cannot be")
        size += int(np.clip(filled, 0, layout.rows).sum())
        # As floats nothing overflows; rows enough for them to lose digits are not added in a life.
        claimed += int(tickets.sum(dtype=np.float64))
        burnt += int(lost.sum(dtype=np.float64))
    sampled = int(control[words.SAMPLES, 0])
    repairs = tuple(int(word) for word in control[words.REPAIRS, :3])
    if not (0 <= burnt <= claimed < _MOST_COUNT and min(sampled, *repairs) >= 0):
        raise BlockFormatError("its counters hold what cannot be")
    return Counters(size, claimed - burnt, sampled, repairs, moment)  # type: ignore[arg-type]


def command_of(who: Member | Owner) -> str | None:
    """
    Say what a process runs.

    Parameters
    ----------
    who : Member or Owner

    Returns
    -------
    str or None
        Its command line. None where its id is another process's by now, means another one in this
        namespace of process ids, or the system does not tell.
    """
    if who.namespace == 0 or who.namespace != namespace():
        return None
    if who.started == 0 or who.started != started(who.pid):
        return None
    return command(who.pid)
