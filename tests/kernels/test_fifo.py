"""Cursors and what they leave behind: each ticket by hand, and many consumers at once."""

import numba
import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels.atomics import fetch_add, load
from kernels.codes import EMPTY, TOO_FEW
from kernels.fifo import (
    COMING,
    CURSOR,
    GAPS_END,
    GONE,
    LOST,
    MOST,
    RANGES,
    READY,
    range_next,
    range_pack,
    ticket_state,
)
from kernels.handle import ROWS, STREAMS, handle_heads
from kernels.jit import kernel
from kernels.ring import (
    LINE,
    NOT_TAKEN,
    TAKEN_EMPTY,
    ring_claim,
    ring_commit,
    ring_filled,
    ring_take,
)
from kernels.walk_draw_fifo import claim_fifo, claims_return, draw_fifo
from tests import naive


class Log:
    """A stream of tickets whose writers come one by one."""

    def __init__(self, rows, streams=1):
        self.buffer = replay.ReplayBuffer(
            rows * streams, {"x": np.int64}, sampler=replay.Fifo(), streams=streams
        )
        self.rows, self.streams = rows, streams
        block = self.buffer._ring.block
        self.handle = self.buffer._ring.handle
        self.heads, self.records = block.part("heads"), block.part("records")
        self.cursors = block.part("cursors")

    def claim(self, count, stream=0):
        ring_claim(self.heads, stream, count)

    def commit(self, *tickets, stream=0):
        for ticket in tickets:
            slot = stream * self.rows + ticket % self.rows
            taken = ring_take(self.records, slot, ticket, 0)
            assert taken != NOT_TAKEN
            if taken == TAKEN_EMPTY:
                ring_filled(self.heads, stream, 1)
            ring_commit(self.records, slot, ticket)

    def draw(self, count):
        ids = np.full(count, -7, np.int64)
        code = claim_fifo(self.handle, ids, np.zeros(count, np.float32))
        return ids.tolist() if code == 1 else code

    def give_back(self, *ids):
        ids = np.array(ids, np.int64)
        return claims_return(self.handle, ids, np.zeros(0, np.float32))

    def ranges(self, stream=0):
        held = self.cursors[stream, RANGES:]
        return [(int(v) >> 14, int(v) & MOST) for v in held[held != 0]]


@pytest.fixture
def log():
    log = Log(20)
    with log.buffer:
        yield log


def test_rows_come_in_the_order_of_their_tickets_and_once(log):
    log.claim(6)
    log.commit(0, 1, 2, 3, 4, 5)
    assert log.draw(2) == [0, 1]
    assert log.draw(3) == [2, 3, 4]
    assert log.draw(2) == TOO_FEW - 1
    assert log.draw(1) == [5]
    assert log.draw(1) == TOO_FEW
    assert (log.cursors[0, CURSOR], log.cursors[0, LOST], log.ranges()) == (6, 0, [])


def test_nothing_is_drawn_from_nothing(log):
    assert log.draw(1) == EMPTY
    log.claim(1)
    assert log.draw(1) == TOO_FEW
    assert not log.cursors.any()


def test_a_ticket_says_what_became_of_it(log):
    log.claim(3)
    log.commit(0)
    assert ring_take(log.records, 1, 1, 5)
    states = [ticket_state(log.handle, ticket, ticket) for ticket in range(3)]
    assert states == [READY, COMING, COMING]
    log.claim(18)
    log.commit(20)
    # Ticket 21 has slot 1 held by a row that is half written: neither has come.
    states = [ticket_state(log.handle, ticket % 20, ticket) for ticket in (0, 1, 20)]
    assert states == [GONE, COMING, READY]


@pytest.mark.parametrize("taken", [False, True])
def test_a_row_that_is_not_finished_is_left_behind_and_comes_later(log, taken):
    log.claim(4)
    if taken:
        assert ring_take(log.records, 1, 1, 5)
    log.commit(0, 2, 3)
    assert log.draw(1) == [0]
    assert log.draw(3) == TOO_FEW - 2
    assert log.ranges() == []
    assert log.draw(1) == [2]
    assert log.ranges() == [(1, 1)]
    if taken:
        ring_commit(log.records, 1, 1)
    else:
        log.commit(1)
    assert log.draw(2) == [1, 3]
    assert log.ranges() == []


def test_nothing_is_left_behind_while_there_is_no_row_behind_it(log):
    log.claim(9)
    log.commit(0)
    assert log.draw(2) == TOO_FEW - 1
    assert log.draw(1) == [0]
    assert (log.cursors[0, CURSOR], log.ranges()) == (1, [])


