"""
Kernels in a compiled loop: what an agent of one's own pays, in nanoseconds.

A row of 77 bytes is written into the next slot of a ring, behind its sequence word, and is given a
priority; a batch of 32 is drawn and gathered into five arrays, each row checked for being whole.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from peers.peer import BETA, SEED
from peers.transitions import NAMES, many

from kernels.jit import kernel
from kernels.priorities import priority_scale
from kernels.random import random_below, random_claim
from kernels.ring import NOT_TAKEN, ring_claim, ring_commit, ring_take
from kernels.rows import ADDRESS, PLAN_WIDTH, SIZE, STRIDE, rows_get, rows_put
from kernels.tree import tree_get, tree_levels, tree_rebuild, tree_set, tree_total
from kernels.tree_draw import tree_edge, tree_find_many
from kernels.weights import weights_of, weights_scale

from .options import Found, Options
from .progress import Progress
from .tables import Verdict
from .turns import in_turns

BATCH = 32
#: Works, and the nanoseconds to reach.
WORKS = {
    "compiled loop: add": 42.0,
    "compiled loop: prioritized add": 100.0,
    "compiled loop: sample(32)": 1000.0,
    "compiled loop: prioritized sample(32)": 2000.0,
}
#: Where each field lies in a record of 88 bytes, behind the sequence word.
OFFSETS = {"obs": 16, "action": 8, "reward": 80, "next_obs": 48, "terminated": 84}
WIDTH = 11


@kernel
def write(heads, records, plan, sources):
    """Store one row; give its slot, or -1 where another writer is inside."""
    ticket = ring_claim(heads, 0, 1)
    slot = ticket % records.shape[0]
    if ring_take(records, slot, ticket, 0) == NOT_TAKEN:
        return -1
    rows_put(plan, sources, 0, slot)
    ring_commit(records, slot, ticket)
    return slot


@kernel
def add_many(heads, records, plan, sources, times):
    stored = 0
    for _ in range(times):
        if write(heads, records, plan, sources) >= 0:
            stored += 1
    return stored


@kernel
def add_prioritized(heads, records, plan, sources, tree, levels, times):
    stored = 0
    # Other leaves each time: one that stays is not written again.
    leaf = priority_scale(records.shape[0])
    for turn in range(times):
        slot = write(heads, records, plan, sources)
        if slot >= 0:
            tree_set(tree, levels, slot, leaf + (turn & 7))
            stored += 1
    return stored


@kernel
def sample_many(records, plan, targets, line, slots, times):
    missed = 0
    for _ in range(times):
        counter = random_claim(line, slots.size)
        for draw in range(slots.size):
            slots[draw] = random_below(line[0], counter + draw, records.shape[0])
        missed += rows_get(plan, records, records.shape[0], 1, targets, slots)
    return missed


@kernel
def sample_prioritized(records, plan, targets, line, tree, drawn, times):
    """Draw from strata of the tree, weigh, gather; `drawn` holds what is written on the way."""
    levels, slots, prefixes, leaves, weights = drawn
    missed = 0
    count = slots.size
    for _ in range(times):
        counter = random_claim(line, count)
        total = tree_total(tree)
        edge = 0
        for draw in range(count):
            # Where a stratum ends the next begins: `tree_stratum` would compute both.
            after = tree_edge(total, draw + 1, count)
            prefixes[draw] = edge + random_below(line[0], counter + draw, after - edge)
            edge = after
        tree_find_many(tree, levels, prefixes, slots, count)
        for draw in range(count):
            leaves[draw] = tree_get(tree, levels, slots[draw])
        largest = weights_of(leaves, total / records.shape[0], BETA, weights, count)
        weights_scale(weights, largest)
        missed += rows_get(plan, records, records.shape[0], 1, targets, slots)
    return missed


class Memory:
    """The arrays of an agent's own: a ring of records, a tree, a batch."""

    def __init__(self, rows: int) -> None:
        self.heads = np.zeros((1, 8), np.int64)
        self.records = np.zeros((rows, WIDTH), np.int64)
        self.row, self.batch = many(1), many(BATCH)
        self.plan = np.zeros((len(NAMES), PLAN_WIDTH), np.int64)
        for field, (name, column) in enumerate(zip(NAMES, self.row, strict=True)):
            self.plan[field, ADDRESS] = self.records.ctypes.data + OFFSETS[name]
            self.plan[field, STRIDE] = WIDTH * 8
            self.plan[field, SIZE] = column.nbytes
        self.sources = addresses(self.row)
        self.targets = addresses(self.batch)
        self.levels = tree_levels(rows)
        self.tree = np.zeros((self.levels[-1], 8), np.int64)
        scale = priority_scale(rows)
        random = np.random.default_rng(SEED)
        self.tree[self.levels[-2] :].reshape(-1)[:rows] = 1 + scale * random.exponential(size=rows)
        tree_rebuild(self.tree, self.levels)
        self.line = np.zeros(8, np.int64)
        self.line[0] = SEED
        self.slots, self.prefixes, self.leaves = np.zeros((3, BATCH), np.int64)
        self.weights = np.zeros(BATCH, np.float32)
        self.drawn = (self.levels, self.slots, self.prefixes, self.leaves, self.weights)

    def add(self, times: int) -> None:
        stored = add_many(self.heads, self.records, self.plan, self.sources, times)
        assert stored == times

    def add_prioritized(self, times: int) -> None:
        stored = add_prioritized(
            self.heads, self.records, self.plan, self.sources, self.tree, self.levels, times
        )
        assert stored == times

    def sample(self, times: int) -> None:
        missed = sample_many(self.records, self.plan, self.targets, self.line, self.slots, times)
        assert missed == 0

    def sample_prioritized(self, times: int) -> None:
        missed = sample_prioritized(
            self.records, self.plan, self.targets, self.line, self.tree, self.drawn, times
        )
        assert missed == 0


def addresses(columns: Any) -> np.ndarray:
    """Give where each array begins."""
    return np.array([column.ctypes.data for column in columns])


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    return [name for name in WORKS if options.wanted(name)]


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Time the loops."""
    wanted = works(options)
    if not wanted:
        return
    found = Found()
    progress.begin(wanted[0])
    with progress.long("compiling, or loading what was compiled"):
        memory = Memory(options.rows)
        memory.add(options.rows)
        calls: dict[str, Callable[[int], object]] = dict(
            zip(
                WORKS,
                (memory.add, memory.add_prioritized, memory.sample, memory.sample_prioritized),
                strict=True,
            )
        )
        for name in wanted:
            calls[name](1)
        check(memory)
    for name in wanted:
        if name != wanted[0]:
            progress.begin(name)
        times = in_turns({name: calls[name]}, options.rounds, progress.turn).medians
        found.verdicts.append(Verdict(name, "", 1000 * times[name], 0.0, 0.0, "ns", WORKS[name]))
    yield found


def check(memory: Memory) -> None:
    """See that what is drawn is what was stored."""
    for draw in (memory.sample, memory.sample_prioritized):
        draw(1)
        for stored, drawn in zip(memory.row, memory.batch, strict=True):
            assert (drawn == stored).all()
