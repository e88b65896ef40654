"""The ring against a list, in any order of claims, takes and commits, and against torn reads."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kernels.atomics import fetch_add, load, store
from kernels.jit import kernel
from kernels.ring import (
    BASE,
    BURNT,
    FILLED,
    HEAD,
    HELD,
    LINE,
    NOT_TAKEN,
    SHIFT,
    TAKEN,
    TAKEN_EMPTY,
    WRITERS,
    ring_claim,
    ring_clear,
    ring_commit,
    ring_current,
    ring_filled,
    ring_locate,
    ring_read,
    ring_rebase,
    ring_release,
    ring_span,
    ring_take,
    ring_ticket,
    ring_unchanged,
)
from tests import naive

STREAMS, ROWS, WIDTH = 3, 4, 2


def new_ring(streams=STREAMS, rows=ROWS, width=WIDTH):
    return np.zeros((streams, LINE), np.int64), np.zeros((streams * rows, width), np.int64)


class RingMachine(RuleBasedStateMachine):
    """
    Tickets wait in `claimed` for as long as they like, taken slots in `taken`.

    So writers stall, are lapped, burn their tickets, or never come back.
    """

    claimed = Bundle("claimed")
    taken = Bundle("taken")

    def __init__(self):
        super().__init__()
        self.heads, self.records = new_ring()
        self.plain = naive.Ring(STREAMS, ROWS)
        self.first_reads = {}

    @rule(target=claimed, stream=st.integers(0, STREAMS - 1))
    def claim_one(self, stream):
        ticket = ring_claim(self.heads, stream, 1)
        assert ticket == self.plain.claim(stream, 1)
        return stream, ticket

    @rule(stream=st.integers(0, STREAMS - 1), count=st.integers(1, ROWS))
    def claim_and_never_come_back(self, stream, count):
        assert ring_claim(self.heads, stream, count) == self.plain.claim(stream, count)

    @rule(stream=st.integers(0, STREAMS - 1), count=st.integers(1, 2 * ROWS))
    def write_rows(self, stream, count):
        for _ in range(count):
            ticket = ring_claim(self.heads, stream, 1)
            assert ticket == self.plain.claim(stream, 1)
            slot = stream * ROWS + ticket % ROWS
            got = ring_take(self.records, slot, ticket, 1)
            assert got == self.plain.take(slot, ticket, 1)
            if got != NOT_TAKEN:
                self.finish((stream, slot, ticket, got))

    @rule(target=taken, claim=consumes(claimed), writer=st.integers(0, WRITERS - 1))
    def take(self, claim, writer):
        stream, ticket = claim
        slot = stream * ROWS + ticket % ROWS
        before = self.records[slot, 0]
        got = ring_take(self.records, slot, ticket, writer)
        assert got == self.plain.take(slot, ticket, writer)
        if before & 1:
            assert got == NOT_TAKEN
            assert self.records[slot, 0] == before
        return None if got == NOT_TAKEN else (stream, slot, ticket, got)

    @rule(taken=consumes(taken))
    def commit(self, taken):
        if taken is not None:
            self.finish(taken)

    def finish(self, taken):
        stream, slot, ticket, got = taken
        if got == TAKEN_EMPTY:
            ring_filled(self.heads, stream, 1)
        ring_commit(self.records, slot, ticket)
        self.plain.commit(slot, ticket)

    @rule()
    def clear(self):
        naive.clear_ring(self.heads, self.records, ROWS)
        self.plain.clear()

    @rule(slot=st.integers(0, STREAMS * ROWS - 1))
    def begin_to_read(self, slot):
        self.first_reads[slot] = ring_read(self.records, slot)

    @rule(slot=st.integers(0, STREAMS * ROWS - 1))
    def end_to_read(self, slot):
        word = self.first_reads.pop(slot, 0)
        if word != 0:
            whole = self.plain.slots[slot] == ("whole", ring_ticket(word))
            assert ring_unchanged(self.records, slot, word) == whole

    @invariant()
    def words_say_what_the_list_says(self):
        for slot, held in enumerate(self.plain.slots):
            assert self.records[slot, 0] == self.plain.word(slot)
            word = ring_read(self.records, slot)
            whole = held is not None and held[0] == "whole"
            assert ring_ticket(word) == (held[1] if whole else -1)
        assert not self.records[:, 1:].any()

    @invariant()
    def heads_count_claims_and_filled_slots(self):
        for stream in range(STREAMS):
            line = self.heads[stream]
            assert line[HEAD] == self.plain.heads[stream]
            assert line[BASE] == self.plain.bases[stream]
            assert line[FILLED] == self.plain.filled(stream)
            assert not line[BURNT:].any()
            assert tuple(ring_span(self.heads, stream, ROWS)) == self.plain.span(stream)


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=40, derandomize=True
)


def test_a_word_holds_ticket_writer_what_was_there_and_the_odd_bit():
    _, records = new_ring()
    assert ring_take(records, 1, 9, 5) == TAKEN_EMPTY
    assert records[1, 0] == 10 << SHIFT | 5 << 2 | 1
    ring_commit(records, 1, 9)
    assert records[1, 0] == 10 << SHIFT
    assert ring_ticket(records[1, 0]) == 9
    assert ring_ticket(0) == -1
    assert ring_take(records, 1, 13, WRITERS - 1) == TAKEN
    assert records[1, 0] == 14 << SHIFT | (WRITERS - 1) << 2 | HELD | 1
    assert ring_ticket(records[1, 0]) == 13


def test_tickets_have_room_for_centuries():
    _, records = new_ring()
    last = (1 << 50) - 2
    assert ring_take(records, 0, last, WRITERS - 1) == TAKEN_EMPTY
    assert records[0, 0] > 0
    ring_commit(records, 0, last)
    assert ring_ticket(ring_read(records, 0)) == last
    assert ring_take(records, 0, last - ROWS, 0) == NOT_TAKEN


def test_a_lapped_writer_burns_its_ticket():
    heads, records = new_ring()
    old = ring_claim(heads, 0, 1)
    for _ in range(ROWS):
        ticket = ring_claim(heads, 0, 1)
        assert ring_take(records, ticket % ROWS, ticket, 1) == TAKEN_EMPTY
        ring_commit(records, ticket % ROWS, ticket)
    assert ring_take(records, old % ROWS, old, 0) == NOT_TAKEN
    assert ring_ticket(ring_read(records, old % ROWS)) == old + ROWS


def test_a_stalled_writers_slot_is_never_taken_over():
    heads, records = new_ring()
    stalled = ring_claim(heads, 0, 1)
    assert ring_take(records, stalled % ROWS, stalled, 3) == TAKEN_EMPTY
    for lap in range(1, 50):
        assert ring_take(records, stalled % ROWS, stalled + lap * ROWS, 4) == NOT_TAKEN
    assert ring_read(records, stalled % ROWS) == 0
    ring_commit(records, stalled % ROWS, stalled)
    assert ring_ticket(ring_read(records, stalled % ROWS)) == stalled


def test_a_ticket_is_good_for_one_row():
    _, records = new_ring()
    assert ring_take(records, 1, 5, 0) == TAKEN_EMPTY
    assert ring_take(records, 1, 5, 0) == NOT_TAKEN
    ring_commit(records, 1, 5)
    assert ring_take(records, 1, 5, 0) == NOT_TAKEN


def test_clear_leaves_rows_claimed_after_it_began():
    heads, records = new_ring()
    for ticket in range(3):
        assert ring_take(records, ticket, ticket, 0) == TAKEN_EMPTY
        ring_commit(records, ticket, ticket)
    # What clear sees of the head when a third row is claimed, and even done, right after.
    heads[0, HEAD], heads[0, FILLED] = 2, 3
    naive.clear_ring(heads, records, ROWS)
    assert [ring_ticket(ring_read(records, slot)) for slot in range(3)] == [-1, -1, 2]
    assert heads[0, FILLED] == 1


@pytest.mark.parametrize("held_before", [False, True])
def test_a_row_claimed_before_a_clear_does_not_come_after_it(held_before):
    heads, records = new_ring()
    if held_before:
        ring_claim(heads, 0, 1)
        assert ring_take(records, 0, 0, 0) == TAKEN_EMPTY
        ring_commit(records, 0, 0)
        ring_filled(heads, 0, 1)
        ring_claim(heads, 0, ROWS - 1)
    ticket = ring_claim(heads, 0, 1)
    slot = ticket % ROWS
    # The writer comes too late to be seen by the clear's look at the slots, and early enough to
    # have found the old row there.
    ring_rebase(heads, 0)
    taken = ring_take(records, slot, ticket, 0)
    assert taken == (TAKEN if held_before else TAKEN_EMPTY)
    assert not ring_current(heads, 0, ticket)
    ring_release(heads, records, 0, slot, taken)
    naive.clear_ring(heads, records, ROWS)
    assert heads[0, FILLED] == 0
    assert ring_span(heads, 0, ROWS)[1] == 0
    assert not records.any()


def test_a_ticket_claimed_after_a_clear_is_current():
    heads, _ = new_ring()
    ring_claim(heads, 0, 3)
    ring_rebase(heads, 0)
    assert not ring_current(heads, 0, 2)
    assert ring_current(heads, 0, ring_claim(heads, 0, 1))


def test_a_base_never_goes_back():
    heads, _ = new_ring()
    heads[0, BASE] = 9
    ring_rebase(heads, 0)
    assert heads[0, BASE] == 9


def test_a_claim_without_a_row_is_empty():
    heads, records = new_ring()
    ring_claim(heads, 0, 2)
    assert tuple(ring_span(heads, 0, ROWS)) == (0, 2)
    assert ring_read(records, 0) == 0


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.integers(0, 2**50), st.integers(1, 40), st.integers(1, 5000))
def test_an_id_leads_to_its_slot_and_back(identity, streams, rows):
    slot, ticket = ring_locate(identity, streams, rows)
    plain = naive.Ring(streams, 1)
    plain.rows = rows
    assert (slot, ticket) == plain.locate(identity)
    assert ticket * streams + slot // rows == identity
    assert slot % rows == ticket % rows
    assert 0 <= slot < streams * rows


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_span_never_passes_the_rows_of_a_stream(rows):
    heads, records = new_ring(2, rows)
    for head in range(3 * rows + 1):
        assert tuple(ring_span(heads, 1, rows)) == (max(0, head - rows), min(head, rows))
        ring_claim(heads, 1, 1)
    naive.clear_ring(heads, records, rows)
    assert tuple(ring_span(heads, 1, rows)) == (3 * rows + 1, 0)
    assert heads[0].tolist() == [0] * LINE


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(heads, records, rows):
        ticket = ring_claim(heads, 1, 1)
        slot, wanted = ring_locate(ticket * heads.shape[0] + 1, heads.shape[0], rows)
        taken = ring_take(records, slot, ticket, 7)
        ring_filled(heads, 1, 1)
        ring_commit(records, slot, wanted)
        word = ring_read(records, slot)
        whole = ring_unchanged(records, slot, word)
        span = ring_span(heads, 1, rows)
        ring_rebase(heads, 1)
        gone = ring_clear(heads, records, 1, slot)
        old = ring_current(heads, 1, ticket)
        ring_release(heads, records, 1, slot, taken)
        return slot, taken, ring_ticket(word), whole, span, gone, old

    heads, records = new_ring()
    assert user(heads, records, ROWS) == (
        ROWS,
        TAKEN_EMPTY,
        0,
        True,
        (0, 1),
        True,
        False,
    )
    assert heads[1, :3].tolist() == [1, 0, 1]
    assert not records.any()


@kernel
def write_laps(heads, records, rows, count, writer):
    """Write rows whose words all say their ticket; give how many were burnt."""
    burnt = 0
    for _ in range(count):
        ticket = ring_claim(heads, 0, 1)
        slot = ticket % rows
        if ring_take(records, slot, ticket, writer) == NOT_TAKEN:
            burnt += 1
        else:
            for word in range(1, records.shape[1]):
                records[slot, word] = ticket
            ring_commit(records, slot, ticket)
    store(heads, writer * LINE + 7, 1)
    return burnt


@kernel
def read_until_done(heads, records, rows, writers, copy, limit):
    """Read slots until all writers are done; give how many rows were whole, and torn."""
    whole = 0
    torn = 0
    for turn in range(limit):
        done = 0
        for writer in range(writers):
            done += load(heads, writer * LINE + 7)
        if done == writers:
            break
        slot = turn % rows
        word = ring_read(records, slot)
        if word == 0:
            continue
        for part in range(copy.size):
            copy[part] = records[slot, part]
        if ring_unchanged(records, slot, word):
            whole += 1
            for part in range(1, copy.size):
                if copy[part] != ring_ticket(word):
                    torn += 1
                    break
    return whole, torn


@kernel
def take_in_step(records, words, writer, rounds, patience):
    """
    Take the only slot, two writers at once; count the rounds with other than one winner.

    Word 0 counts arrivals at three meetings a round, word 8 all takes that succeeded. Word 9 ends
    it all early where waiting costs too much (on a single processor): set ahead of a round's last
    meeting and read after it, it is the same to both.
    """
    wrong = 0
    for turn in range(rounds):
        ticket = turn * 2 + writer
        won = ring_take(records, 0, ticket, writer) != NOT_TAKEN
        fetch_add(words, 8, np.int64(won))
        for meeting in range(3):
            if meeting == 2 and patience < 0:
                store(words, 9, 1)
            fetch_add(words, 0, 1)
            while load(words, 0) < (3 * turn + meeting + 1) * 2:
                patience -= 1
            if meeting == 0:
                wrong += load(words, 8) != turn + 1
            elif meeting == 1 and won:
                ring_commit(records, 0, ticket)
        if load(words, 9) == 1:
            break
    return wrong


@pytest.mark.compiled
def test_of_two_writers_at_one_slot_just_one_takes_it():
    _, records = new_ring(1, 1)
    words = np.zeros(16, np.int64)
    wrong = naive.together(
        lambda: take_in_step(records, words, 0, 300_000, 10**9),
        lambda: take_in_step(records, words, 1, 300_000, 10**9),
    )
    assert wrong == [0, 0]


@pytest.mark.compiled
@pytest.mark.parametrize("writers", [1, 2])
@pytest.mark.parametrize("rows", [1, 3])
def test_no_row_is_read_torn(writers, rows):
    heads, records = new_ring(writers, rows, 48)
    count = 600_000
    calls = [
        lambda writer=writer: write_laps(heads, records, rows, count, writer)
        for writer in range(writers)
    ]
    reads = [lambda: read_until_done(heads, records, rows, writers, np.zeros(48, np.int64), 10**8)]
    *burnt, (_, torn) = naive.together(*calls, *reads)
    assert torn == 0
    assert heads[0, HEAD] == writers * count
    if writers == 1:
        assert burnt == [0]
    for slot in range(rows):
        ticket = ring_ticket(ring_read(records, slot))
        assert ticket % rows == slot
        assert records[slot, 1:].tolist() == [ticket] * 47