def test_a_range_is_split_where_a_row_in_its_middle_comes_first(log):
    log.claim(8)
    log.commit(7)
    assert log.draw(1) == [7]
    assert log.ranges() == [(0, 7)]
    log.commit(2, 3, 5)
    assert log.draw(2) == [2, 3]
    assert sorted(log.ranges()) == [(0, 2), (4, 3)]
    assert log.draw(1) == [5]
    assert sorted(log.ranges()) == [(0, 2), (4, 1), (6, 1)]
    log.commit(0, 1, 4, 6)
    assert log.draw(4) == [0, 1, 4, 6]
    assert log.ranges() == []


def test_a_gap_at_the_front_of_a_range_stays_when_its_end_is_taken(log):
    log.claim(4)
    log.commit(3)
    assert log.draw(1) == [3]
    log.commit(1, 2)
    assert log.draw(2) == [1, 2]
    assert log.ranges() == [(0, 1)]
    log.commit(0)
    assert log.draw(1) == [0]


def test_older_ranges_come_first_wherever_they_are_kept(log):
    log.claim(8)
    log.commit(1, 3, 5, 7)
    assert log.draw(2) == [1, 3]
    log.commit(0)
    assert log.draw(2) == [0, 5]
    assert log.ranges() == [(4, 1), (2, 1)]
    log.commit(2, 4)
    assert log.draw(3) == [2, 4, 7]


def test_no_more_gaps_are_left_behind_than_there_is_room_for(log):
    log.claim(12)
    log.commit(1, 3, 5, 7, 9, 11)
    room = GAPS_END - RANGES
    assert log.draw(room) == [1, 3, 5, 7]
    assert log.draw(1) == TOO_FEW
    assert log.cursors[0, CURSOR] == 8
    log.commit(2)
    assert log.draw(2) == [2, 9]
    # The ring runs over those whose rows never came.
    log.claim(16)
    log.commit(*range(20, 28))
    assert log.draw(2) == [11, 20]
    assert sorted(log.ranges()) == [(8, 1), (10, 1), (12, 8)]
    assert log.cursors[0, LOST] == 3


def test_a_gap_longer_than_a_range_is_waited_for():
    log = Log(2 * MOST)
    with log.buffer:
        log.claim(MOST + 2)
        log.commit(MOST + 1)
        assert log.draw(1) == TOO_FEW
        log.commit(0)
        assert log.draw(2) == [0, MOST + 1]
        assert log.ranges() == [(1, MOST)]
        log.commit(MOST)
        assert log.draw(1) == [MOST]
        assert log.ranges() == [(1, MOST - 1)]


def test_what_the_ring_runs_over_is_lost_and_counted(log):
    log.claim(20)
    log.commit(*range(20))
    assert log.draw(3) == [0, 1, 2]
    log.claim(10)
    log.commit(*range(20, 30))
    assert log.draw(2) == [10, 11]
    assert log.cursors[0, LOST] == 7
    log.claim(30)
    log.commit(*range(40, 60))
    assert log.draw(1) == [40]
    assert log.cursors[0, LOST] == 7 + 28


def test_what_was_cleared_away_does_not_count_as_lost(log):
    log.claim(12)
    log.commit(1, *range(3, 12))
    assert log.draw(2) == [1, 3]
    log.buffer.clear()
    assert log.draw(1) == EMPTY
    log.claim(30)
    log.commit(*range(22, 42))
    assert log.draw(20) == list(range(22, 42))
    assert log.cursors[0, LOST] == 10
    assert log.draw(1) == TOO_FEW
    # Ranges of cleared tickets make room.
    log.claim(9)
    log.commit(43, 45, 47, 49)
    assert log.draw(4) == [43, 45, 47, 49]
    assert log.cursors[0, LOST] == 10


def test_claims_that_are_given_back_are_given_out_again(log):
    log.claim(9)
    log.commit(*range(9))
    assert log.draw(4) == [0, 1, 2, 3]
    assert log.give_back(2, 3) == 0
    assert log.cursors[0, CURSOR] == 2
    assert log.draw(3) == [2, 3, 4]
    # Behind the cursor they wait in ranges, a run of tickets each.
    assert log.give_back(0, 1, 3) == 0
    assert log.ranges() == [(3, 1), (0, 2)]
    assert log.draw(4) == [0, 1, 3, 5]
    assert log.ranges() == []


def test_claims_that_find_no_room_are_lost_and_counted(log):
    log.claim(20)
    log.commit(*range(20))
    assert log.draw(20) == list(range(20))
    room = LINE - RANGES
    assert log.give_back(*range(0, 18, 2)) == 9 - room
    assert log.cursors[0, LOST] == 9 - room
    assert log.draw(room) == list(range(18 - 2 * room, 18, 2))


