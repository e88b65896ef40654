"""
Writers and a learner in processes of their own at one named buffer: rows a second, in one run.

Each line is a table of medians over rounds in which every crew has its turn, so that a machine
whose speed drifts slows all of them. A second table sets named beside private for one process.

    python asv_benchmarks/throughput.py [--rows 1000000] [--rounds 5] [--seconds 0.5]
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import time

import numba
import numpy as np

import replay

FIELDS = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}
BATCH = 256
#: Writers, whether a learner is there, and how rows are added.
CREWS = [
    (writers, learner, many) for many in (1, 64) for writers in (1, 2, 3) for learner in (0, 1)
]
CREWS.append((0, 1, 1))


def rows(count):
    random = np.random.default_rng(0)
    return (
        random.normal(size=(count, 8)).astype(np.float32),
        random.integers(0, 4, count),
        random.normal(size=count).astype(np.float32),
        random.normal(size=(count, 8)).astype(np.float32),
        random.random(count) < 0.01,
    )


def adding(buffer, many):
    """Give a function that adds rows, and how many."""
    if many > 1:
        given = rows(many)
        return lambda: buffer.extend(*given), many
    one = (np.ones(8, np.float32), 1, 1.0, np.ones(8, np.float32), False)
    return lambda: buffer.add(*one), 1


def learning(buffer):
    """Give a function that draws a batch, and updates its priorities where there are any."""
    errors = np.random.default_rng(1).random(BATCH).astype(np.float32)
    prioritized = buffer.sampler.prioritized

    def learn():
        batch = buffer.sample(BATCH)
        if prioritized:
            buffer.update_priorities(batch.ids, errors)

    return learn, BATCH


def work(name, orders, reports):
    """Take orders for pieces of work, and report rows a second of wall time."""
    with replay.attach(name) as buffer:
        while True:
            order = orders.get()
            if order is None:
                return
            kind, many, starts, seconds = order
            call, count = learning(buffer) if kind == "learn" else adding(buffer, many)
            call()
            while time.monotonic() < starts:
                pass
            done = 0
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                for _ in range(16):
                    call()
                done += 16 * count
            reports.put((kind, done / (time.monotonic() - began)))


def crews(options, sampler):
    """Time every crew in turn; give the median rows a second of its writers and its learner."""
    context = multiprocessing.get_context("spawn")
    kept = {crew: ([], []) for crew in CREWS}
    name = f"throughput-{os.getpid()}-{sampler.kind}"
    with replay.ReplayBuffer(options.rows, FIELDS, sampler=sampler, name=name, seed=0) as buffer:
        fill(buffer, options.rows)
        reports = context.Queue()
        queues = [context.Queue() for _ in range(4)]
        processes = [
            context.Process(target=work, args=(name, orders, reports)) for orders in queues
        ]
        for process in processes:
            process.start()
        try:
            for turn in range(options.rounds + 1):
                for crew in CREWS:
                    writers, learner, many = crew
                    starts = time.monotonic() + 0.05
                    for orders in queues[:writers]:
                        orders.put(("write", many, starts, options.seconds))
                    if learner:
                        queues[3].put(("learn", 0, starts, options.seconds))
                    told = [reports.get(timeout=120) for _ in range(writers + learner)]
                    if turn:  # the first is to warm up
                        kept[crew][0].append(sum(rate for kind, rate in told if kind == "write"))
                        kept[crew][1].append(sum(rate for kind, rate in told if kind == "learn"))
        finally:
            for orders in queues:
                orders.put(None)
            for process in processes:
                process.join()
    return {crew: [statistics.median(rates) for rates in both] for crew, both in kept.items()}


def fill(buffer, count):
    step = 10_000
    given = rows(step)
    for _ in range(-(-count // step)):
        buffer.extend(*given)


def homes(options, sampler):
    """Time a named buffer beside a private one; give median microseconds a call of each."""
    kept = {}
    name = f"throughput-{os.getpid()}-homes"
    with (
        replay.ReplayBuffer(options.rows, FIELDS, sampler=sampler, seed=0) as private,
        replay.ReplayBuffer(options.rows, FIELDS, sampler=sampler, name=name, seed=0) as named,
    ):
        sides = {"private": private, "named": named}
        for buffer in sides.values():
            fill(buffer, options.rows)
        for turn in range(3 * options.rounds + 1):
            for home, buffer in sides.items():
                for what, calls, call in (
                    ("add", 20_000, adding(buffer, 1)[0]),
                    (f"sample({BATCH})", 1_000, lambda buffer=buffer: buffer.sample(BATCH)),
                ):
                    began = time.thread_time()
                    for _ in range(calls):
                        call()
                    took = (time.thread_time() - began) / calls * 1e6
                    if turn:
                        kept.setdefault((what, home), []).append(took)
    return {key: statistics.median(times) for key, times in kept.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows stored")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each crew")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{cores} cores of {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"replay {replay.__version__}; {options.rows:,} rows of 77 bytes, one stream, medians of "
        f"{options.rounds} turns of {options.seconds:g} s\n"
    )
    samplers = (replay.Uniform(), replay.Proportional())
    print(
        "thousands of rows a second, of all writers together and of the learner (batches of 256,"
    )
    print("with their update where rows have priorities)\n")
    print(f"{'':14}{'rows by':12}{'writers':>8}{'written':>10}{'with a learner':>16}{'read':>10}")
    for sampler in samplers:
        rates = crews(options, sampler)
        for many in (1, 64):
            for writers in (1, 2, 3):
                alone, (beside, read) = rates[writers, 0, many], rates[writers, 1, many]
                by = "add" if many == 1 else f"extend({many})"
                print(
                    f"{sampler.kind:14}{by:12}{writers:8}{alone[0] / 1e3:10,.0f}"
                    f"{beside / 1e3:16,.0f}{read / 1e3:10,.0f}"
                )
        print(f"{sampler.kind:14}{'none':12}{0:8}{'':26}{rates[0, 1, 1][1] / 1e3:10,.0f}")
        sys.stdout.flush()
    print("\nmicroseconds of processor time a call, one process\n")
    print(f"{'':14}{'call':12}{'private':>10}{'named':>10}{'ratio':>8}")
    for sampler in samplers:
        times = homes(options, sampler)
        for what in ("add", f"sample({BATCH})"):
            private, named = times[what, "private"], times[what, "named"]
            print(f"{sampler.kind:14}{what:12}{private:10.2f}{named:10.2f}{named / private:8.2f}")


if __name__ == "__main__":
    main()
