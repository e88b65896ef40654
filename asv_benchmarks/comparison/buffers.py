"""Transitions of 77 bytes: add, extend, sample, update, of every peer in turns."""

import dataclasses
import functools
import gc
from collections.abc import Callable, Iterator

import numpy as np
import peers
from peers import transitions
from peers.numpy_arrays import Rows as NumpyRows
from peers.peer import ADD, EXTEND, GIVEN, SAMPLE, SEED, UPDATE, Peer

from .options import Found, Options
from .progress import Progress
from .tables import Row, Verdict, digits
from .turns import TIMING, in_turns

TAKE = "np.take"
ASSIGN = "NumPy assignments"
SLICES = "NumPy slices"
#: What sample and update is measured beside: each of them is to be beaten.
RIVALS = ("Tianshou", "Flashbax")
#: Rows of one `extend`.
MANY = 64
#: Rows that are added at a time while a buffer is filled.
_PIECE = 50_000
#: How often more rows `--large` stores.
LARGER = 10


@dataclasses.dataclass(frozen=True)
class Work:
    """
    One line of the table.

    Attributes
    ----------
    name : str
    kind : str
        Of `peers.peer`.
    count : int
        Rows of a call.
    prioritized : bool
    beside : str
    target : float
        Of the time beside.
    """

    name: str
    kind: str
    count: int
    prioritized: bool
    beside: str
    target: float


# Draws come first: `add` leaves many rows of one kind behind.
WORKS = (
    Work("sample(32)", SAMPLE, 32, False, TAKE, 0.15),
    Work("sample(256)", SAMPLE, 256, False, TAKE, 0.25),
    Work("sample(1024)", SAMPLE, 1024, False, TAKE, 0.5),
    Work("sample(32), given arrays", GIVEN, 32, False, TAKE, 0.08),
    Work("sample(256), given arrays", GIVEN, 256, False, TAKE, 0.2),
    Work("sample(1024), given arrays", GIVEN, 1024, False, TAKE, 0.45),
    Work("add", ADD, 1, False, ASSIGN, 0.25),
    Work(f"extend({MANY}), a row", EXTEND, MANY, False, SLICES, 0.3),
    Work("prioritized sample(32)", SAMPLE, 32, True, TAKE, 0.3),
    Work("prioritized sample(256)", SAMPLE, 256, True, TAKE, 0.6),
    Work("prioritized sample(1024)", SAMPLE, 1024, True, TAKE, 0.9),
    Work("prioritized sample(256) + update", UPDATE, 256, True, "", 0.12),
    Work("prioritized add", ADD, 1, True, ASSIGN, 0.35),
    Work(f"prioritized extend({MANY}), a row", EXTEND, MANY, True, SLICES, 0.3),
)


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    large = [larger(options).name] if options.large else []
    return [name for name in [work.name for work in WORKS] + large if options.wanted(name)]


