"""
The walk of the order: when to sort the rows by their leaves, and who does it.

What is sorted is of this process, not of the block: each opening of a buffer has its own, and all
its threads share it. Two orders take turns: one is drawn from while the other is sorted.

    word of the handle, from SAMPLER on
    RANKS               address of (3, 8) int64, the lines below
    REFRESH             batches from one sort to the next; 0: when 1 / SHARE of the rows changed
    MARKS               address of (2, streams) int64: the ticket from which on rows are fresh
    STARTS_OF           address of (2, STARTS) int64, see `ranks`
    ORDERS              address of (2, slots) int64, entries in order
    ENTRIES             address of (slots,) int64, entries to be sorted
    MASSES              address of (slots + slots // MORE + 2,) int64, and of the guide behind them
    RANK_ALPHA          float64, by its bits

    line 0              SORTS that were finished; SORTER, one more than the number of the member
                        whose thread is at it, or 0; BATCHES drawn since the last
    lines 1 and 2       an order's, as `ranks` has it; then VERSION, odd while it is sorted;
                        ENTERED, the bucket that new rows entered with; UPDATED, ADDED and CLEARED,
                        priorities applied, tickets claimed and tickets cleared away before it

A fresh row is one that came after the order. It has the largest priority so far, so fresh rows
take the first ranks, and the rows of the order those behind them. Fresh are also the last rows of
a stream where their leaf was 0 at the sort: with a view it may come when their window is whole.
"""

import numpy as np

from kernels.addresses import integers_at, lines_at
from kernels.atomics import compare_and_swap, exchange, fence, load, store
from kernels.handle import (
    PRIORITY,
    ROWS,
    SAMPLER,
    STREAMS,
    UPDATES,
    WRITER,
    handle_float,
    handle_heads,
    handle_levels,
    handle_line,
    handle_tree,
)
from kernels.jit import kernel
from kernels.ranks import (
    CELLS,
    COUNT,
    STARTS,
    rank_bucket,
    ranks_clear,
    ranks_collect,
    ranks_guide,
    ranks_masses,
    ranks_sort,
)
from kernels.ring import BASE, HEAD, LINE
from kernels.tree import tree_get

RANKS = SAMPLER
REFRESH = SAMPLER + 1
MARKS = SAMPLER + 2
STARTS_OF = SAMPLER + 3
ORDERS = SAMPLER + 4
ENTRIES = SAMPLER + 5
MASSES = SAMPLER + 6
RANK_ALPHA = SAMPLER + 7

SORTS = 0
SORTER = 1
BATCHES = 2

VERSION = 3
ENTERED = 4
UPDATED = 5
ADDED = 6
CLEARED = 7
_WORDS = 8

#: Without a number of batches: sort when so large a share of the rows, 1 / SHARE, changed. Where
#: each row that is drawn gets a new priority, the draws are then off by a total variation of less
#: than 0.1 right before a sort, as simulated; and a row that changed costs the sorting of 32.
SHARE = 32
#: Sort in any case when 1 / MORE of the rows are fresh: there are ranks for no more.
MORE = 8


@kernel
def handle_ranks(handle: np.ndarray) -> np.ndarray:
    """Unpack the lines of the sorts, (3, 8) int64."""
    return lines_at(handle[RANKS], 3, _WORDS)


@kernel
def order_line(handle: np.ndarray, sorts: int) -> np.ndarray:
    """Unpack the line of the order that so many sorts have left, (8,) int64."""
    return integers_at(handle[RANKS] + (1 + (sorts & 1)) * _WORDS * 8, _WORDS)


@kernel
def order_marks(handle: np.ndarray, sorts: int) -> np.ndarray:
    """Unpack the first fresh ticket of each stream, (streams,) int64."""
    streams = handle[STREAMS]
    return integers_at(handle[MARKS] + (sorts & 1) * streams * 8, streams)


@kernel
def order_starts(handle: np.ndarray, sorts: int) -> np.ndarray:
    """Unpack where each bucket of an order begins, (STARTS,) int64."""
    return integers_at(handle[STARTS_OF] + (sorts & 1) * STARTS * 8, STARTS)


@kernel
def order_entries(handle: np.ndarray, sorts: int) -> np.ndarray:
    """Unpack an order, (slots,) int64."""
    slots = handle[STREAMS] * handle[ROWS]
    return integers_at(handle[ORDERS] + (sorts & 1) * slots * 8, slots)


