"""kernels.ring: claim, take, commit, and a reader's two looks."""

import numpy as np

from kernels.jit import kernel
from kernels.random import random_below, random_claim
from kernels.ring import (
    NOT_TAKEN,
    ring_claim,
    ring_clear,
    ring_commit,
    ring_locate,
    ring_read,
    ring_rebase,
    ring_take,
    ring_unchanged,
)

from . import CAPACITIES, OPERATIONS, Timed
from .workload import generator

#: Words of a record: the sequence word and 77 bytes.
WIDTH = 11


@kernel
def write_many(heads: np.ndarray, records: np.ndarray, count: int) -> int:
    burnt = 0
    for _ in range(count):
        ticket = ring_claim(heads, 0, 1)
        slot = ticket % records.shape[0]
        if ring_take(records, slot, ticket, 0) == NOT_TAKEN:
            burnt += 1
        else:
            ring_commit(records, slot, ticket)
    return burnt


@kernel
def read_many(records: np.ndarray, line: np.ndarray, count: int) -> int:
    counter = random_claim(line, count)
    whole = 0
    for draw in range(count):
        slot = random_below(line[0], counter + draw, records.shape[0])
        word = ring_read(records, slot)
        if word != 0 and ring_unchanged(records, slot, word):
            whole += 1
    return whole


@kernel
def locate_many(streams: int, rows: int, count: int) -> int:
    total = 0
    for identity in range(count):
        slot, ticket = ring_locate(identity, streams, rows)
        total += slot + ticket
    return total


class Ring(Timed):
    """A million rows without their bytes: written one after the other, read at random."""

    params = (CAPACITIES,)
    param_names = ("capacity",)

    def setup(self, capacity: int) -> None:
        self.heads = np.zeros((1, 8), np.int64)
        self.records = np.zeros((capacity, WIDTH), np.int64)
        self.line = generator()
        write_many(self.heads, self.records, capacity)
        read_many(self.records, self.line, 1)

    def time_claim_take_commit(self, capacity: int) -> None:
        write_many(self.heads, self.records, OPERATIONS)

    def time_read_check(self, capacity: int) -> None:
        read_many(self.records, self.line, OPERATIONS)


class Locate(Timed):
    """A million ids to slots."""

    params = ([1, 8],)
    param_names = ("streams",)

    def setup(self, streams: int) -> None:
        locate_many(streams, 125_000, 1)

    def time_locate(self, streams: int) -> None:
        locate_many(streams, 125_000, OPERATIONS)


@kernel
def clear_all(heads, records, rows):
    ring_rebase(heads, 0)
    for slot in range(rows):
        ring_clear(heads, records, 0, slot)


class Clear(Timed):
    """`ring_clear` of each slot of a full ring, as it is."""

    params = (CAPACITIES,)
    param_names = ("capacity",)
    number = 1

    def setup(self, capacity: int) -> None:
        self.heads = np.zeros((1, 8), np.int64)
        self.records = np.zeros((capacity, WIDTH), np.int64)
        write_many(self.heads, self.records, 1)
        clear_all(self.heads, self.records, 1)
        write_many(self.heads, self.records, capacity)

    def time_clear(self, capacity: int) -> None:
        clear_all(self.heads, self.records, capacity)
