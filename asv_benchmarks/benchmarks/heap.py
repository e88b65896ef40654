"""kernels.heap: claims of bytes, and whether bytes still stand."""

import numpy as np

from kernels import heap as words
from kernels.heap import (
    BYTES_OF,
    LINE_WORDS,
    LINES,
    OWNER_OF,
    POSITION_OF,
    WRITING,
    heap_claim,
    heap_stands,
    writing_enter,
    writing_leave,
)
from kernels.jit import kernel
from kernels.ring import LINE

from . import OPERATIONS, Timed

SIZE = 1_000


@kernel
def claim_many(heads: np.ndarray, writing: np.ndarray, room: int, count: int) -> int:
    total = 0
    for _ in range(count):
        line = writing_enter(writing, 0)
        total ^= heap_claim(heads, writing, line, 0, room, SIZE)
        writing_leave(writing, line)
    return total


@kernel
def stand_many(heap: np.ndarray, slots: int, count: int) -> int:
    total = 0
    for turn in range(count):
        total += np.int64(heap_stands(heap, turn % slots))
    return total


class Claim(Timed):
    """A million claims of a thousand bytes: looks at others once a round, or at each one."""

    params = ([10, 1_000, 100_000], ["alone", "one is stopped"])
    param_names = ("rows", "others")

    def setup(self, rows: int, others: str) -> None:
        self.room = rows * SIZE
        self.heads = np.zeros((1, LINE), np.int64)
        self.writing = np.zeros((WRITING, LINE), np.int64)
        if others != "alone":
            self.writing[9, [OWNER_OF, POSITION_OF, BYTES_OF]] = 1, 0, SIZE
        claim_many(self.heads, self.writing, self.room, 1)

    def time_claim(self, rows: int, others: str) -> None:
        claim_many(self.heads, self.writing, self.room, OPERATIONS)


class Stand(Timed):
    """A million looks at whether a row's bytes are still its own."""

    params = ([1_000, 1_000_000],)
    param_names = ("slots",)

    def setup(self, slots: int) -> None:
        self.slots = slots
        self.heads = np.zeros((1, LINE), np.int64)
        self.records = np.zeros((slots, 3), np.int64)
        self.records[:, 1] = np.arange(slots) * SIZE
        self.heads[0, words.BYTES] = slots * SIZE
        self.heap = np.zeros(LINES + LINE_WORDS, np.int64)
        self.heap[[words.ROOM, words.ROWS_OF, words.COUNT]] = slots * SIZE, slots, 1
        self.heap[words.HEADS_AT] = self.heads.ctypes.data
        self.heap[LINES + words.ENTRY_AT] = self.records.ctypes.data + 8
        self.heap[LINES + words.ENTRY_STRIDE] = 24
        stand_many(self.heap, slots, 1)

    def time_stand(self, slots: int) -> None:
        stand_many(self.heap, self.slots, OPERATIONS)
