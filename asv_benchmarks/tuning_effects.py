"""One way of doing something beside another: what a user of a buffer can choose."""

import contextlib
import dataclasses
import itertools
import mmap
import os
import pathlib
import tempfile

import numpy as np
from benchmarks.workload import FIELDS, fill, rows, sampler
from scaling_buffers import one_row
from scaling_crews import (
    compiled_adding,
    compiled_sampling,
    fill_streams,
    threads,
)
from turns import Work, calls, in_turns, in_turns_anew

import replay
from replay.progress import Progress

BATCHES = (1, 8, 32, 256, 1024, 4096)
_BATCH, _CHUNK = 256, 4096
_FRAME = (84, 84)
_numbers = itertools.count()


@dataclasses.dataclass
class Scale:
    """
    How much is measured.

    Parameters
    ----------
    rows, many : int
        Of a usual buffer, and of one that no cache holds a part of.
    rounds : int
    seconds : float
        Of one timing.
    huge_folder : path or None
        A tmpfs of huge pages.
    """

    rows: int
    many: int
    rounds: int
    seconds: float
    huge_folder: pathlib.Path | None = None


@dataclasses.dataclass
class Effect:
    """
    Two ways of doing the same.

    Parameters
    ----------
    on : str
        What is timed.
    instead, so : str
        The two ways.
    without, work : Work, optional
        Of each.
    """

    on: str
    instead: str
    so: str
    without: Work | None = None
    work: Work | None = None


def measure(section, scale):
    """Give the effects of a section, each with the nanoseconds of both ways."""
    told = []

    @contextlib.contextmanager
    def both():
        with contextlib.ExitStack() as stack:
            effects = list(SECTIONS[section](scale, stack))
            told[:] = [(effect.on, effect.instead, effect.so) for effect in effects]
            yield {
                (place, way): work
                for place, effect in enumerate(effects)
                for way, work in enumerate((effect.without, effect.work))
            }
            effects.clear()

    times = in_turns_anew(both, scale.rounds, scale.seconds)
    return [(Effect(*words), times[place, 0], times[place, 1]) for place, words in enumerate(told)]


def made(stack, capacity, kind="uniform", fields=FIELDS, filled=True, pages="huge", **options):
    """Make a buffer that is closed with the stack, in pages of a kind where it is private."""
    buffer = replay.ReplayBuffer(capacity, fields, sampler=sampler(kind), seed=1, **options)
    stack.callback(buffer.close)
    if pages == "small":
        mapping(buffer).madvise(mmap.MADV_NOHUGEPAGE)
    if filled:
        fill(buffer)
    return buffer


def mapping(buffer):
    """Give the memory in which a buffer's columns lie."""
    array = buffer.column(next(iter(buffer.fields)))
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj


def named():
    return f"tuning-{os.getpid()}-{next(_numbers)}"


def drawing(buffer, batch=_BATCH):
    return calls(buffer.sample, batch, out=buffer.sample(batch))


def page_sizes(scale, stack):
    """Huge pages and small ones."""
    for capacity in (scale.rows, scale.many):
        for kind in ("uniform", "prioritized"):
            small = made(stack, capacity, kind, pages="small")
            huge = made(stack, capacity, kind)
            on = f"sample({_BATCH}), {kind}, {capacity:,} rows"
            yield Effect(on, "4 KB pages", "huge pages", drawing(small), drawing(huge))
            if kind == "uniform" and scale.huge_folder is not None:
                plain = made(stack, capacity, name=named())
                path = scale.huge_folder / named()
                stack.callback(path.unlink, missing_ok=True)
                shared = made(stack, capacity, path=path)
                yield Effect(
                    f"the same, named, {capacity:,} rows", "/dev/shm as it is",
                    "a tmpfs with huge pages", drawing(plain), drawing(shared),
                )  # fmt: skip


