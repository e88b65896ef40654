"""
One, two and four threads, and one to four processes, at one buffer: rows a second of all together.

Every crew has its turn in every round. Other programs of the machine take cores that a crew would
have had: turns in which some had none are taken again while there is patience, and of all turns
of a crew the half counts in which they took least.
"""

import multiprocessing
import os
import pathlib
import statistics
import threading
import time

import numpy as np
from benchmarks.workload import FIELDS, rows, sampler
from scaling_buffers import one_row

import replay
from kernels.jit import kernel
from kernels.walk_add import rows_add
from kernels.walk_draw import draw_proportional, draw_uniform
from kernels.walk_gather import rows_gather

SIZES = {"threads": (1, 2, 4), "processes": (1, 2, 3, 4)}
#: Cores that others may take, more than the crew leaves, in a turn that counts as quiet.
_QUIET = 0.2
#: Rows that a compiled loop adds or draws before it looks at the clock.
_LOOP = 1 << 16
_SHORT, _LONG, _MANY = 256, 4096, 64


@kernel
def uniform_loop(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int
) -> int:
    missed = 0
    for _ in range(count):
        draw_uniform(handle, slots, weights)
        missed += rows_gather(handle, targets, slots)
    return missed


@kernel
def proportional_loop(
    handle: np.ndarray, targets: np.ndarray, slots: np.ndarray, weights: np.ndarray, count: int
) -> int:
    missed = 0
    for _ in range(count):
        draw_proportional(handle, slots, weights)
        missed += rows_gather(handle, targets, slots)
    return missed


@kernel
def add_loop(
    handle: np.ndarray, sources: np.ndarray, stream: int, ids: np.ndarray, count: int
) -> int:
    stored = 0
    for _ in range(count):
        stored += rows_add(handle, sources, stream, 1, ids)
    return stored


def fill_streams(buffer):
    """Fill every stream, with a priority of its own for each row if the buffer keeps them."""
    chunk = tuple(rows(_LONG).values())
    random = np.random.default_rng(2)
    writers = [buffer.writer(stream) for stream in range(buffer.streams)]
    while len(buffer) < buffer.capacity:
        for writer in writers:
            ids = writer.extend(*chunk)
            if buffer.sampler.prioritized:
                buffer.update_priorities(ids, random.exponential(size=ids.size))


def addresses(arrays):
    return np.array([array.ctypes.data for array in arrays])


def sampling(buffer, batch):
    """Make a piece of work: a call, and the rows that it draws."""
    out = buffer.sample(batch)
    return lambda: buffer.sample(batch, out=out), batch


def learning(buffer, batch):
    out = buffer.sample(batch)
    errors = np.random.default_rng(5).exponential(size=batch).astype(np.float32)

    def learn():
        buffer.sample(batch, out=out)
        buffer.update_priorities(out.ids, errors)

    return learn, batch


def adding(buffer, stream):
    writer = buffer.writer(stream)
    one = one_row()
    return lambda: writer.add(*one), 1


def extending(buffer, stream, batch):
    writer = buffer.writer(stream)
    many = tuple(rows(batch).values())
    return lambda: writer.extend(*many), batch


def compiled_sampling(buffer, batch=_SHORT):
    out = buffer.sample(batch)
    slots, weights = np.empty(batch, np.int64), np.empty(batch, np.float32)
    loop = proportional_loop if buffer.sampler.prioritized else uniform_loop
    handle, targets, count = buffer.handle, addresses(out[:-2]), _LOOP // batch
    # The arrays whose addresses these are go with the loop.
    return lambda out=out: loop(handle, targets, slots, weights, count), _LOOP


def compiled_adding(buffer, stream):
    one = rows(1)
    ids = np.empty(1, np.int64)
    handle, sources = buffer.handle, addresses(one.values())
    return lambda one=one: add_loop(handle, sources, stream, ids, _LOOP), _LOOP


