"""
The buffer beside its peers, in one run: cpprb, Tianshou, Stable-Baselines3, TorchRL, Flashbax,
NumPy and a deque, each by its fastest public way, see `peers`.

All do a work in turns, piece by piece, so that a machine whose speed drifts slows all of them;
medians are shown, of processor time on one core. A second table holds the ratios that were to be
reached, each with what it is measured beside. Peers that are not installed are left out and named:
`pip install -e ".[peers]"` brings all of them.

    python asv_benchmarks/compare.py [--quick] [--only "sample(32)" stack] [--peers cpprb,NumPy]
"""

import argparse
import dataclasses
import os
import pathlib
import time
import warnings

import peers
from comparison import beyond_raw, buffers, homes, loops, picture, stacks, two_processes
from comparison.machine import machine
from comparison.options import Found, Options
from comparison.progress import Progress
from comparison.tables import VERDICTS_HEAD, peers_table, verdicts_lines

#: Over the tables of the page.
PAGE = """\
What `make compare` printed. First each figure that was to be reached, beside what it is measured
by; then what every library takes for a work, the fastest of the others, and who wins where we do
not. Each is asked by its fastest public way: `asv_benchmarks/peers` says which, and
`asv_benchmarks/README.md` how it is measured."""
PARTS = (loops, buffers, stacks, two_processes, homes, beyond_raw)


def asked() -> tuple[Options, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows stored")
    parser.add_argument("--frames", type=int, default=100_000, help="frames stored, 7 kB each")
    parser.add_argument("--rounds", type=int, default=15, help="timings of each work")
    parser.add_argument("--quick", action="store_true", help="small, few: to see that it works")
    parser.add_argument(
        "--large", action="store_true", help="also ten times as many rows: 10 GB, some minutes"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORK", help="works with this in their names"
    )
    parser.add_argument("--peers", default=",".join(peers.NAMES[1:]), help="names, with commas")
    parser.add_argument("--core", type=int, help="the core to run on, by default the last one")
    parser.add_argument(
        "--folder", type=pathlib.Path, default="runs", help="for compare.md and compare.png"
    )
    given = parser.parse_args()
    named = [name for name in given.peers.split(",") if name]
    unknown = [name for name in named if name not in peers.NAMES[1:]]
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}: there are {', '.join(peers.NAMES[1:])}")
    if given.quick:
        given.rows, given.frames, given.rounds = 20_000, 4_000, 3
    if given.rows < 2_000 or given.frames < 1_000 or given.rounds < 1:
        parser.error("2000 rows, 1000 frames and 1 round are the least")
    given.allowed = sorted(os.sched_getaffinity(0))
    if given.core is None:
        given.core = given.allowed[-1]
    elif given.core not in given.allowed:
        parser.error(f"core {given.core} is not one of {given.allowed}")
    given.left_out = [name for name in named if peers.missing(name)]
    options = Options(
        rows=given.rows,
        frames=given.frames,
        rounds=given.rounds,
        seconds=0.2 if given.quick else 1.0,
        peers=tuple(name for name in peers.NAMES if name in named and not peers.missing(name)),
        only=tuple(given.only),
        cores=(*(core for core in given.allowed if core != given.core), given.core),
        large=given.large,
    )
    if not total(options):
        everything = dataclasses.replace(options, only=())
        there = "; ".join(name for part in PARTS for name in part.works(everything))
        parser.error(f"no work has that in its name: there are {there}")
    return options, given


def total(options: Options) -> int:
    """Count the works that were asked for."""
    return sum(len(part.works(options)) for part in PARTS)


def main() -> None:
    """Run, print, draw."""
    options, given = asked()
    os.sched_setaffinity(0, {given.core})
    # What libraries say of each other's old names is not for who reads a table.
    warnings.simplefilter("ignore")
    began = time.monotonic()
    head = machine(given.core, set(given.allowed))
    if given.left_out:
        head.append(
            f"left out, not installed: {', '.join(given.left_out)} (pip install -e '.[peers]')"
        )
    head.append(
        f"{options.rows:,} rows of 77 bytes, {options.frames:,} frames of 84x84; medians of "
        f"{options.rounds} timings in turns, processor time"
    )
    print("\n".join(head), flush=True)
    print("\n" + VERDICTS_HEAD, flush=True)
    progress = Progress(total(options))
    found = Found()
    for part in PARTS:
        for piece in part.run(options, progress):
            progress.clear()
            found.take(piece)
            for line in verdicts_lines(piece.verdicts):
                print(line, flush=True)
    names = (peers.OURS, *options.peers)
    tail = [""]
    if found.rows:
        tail += ["microseconds", "", *peers_table(found.rows, names, peers.OURS), ""]
    there = [name for name in options.peers if any(name in row.times for row in found.rows)]
    versions = ", ".join(f"{name} {peers.peer(name).version()}" for name in there)
    tail += found.notes
    tail += [f"versions: {versions}"] if versions else []
    tail += [f"{time.monotonic() - began:.0f} seconds"]
    print("\n".join(tail), flush=True)
    image = given.folder / "compare.png"
    drawn = bool(found.rows) and picture.draw(image, found.rows, names, "\n".join(head[:2]))
    if drawn:
        print(f"drawn: {image}")
    elif found.rows:
        print("not drawn: matplotlib is not installed")
    write_page(
        given.folder / "compare.md",
        [*head, "", VERDICTS_HEAD, *verdicts_lines(found.verdicts), *tail],
        drawn,
    )


def write_page(path: pathlib.Path, text: list[str], drawn: bool) -> None:
    """Write what was printed, and show the picture."""
    page = ["# replay beside its peers", "", PAGE, "", "```text", *text, "```", ""]
    if drawn:
        page += ["![The time of each work, by library](compare.png)", ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(page))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
