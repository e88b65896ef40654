"""
One process that adds row by row and one that samples batches of 256, at one buffer.

Each has a core of its own where there are two. The processes of both sides wait, asleep, for their
turn; what counts is time on the clock.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from peers import transitions
from peers.ours import Rows

import replay

from .options import Found, Options
from .progress import Progress
from .tables import Verdict

BATCH = 256
TARGET = 100.0
ADDS = "two processes: adds/s"
BATCHES = "two processes: batches/s"
#: Rounds of turns.
ROUNDS = 5
#: Seconds in which both must have begun.
START = 0.1


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    return [ADDS] if any(options.wanted(name) for name in (ADDS, BATCHES)) else []


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Give the rates of both sides, in turns."""
    if not works(options):
        return
    found = Found()
    progress.begin("two processes")
    if "cpprb" not in options.peers:
        found.notes.append("two processes: cpprb is not there to be compared with")
    with progress.long("one adds, one samples"):
        rates = measured(options, "cpprb" in options.peers)
    for name, work in ((ADDS, "add"), (BATCHES, "sample")):
        ours = rates["replay"][work]
        theirs = rates["cpprb"][work] if "cpprb" in rates else 0.0
        if theirs:
            found.verdicts.append(
                Verdict(
                    name,
                    "by cpprb's MPReplayBuffer",
                    ours,
                    theirs,
                    ours / theirs,
                    "",
                    TARGET,
                    more=True,
                )
            )
        else:
            found.notes.append(f"{name}: replay {ours:,.0f}")
    shared = "one core for both" if len(options.cores) < 2 else "a core each"
    found.notes.append(f"two processes: one calls add, one calls sample({BATCH}), {shared}")
    yield found


def measured(options: Options, cpprb_too: bool) -> dict[str, dict[str, float]]:
    """Start the processes, give them their turns, and take the medians."""
    context = multiprocessing.get_context("spawn")
    name = f"compare-{os.getpid()}"
    rows = Rows(options.rows, False, name=name)
    fill(rows.fill, options.rows)
    shared: dict[str, Any] = {"replay": name}
    if cpprb_too:
        import cpprb
        from peers.cpprb import FIELDS

        buffer = cpprb.MPReplayBuffer(options.rows, FIELDS, ctx=context)
        fill(
            lambda columns, _: buffer.add(**dict(zip(FIELDS, columns, strict=True))), options.rows
        )
        shared["cpprb"] = buffer
    reports = context.Queue()
    crews: dict[str, list[Any]] = {}
    processes = []
    try:
        for side, given in shared.items():
            crews[side] = []
            for place, work in enumerate(("add", "sample")):
                orders = context.Queue()
                core = options.cores[-1 - place % len(options.cores)]
                process = context.Process(
                    target=serve, args=(side, given, work, core, orders, reports), daemon=True
                )
                process.start()
                processes.append(process)
                crews[side].append(orders)
        for _ in processes:
            reports.get(timeout=120)
        kept: dict[str, dict[str, list[float]]] = {
            side: {"add": [], "sample": []} for side in shared
        }
        for turn in range(ROUNDS + 1):
            for side, crew in crews.items():
                starts = time.monotonic() + START
                for orders in crew:
                    orders.put((starts, options.seconds))
                for _ in crew:
                    work, rate = reports.get(timeout=120)
                    if turn:  # the first is to warm up
                        kept[side][work].append(rate)
    finally:
        for crew in crews.values():
            for orders in crew:
                orders.put(None)
        for process in processes:
            process.join(10)
        rows.buffer.close()
    return {
        side: {work: statistics.median(rates) for work, rates in works.items()}
        for side, works in kept.items()
    }


def fill(add: Callable[[Any, None], object], rows: int) -> None:
    """Fill a buffer."""
    piece = min(rows, 50_000)
    for first in range(0, rows, piece):
        add(transitions.many(piece, first), None)


def serve(side: str, given: Any, work: str, core: int, orders: Any, reports: Any) -> None:
    """Be one of the two processes: take orders, work for so long, report how often a second."""
    os.sched_setaffinity(0, {core})
    obs, action, reward, next_obs, terminated = transitions.one()
    if side == "replay":
        buffer = replay.attach(given)

        def add() -> None:
            buffer.add(obs, action, reward, next_obs, terminated)
    else:
        buffer = given

        def add() -> None:
            buffer.add(obs=obs, act=action, rew=reward, next_obs=next_obs, done=terminated)

    sample = buffer.sample
    act, at_once = (add, 64) if work == "add" else (lambda: sample(BATCH), 8)
    act()
    reports.put("ready")
    while (order := orders.get()) is not None:
        starts, span = order
        while time.monotonic() < starts:
            pass
        done = 0
        began = time.monotonic()
        while time.monotonic() - began < span:
            for _ in range(at_once):
                act()
            done += at_once
        reports.put((work, done / (time.monotonic() - began)))
    if side == "replay":
        buffer.close()
