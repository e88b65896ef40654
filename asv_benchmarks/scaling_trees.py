"""Draws and updates of the priority tree alone, from a thousand leaves to a hundred million."""

import contextlib
import dataclasses
import functools

import floor
import numpy as np
from benchmarks.tree import update_many
from benchmarks.tree_draw import find_interleaved, find_many
from benchmarks.workload import generator
from turns import Work, in_turns, in_turns_anew

from kernels.addresses import STACK, address_of, prefetch
from kernels.jit import interpreted, kernel
from kernels.random import random_below, random_claim
from kernels.tree import tree_add, tree_exchange, tree_levels, tree_rebuild

LEAVES = (
    1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000,
    100_000_000,
)  # fmt: skip
#: Full trees that the first two caches hold: what a level costs is told from these.
_KNOWN = (8**2, 8**3, 8**4, 8**5)
#: What is done, and how its reads or additions of a level go: by themselves or asked for before.
DONE = {
    "draw, one by one": "chase",
    "draw, 64 at once": "reads",
    "update, 256 at once": "additions",
}
_BATCH = 256
_CHUNK = 1 << 22
#: Lowest levels that a batch of updates asks for, where that is varied.
ASKED = (0, 1, 2, 3, 4)


@dataclasses.dataclass
class Line:
    """
    What a level costs while the caches hold the whole tree.

    Parameters
    ----------
    first, level : float
        Nanoseconds of what is done once, and of each level.
    """

    first: float
    level: float

    def at(self, leaves):
        """Give what so many leaves should take: depth times the cost of a level."""
        return self.first + self.level * depth(leaves)


@kernel
def update_asking(
    tree: np.ndarray, levels: np.ndarray, line: np.ndarray, leaves: int, asked: int, count: int
) -> None:
    # As a batch of updates, with the two top levels left out, and so many of the lowest asked for.
    depth = levels.size - 1
    at = address_of(tree)
    for _ in range(0, count, STACK):
        counter = random_claim(line, STACK)
        for turn in range(STACK):
            leaf = random_below(line[0], counter + turn, leaves)
            for level in range(depth - 1, max(depth - 1 - asked, 1), -1):
                prefetch(at + (levels[level] + (leaf >> (3 * (depth - level)))) * 64)
        for turn in range(STACK):
            leaf = random_below(line[0], counter + turn, leaves)
            difference = tree_exchange(tree, levels, leaf, 1 + (counter + turn & 0xFFFFF))
            tree_add(tree, levels, leaf, difference, 2)


def levels_of(leaves):
    return interpreted(tree_levels)(leaves)


def depth(leaves):
    return levels_of(leaves).size - 1


def tree_bytes(leaves):
    return int(levels_of(leaves)[-1]) * 64


def with_memory(line, leaves, pages, way, ground):
    """
    Give what so many leaves should take where the caches do not hold the tree.

    To each level is added by how much its line takes longer than one out of the first cache. What
    the caches must hold to have it still: all lines that were met since it was met last. A level
    of n lines sees each of its lines once in n draws, and these meet about m (1 - exp(-n / m))
    lines of a level of m.
    """
    levels = levels_of(leaves)
    lines = np.diff(levels).astype(float)
    # The two top levels of a batch of updates are summed apart, and added once.
    first = 2 if way == "additions" else 0
    met = [float(np.sum(lines * -np.expm1(-own / lines))) * 64 for own in lines[first:]]
    return line.at(leaves) + sum(ground.above(nbytes, pages, way) for nbytes in met)


def planted(leaves, pages):
    """Make a tree with random priorities in pages of a kind."""
    levels = levels_of(leaves)
    tree = floor.block(int(levels[-1]) * 64, pages).reshape(-1, 8)
    below = tree[levels[-2] :].reshape(-1)
    random = np.random.default_rng(3)
    for first in range(0, leaves, _CHUNK):
        count = min(_CHUNK, leaves - first)
        below[first : first + count] = random.integers(1, 1 << 20, size=count)
    tree_rebuild(tree, levels)
    return tree, levels


def works(leaves, pages):
    """Give what is done with a tree, each a work of so many leaves."""
    tree, levels = planted(leaves, pages)
    line = generator()
    prefixes, found = np.zeros(STACK, np.int64), np.zeros(STACK, np.int64)
    batch = np.zeros(_BATCH, np.int64)
    runs = (
        lambda count: find_many(tree, levels, line, count),
        lambda count: find_interleaved(tree, levels, line, prefixes, found, count),
        lambda count: update_many(tree, levels, line, batch, count),
    )
    return {done: Work(run, least=_BATCH) for done, run in zip(DONE, runs, strict=True)}


def measure(most, rounds, seconds, progress):
    """
    Time trees of up to `most` leaves.

    Returns
    -------
    sizes : list of int
    times : dict
        Nanoseconds by (what is done, pages), a list as long as the sizes.
    lines : dict
        By what is done, its Line.
    """
    sizes = [leaves for leaves in LEAVES if leaves <= most]
    lines = {}
    known = {leaves: works(leaves, "huge") for leaves in _KNOWN}
    pairs = {(done, leaves): work for leaves in _KNOWN for done, work in known[leaves].items()}
    took = in_turns(pairs, rounds, seconds)
    for done in DONE:
        times = [took[done, leaves] for leaves in _KNOWN]
        level, first = np.polyfit([depth(leaves) for leaves in _KNOWN], times, 1)
        lines[done] = Line(float(first), float(level))
    times = {(done, pages): [] for done in DONE for pages in floor.PAGES}
    for place, leaves in enumerate(sizes):
        progress.step(place)

        def both(leaves=leaves):
            found = {pages: works(leaves, pages) for pages in floor.PAGES}
            return contextlib.nullcontext(
                {(done, pages): work for pages in found for done, work in found[pages].items()}
            )

        for key, nanoseconds in in_turns_anew(both, rounds, seconds).items():
            times[key].append(nanoseconds)
    progress.end()
    return sizes, times, lines


def asking(most, rounds, seconds, progress):
    """Time updates by how many of the lowest levels were asked for; nanoseconds by both."""
    sizes = [leaves for leaves in (10_000, *LEAVES[6::2]) if leaves <= most]
    times = {}
    for place, leaves in enumerate(sizes):
        progress.step(place)

        def made(leaves=leaves):
            update = functools.partial(
                update_asking, *planted(leaves, "huge"), generator(), leaves
            )
            return contextlib.nullcontext(
                {
                    (leaves, asked): Work(functools.partial(update, asked), least=STACK)
                    for asked in ASKED
                }
            )

        times.update(in_turns_anew(made, rounds, seconds))
    progress.end()
    return sizes, times
