"""
The limit: rows drawn are held to a number for each row added, by one word for all processes.

    line            one cache line
      word 0        the balance: rows that may be drawn for those that were added, less those drawn

    limits          what it is held to
      PER_INSERT    what an added row brings; PER_INSERT / PER_SAMPLE is the ratio
      PER_SAMPLE    what a drawn row takes
      LOW HIGH      the balance stays between them, but for one operation's size
      LEAST         rows to be stored before the first sample

All are integers, so nothing drifts. An add may begin where fewer than LEAST rows are stored or
balance + PER_INSERT <= HIGH, a sample where LEAST rows are stored and balance - PER_SAMPLE >= LOW.
An operation takes its whole size when it begins.

Never are both sides held back, whatever the balance is: with fewer rows than LEAST every add may
begin; with as many, both are held only where HIGH - PER_INSERT < balance < LOW + PER_SAMPLE, and
`RateLimiter` keeps HIGH - LOW at PER_INSERT + PER_SAMPLE or more.

There is no lock that a dying process could keep. One that dies after its claim has moved the
balance by the size of its own operation, and nothing else. That is why both sides share a word: a
reset of two counters could be cut in half, and leave one side to make up for all that had ever
been counted.
"""

import numpy as np

from kernels.atomics import compare_and_swap, fetch_add, load
from kernels.faults import ADMITTED, fault_point
from kernels.jit import kernel

BALANCE = 0

PER_INSERT = 0
PER_SAMPLE = 1
LOW = 2
HIGH = 3
LEAST = 4


@kernel
def limit_insert(line: np.ndarray, limits: np.ndarray, stored: int, count: int) -> bool:
    """
    Begin an add, if the balance allows it.

    Parameters
    ----------
    line : (8,) int64, written
    limits : (5,) int64
    stored : int
        Rows that the buffer holds.
    count : int
        Rows to be added.

    Returns
    -------
    bool
        False: held back, and nothing was changed.

    Notes
    -----
    Units: rows.
    Cost: a load and a compare-and-swap, again for each other claim that came between them.
    Errors: none.
    Sharing: any number of processes; one of them always gets on.
    Source: Cassirer et al. (2021), Reverb: A Framework for Experience Replay: rate limiters.
    """
    while True:
        balance = load(line, BALANCE)
        if stored >= limits[LEAST] and balance + limits[PER_INSERT] > limits[HIGH]:
            return False
        if compare_and_swap(line, BALANCE, balance, balance + count * limits[PER_INSERT]):
            fault_point(ADMITTED)
            return True


@kernel
def limit_sample(line: np.ndarray, limits: np.ndarray, stored: int, count: int) -> bool:
    """
    Begin a sample, if the balance allows it.

    Parameters
    ----------
    line : (8,) int64, written
    limits : (5,) int64
    stored : int
        Rows that the buffer holds.
    count : int
        Rows to be drawn.

    Returns
    -------
    bool
        False: held back, and nothing was changed.

    Notes
    -----
    Units: rows.
    Cost: as limit_insert.
    Errors: none.
    Sharing: as limit_insert.
    Source: as limit_insert.
    """
    while stored >= limits[LEAST]:
        balance = load(line, BALANCE)
        if balance - limits[PER_SAMPLE] < limits[LOW]:
            return False
        if compare_and_swap(line, BALANCE, balance, balance - count * limits[PER_SAMPLE]):
            fault_point(ADMITTED)
            return True
    return False


@kernel
def limit_back(line: np.ndarray, limits: np.ndarray, inserts: int, samples: int) -> None:
    """
    Give back the claims of operations that did not come about.

    Parameters
    ----------
    line : (8,) int64, written
    limits : (5,) int64
    inserts : int
        Rows that were to be added and were not.
    samples : int
        Rows that were to be drawn and were not.

    Notes
    -----
    Units: rows.
    Cost: one atomic addition.
    Errors: none.
    Sharing: any number of processes.
    Source: own.
    """
    change = samples * limits[PER_SAMPLE] - inserts * limits[PER_INSERT]
    fetch_add(line, BALANCE, change)
