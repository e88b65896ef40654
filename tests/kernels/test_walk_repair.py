"""
The walk of repair, after deaths between any two steps of any walk, beside walks that go on.

The walks are played one step at a time, by the kernels they are made of, so that Hypothesis can
lead them past each other and end each where it likes. What must hold is kept in plain lists.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import replay
from kernels import handle as words
from kernels import members
from kernels.atomics import fetch_add, load, store
from kernels.handle import handle_levels, handle_records, handle_tree
from kernels.jit import kernel
from kernels.members import CLEARING, DOUBT, INSIDE, member_counted, member_enter, member_leave
from kernels.minimum import minimum_update
from kernels.ring import (
    FILLED,
    NOT_TAKEN,
    TAKEN_EMPTY,
    ring_claim,
    ring_clear,
    ring_commit,
    ring_current,
    ring_filled,
    ring_rebase,
    ring_release,
    ring_take,
    ring_ticket,
)
from kernels.tree import tree_exchange, tree_get
from kernels.walk_leaf import leaf_exchange, leaf_settle
from kernels.walk_repair import doubt_repair, leaves_repair, slots_repair, sums_repair
from tests import naive
from tests.homes import fewer

STREAMS, ROWS = 14, 5
#: Streams in use: the first and the last one's leaves have no ancestor in common but the top line.
USED = (0, STREAMS - 1)
SAMPLER = replay.Proportional(alpha=1.0, beta=1.0, normalise="buffer")


class Wreck:
    """A private buffer whose members are played, and the lists of what must be in it."""

    def __init__(self):
        self.buffer = replay.ReplayBuffer(
            STREAMS * ROWS, {"number": np.int64}, streams=STREAMS, sampler=SAMPLER, seed=0
        )
        self.ring = self.buffer._ring
        self.heads, self.records, self.lines, self.tree, self.minima, self.control = (
            self.ring.block.part(name)
            for name in ("heads", "records", "members", "tree", "minima", "control")
        )
        self.levels = np.array(naive.tree_levels(STREAMS * ROWS))
        #: Whole rows: the ticket of a slot.
        self.whole = {}
        self.alive = {0}
        self.walks = {}
        # Private memory knows of no other process: here the test says who lives.
        self.ring.members._alive = lambda number: number in self.alive

    def join(self, number):
        self.alive.add(number)
        if self.lines[number, members.STATE] == members.FREE:
            self.lines[number] = 0
            member_counted(self.control[words.READY], number)
            self.lines[number, members.STATE] = members.ATTACHED

    def handle(self, number):
        handle = self.ring.handle.copy()
        handle[words.WRITER] = number
        return handle

    # The walks: each `yield` is a place to die.

    def add(self, number, stream, count):
        """As kernels.walk_add.rows_add."""
        first = ring_claim(self.heads, stream, count)
        yield
        got = []
        for ticket in range(first, first + count):
            slot = stream * ROWS + ticket % ROWS
            taken = ring_take(self.records, slot, ticket, number)
            if taken == NOT_TAKEN:
                continue
            self.whole.pop(slot, None)
            yield
            if not ring_current(self.heads, stream, ticket):
                yield from self.release(number, stream, slot, taken)
                continue
            self.records[slot, 1] = ticket
            got.append((slot, ticket, taken))
            yield
        member_enter(self.lines[number], INSIDE)
        yield
        for slot, _, _ in got:
            value = int(self.control[words.PRIORITY, 0])
            difference = tree_exchange(self.tree, self.levels, slot, value)
            yield
            yield from self.climb(slot, difference)
        member_leave(self.lines[number], INSIDE)
        yield
        for slot, ticket, taken in got:
            if taken == TAKEN_EMPTY:
                ring_filled(self.heads, stream, 1)
                yield
            ring_commit(self.records, slot, ticket)
            self.whole[slot] = ticket
            yield

    def release(self, number, stream, slot, taken):
        member_enter(self.lines[number], CLEARING)
        yield
        ring_release(self.heads, self.records, stream, slot, taken)
        yield
        yield from self.settle(number, slot)
        member_leave(self.lines[number], CLEARING)
        yield

    def climb(self, slot, difference):
        """As tree_add, and minimum_update after it."""
        if difference == 0:
            return
        for level in range(len(self.levels) - 3, -1, -1):
            entry = slot >> 3 * (len(self.levels) - 2 - level)
            self.tree.reshape(-1)[int(self.levels[level]) * 8 + entry] += difference
            yield
        minimum_update(self.minima, self.tree, self.levels, slot)

    def settle(self, number, slot):
        """As kernels.walk_leaf.leaf_settle."""
        member_enter(self.lines[number], INSIDE)
        yield
        self.lines[number, DOUBT] = -(slot + 1)
        difference = yield from self.exchange(slot)
        yield from self.climb(slot, difference)
        self.lines[number, DOUBT] = 0
        member_leave(self.lines[number], INSIDE)
        yield

    def exchange(self, slot):
        word, difference = int(self.records[slot, 0]), 0
        while True:
            yield
            value = int(self.control[words.PRIORITY, 0]) if word else 0
            difference += tree_exchange(self.tree, self.levels, slot, value)
            yield
            after = int(self.records[slot, 0])
            if after == word:
                return difference
            word = after

    def update(self, number, slot, value):
        """As kernels.walk_update.priorities_update, of one row."""
        member_enter(self.lines[number], INSIDE)
        yield
        word = int(self.records[slot, 0])
        if word & 1 == 0 and word != 0:
            yield
            self.lines[number, DOUBT] = ring_ticket(word) * STREAMS + slot // ROWS + 1
            difference = tree_exchange(self.tree, self.levels, slot, value)
            yield
            if int(self.records[slot, 0]) != word:
                difference += yield from self.exchange(slot)
            yield from self.climb(slot, difference)
            self.lines[number, DOUBT] = 0
        member_leave(self.lines[number], INSIDE)
        yield

    def clear(self, number):
        """As kernels.walk_clear.rows_clear."""
        member_enter(self.lines[number], CLEARING)
        yield
        for stream in USED:
            ring_rebase(self.heads, stream)
            yield
        for stream in USED:
            for slot in range(stream * ROWS, (stream + 1) * ROWS):
                if self.records[slot, 0] & 1 == 0 and self.clear_slot(stream, slot):
                    yield
                    yield from self.settle(number, slot)
        member_leave(self.lines[number], CLEARING)
        yield

    def clear_slot(self, stream, slot):
        cleared = ring_clear(self.heads, self.records, stream, slot)
        if cleared:
            del self.whole[slot]
        return cleared

    # What may happen to them.

    def step(self, number, steps):
        walk = self.walks.get(number)
        for _ in range(steps):
            try:
                next(walk)
            except StopIteration:
                del self.walks[number]
                return

    def die(self, number):
        self.walks.pop(number, None)
        self.alive.discard(number)

    def repair(self):
        before = set(self.whole.items())
        done = self.ring.repair()
        # A clear that a dead one began is finished with it.
        for slot, ticket in before:
            if self.records[slot, 0] == 0:
                assert ticket < self.heads[slot // ROWS, 2]
                del self.whole[slot]
        return done

    def close(self):
        self.walks.clear()
        self.buffer.close()

    # What must hold.

    def rows_are_those_of_the_list(self):
        found = {}
        for slot in range(STREAMS * ROWS):
            word = int(self.records[slot, 0])
            if word != 0 and word & 1 == 0:
                found[slot] = int(ring_ticket(word))
                assert self.records[slot, 1] == found[slot]
        assert found == self.whole

    def all_is_right(self):
        """Nobody is at work, and nobody dead is left."""
        self.rows_are_those_of_the_list()
        assert not (self.records[:, 0] & 1).any()
        for stream in range(STREAMS):
            held = [slot for slot in self.whole if slot // ROWS == stream]
            assert self.heads[stream, FILLED] == len(held)
        leaves = self.tree[self.levels[-2] :].reshape(-1)[: STREAMS * ROWS]
        for slot, leaf in enumerate(leaves.tolist()):
            if slot not in self.whole:
                assert leaf == 0
            else:
                assert leaf > 0
        assert self.tree.tolist() == naive.tree_lines(
            self.tree[self.levels[-2] :].reshape(-1).tolist()
        )
        smallest = naive.tree_lines(self.tree[self.levels[-2] :].reshape(-1).tolist(), least)
        inner = np.array(smallest[: self.levels[-2]])
        for level in range(len(self.levels) - 2):
            nodes = int(self.levels[level + 2] - self.levels[level + 1])
            start = int(self.levels[level]) * 8
            got = self.minima.reshape(-1)[start : start + nodes]
            assert [value or naive.smallest([]) for value in got.tolist()] == [
                value or naive.smallest([]) for value in inner.reshape(-1)[start:][:nodes].tolist()
            ]
        assert {member.number for member in self.ring.members.table()} == self.alive


def least(values):
    """Combine by the smallest above zero, with 0 for none."""
    return min((value for value in values if value > 0), default=0)


class WreckMachine(RuleBasedStateMachine):
    """Members walk, stop between any two steps, die there, or go on after a repair."""

    numbers = st.integers(1, 3)

    def __init__(self):
        super().__init__()
        self.wreck = Wreck()

    def teardown(self):
        self.all_come_to_an_end()
        self.wreck.close()

    def begin(self, number, walk, steps):
        wreck = self.wreck
        if number in wreck.walks or (
            number not in wreck.alive and wreck.lines[number, members.STATE] != members.FREE
        ):
            return
        wreck.join(number)
        wreck.walks[number] = walk
        wreck.step(number, steps)

    @rule(
        number=numbers,
        stream=st.sampled_from(USED),
        count=st.integers(1, 3),
        at=st.integers(0, 12),
    )
    def add(self, number, stream, count, at):
        self.begin(number, self.wreck.add(number, stream, count), at)

    @rule(stream=st.sampled_from(USED), count=st.integers(1, ROWS))
    def fill(self, stream, count):
        if 0 not in self.wreck.walks:
            for _ in self.wreck.add(0, stream, count):
                pass

    @precondition(lambda self: self.wreck.whole)
    @rule(number=numbers, data=st.data(), value=st.integers(1, 99), at=st.integers(0, 6))
    def update(self, number, data, value, at):
        slot = data.draw(st.sampled_from(sorted(self.wreck.whole)))
        self.begin(number, self.wreck.update(number, slot, value), at)

    @rule(number=numbers, at=st.integers(1, 12))
    def clear(self, number, at):
        self.begin(number, self.wreck.clear(number), at)

    @precondition(lambda self: self.wreck.walks)
    @rule(data=st.data(), steps=st.integers(1, 8))
    def go_on(self, data, steps):
        self.wreck.step(data.draw(st.sampled_from(sorted(self.wreck.walks))), steps)

    @precondition(lambda self: self.wreck.walks)
    @rule(data=st.data())
    def die(self, data):
        self.wreck.die(data.draw(st.sampled_from(sorted(self.wreck.walks))))

    @rule()
    def repair(self):
        wreck = self.wreck
        done = wreck.repair()
        odd = {int(word) >> 2 & 2047 for word in wreck.records[:, 0].tolist() if word & 1}
        assert odd <= wreck.alive
        if done.finished:
            assert {member.number for member in wreck.ring.members.table()} == wreck.alive
        else:
            assert wreck.walks
        if not wreck.walks:
            wreck.all_is_right()

    @rule()
    def all_come_to_an_end(self):
        wreck = self.wreck
        while wreck.walks:
            for number in sorted(wreck.walks):
                wreck.step(number, 1)
        assert wreck.repair().finished
        wreck.all_is_right()

    @invariant()
    def rows_are_whole(self):
        self.wreck.rows_are_those_of_the_list()


TestWreckMachine = WreckMachine.TestCase
TestWreckMachine.settings = settings(
    deadline=None, max_examples=fewer(80, 12), stateful_step_count=30, derandomize=True
)


def filled(count, stream=0):
    wreck = Wreck()
    for _ in wreck.add(0, stream, count):
        pass
    return wreck


def test_slots_of_the_living_are_not_freed():
    wreck = filled(2)
    for number in (1, 2):
        wreck.join(number)
        wreck.walks[number] = wreck.add(number, 0, 1)
        wreck.step(number, 3)
    wreck.die(2)
    assert slots_repair(wreck.ring.handle, 2, 0, STREAMS * ROWS) == 1
    assert [word & 1 for word in wreck.records[:ROWS, 0].tolist()] == [0, 0, 1, 0, 0]
    wreck.step(1, 99)
    assert wreck.repair().finished
    wreck.all_is_right()
    wreck.close()


def test_only_the_slots_that_are_asked_for_are_looked_at():
    wreck = filled(5)
    wreck.join(1)
    wreck.walks[1] = wreck.add(1, 0, 3)
    wreck.step(1, 8)
    wreck.die(1)
    assert slots_repair(wreck.ring.handle, 1, 1, 1) == 1
    assert [word & 1 for word in wreck.records[:3, 0].tolist()] == [1, 0, 1]
    wreck.close()


def test_a_leaf_of_an_empty_slot_is_cleared_and_no_other():
    """Whoever died between the emptying of the slot and the clearing of its leaf left it."""
    wreck = filled(3)
    handle = wreck.ring.handle
    leaves = wreck.tree[wreck.levels[-2] :].reshape(-1)
    before = leaves.copy()
    wreck.records[1, 0] = 0
    assert leaves_repair(handle, 0, 1) == 0
    assert leaves_repair(handle, 0, STREAMS * ROWS) == 1
    before[1] = 0
    assert (leaves == before).all()
    assert sums_repair(handle) == 0
    assert wreck.buffer.priorities.verify() == 0
    wreck.close()


def test_a_leaf_goes_by_the_last_word_of_its_slot():
    wreck = filled(3)
    handle = wreck.ring.handle
    leaves = wreck.tree[wreck.levels[-2] :].reshape(-1)
    value = int(wreck.control[words.PRIORITY, 0])
    leaves[1] = 5
    assert leaf_exchange(handle, 1) == value - 5
    leaves[4] = 9
    assert leaf_exchange(handle, 4) == -9
    leaves[1] = 5
    wreck.buffer.priorities.rebuild()
    leaf_settle(handle, 1)
    assert wreck.buffer.priorities.verify() == 0
    assert leaves[:5].tolist() == [value, value, value, 0, 0]
    assert wreck.lines[0, INSIDE] & members.INSIDE_COUNT == 0
    wreck.close()


@kernel
def settle_in_step(handle, words, value, rounds, patience):
    """
    Empty and fill a slot, or set its leaf beside the one who does; count leaves that are wrong.

    Word 0 counts arrivals at three meetings a round. Word 8 ends it all where waiting costs too
    much, on a single processor.
    """
    records = handle_records(handle)
    leaves = handle_tree(handle)
    levels = handle_levels(handle)
    wrong = 0
    for turn in range(rounds):
        for meeting in range(3):
            if meeting == 1:
                if value != 0:
                    word = (turn & 1) << 20
                    store(records, 0, word)
                leaf_settle(handle, 0)
            if meeting == 2 and patience < 0:
                store(words, 8, 1)
            fetch_add(words, 0, 1)
            while load(words, 0) < (3 * turn + meeting + 1) * 2:
                patience -= 1
            if meeting == 1 and value != 0:
                wrong += np.int64(tree_get(leaves, levels, 0) != (turn & 1) * value)
        if load(words, 8) == 1:
            break
    return wrong


@pytest.mark.compiled
def test_of_two_who_set_a_leaf_the_last_one_has_seen_the_last_word():
    wreck = filled(1)
    shared = np.zeros(16, np.int64)
    value = int(wreck.control[words.PRIORITY, 0])
    wreck.join(1)
    handles = [wreck.handle(0), wreck.handle(1)]
    wrong = naive.together(
        lambda: settle_in_step(handles[0], shared, value, 100_000, 10**8),
        lambda: settle_in_step(handles[1], shared, 0, 100_000, 10**8),
    )
    assert wrong == [0, 0]
    assert wreck.buffer.priorities.verify() == 0
    wreck.close()


def test_sums_wait_for_one_who_lives_and_minima_with_them():
    wreck = filled(3)
    for number in (1, 2):
        wreck.join(number)
        wreck.walks[number] = wreck.update(number, 0, 7 + number)
        wreck.step(number, 3)
    wreck.die(2)
    done = wreck.repair()
    assert (done.dead, done.finished) == (1, False)
    assert wreck.lines[2, members.STATE] == members.MENDING
    assert wreck.buffer.priorities.verify() > 0
    wreck.step(1, 99)
    done = wreck.repair()
    assert (done.dead, done.slots, done.finished) == (1, 0, True)
    assert done.sums > 0
    wreck.all_is_right()
    wreck.close()


def test_a_leaf_in_doubt_is_set_anew_unless_it_is_of_that_very_row():
    with replay.ReplayBuffer(10, {"x": bool}, sampler=SAMPLER, streams=2) as buffer:
        for stream in range(2):
            buffer.writer(stream).extend(np.zeros(7, bool))
        handle, ring = buffer._ring.handle, buffer._ring
        tree, levels = handle_tree(handle), handle_levels(handle)
        new = int(ring.block.part("control")[words.PRIORITY, 0])
        for slot in range(10):
            tree_exchange(tree, levels, slot, 5)
        buffer.priorities.rebuild()

        def leaves():
            return [tree_get(tree, levels, slot) for slot in range(10)]

        # Ticket 6 of stream 1 lies in its slot 1, and ticket 1 before it.
        assert not doubt_repair(handle, 0)
        assert not doubt_repair(handle, 6 * 2 + 1 + 1)
        assert leaves() == [5] * 10
        assert doubt_repair(handle, 1 * 2 + 1 + 1)
        assert leaves() == [5] * 6 + [new] + [5] * 3
        # One who settles a leaf names the slot; also where a writer is inside, or nobody.
        records = ring.block.part("records")
        records[3, 0] |= 1
        records[4, 0] = 0
        assert all(doubt_repair(handle, -(slot + 1)) for slot in (2, 3, 4))
        assert leaves() == [5, 5, new, new, 0, 5, new, 5, 5, 5]
        assert buffer.priorities.verify() == 0
        # What no member writes leads nowhere.
        assert not doubt_repair(handle, -11)
        assert not doubt_repair(handle, -(2**63))
        records[3, 0] &= -2


def test_no_doubt_stays_after_an_update_or_a_clear():
    with replay.ReplayBuffer(10, {"x": bool}, sampler=SAMPLER) as buffer:
        ids = buffer.extend(np.zeros(10, bool))
        buffer.update_priorities(ids, np.ones(10))
        buffer.clear()
        assert buffer._ring.block.part("members")[0, DOUBT] == 0