#: What a thread does: of a buffer of which sampler, and its work, given the thread's number.
THREADED = {
    "compiled loop: sample 256": ("uniform", lambda buffer, _: compiled_sampling(buffer)),
    "compiled loop: prioritized": ("prioritized", lambda buffer, _: compiled_sampling(buffer)),
    "compiled loop: add, a stream each": ("uniform", compiled_adding),
    "compiled loop: add, one stream": (
        "uniform",
        lambda buffer, _: compiled_adding(buffer, 0),
    ),
    "sample(4096)": ("uniform", lambda buffer, _: sampling(buffer, _LONG)),
    "sample(4096), prioritized": ("prioritized", lambda buffer, _: sampling(buffer, _LONG)),
    "extend(4096)": ("uniform", lambda buffer, me: extending(buffer, me, _LONG)),
    "sample(256)": ("uniform", lambda buffer, _: sampling(buffer, _SHORT)),
    "sample(256), prioritized": ("prioritized", lambda buffer, _: sampling(buffer, _SHORT)),
    "add": ("uniform", adding),
}
#: What a process does.
CREWED = {
    "sample(256)": ("uniform", lambda buffer, _: sampling(buffer, _SHORT)),
    "sample(256) + update": ("prioritized", lambda buffer, _: learning(buffer, _SHORT)),
    "add, a stream each": ("uniform", adding),
    "add, one stream": ("uniform", lambda buffer, _: adding(buffer, 0)),
    "add, prioritized": ("prioritized", adding),
    "extend(64), a stream each": ("uniform", lambda buffer, me: extending(buffer, me, _MANY)),
    "extend(64), one stream": ("uniform", lambda buffer, _: extending(buffer, 0, _MANY)),
    "extend(64), prioritized": ("prioritized", lambda buffer, me: extending(buffer, me, _MANY)),
}


