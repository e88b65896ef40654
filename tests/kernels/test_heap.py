"""Claims of bytes against a list that looks at everything, and bytes that others must not write."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kernels import heap as words
from kernels.addresses import address_of, store_int64
from kernels.atomics import fence, load, store
from kernels.heap import (
    BYTES,
    BYTES_OF,
    CLEAR,
    LINE_WORDS,
    LINES,
    MOST_BYTES,
    NO_ROOM,
    OWNER_OF,
    POSITION_OF,
    SKIPS,
    STREAM_OF,
    TRIES,
    WRITING,
    entry_codec,
    entry_pack,
    entry_size,
    entry_stored,
    heap_claim,
    heap_next,
    heap_of,
    heap_stands,
    writing_enter,
    writing_free,
    writing_leave,
)
from kernels.jit import kernel
from kernels.ring import (
    LINE,
    NOT_TAKEN,
    ring_claim,
    ring_commit,
    ring_read,
    ring_take,
    ring_ticket,
    ring_unchanged,
)
from tests import naive, naive_heap
from tests.homes import fewer

STREAMS = 2
#: How often a claim passes over others before it gives up.
PATIENCE = min(SKIPS + 1, TRIES)
ANY_WORD = st.integers(-(1 << 63), (1 << 63) - 1)


def new_heap(streams=STREAMS):
    return np.zeros((streams, LINE), np.int64), np.zeros((WRITING, LINE), np.int64)


def announce(writing, line, stream, position, size):
    """Write a claim's line, as a writer does that is stopped right after."""
    writing[line, [OWNER_OF, STREAM_OF, POSITION_OF, BYTES_OF]] = line + 1, stream, position, size


class HeapMachine(RuleBasedStateMachine):
    """
    Writers claim bytes and are done with them in any order, after any number of rounds.

    The list looks at all lines for every claim: what a claim knows from an earlier look must never
    show. `owners` says of each byte of the memory who may write it.
    """

    unfinished = Bundle("unfinished")
    sizes = st.sampled_from([0, 0.1, 0.2, 0.3, 0.5, 1])
    streams = st.integers(0, STREAMS - 1)
    room = 24

    def __init__(self):
        super().__init__()
        self.heads, self.writing = new_heap()
        self.plain = [naive_heap.Claims(self.room, PATIENCE) for _ in range(STREAMS)]
        self.owners = [[None] * (self.room + self.room // 2) for _ in range(STREAMS)]
        #: The stream of each line, and the lines of those who were too late with their swap.
        self.lines = {}
        self.late = [{} for _ in range(STREAMS)]

    def claim(self, stream, share):
        size = int(share * self.room / 2)
        line = writing_enter(self.writing, 5)
        before = self.heads[stream, BYTES]
        position = heap_claim(self.heads, self.writing, line, stream, self.room, size)
        plain = self.plain[stream]
        if not self.late[stream]:
            wanted = plain.claim(line, size)
            assert position == (NO_ROOM if wanted is None else wanted)
            assert self.heads[stream, BYTES] == plain.next
        elif position != NO_ROOM:
            # Whether one who was late counts is not known to who did not look.
            assert position + size == self.heads[stream, BYTES]
            plain.held[line] = position, size
        plain.next = self.heads[stream, BYTES]
        assert plain.next >= before
        if position == NO_ROOM:
            plain = naive_heap.Claims(self.room, 1)
            plain.held = self.plain[stream].held | self.late[stream]
            # A place of so many bytes that nobody holds is nowhere.
            starts = range(self.plain[stream].next, self.plain[stream].next + self.room)
            assert not any(plain.free_at(line, start, size) for start in starts)
            writing_leave(self.writing, line)
            return None
        owners = self.owners[stream]
        for byte in naive_heap.places(self.room, position, size):
            assert owners[byte] is None
            owners[byte] = line
        self.lines[line] = stream
        return line

    def finish(self, line):
        stream = self.lines.pop(line)
        for byte in naive_heap.places(self.room, *self.plain[stream].held[line]):
            self.owners[stream][byte] = None
        self.plain[stream].leave(line)
        writing_leave(self.writing, line)

    @rule(target=unfinished, stream=streams, share=sizes)
    def begin(self, stream, share):
        return self.claim(stream, share)

    @rule(line=consumes(unfinished))
    def end(self, line):
        if line is not None:
            self.finish(line)

    @rule(stream=streams, shares=st.lists(sizes, max_size=12))
    def write_rows(self, stream, shares):
        for share in shares:
            line = self.claim(stream, share)
            if line is not None:
                self.finish(line)

    @rule(stream=streams, share=sizes)
    def stop_before_the_swap(self, stream, share):
        # Others claim these bytes.
        line = writing_enter(self.writing, 9)
        position = int(self.heads[stream, BYTES])
        announce(self.writing, line, stream, position, int(share * self.room / 2))
        other = self.claim(stream, 1)
        if other is None or self.plain[stream].held[other][0] != position:
            # Nobody did: it is as if this one had not begun.
            writing_leave(self.writing, line)
        else:
            self.late[stream][line] = position, int(share * self.room / 2)
        if other is not None:
            self.finish(other)

    @rule(stream=streams)
    def the_late_give_up(self, stream):
        for line in self.late[stream]:
            writing_leave(self.writing, line)
        self.late[stream].clear()

    @rule(stream=streams, word=st.sampled_from([-1, 0, 1 << 62, -(1 << 63)]))
    def damage_what_is_known_to_be_clear(self, stream, word):
        self.heads[stream, CLEAR] = word

    @invariant()
    def lines_say_what_the_list_says(self):
        for line, stream in self.lines.items():
            position, size = self.plain[stream].held[line]
            assert self.writing[line, STREAM_OF : BYTES_OF + 1].tolist() == [stream, position, size]
        late = sum(map(len, self.late))
        assert np.count_nonzero(self.writing[:, OWNER_OF]) == len(self.lines) + late


class SmallHeapMachine(HeapMachine):
    room = 6


limits = settings(
    deadline=None,
    max_examples=fewer(150, 10),
    stateful_step_count=fewer(40, 20),
    derandomize=True,
)
TestHeapMachine = HeapMachine.TestCase
TestHeapMachine.settings = limits
TestSmallHeapMachine = SmallHeapMachine.TestCase
TestSmallHeapMachine.settings = limits
