"""
What the memory itself takes: bare reads and additions at random places, with nothing around.

Three loops over lines of 64 bytes: a *chase*, in which each read says where the next one is; and
*reads* and atomic *additions* of lines that were asked for before, as batches do.
"""

import mmap
import pathlib

import numpy as np
from turns import Work, in_turns

from kernels.addresses import address_of, prefetch
from kernels.atomics import fetch_add
from kernels.jit import kernel
from kernels.random import random_below

#: Words of a line.
_LINE = 8
#: Lines that are asked for at once, as many as kernels ask for.
_AHEAD = 64
#: A mapping is no smaller, so that it can be a huge page.
_LEAST = 1 << 21
PAGES = ("huge", "small")
WAYS = ("chase", "reads", "additions")


@kernel
def chase(words: np.ndarray, at: int, count: int) -> int:
    for _ in range(count):
        at = words[at]
    return at


@kernel
def reads(words: np.ndarray, first: int, count: int) -> int:
    lines = words.size // _LINE
    at = address_of(words)
    found = 0
    for start in range(first, first + count, _AHEAD):
        for turn in range(start, start + _AHEAD):
            prefetch(at + random_below(1, turn, lines) * 64)
        for turn in range(start, start + _AHEAD):
            found += words[random_below(1, turn, lines) * _LINE]
    return found


@kernel
def additions(words: np.ndarray, first: int, count: int) -> int:
    lines = words.size // _LINE
    at = address_of(words)
    for start in range(first, first + count, _AHEAD):
        for turn in range(start, start + _AHEAD):
            prefetch(at + random_below(1, turn, lines) * 64)
        for turn in range(start, start + _AHEAD):
            # Word 0 leads the chase.
            fetch_add(words, random_below(1, turn, lines) * _LINE + 1, 1)
    return 0


def block(nbytes, pages="huge"):
    """
    Map private memory in huge pages or in small ones.

    Parameters
    ----------
    nbytes : int
    pages : str
        "huge" or "small": what the system is asked for.

    Returns
    -------
    (words,) int64 ndarray
        Zeros.
    """
    memory = mmap.mmap(-1, max(nbytes, _LEAST), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE if pages == "huge" else mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.int64)[: nbytes // 8]


def huge_share(words):
    """Say which share of an array lies in huge pages, nan where there is no telling."""
    maps = pathlib.Path("/proc/self/smaps")
    if not maps.exists():
        return float("nan")
    start, end = words.ctypes.data, words.ctypes.data + words.nbytes
    inside, huge = False, 0
    for line in maps.read_text().splitlines():
        head = line.split(maxsplit=1)[0]
        if "-" in head and not head.endswith(":"):
            first, after = (int(part, 16) for part in head.split("-"))
            inside = first < end and after > start
        elif inside and head == "AnonHugePages:":
            huge += int(line.split()[1]) * 1024
    return min(huge / words.nbytes, 1.0)


class Floor:
    """
    What a line takes, by size of the memory, way and pages.

    Parameters
    ----------
    sizes : sequence of int
        Bytes, rising.
    times : mapping
        Nanoseconds by (pages, way), a list as long as `sizes`.
    """

    def __init__(self, sizes, times):
        self.sizes = list(sizes)
        self.times = {key: list(values) for key, values in times.items()}

    def at(self, nbytes, pages, way):
        """Give the nanoseconds of one line out of so many bytes, between two sizes measured."""
        return float(np.interp(np.log(nbytes), np.log(self.sizes), self.times[pages, way]))

    def above(self, nbytes, pages, way):
        """Give by how much a line takes longer than one of the smallest memory."""
        return max(self.at(nbytes, pages, way) - self.times[pages, way][0], 0.0)


def measure(most, rounds, seconds, progress):
    """Time all loops in memories of up to `most` bytes."""
    sizes = [1 << 14]
    while sizes[-1] < most:
        sizes.append(sizes[-1] * 2)
    times = {(pages, way): [] for pages in PAGES for way in WAYS}
    for place, size in enumerate(sizes):
        progress.step(place)
        works = {}
        for pages in PAGES:
            words = _cycle(block(size, pages))
            works.update({(pages, way): _work(words, way) for way in WAYS})
        for key, took in in_turns(works, rounds, seconds).items():
            times[key].append(took)
    progress.end()
    return Floor(sizes, times)


def _cycle(words):
    """Write into the lines the places of others, so that they are one cycle."""
    order = np.random.default_rng(0).permutation(words.size // _LINE) * _LINE
    words[order] = np.roll(order, -1)
    return words


def _work(words, way):
    # Each timing goes on where the last one stopped, whose lines the caches know.
    at = 0

    def run(count):
        nonlocal at
        if way == "chase":
            at = chase(words, at, count)
        else:
            (reads if way == "reads" else additions)(words, at, count)
            at += count

    return Work(run, least=_AHEAD)