@kernel
def handle_masses(handle: np.ndarray) -> np.ndarray:
    """Unpack the sums of the masses of ranks, (ranks + 1,) int64."""
    slots = handle[STREAMS] * handle[ROWS]
    return integers_at(handle[MASSES], slots + slots // MORE + 2)


@kernel
def handle_guide(handle: np.ndarray) -> np.ndarray:
    """Unpack the guide to the masses, (CELLS + 1,) int64."""
    slots = handle[STREAMS] * handle[ROWS]
    return integers_at(handle[MASSES] + (slots + slots // MORE + 2) * 8, CELLS + 1)


@kernel
def stream_fresh(heads: np.ndarray, rows: int, stream: int, mark: int) -> tuple[int, int]:
    """
    Say which tickets of a stream are fresh.

    Parameters
    ----------
    heads : (streams, 8) int64
    rows : int
        Slots of a stream.
    stream : int
    mark : int
        The first fresh ticket at the sort.

    Returns
    -------
    tuple of int
        The stream's next ticket, and how many before it are fresh.

    Notes
    -----
    Units: tickets.
    Cost: two loads.
    Errors: none.
    Sharing: any number of readers.
    Source: own.
    """
    head = load(heads, stream * LINE + HEAD)
    first = max(max(mark, load(heads, stream * LINE + BASE)), head - rows)
    return head, max(head - first, 0)


@kernel
def fresh_count(handle: np.ndarray, sorts: int) -> int:
    """
    Count the fresh rows of all streams.

    Parameters
    ----------
    handle : (words,) int64
    sorts : int
        That were finished: says which order.

    Returns
    -------
    int

    Notes
    -----
    Units: rows.
    Cost: a cache line a stream.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    heads = handle_heads(handle)
    marks = order_marks(handle, sorts)
    count = 0
    for stream in range(handle[STREAMS]):
        count += stream_fresh(heads, handle[ROWS], stream, marks[stream])[1]
    return count


@kernel
def fresh_slot(handle: np.ndarray, sorts: int, place: int) -> int:
    """
    Say which slot holds a fresh row, stream after stream, the newest first.

    Parameters
    ----------
    handle : (words,) int64
    sorts : int
    place : int
        0 <= place < fresh_count(handle, sorts).

    Returns
    -------
    int

    Notes
    -----
    Units: slots.
    Cost: a cache line a stream.
    Errors: none; a place that is too large by now gives a slot of the last stream.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    heads = handle_heads(handle)
    marks = order_marks(handle, sorts)
    rows = handle[ROWS]
    stream = 0
    head, count = stream_fresh(heads, rows, 0, marks[0])
    while place >= count and stream < handle[STREAMS] - 1:
        place -= count
        stream += 1
        head, count = stream_fresh(heads, rows, stream, marks[stream])
    return stream * rows + (head - 1 - place) % rows


@kernel
def slot_fresh(handle: np.ndarray, sorts: int, slot: int) -> bool:
    """
    Say whether a slot holds a fresh row: its place in the order is that of a row before it.

    Parameters
    ----------
    handle : (words,) int64
    sorts : int
    slot : int

    Returns
    -------
    bool

    Notes
    -----
    Units: slots.
    Cost: two divisions; none in a buffer of one stream.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    rows = handle[ROWS]
    stream = 0 if handle[STREAMS] == 1 else slot // rows
    mark = order_marks(handle, sorts)[stream]
    head, count = stream_fresh(handle_heads(handle), rows, stream, mark)
    return count != 0 and (head - 1 - slot + stream * rows) % rows < count


@kernel
def order_due(handle: np.ndarray) -> bool:
    """
    Say whether it is time to sort.

    Parameters
    ----------
    handle : (words,) int64

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: a cache line a stream.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own. Where C of N rows changed since the sort (a priority was set, a row came, a row
    went), draws differ from those by the ranks of now by a total variation of masses[C] /
    masses[N] at most: rows that did not change keep their order, so each is C ranks off at most.
    """
    ranks = handle_ranks(handle)
    sorts = load(ranks, SORTS)
    if sorts == 0:
        return True
    line = order_line(handle, sorts)
    heads = handle_heads(handle)
    added = -line[ADDED]
    cleared = -line[CLEARED]
    for stream in range(handle[STREAMS]):
        added += load(heads, stream * LINE + HEAD)
        cleared += load(heads, stream * LINE + BASE)
    updated = load(handle_line(handle, UPDATES), 0) - line[UPDATED]
    # Below zero: the buffer was restored to what it was before.
    if cleared != 0 or added < 0 or updated < 0 or added * MORE > line[COUNT]:
        return True
    if handle[REFRESH] != 0:
        return load(ranks, BATCHES) >= handle[REFRESH]
    # In a full buffer each row that comes takes the place of another.
    changed = updated + 2 * added
    return changed != 0 and changed * SHARE >= line[COUNT]


@kernel
def order_marked(handle: np.ndarray, sorts: int) -> None:
    """
    Note from which ticket on the rows of each stream are fresh, and what came and went so far.

    Parameters
    ----------
    handle : (words,) int64
        What it points at of the order is *written*.
    sorts : int
        Of the order that is about to be sorted.

    Notes
    -----
    Units: tickets.
    Cost: a cache line a stream, and a leaf for each of its last rows that has none.
    Errors: none.
    Sharing: one sorter beside writers. Before the leaves are collected: what comes later is fresh.
    Source: own.
    """
    heads = handle_heads(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    marks = order_marks(handle, sorts)
    line = order_line(handle, sorts)
    rows = handle[ROWS]
    line[UPDATED] = load(handle_line(handle, UPDATES), 0)
    line[ENTERED] = rank_bucket(max(load(handle_line(handle, PRIORITY), 0), 1))
    line[ADDED] = 0
    line[CLEARED] = 0
    for stream in range(handle[STREAMS]):
        head = load(heads, stream * LINE + HEAD)
        base = load(heads, stream * LINE + BASE)
        oldest = max(base, head - rows)
        mark = head
        while mark > oldest:
            if tree_get(tree, levels, stream * rows + (mark - 1) % rows) > 0:
                break
            mark -= 1
        marks[stream] = mark
        line[ADDED] += head
        line[CLEARED] += base


@kernel
def order_refresh(handle: np.ndarray) -> bool:
    """
    Sort all rows by their leaves, and have draws go by that order.

    Parameters
    ----------
    handle : (words,) int64
        What it points at of its own process is *written*.

    Returns
    -------
    bool
        False: another thread is at it.

    Notes
    -----
    Units: none.
    Cost: O(slots filled); the first one gives the ranks their masses too.
    Errors: as returned.
    Sharing: any number of threads; one of them sorts, the others go on with the order before.
    Source: Schaul et al. (2016), Prioritized Experience Replay, B.2.1, sorts an array now and
    then.
    """
    ranks = handle_ranks(handle)
    mine = handle[WRITER] + 1
    sorter = load(ranks, SORTER)
    # A sorter of another number was at it when this process was forked, and is not here.
    if sorter == mine or not compare_and_swap(ranks, SORTER, sorter, mine):
        return False
    sorts = load(ranks, SORTS) + 1
    if sorts == 1:
        ranks_masses(handle_masses(handle), handle_float(handle, RANK_ALPHA))
        ranks_guide(handle_masses(handle), handle_guide(handle))
    line = order_line(handle, sorts)
    version = load(line, VERSION) | 1
    # Odd before anything of the order changes, for threads that still draw from it.
    exchange(line, VERSION, version)
    fence()
    starts = order_starts(handle, sorts)
    slots = handle[STREAMS] * handle[ROWS]
    entries = integers_at(handle[ENTRIES], slots)
    ranks_clear(starts, line)
    order_marked(handle, sorts)
    heads = handle_heads(handle)
    tree = handle_tree(handle)
    levels = handle_levels(handle)
    for stream in range(handle[STREAMS]):
        first = stream * handle[ROWS]
        after = first + min(load(heads, stream * LINE + HEAD), handle[ROWS])
        ranks_collect(tree, levels, first, after, entries, starts, line)
    ranks_sort(entries, starts, line, order_entries(handle, sorts))
    store(line, VERSION, version + 1)
    store(ranks, BATCHES, 0)
    store(ranks, SORTS, sorts)
    store(ranks, SORTER, 0)
    return True