def test_streams_give_equal_shares_and_then_what_they_have():
    log = Log(10, streams=3)
    with log.buffer:
        for stream, count in enumerate((2, 7, 9)):
            log.claim(count, stream)
            log.commit(*range(count), stream=stream)
        assert log.draw(6) == [0, 3, 1, 4, 2, 5]
        # The next begins with stream 1; stream 0 has none of the five left.
        assert log.draw(10) == [7, 10, 13, 16, 8, 11, 14, 17, 19, 20]
        assert log.draw(3) == TOO_FEW - 2
    log = Log(20, streams=4)
    with log.buffer:
        for stream, count in enumerate((1, 1, 20, 20)):
            log.claim(count, stream)
            log.commit(*range(count), stream=stream)
        # What the first two lack comes from the first that has it.
        given = [identity % 4 for identity in log.draw(20)]
        assert [given.count(stream) for stream in range(4)] == [1, 1, 13, 5]


def test_a_range_of_a_consumer_that_died_in_between_makes_room(log):
    log.cursors[0, RANGES : RANGES + 4] = -range_pack(0, 3)
    log.claim(4)
    log.commit(1, 3)
    assert log.draw(1) == TOO_FEW
    # Its tickets are not in two places: they come from the cursor.
    log.commit(0)
    assert log.draw(2) == [0, 1]
    assert log.draw(1) == TOO_FEW
    log.claim(20)
    log.commit(*range(20, 24))
    assert log.draw(2) == [20, 21]
    assert log.cursors[0, RANGES] == range_pack(4, 20)


@pytest.mark.parametrize("word", [word for word in range(LINE) if word != LOST])
@pytest.mark.parametrize("value", [-(2**62), -5, 3 << 14 | 5, 2**62, 2**63 - 1])
def test_garbage_in_the_cursors_leads_nowhere(log, word, value):
    log.claim(30)
    log.commit(*range(10, 30))
    log.cursors[0, word] = value
    ids, weights = np.zeros(3, np.int64), np.zeros(3, np.float32)
    for _ in range(12):
        if draw_fifo(log.handle, ids, weights) == 1:
            assert (ids >= 0).all()
            assert (ids < 20).all()


def test_rows_drawn_in_place_of_others_count_those_as_lost(log):
    log.claim(5)
    log.commit(*range(5))
    again = log.handle.twin()
    again[words.AGAIN] = 1
    ids, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
    assert claim_fifo(again, ids, weights) == 1
    assert (ids.tolist(), weights.tolist()) == ([0, 1], [1.0, 1.0])
    assert log.cursors[0, LOST] == 2
    assert log.buffer.stats()["batches"] == 0


@kernel
def produce(handle, records, count):
    """Commit rows one by one, to one stream after the other."""
    heads = handle_heads(handle)
    for row in range(count):
        stream = row % handle[STREAMS]
        ticket = ring_claim(heads, stream, 1)
        slot = stream * handle[ROWS] + ticket % handle[ROWS]
        ring_take(records, slot, ticket, 0)
        ring_filled(heads, stream, 1)
        ring_commit(records, slot, ticket)


@kernel
def consume(handle, ids, weights, seen, left):
    """Claim rows until all were given out; give some of them back."""
    turn = 0
    while load(left, 0) > 0:
        if claim_fifo(handle, ids, weights) != 1:
            continue
        turn += 1
        if turn % 7 == 0:
            # Many give back at once: not always is there room for all.
            lost = claims_return(handle, ids, weights)
            fetch_add(left, 0, -lost)
            fetch_add(left, 1, lost)
            continue
        for row in range(ids.size):
            fetch_add(seen, ids[row], 1)
        fetch_add(left, 0, -ids.size)


@pytest.mark.compiled
@pytest.mark.parametrize("streams", [1, 3])
def test_every_row_is_claimed_once_by_consumers_that_meet(streams):
    rows = 60_000 // streams
    log = Log(rows, streams)
    with log.buffer:
        seen, left = np.zeros(60_000, np.int64), np.array([60_000, 0])

        def consumer(count):
            arrays = np.zeros(count, np.int64), np.zeros(count, np.float32)
            return lambda: consume(log.handle, *arrays, seen, left)

        def producer():
            produce(log.handle, log.records, 30_000)

        naive.together(producer, producer, *map(consumer, (1, 3, 8)))
        assert seen.max() == 1
        assert (seen == 0).sum() == log.cursors[:, LOST].sum() == left[1]
        assert log.buffer.stats()["unread"] == 0


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(cursors):
        cursors[0, RANGES] = range_pack(7, 9)
        cursors[0, RANGES + 1] = range_pack(3, 4)
        return range_next(cursors, 0, range_pack(3, 4))

    assert user(np.zeros((1, LINE), np.int64)) == (RANGES, 7 << 14 | 2)