def larger(options: Options) -> Work:
    """Give the work of `--large`."""
    name = f"prioritized sample(256) + update, {LARGER * options.rows:.0e} rows"
    return dataclasses.replace(WORKS[11], name=name.replace("e+0", "e"))


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Time the works, uniform ones first."""
    for prioritized in (False, True):
        wanted = [
            work for work in WORKS if work.prioritized == prioritized and options.wanted(work.name)
        ]
        if wanted:
            yield timed(options, progress, wanted, options.rows)
    if options.large and options.wanted(larger(options).name):
        yield timed(options, progress, [larger(options)], LARGER * options.rows)


def timed(options: Options, progress: Progress, wanted: list[Work], rows: int) -> Found:
    """Fill the buffers that some works need, and time these in turns."""
    prioritized = wanted[0].prioritized
    found = Found()
    progress.begin(wanted[0].name)
    kinds = {work.kind for work in wanted}
    sides = full_buffers(options, progress, kinds, prioritized, rows, found)
    beside = {work.beside for work in wanted} - {""}
    arrays: NumpyRows | None = None
    if beside:
        with progress.long("filling NumPy's arrays"):
            here = sides.get("NumPy")
            arrays = here if here is not None and not prioritized else NumpyRows(rows, False)
            if arrays is not here:
                fill(arrays, rows, False)
    for work in wanted:
        if work is not wanted[0]:
            progress.begin(work.name)
        calls = {
            name: call(side, work)
            for name, side in sides.items()
            if side.supports(work.kind, prioritized)
        }
        if work.beside:
            calls[work.beside] = reference(arrays, work)
        # Ten times as many pages are ten times as many to come to know.
        timing = TIMING * rows / options.rows
        turns = in_turns(calls, options.rounds, progress.turn, timing)
        times = turns.medians
        if work.kind == EXTEND:
            times = {name: taken / work.count for name, taken in times.items()}
        found.rows.append(Row(work.name, times))
        for rival in (work.beside,) if work.beside else RIVALS:
            if rival in times:
                found.verdicts.append(
                    Verdict(
                        work.name,
                        f"us {rival}",
                        times[peers.OURS],
                        times[rival],
                        turns.ratio(peers.OURS, rival),
                        "us",
                        work.target,
                    )
                )
            else:
                found.notes.append(f"{work.name}: {rival} is not there to be compared with")
    if arrays is not None and TAKE in beside and not prioritized:
        found.notes.append(faster_take(arrays, options.rounds))
    del sides, arrays
    gc.collect()
    return found


def full_buffers(
    options: Options,
    progress: Progress,
    kinds: set[str],
    prioritized: bool,
    rows: int,
    found: Found,
) -> dict[str, Peer]:
    """Make a full buffer of each peer that can do one of the works, and look at what it gives."""
    sides: dict[str, Peer] = {}
    for name in (peers.OURS, *options.peers):
        try:
            with progress.long(f"importing {name}"):
                adapter = peers.peer(name)
            if not any(adapter.supports(kind, prioritized) for kind in kinds):
                continue
            with progress.long(f"filling {name}"):
                side = adapter(rows, prioritized)
                fill(side, rows, prioritized)
                fault = proved(side, prioritized)
        except Exception as error:
            if name == peers.OURS:
                raise
            fault = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
        if fault and name == peers.OURS:
            raise AssertionError(f"replay gives wrong rows: {fault}")
        if fault:
            kind = "prioritized" if prioritized else "uniform"
            found.notes.append(f"{name}, {kind}: left out, {fault}")
        else:
            sides[name] = side
    return sides


def fill(side: Peer, rows: int, prioritized: bool) -> None:
    """Fill a buffer, each row with a priority of its own."""
    random = np.random.default_rng(SEED)
    for first in range(0, rows, _PIECE):
        count = min(_PIECE, rows - first)
        priorities = None
        if prioritized:
            priorities = (random.exponential(size=count) + 1e-3).astype(np.float32)
        side.fill(transitions.many(count, first), priorities)


def proved(side: Peer, prioritized: bool) -> str:
    """Do each work once, and say what is wrong with a batch, if anything is."""
    for kind in (SAMPLE, GIVEN, UPDATE):
        if side.supports(kind, prioritized):
            draw = {
                SAMPLE: side.sample,
                GIVEN: side.sample_given,
                UPDATE: side.sample_and_update,
            }[kind]
            fault = transitions.check(side.columns(draw(256, 1)), 256, prioritized)
            if fault:
                return fault
    side.add(transitions.one(), 1)
    side.extend(transitions.many(MANY), 1)
    return ""


def call(side: Peer, work: Work) -> Callable[[int], object]:
    """Give a function that does a work so many times."""
    if work.kind == ADD:
        return functools.partial(side.add, transitions.one())
    if work.kind == EXTEND:
        return functools.partial(side.extend, transitions.many(work.count))
    draw = {SAMPLE: side.sample, GIVEN: side.sample_given, UPDATE: side.sample_and_update}
    return functools.partial(draw[work.kind], work.count)


def reference(arrays: NumpyRows, work: Work) -> Callable[[int], object]:
    """Give what a work is measured beside."""
    if work.beside == ASSIGN:
        return functools.partial(arrays.add, transitions.one())
    if work.beside == SLICES:
        return functools.partial(arrays.extend, transitions.many(work.count))
    return functools.partial(arrays.take, work.count)


def faster_take(arrays: NumpyRows, rounds: int) -> str:
    """Say what NumPy's own fastest way to take rows takes."""
    counts = (32, 256, 1024)
    times = in_turns(
        {
            f"{name}({count})": functools.partial(take, count)
            for count in counts
            for name, take in (("np.take", arrays.take), ("ndarray.take", arrays.take_by_method))
        },
        rounds,
    ).medians
    said = " / ".join(digits(times[f"ndarray.take({count})"]) for count in counts)
    beside = " / ".join(digits(times[f"np.take({count})"]) for count in counts)
    return (
        f"np.take is a function of Python around a method: {beside} us at 32 / 256 / 1024; the "
        f"method ndarray.take alone, of the same rows: {said} us"
    )
