"""
Dictionaries: rows of long ago, which later rows are packed against.

What a game's frames have in common lies in its first ones: packed behind a few of them, a frame is
what has changed since. A field's dictionary grows by one row at a time, further and further apart,
so that what an agent gets to see late is in it as well. It only grows: a row that was packed
against the first n of its rows is restored with these n.

    dictionary (8224,) int64    one a compressed field, in the block
      word 0        0, or the number of the writer that adds a row to it, + 1
      word 1        rows
      word 8 ...    bytes of the first 0, 1, 2, ... rows together
      word 32 ...   their bytes, one row after the other
"""

import numpy as np

from kernels.addresses import address_of, copy_any
from kernels.atomics import compare_and_swap, fence, load, store
from kernels.faults import LEARNING, fault_point
from kernels.jit import kernel
from kernels.lz4 import REACH

OWNER = 0
ROWS = 1
ENDS = 8
CONTENT = 32
WORDS = CONTENT + 8192
#: Rows at most; the codec of an entry has bits for twice as many.
MOST_ROWS = CONTENT - ENDS - 1
#: The second row is added to a dictionary once a stream has so many rows, the last one once it has
#: 1 << _LATE times as many.
_EARLY = 64
_LATE = 10


@kernel
def dictionary_fits(largest: int) -> int:
    """Say how many rows of a field have room in its dictionary, given the bytes of the largest."""
    return min(REACH // max(largest, 1), MOST_ROWS)


@kernel
def dictionary_size(dictionary: np.ndarray, rows: int) -> int:
    """
    Say how many bytes the first rows of a dictionary have.

    Parameters
    ----------
    dictionary : (8224,) int64
    rows : int
        Any number.

    Returns
    -------
    int
        -1 where it has not so many rows, or its words are damaged.

    Notes
    -----
    Units: bytes.
    Cost: two loads.
    Errors: as returned.
    Sharing: any number of readers beside the one who adds a row.
    Source: own.
    """
    if not 0 <= rows <= min(load(dictionary, ROWS), MOST_ROWS):
        return -1
    size = load(dictionary, ENDS + rows)
    return size if 0 <= size <= REACH else -1


@kernel
def dictionary_time(rows: int, fits: int) -> int:
    """
    Say when a dictionary gets its next row.

    Parameters
    ----------
    rows : int
        That it has, fewer than fit.
    fits : int

    Returns
    -------
    int
        The first ticket whose row may be the next.

    Notes
    -----
    Units: tickets.
    Cost: a division.
    Errors: none.
    Sharing: a pure function.
    Source: own. The first ones of an episode are alike, and what an agent gets to see later is
    not there yet.
    """
    if rows == 0:
        return 1
    return _EARLY << ((rows - 1) * _LATE // max(fits - 2, 1))


@kernel
def dictionary_add(
    dictionary: np.ndarray, writer: int, fits: int, ticket: int, source: int, size: int
) -> None:
    """
    Add a row to a dictionary, if it is time for one.

    Parameters
    ----------
    dictionary : (8224,) int64, written
    writer : int
        Number of the process among the members.
    fits : int
        As dictionary_fits.
    ticket : int
        The row's.
    source : int
        Address of the row.
    size : int

    Notes
    -----
    Units: bytes.
    Cost: a load or two; a copy of the row in as many cases as fit.
    Errors: none. Of one who dies inside, repair takes back the word that says so; until then the
    dictionary stays as it is.
    Sharing: any number of writers, of whom one at a time adds a row; the others do not wait.
    Source: own.
    """
    rows = load(dictionary, ROWS)
    if not 0 <= rows < fits or ticket < dictionary_time(rows, fits):
        return
    end = dictionary_size(dictionary, rows)
    if end < 0 or size == 0 or end + size > REACH:
        return
    if not compare_and_swap(dictionary, OWNER, 0, writer + 1):
        return
    if load(dictionary, ROWS) == rows:
        copy_any(address_of(dictionary) + CONTENT * 8 + end, source, size)
        fault_point(LEARNING)
        store(dictionary, ENDS + rows + 1, end + size)
        # The bytes must be seen before any row that was packed against them.
        fence()
        store(dictionary, ROWS, rows + 1)
    store(dictionary, OWNER, 0)


@kernel
def dictionary_free(dictionary: np.ndarray, writer: int) -> None:
    """
    Let others add rows, where a writer that is dead was adding one.

    Parameters
    ----------
    dictionary : (8224,) int64, written
    writer : int
        The number of one who is known to be dead.

    Notes
    -----
    Units: none.
    Cost: a load.
    Errors: none.
    Sharing: one repairer of this member.
    Source: own.
    """
    compare_and_swap(dictionary, OWNER, writer + 1, 0)