def worked(call, count, starts, seconds):
    """Do a work for some seconds of wall time; give the rows a second."""
    call()
    while time.monotonic() < starts:
        pass
    # A few calls between two looks at the clock, but not seconds of them.
    calls = max(1024 // count, 1)
    done = 0
    began = now = time.monotonic()
    while now - began < seconds:
        for _ in range(calls):
            call()
        done += calls * count
        now = time.monotonic()
    return done / (now - began)


class Others:
    """What other programs took of the machine's cores since the last look, in cores."""

    def __init__(self):
        self._file = pathlib.Path("/proc/stat")
        self._tick = os.sysconf("SC_CLK_TCK") if self._file.exists() else 1
        self.look(0.0)

    def look(self, ours):
        """
        Look at the system's clock.

        Parameters
        ----------
        ours : float
            Seconds of processor time that we took ourselves since.
        """
        busy, now = self._busy(), time.monotonic()
        before, self._last = getattr(self, "_last", (busy, now)), (busy, now)
        return max(busy - before[0] - ours, 0.0) / max(now - before[1], 1e-9)

    def _busy(self):
        if not self._file.exists():
            return 0.0
        user, nice, system, _, _, irq, softirq, steal = (
            int(word) for word in self._file.read_text().split()[1:9]
        )
        return (user + nice + system + irq + softirq + steal) / self._tick


def _in_turns(keys, rounds, patience, turn, progress):
    """
    Give each key its turns.

    Parameters
    ----------
    keys : sequence
        Pairs of what is done and how many do it.
    rounds : int
    patience : float
        Seconds in which turns that were not quiet are taken again.
    turn : callable
        Of a key: gives the cores that others took, and the rate.
    progress : Progress
        In hundredths.

    Returns
    -------
    rates : dict
        Medians of the quieter half of the turns.
    others : float
        The cores that others took in these, on average.
    """
    kept = {key: [] for key in keys}
    free = (os.cpu_count() or 1) + _QUIET
    done = 0
    end = None
    waiting = list(keys)
    while waiting:
        for key in waiting:
            kept[key].append(turn(key))
        done += 1
        if done < rounds:
            progress.step(50 * done // rounds)
        else:
            end = end or time.monotonic() + patience
            left = end - time.monotonic()
            if left <= 0:
                break
            progress.step(int(100 - 50 * left / patience))
            waiting = [
                key
                for key in keys
                if sum(taken <= free - key[1] for taken, _ in kept[key]) < rounds / 2
            ]
    progress.end()
    quiet = {key: sorted(turns)[: (rounds + 1) // 2] for key, turns in kept.items()}
    rates = {key: statistics.median(rate for _, rate in turns) for key, turns in quiet.items()}
    return rates, statistics.mean(taken for turns in quiet.values() for taken, _ in turns)


def threads(capacity, rounds, seconds, patience, progress):
    """
    Time crews of threads at private buffers.

    Returns
    -------
    rates : dict of float
        Rows a second by (what is done, threads).
    others : float
        Cores that other programs took meanwhile, on average.
    """
    streams = max(SIZES["threads"])
    buffers = {
        kind: replay.ReplayBuffer(capacity, FIELDS, sampler=sampler(kind), streams=streams, seed=1)
        for kind in ("uniform", "prioritized")
    }
    for buffer in buffers.values():
        fill_streams(buffer)
    works = {
        what: [make(buffers[kind], me) for me in range(streams)]
        for what, (kind, make) in THREADED.items()
    }
    others = Others()

    def turn(key):
        what, crew = key
        starts = time.monotonic() + 0.01
        told = []
        others.look(0.0)
        began = time.process_time()
        members = [
            threading.Thread(target=lambda work=work: told.append(worked(*work, starts, seconds)))
            for work in works[what][:crew]
        ]
        for member in members:
            member.start()
        for member in members:
            member.join()
        return others.look(time.process_time() - began), sum(told)

    keys = [(what, crew) for what in THREADED for crew in SIZES["threads"]]
    found = _in_turns(keys, rounds, patience, turn, progress)
    works.clear()
    for buffer in buffers.values():
        buffer.close()
    return found


def processes(capacity, rounds, seconds, patience, progress):
    """Time crews of processes at named buffers, as `threads`."""
    context = multiprocessing.get_context("spawn")
    names = {kind: f"scaling-{os.getpid()}-{kind}" for kind in ("uniform", "prioritized")}
    most = max(SIZES["processes"])
    buffers = [
        replay.ReplayBuffer(
            capacity, FIELDS, sampler=sampler(kind), streams=most, name=name, seed=1
        )
        for kind, name in names.items()
    ]
    for buffer in buffers:
        fill_streams(buffer)
    reports = context.Queue()
    queues = [context.Queue() for _ in range(most)]
    members = [
        context.Process(target=_member, args=(names, me, orders, reports), daemon=True)
        for me, orders in enumerate(queues)
    ]
    others = Others()

    def turn(key):
        what, crew = key
        others.look(0.0)
        starts = time.monotonic() + 0.01
        for orders in queues[:crew]:
            orders.put((what, starts, seconds))
        told = [reports.get(timeout=120) for _ in range(crew)]
        return others.look(sum(spent for _, spent in told)), sum(rate for rate, _ in told)

    for member in members:
        member.start()
    try:
        for _ in members:
            reports.get(timeout=120)
        keys = [(what, crew) for what in CREWED for crew in SIZES["processes"]]
        return _in_turns(keys, rounds, patience, turn, progress)
    finally:
        for orders in queues:
            orders.put(None)
        for member in members:
            member.join()
        for buffer in buffers:
            buffer.close()


def _member(names, me, orders, reports):
    """Take orders until there are no more; tell rows a second and processor time of each."""
    buffers = {kind: replay.attach(name) for kind, name in names.items()}
    works = {what: make(buffers[kind], me) for what, (kind, make) in CREWED.items()}
    for call, _ in works.values():
        call()
    reports.put(None)
    while (order := orders.get()) is not None:
        what, starts, seconds = order
        began = time.process_time()
        rate = worked(*works[what], starts, seconds)
        reports.put((rate, time.process_time() - began))
    works.clear()
    for buffer in buffers.values():
        buffer.close()
