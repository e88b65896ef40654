"""`replay ls`: the blocks of this machine, and who has them open."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from replay import samplers
from replay.commands.arguments import block_name, file_path
from replay.commands.text import in_units, plain, shown_name, wrapped
from replay.errors import InputError
from replay.memory.census import Sight, command_of, look, named_files
from replay.memory.home import named_path
from replay.memory.members import Member
from replay.memory.owner import Owner
from replay.memory.process import namespace
from replay.progress import Progress

#: Seconds between the two readings that rates are made of.
_BETWEEN = 0.5
#: Widths of the columns, to which the last is added as it comes; with it, 100 at most.
_COLUMNS = (
    ("NAME", 18),
    ("STATE", 13),
    ("SIZE", 9),
    ("ROWS", 26),
    ("ADDS/S", 11),
    ("SAMPLES/S", 11),
)


def describe(commands: Any) -> None:
    """
    Say how the command is called.

    Parameters
    ----------
    commands : subparsers of argparse
    """
    parser = commands.add_parser(
        "ls",
        help="list buffers: size, fields, fill, rates, owner, who has them open",
        description="List the named buffers of this machine, and files: how large and how full "
        "they are, what they hold, how many rows are added and drawn a second (measured for half "
        "a second), who made them and who has them open. Looking changes nothing. A buffer is "
        "'in use', or 'left behind' by processes that were killed ('replay clean' removes it).",
    )
    parser.add_argument(
        "names", nargs="*", type=block_name, metavar="NAME", help="default: all named buffers"
    )
    parser.add_argument(
        "--path",
        nargs="+",
        action="extend",
        type=file_path,
        default=[],
        metavar="FILE",
        help="also these files; without a NAME, these alone",
    )
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    parser.set_defaults(run=ls)


def ls(arguments: argparse.Namespace) -> int:
    """
    List buffers.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Returns
    -------
    int
        Exit code: 1 where one that was asked for is not there.
    """
    asked = [(named_path(name), True) for name in arguments.names]
    asked += [(path, False) for path in arguments.path]
    everything = not asked
    if everything:
        asked = [(path, True) for path in named_files()]
    sights, missing = [], []
    for path, named in asked:
        try:
            sights.append((look(path, named=named), named))
        except FileNotFoundError:
            # Where nobody asked for it by name, it has ended meanwhile.
            missing += [] if everything else [(path, named)]
    rates = _rates([sight for sight, _ in sights])
    described = [
        _described(sight, named, rate) for (sight, named), rate in zip(sights, rates, strict=True)
    ]
    if arguments.json:
        print(json.dumps(described, indent=2))
    elif described:
        print("\n".join(_table(described)))
    elif everything:
        print("no buffers: nothing in shared memory has a name of ours")
    for path, named in missing:
        print(f"replay ls: there is no {shown_name(path, named)}", file=sys.stderr)
    return 1 if missing else 0


def _rates(sights: list[Sight]) -> list[tuple[float, float] | None]:
    """Measure rows added and drawn a second, of those that somebody has open."""
    alive = [sight for sight in sights if sight.open and sight.counters is not None]
    measured = {}
    if alive:
        time.sleep(_BETWEEN)
        progress = Progress("measuring rates", len(alive))
        for number, before in enumerate(alive):
            rate = _rate(before)
            if rate is not None:
                measured[before.identity] = rate
            progress.step(number)
        progress.end()
    return [measured.get(sight.identity) for sight in sights]


def _rate(before: Sight) -> tuple[float, float] | None:
    try:
        after = look(before.path, named=True)
    except FileNotFoundError:
        return None
    first, second = before.counters, after.counters
    if first is None or second is None or after.identity != before.identity:
        return None
    seconds = max(second.moment - first.moment, 1e-9)
    # What was restored meanwhile counts from another number.
    return (
        max(second.added - first.added, 0) / seconds,
        max(second.sampled - first.sampled, 0) / seconds,
    )


def _described(sight: Sight, named: bool, rate: tuple[float, float] | None) -> dict[str, Any]:
    """Say all about a block in what JSON can hold."""
    layout, counters = sight.layout, sight.counters
    sampler = None
    if layout is not None:
        try:
            sampler = samplers.from_json(layout.sampler)
        except InputError:
            sampler = None
    owner = sight.owner if sight.owner is not None and sight.owner.state != "unknown" else None
    return {
        "name": shown_name(sight.path, True, bare=True) if named else None,
        "path": plain(str(sight.path)),
        "state": sight.state,
        "reason": plain(sight.reason),
        "open": sight.open,
        "bytes": sight.nbytes,
        "user": sight.user,
        "capacity": layout and layout.capacity,
        "streams": layout and layout.streams,
        "size": counters and counters.size,
        "added": counters and counters.added,
        "sampled": counters and counters.sampled,
        "adds_per_second": rate and round(rate[0], 1),
        "samples_per_second": rate and round(rate[1], 1),
        "fields": layout
        and {
            name: {"dtype": field.dtype.name, "shape": list(field.shape)}
            for name, field in layout.schema.fields.items()
        },
        "sampler": sampler and repr(sampler),
        "owner": owner and _process(owner),
        "members": [_process(member) for member in sight.members],
    }


def _process(who: Member | Owner) -> dict[str, Any]:
    command = command_of(who)
    described = {
        "pid": who.pid,
        "command": command and plain(command),
        "same_namespace": who.namespace == namespace(),
    }
    if isinstance(who, Owner):
        return described | {"state": who.state}
    state = "alive" if who.alive else "dead"
    return described | {"state": state, "role": who.state, "since": who.since}


def _table(described: list[dict[str, Any]]) -> Iterator[str]:
    yield _row(title for title, _ in _COLUMNS)
    for block in described:
        yield from _lines(block)


def _row(cells: Iterable[str]) -> str:
    aligned = []
    for number, (cell, (_, width)) in enumerate(zip(cells, _COLUMNS, strict=True)):
        aligned.append(f"{cell:<{width}}" if number < 2 else f"{cell:>{width}}")
    return " ".join(aligned).rstrip()


def _lines(block: dict[str, Any]) -> Iterator[str]:
    name = block["name"] or block["path"]
    if len(name) > _COLUMNS[0][1]:
        yield from wrapped("", name)
        name = ""
    rows = ""
    if block["size"] is not None:
        rows = f"{block['size']:,} of {block['capacity']:,}"
        if len(rows) > 20:
            rows = f"{block['size']:.3g} of {block['capacity']:.3g}"
        rows += f" {_percent(block['size'], block['capacity']):>5}"
    yield _row(
        (
            name,
            block["state"],
            in_units(block["bytes"]),
            rows,
            _rate_shown(block["adds_per_second"]),
            _rate_shown(block["samples_per_second"]),
        )
    )
    if block["reason"]:
        yield from wrapped("reason", block["reason"])
    if block["fields"]:
        fields = (
            f"{plain(name)} {field['dtype']}"
            + (f" {tuple(field['shape'])}" if field["shape"] else "")
            for name, field in block["fields"].items()
        )
        yield from wrapped("fields", ", ".join(fields))
        yield from wrapped("sampler", plain(block["sampler"] or "none that this release knows"))
    owner = block["owner"]
    if owner is not None:
        yield from wrapped("owner", _process_shown(owner))
    for member in block["members"]:
        if owner is None or member["role"] != "creator":
            yield from wrapped("attached", _process_shown(member))


def _process_shown(who: dict[str, Any]) -> str:
    elsewhere = "" if who["same_namespace"] else " of another container"
    state = {"closed": "has closed it"}.get(who["state"], who["state"])
    command = f": {who['command']}" if who["command"] else ""
    return f"pid {who['pid']}{elsewhere}, {state}{command}"


def _percent(size: int, capacity: int) -> str:
    return f"{100 * size // capacity} %"


def _rate_shown(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate < 1e8 else f"{rate:.3g}"