def first_touch(scale, stack):
    """The first round of the ring, which touches memory for the first time, and the next ones."""
    chunk = tuple(rows(_CHUNK).values())
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    homes = {
        "private, huge pages": dict,
        "private, 4 KB pages": lambda: {"pages": "small"},
        "named": lambda: {"name": named()},
        "path": lambda: {"path": folder / named()},
    }
    turns = max(scale.rows // _CHUNK, 1)
    for home, options in homes.items():
        again = made(stack, scale.rows, **options())

        def round_of(buffer):
            for _ in range(turns):
                buffer.extend(*chunk)

        fresh = []

        def ready(options=options, fresh=fresh):
            while fresh:
                fresh.pop().close()
            fresh.append(made(stack, scale.rows, filled=False, **options()))

        per = turns * _CHUNK
        yield Effect(
            f"extend({_CHUNK}), a row, {home}",
            "first round",
            "any later one",
            Work(lambda _, fresh=fresh: round_of(fresh[0]), per, ready, most=1),
            Work(lambda count, again=again: [round_of(again) for _ in range(count)], per),
        )


def homes(scale, stack):
    """Private, named, in a file."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    private = made(stack, scale.rows)
    row = one_row()
    for home, other in (
        ("named", made(stack, scale.rows, name=named())),
        ("path", made(stack, scale.rows, path=folder / "buffer")),
    ):
        yield Effect("add", home, "private", calls(other.add, *row), calls(private.add, *row))
        yield Effect(f"sample({_BATCH})", home, "private", drawing(other), drawing(private))


def given_arrays(scale, stack):
    """Arrays that are given, beside new ones."""
    for kind in ("uniform", "prioritized"):
        buffer = made(stack, scale.rows, kind)
        for batch in (32, _BATCH, _CHUNK):
            yield Effect(
                f"sample({batch}), {kind}", "no `out`", "`out=`",
                calls(buffer.sample, batch), drawing(buffer, batch),
            )  # fmt: skip


def rows_in(scale, stack):
    """Ways to hand in rows."""
    buffer = made(stack, scale.rows)
    row = one_row()
    by_name = dict(zip(FIELDS, row, strict=True))
    exact = calls(buffer.add, *row)
    yield Effect("add", "by name", "by position", calls(buffer.add, **by_name), exact)
    doubles = [
        value.astype(np.float64) if isinstance(value, np.ndarray) else value for value in row
    ]
    yield Effect(
        "add", "float64 arrays", "of the field's dtype", calls(buffer.add, *doubles), exact
    )
    lists = [value.tolist() if isinstance(value, np.ndarray) else value for value in row]
    yield Effect("add", "lists", "arrays", calls(buffer.add, *lists), exact)
    for count in (8, 64):
        many = tuple(rows(count).values())
        yield Effect(
            f"{count} rows, each",
            "add",
            f"extend({count})",
            exact,
            calls(buffer.extend, *many, per=count),
        )
    prioritized = made(stack, scale.rows, "prioritized")
    ids = prioritized.sample(_BATCH).ids
    errors = np.random.default_rng(1).exponential(size=_BATCH)
    update = prioritized.update_priorities
    yield Effect(
        f"update({_BATCH})", "a list of priorities", "an array",
        calls(update, ids, errors.tolist()), calls(update, ids, errors),
    )  # fmt: skip


def streams(scale, stack):
    """One stream or many."""
    one = made(stack, scale.rows)
    many = made(stack, scale.rows // 64 * 64, filled=False, streams=64)
    fill_streams(many)
    row = one_row()
    writer = many.writer(63)
    yield Effect("add", "64 streams", "one", calls(writer.add, *row), calls(one.add, *row))
    yield Effect(f"sample({_BATCH})", "64 streams", "one", drawing(many), drawing(one))


def capacities(scale, stack):
    """Rows that the caches hold, and rows that they do not."""
    small, large = max(scale.rows // 100, 1), scale.many
    for kind in ("uniform", "prioritized"):
        yield Effect(
            f"sample({_BATCH}), {kind}", f"{large:,} rows", f"{small:,} rows",
            drawing(made(stack, large, kind)), drawing(made(stack, small, kind)),
        )  # fmt: skip


def schemas(scale, stack):
    """How a row is divided into fields."""
    random = np.random.default_rng(1)
    one = {"all": (np.float32, (19,))}
    singles = {f"f{place}": np.float32 for place in range(19)}
    packed = {"obs": (np.float32, (64,)), "action": np.int64}
    wide = {"obs": (np.float32, (65,)), "action": np.int64}

    def full(layout):
        buffer = replay.ReplayBuffer(scale.rows, layout, seed=1)
        stack.callback(buffer.close)
        many = [
            random.random((_CHUNK, *field.shape)).astype(field.dtype)
            for field in buffer.fields.values()
        ]
        while not buffer.is_full:
            buffer.extend(*many)
        return buffer

    in_one = drawing(full(one))
    yield Effect(
        f"sample({_BATCH}), rows of 76 bytes", "19 fields of a number", "one field of 19",
        drawing(full(singles)), in_one,
    )  # fmt: skip
    yield Effect(
        f"sample({_BATCH})", "260 bytes: a column of its own", "256 bytes: packed",
        drawing(full(wide)), drawing(full(packed)),
    )  # fmt: skip
    # As few as fit: what is compared is the bytes that are moved, not the caches.
    frames = max(scale.rows // 200, 500)
    whole = replay.ReplayBuffer(
        frames,
        {"obs": (np.uint8, (4, *_FRAME)), "next_obs": (np.uint8, (4, *_FRAME)), "action": int},
        seed=1,
    )
    stack.callback(whole.close)
    stacks = np.zeros((100, 4, *_FRAME), np.uint8)
    while not whole.is_full:
        whole.extend(stacks, stacks, np.zeros(100, np.int64))
    log = replay.ReplayBuffer(
        frames,
        {"obs": (np.uint8, _FRAME), "action": np.int64, "reward": np.float32},
        view=replay.FrameStack(4),
        seed=1,
    )
    stack.callback(log.close)
    writer = log.writer()
    frame = np.zeros(_FRAME, np.uint8)
    while not log.is_full:
        writer.reset(frame)
        for _ in range(500):
            writer.step(frame, 0, 0.0, False, False)
    writer.step(frame, 0, 0.0, True, False)
    writer.reset(frame)
    yield Effect(
        f"a step of Atari added, {2 * 4 * 84 * 84:,} and {84 * 84:,} bytes",
        "stacks stored whole", "`FrameStack(4)`",
        calls(whole.add, stacks[0], stacks[0], 0), calls(writer.step, frame, 0, 0.0, False, False),
    )  # fmt: skip
    yield Effect(
        "sample(32) of these", "stacks stored whole", "`FrameStack(4)`",
        drawing(whole, 32), drawing(log, 32),
    )  # fmt: skip


def compiled(scale, stack):
    """Kernels in a loop of one's own, beside calls from Python."""
    for kind in ("uniform", "prioritized"):
        buffer = made(stack, scale.rows, kind)
        yield Effect(
            f"add, {kind}", "from Python", "in a compiled loop",
            calls(buffer.add, *one_row()), looped(*compiled_adding(buffer, 0)),
        )  # fmt: skip
        for batch in (32, _BATCH):
            out = buffer.sample(batch)
            yield Effect(
                f"sample({batch}, out=), a row, {kind}", "from Python", "in a compiled loop",
                calls(buffer.sample, batch, out=out, per=batch),
                looped(*compiled_sampling(buffer, batch)),
            )  # fmt: skip


def looped(loop, per):
    """Make a work of a compiled loop, which does so many operations at a time."""
    return Work(lambda count: [loop() for _ in range(count)], per)


def crews(scale):
    """Time two threads beside one; effects with the nanoseconds of both, of wall time."""
    rates, _ = threads(
        scale.rows, max(scale.rounds, 4), 2 * scale.seconds, 10 * scale.rounds,
        Progress("threads", 100),
    )  # fmt: skip
    return [
        (Effect(f"{what}, a row", "one thread", "two"), 1e9 / rates[what, 1], 1e9 / rates[what, 2])
        for what in ("sample(256)", "sample(4096)", "extend(4096)", "compiled loop: sample 256")
    ]


def batches(scale):
    """Time batches of all sizes; nanoseconds a row by what is done and rows a call."""
    works = {}
    with contextlib.ExitStack() as stack:
        for kind in ("uniform", "prioritized"):
            buffer = made(stack, scale.rows, kind)
            errors = np.random.default_rng(1).exponential(size=max(BATCHES))
            for batch in BATCHES:
                out = buffer.sample(batch)
                many = tuple(rows(batch).values())
                works[f"sample(n, out=), {kind}", batch] = calls(
                    buffer.sample, batch, out=out, per=batch
                )
                works[f"extend of n, {kind}", batch] = calls(buffer.extend, *many, per=batch)
                if kind == "prioritized":
                    ids = buffer.sample(batch).ids
                    works["update of n", batch] = calls(
                        buffer.update_priorities, ids, errors[:batch], per=batch
                    )
        return BATCHES, in_turns(works, scale.rounds, scale.seconds)


SECTIONS = {
    "out=": given_arrays,
    "rows-in": rows_in,
    "compiled": compiled,
    "pages": page_sizes,
    "first-touch": first_touch,
    "homes": homes,
    "capacity": capacities,
    "fields": schemas,
    "streams": streams,
}
