"""`replay clean`: removing what processes that were killed left in shared memory."""

import argparse
import os
import pathlib
import stat
import sys
from typing import Any

from replay.commands.arguments import block_name
from replay.commands.text import in_units, plain, shown_name
from replay.memory.block_file import held_alone
from replay.memory.census import FOREIGN, UNREADABLE, Sight, judge_alone, look, named_files
from replay.memory.home import named_path


def describe(commands: Any) -> None:
    """
    Say how the command is called.

    Parameters
    ----------
    commands : subparsers of argparse
    """
    parser = commands.add_parser(
        "clean",
        help="remove buffers that killed processes left in shared memory",
        description="Remove named buffers that no process has open: what processes that were "
        "killed left in shared memory, finished or not. One that somebody has open, or opens at "
        "this very moment, is never touched.",
        epilog="Without a NAME, all of this user's are removed; root removes another user's by "
        "naming it.",
    )
    parser.add_argument(
        "names", nargs="*", type=block_name, metavar="NAME", help="default: all left behind"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and remove nothing"
    )
    parser.set_defaults(run=clean)


def clean(arguments: argparse.Namespace) -> int:
    """
    Remove what nobody has open.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Returns
    -------
    int
        Exit code: 1 where something that was asked for could not be removed.
    """
    asked = [named_path(name) for name in arguments.names]
    freed = removed = 0
    failed = False
    for path in asked or named_files():
        try:
            nbytes = _clean(path, bool(asked), arguments.dry_run)
        except _RefusedError as refused:
            failed = True
            print(f"replay clean: {shown_name(path, True)} {refused}", file=sys.stderr)
            continue
        if nbytes is not None:
            removed += 1
            freed += nbytes
    would = "would be " if arguments.dry_run else ""
    if removed:
        count = f"{removed} buffer" + ("s" if removed > 1 else "")
        print(f"{count} {would}removed, {in_units(freed)} {would}freed")
    elif not asked and not failed:
        print("nothing to remove: no buffer was left behind")
    return 1 if failed else 0


class _RefusedError(Exception):
    """Why a buffer is not removed, for whoever asked for it."""


def _clean(path: pathlib.Path, asked: bool, dry_run: bool) -> int | None:
    """Remove one file; give its bytes, or None where it is none of ours to remove."""
    try:
        found = os.lstat(path)
        if not asked and not stat.S_ISREG(found.st_mode):
            # A folder or a pipe of such a name is no concern of ours.
            return None
        if not _may_remove(found.st_uid, asked):
            if asked:
                raise _RefusedError(f"belongs to user {found.st_uid}")
            return None
        with held_alone(path) as descriptor:
            if descriptor is None:
                if asked:
                    raise _RefusedError(_open_in(path))
                return None
            sight = judge_alone(descriptor, path)
            if sight.state in (FOREIGN, UNREADABLE):
                if asked:
                    raise _RefusedError(f"is no block of ours: {sight.reason}")
                return None
            if not dry_run:
                # Under the lock: whoever opens it at this moment waits, and finds it removed.
                os.unlink(path)
    except FileNotFoundError:
        if asked:
            raise _RefusedError("does not exist") from None
        return None
    except OSError as error:
        raise _RefusedError(f"cannot be removed: {error.strerror or error}") from None
    _say(sight, dry_run)
    return sight.nbytes


def _may_remove(user: int, asked: bool) -> bool:
    if not hasattr(os, "geteuid"):
        return True
    return user == os.geteuid() or (asked and os.geteuid() == 0)


def _open_in(path: pathlib.Path) -> str:
    """Say who has a buffer open."""
    alive = [member for member in look(path, named=True).members if member.alive]
    if not alive:
        return "is open in a process"
    who = ", ".join(f"{member.pid}" for member in alive)
    return f"is open in process{'es' if len(alive) > 1 else ''} {who}"


def _say(sight: Sight, dry_run: bool) -> None:
    done = "would remove" if dry_run else "removed"
    reason = f" ({sight.state}: {plain(sight.reason)})" if sight.reason else ""
    print(f"{done} {shown_name(sight.path, True, bare=True)}, {in_units(sight.nbytes)}{reason}")
