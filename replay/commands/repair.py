"""`replay repair`: a buffer freed of what processes left that died with it open."""

import argparse
import pathlib
import sys
import time
import warnings
from typing import Any

from replay.buffers import ReplayBuffer, attach
from replay.commands.arguments import block_name, file_path
from replay.commands.text import shown_name
from replay.errors import OwnerGoneWarning, ReplayError
from replay.memory.census import Sight, look
from replay.memory.home import named_path

#: Seconds for which those who are in the middle of an update are given time to leave it.
_PATIENCE = 2.0
#: Seconds between two tries.
_BETWEEN = 0.05


def describe(commands: Any) -> None:
    """
    Say how the command is called.

    Parameters
    ----------
    commands : subparsers of argparse
    """
    parser = commands.add_parser(
        "repair",
        help="free what dead processes hold of a buffer, and mend its priorities",
        description="Free the slots that processes were filling when they died, and correct the "
        "sums of the priority tree that they left between two steps. Processes that have the "
        "buffer open do the same by themselves, and go on meanwhile; this is for a buffer, or a "
        "file, that nobody uses at the moment, and for certainty.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", type=block_name, metavar="NAME", help="a named buffer")
    which.add_argument("--path", type=file_path, metavar="FILE", help="a buffer's file")
    parser.set_defaults(run=repair)


def repair(arguments: argparse.Namespace) -> int:
    """
    Repair a buffer.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Returns
    -------
    int
        Exit code: 0 where the buffer is sound afterwards.
    """
    named = arguments.path is None
    path = named_path(arguments.name) if named else arguments.path
    where = shown_name(path, named)
    try:
        before = look(path, named=named)
        with warnings.catch_warnings():
            # That its owner has gone is why somebody repairs it.
            warnings.simplefilter("ignore", OwnerGoneWarning)
            with attach(arguments.name, path=arguments.path) as buffer:
                reason = _mend(buffer, path, named)
                after = look(path, named=named)
                rows = len(buffer)
    except (ReplayError, OSError) as error:
        said = f"there is no {where}" if isinstance(error, FileNotFoundError) else error
        print(f"replay repair: {said}", file=sys.stderr)
        return 1
    for line in _said(before, after):
        print(f"{where}: {line}")
    if reason:
        print(f"replay repair: {where} is not repaired: {reason}", file=sys.stderr)
        return 1
    print(f"{where}: sound, {rows:,} of {buffer.capacity:,} rows")
    return 0


def _mend(buffer: ReplayBuffer, path: pathlib.Path, named: bool) -> str:
    """Repair until it is finished; say what prevents it, nothing where nothing does."""
    until = time.monotonic() + _PATIENCE
    while not buffer.repair().finished:
        if time.monotonic() > until:
            return _who_is_inside(look(path, named=named))
        time.sleep(_BETWEEN)
    if not buffer.sampler.prioritized:
        return ""
    while wrong := buffer.priorities.verify():
        # Those who are on the way from a leaf to the root make it look so for a moment.
        if time.monotonic() > until:
            return f"{wrong} sums of its priorities differ from their parts, in every look"
        time.sleep(_BETWEEN)
        buffer.repair()
    return ""


def _who_is_inside(sight: Sight) -> str:
    inside = [f"{member.pid}" for member in sight.members if member.alive and member.inside]
    if not inside:
        return "another process is repairing it, or processes never rest from updating it"
    return (
        f"process {', '.join(inside)} is changing its priorities and does not go on; "
        "where it is stopped, continue or end it, and repair again"
    )


def _said(before: Sight, after: Sight) -> list[str]:
    """Say what was found."""
    dead = ", ".join(dict.fromkeys(f"{member.pid}" for member in before.dead))
    lines = [f"died with it open: {f'process {dead}' if dead else 'nobody'}"]
    if before.counters is not None and after.counters is not None:
        _, slots, sums = (
            new - old
            for old, new in zip(before.counters.repairs, after.counters.repairs, strict=True)
        )
        if dead or slots or sums:
            lines.append(f"slots freed: {slots}, sums corrected: {sums}")
    return lines
