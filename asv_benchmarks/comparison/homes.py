"""A named buffer beside a private one, at the same work."""

import functools
import os
from collections.abc import Iterator

from peers import transitions
from peers.ours import Rows

from .buffers import fill
from .options import Found, Options
from .progress import Progress
from .tables import Verdict
from .turns import in_turns

TARGET = 1.1
NAMES = {
    False: ("named: add", "named: sample(256)"),
    True: ("named: prioritized add", "named: prioritized sample + update"),
}


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    return [name for names in NAMES.values() for name in names if options.wanted(name)]


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Time both in turns."""
    wanted = works(options)
    for prioritized, names in NAMES.items():
        if not any(name in wanted for name in names):
            continue
        progress.begin(names[0])
        found = Found()
        with progress.long("filling both"):
            private = Rows(options.rows, prioritized)
            named = Rows(options.rows, prioritized, name=f"compare-{os.getpid()}-home")
            for side in (private, named):
                fill(side, options.rows, prioritized)
        try:
            for name in names:
                if name not in wanted:
                    continue
                if name != names[0]:
                    progress.begin(name)
                calls = {
                    home: functools.partial(side.add, transitions.one())
                    if "add" in name
                    else functools.partial(
                        side.sample_and_update if prioritized else side.sample_given, 256
                    )
                    for home, side in (("private", private), ("named", named))
                }
                turns = in_turns(calls, 2 * options.rounds, progress.turn)
                times = turns.medians
                found.verdicts.append(
                    Verdict(
                        name,
                        "us private",
                        times["named"],
                        times["private"],
                        turns.ratio("named", "private"),
                        "us",
                        TARGET,
                    )
                )
        finally:
            private.buffer.close()
            named.buffer.close()
        yield found
