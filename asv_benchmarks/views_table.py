"""
What each view costs beside Transition, and frame stacks beside NumPy, in one run.

Medians of processor time of one thread, in microseconds a call. All are timed in turns, piece by
piece, so that a machine whose speed drifts slows all. NumPy's side of the frame stacks is
`np.take` of as many bytes out of an array of single frames: the same stacks, without episodes.

    python asv_benchmarks/views_table.py [--rows 1000000] [--frames 100000] [--rounds 15]
"""

import argparse
import platform
import statistics
import sys
import time

import numba
import numpy as np

import replay

ROW = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}
STEP = {name: ROW[name] for name in ("obs", "action", "reward")}
FRAME = (84, 84)
IMAGE = {"obs": (np.uint8, FRAME), "action": np.int64, "reward": np.float32}
STACK = 4
ENVS = 16
EPISODE = 200
DISCOUNT = 0.99
BATCHES = (32, 256)
#: Seconds that one timing takes at least.
TIMING = 0.005

VIEWS = {
    "Transition()": replay.Transition(),
    "NStep(3)": replay.NStep(3, DISCOUNT),
    "FrameStack(4)": replay.FrameStack(4),
    "FrameStack(4, NStep(3))": replay.FrameStack(4, replay.NStep(3, DISCOUNT)),
    "Sequence(80, 40, burn_in=40)": replay.Sequence(80, 40, burn_in=40),
    f"Episodes({EPISODE})": replay.Episodes(EPISODE),
}


def plain_rows(rows):
    """Make a full buffer without a view."""
    buffer = replay.ReplayBuffer(rows, ROW, seed=0)
    random = np.random.default_rng(1)
    for _ in range(-(-rows // 4096)):
        buffer.extend(
            random.standard_normal((4096, 8), np.float32),
            random.integers(4, size=4096),
            random.standard_normal(4096, np.float32),
            random.standard_normal((4096, 8), np.float32),
            np.zeros(4096, bool),
        )
    return buffer


def log_of_steps(rows, fields, view, streams=1):
    """Make a full log of episodes of EPISODE steps."""
    buffer = replay.ReplayBuffer(rows, fields, view=view, streams=streams, seed=0)
    dtype, shape = fields["obs"]
    frames = np.random.default_rng(1).integers(0, 255, (64, *shape)).astype(dtype)
    for stream in range(streams):
        writer = buffer.writer(stream)
        left = rows // streams
        while left > 0:
            writer.reset(frames[0])
            for step in range(1, EPISODE + 1):
                writer.step(frames[step % 64], step % 4, 1.0, step == EPISODE, False)
            left -= EPISODE + 1
    return buffer


def timed(works, rounds):
    """Time functions in turns, and give the median of each in microseconds."""
    calls = []
    for work in works:
        work()
        took = seconds(work, 1)
        calls.append(max(1, int(TIMING / max(took, 1e-7))))
    kept = [[] for _ in works]
    for turn in range(rounds + 1):
        for work, count, times in zip(works, calls, kept, strict=True):
            took = seconds(work, count)
            if turn:  # the first is to warm up
                times.append(took)
    return [statistics.median(times) * 1e6 for times in kept]


def seconds(work, calls):
    started = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - started) / calls


def shown(title, names, columns, base):
    """Print a table: a time and its ratio to the line `base`, a pair a column."""
    heads = "".join(f"{head:>16}{'ratio':>8}" for head in columns)
    print(f"\n{title:34}{heads}")
    for line, name in enumerate(names):
        pairs = "".join(
            f"{times[line]:16.2f}{times[line] / times[base]:8.2f}" for times in columns.values()
        )
        print(f"{name:34}{pairs}")
    sys.stdout.flush()


def samples(rows, rounds):
    """Sample each view of one log, and rows of a buffer without a view."""
    plain = plain_rows(rows)
    log = log_of_steps(rows, STEP, replay.Transition())
    readers = {"rows of 77 bytes, no view": plain}
    readers |= {name: log.reader(view) for name, view in VIEWS.items()}
    columns = {
        f"sample({batch}) us": timed(
            [
                lambda reader=reader, batch=batch: reader.sample(batch)
                for reader in readers.values()
            ],
            rounds,
        )
        for batch in BATCHES
    }
    shown(f"{rows:,} rows, obs of 32 bytes", readers, columns, base=1)


def writes(rows, rounds):
    """Write steps, one at a time and of many environments, and rows."""
    plain = plain_rows(rows)
    obs = np.ones(8, np.float32)
    many = (np.ones((ENVS, 8), np.float32), np.ones(ENVS, np.int64), np.ones(ENVS, np.float32))
    never = np.zeros(ENVS, bool)
    names = ["add(row of 77 bytes)"]
    works = [lambda: plain.add(obs, 1, 1.0, obs, False)]
    for sampler in (replay.Uniform(), replay.Proportional()):
        buffer = replay.ReplayBuffer(rows, STEP, view=replay.Transition(), sampler=sampler)
        writer = buffer.writer()
        writer.reset(obs)
        names.append(f"step, {sampler.kind}")
        works.append(lambda writer=writer: writer.step(obs, 1, 1.0, False, False))
        buffer = replay.ReplayBuffer(
            rows, STEP, view=replay.Transition(), sampler=sampler, streams=ENVS
        )
        vector = buffer.vector_writer()
        vector.reset(many[0])
        names.append(f"step of {ENVS} environments, {sampler.kind}")
        works.append(lambda vector=vector: vector.step(*many, never, never))
    shown("writing", names, {"us": timed(works, rounds)}, base=0)


def frames(rows, rounds):
    """Sample stacks of frames, and take as many bytes by NumPy."""
    log = log_of_steps(rows, IMAGE, replay.FrameStack(STACK))
    single = np.empty((rows, *FRAME), np.uint8)
    single[:] = np.arange(rows, dtype=np.uint8)[:, None, None]
    random = np.random.default_rng(2)
    stack = np.arange(1 - STACK, 1)
    names = ["np.take", *(name for name in VIEWS if name.startswith("FrameStack"))]
    readers = [log.reader(VIEWS[name]) for name in names[1:]]
    for given in (False, True):
        columns = {}
        for batch in BATCHES:
            out = np.empty((2, batch, STACK, *FRAME), np.uint8)

            def take(batch=batch, out=out, given=given):
                drawn = random.integers(STACK, rows, batch)[:, None] + stack
                # Without a mode NumPy copies into arrays of its own first.
                return [
                    np.take(single, frame, 0, out[place] if given else None, "clip")
                    for place, frame in enumerate((drawn - 1, drawn))
                ]

            works = [take]
            for reader in readers:
                kept = reader.sample(batch) if given else None
                works.append(
                    lambda reader=reader, batch=batch, kept=kept: reader.sample(batch, out=kept)
                )
            columns[f"sample({batch}) us"] = timed(works, rounds)
        arrays = "given arrays" if given else "new arrays"
        shown(f"{rows:,} frames of 84x84, {arrays}", names, columns, base=0)
    print(f"\n{log.nbytes / rows:,.0f} bytes a row; a batch has 8 frames of 7,056 bytes a row")


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of small observations")
    parser.add_argument("--frames", type=int, default=100_000, help="frames, of 7 kB twice")
    parser.add_argument(
        "--rounds", type=int, default=15, help="timings of each, medians are shown"
    )
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"replay {replay.__version__}; processor time of one thread"
    )
    samples(options.rows, options.rounds)
    writes(options.rows, options.rounds)
    frames(options.frames, options.rounds)


if __name__ == "__main__":
    main()
