"""Repair as a whole: begun by itself or by hand, cut short, by threads, and after a fork."""

import os
import signal
import threading

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels import members
from kernels.members import member_enter
from kernels.ring import BASE, FILLED, HEAD, ring_claim, ring_commit, ring_rebase, ring_take
from kernels.tree import tree_exchange, tree_levels
from replay.memory import ring as rings
from replay.memory.block import Block
from tests import naive
from tests.homes import opened
from tests.memory.test_members import child
from tests.processes import python

FIELDS = {"x": np.int64}
SAMPLER = replay.Proportional(alpha=1.0, beta=1.0, normalise="buffer")
ROWS = 80

#: Python 3.12 warns of forks beside threads, which pytest-xdist always has.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def buffer():
    with opened("named", ROWS, FIELDS, sampler=SAMPLER, seed=0) as buffer:
        buffer.extend(np.arange(10))
        yield buffer


def part(buffer, name):
    return buffer._ring.block.part(name)


def stand_in(buffer, number):
    """Make the line of one who is dead: nobody holds its lock."""
    line = part(buffer, "members")[number]
    members.member_counted(part(buffer, "control")[words.READY], number)
    line[members.STATE] = members.ATTACHED
    return line


def leave_slot(buffer, number):
    """Take the next slot in the name of a member, write its leaf, and no more."""
    ticket = int(ring_claim(part(buffer, "heads"), 0, 1))
    slot = ticket % ROWS
    assert ring_take(part(buffer, "records"), slot, ticket, number)
    member_enter(part(buffer, "members")[number], members.INSIDE)
    tree_exchange(part(buffer, "tree"), tree_levels(ROWS), slot, 12345)
    return slot


def leave_clear(buffer, number):
    """Begin to clear in the name of a member."""
    member_enter(part(buffer, "members")[number], members.CLEARING)
    ring_rebase(part(buffer, "heads"), 0)


def sound(buffer):
    held = part(buffer, "records")[:, 0]
    assert not (held & 1).any()
    assert part(buffer, "heads")[0, FILLED] == np.count_nonzero(held) == len(buffer)
    assert buffer.priorities.verify() == 0
    leaves = buffer.priorities.priorities()
    assert ((leaves > 0) == (held != 0)).all()
    assert [member.number for member in buffer._ring.members.table() if not member.alive] == []


def test_what_was_done_is_told_and_counted(buffer):
    for number in (4, 6):
        stand_in(buffer, number)
        for _ in range(number // 2):
            leave_slot(buffer, number)
    part(buffer, "heads")[0, FILLED] += 3
    done = buffer._ring.repair()
    assert (done.dead, done.slots, done.finished) == (2, 5, True)
    sound(buffer)
    stats = buffer.stats()
    assert (stats["repairs"], stats["freed"], stats["size"]) == (2, 5, 10)
    assert buffer._ring.repair() == replay.memory.repair.Repaired()


def test_where_nobody_died_nothing_is_looked_at(buffer):
    part(buffer, "heads")[0, FILLED] = 7
    assert buffer._ring.repair() == replay.memory.repair.Repaired()
    assert len(buffer) == 7


def test_whoever_opens_the_buffer_repairs_it(buffer):
    stand_in(buffer, 3)
    leave_slot(buffer, 3)
    with replay.attach(buffer.name):
        sound(buffer)


def test_a_draw_that_meets_a_dead_ones_slot_repairs_it(buffer):
    stand_in(buffer, 3)
    slot = leave_slot(buffer, 3)
    buffer._ring._next_look = 0
    for _ in range(1000):
        buffer.sample(64)
        if part(buffer, "records")[slot, 0] == 0:
            break
    assert buffer.stats()["freed"] == 1
    sound(buffer)


def test_a_writer_that_meets_a_dead_ones_slot_repairs_it(buffer):
    stand_in(buffer, 3)
    leave_slot(buffer, 3)
    buffer._ring._next_look = 0
    for number in range(ROWS + 5):
        buffer.add(number)
    assert buffer.stats()["freed"] == 1
    sound(buffer)


def test_what_was_noticed_is_looked_after_once_in_a_while(buffer, monkeypatch):
    looks = []
    monkeypatch.setattr(buffer._ring.members, "dead", lambda: looks.append(1) or [])
    now = [100.0]
    monkeypatch.setattr(rings.time, "monotonic", lambda: now[0])
    buffer._ring._next_look = 0
    for moment in (100.0, 100.01, 100.04, 100.06, 100.07, 200.0):
        now[0] = moment
        buffer._ring.look_after(buffer._ring.handle)
    assert len(looks) == 3
    buffer._ring.look_after(buffer._ring.handle, now=True)
    assert len(looks) == 4


class Interrupted(BaseException):
    """What Ctrl-C is, in the middle of a repair."""


@pytest.mark.parametrize(
    "call", ["slots_repair", "rows_forget", "leaves_repair", "counts_repair", "sums_repair"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_repair_that_is_cut_short_is_done_by_the_next(buffer, monkeypatch, call, after):
    for number in (3, 5):
        stand_in(buffer, number)
        leave_slot(buffer, number)
    leave_clear(buffer, 5)
    ring = buffer._ring
    real = getattr(ring.calls, call)

    def cut(*arguments):
        if after:
            real(*arguments)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setitem(ring.calls.__dict__, call, cut)
        with pytest.raises(Interrupted):
            ring.repair()
    assert ring.repair().finished
    sound(buffer)
    assert len(buffer) == 0
    assert ring.members.table()[0].number == 0
    assert part(buffer, "heads")[0, BASE] == part(buffer, "heads")[0, HEAD]


def test_of_two_threads_one_repairs(buffer, monkeypatch):
    """Locks of a file tell processes apart, but not the threads of one."""
    stand_in(buffer, 3)
    leave_slot(buffer, 3)
    ring = buffer._ring
    inside, go_on, second = threading.Event(), threading.Event(), []
    real = ring.calls.slots_repair

    def wait(*arguments):
        inside.set()
        assert go_on.wait(60)
        return real(*arguments)

    monkeypatch.setitem(ring.calls.__dict__, "slots_repair", wait)
    first = []
    thread = threading.Thread(target=lambda: first.append(ring.repair()))
    thread.start()
    assert inside.wait(60)
    second.append(ring.repair())
    buffer.add(1)
    buffer.sample(4)
    go_on.set()
    thread.join()
    assert not second[0].finished
    assert (first[0].slots, first[0].finished) == (1, True)
    sound(buffer)


def test_threads_that_repair_at_once_correct_each_sum_once(buffer):
    ring = buffer._ring
    for turn in range(20):
        stand_in(buffer, 3)
        leave_slot(buffer, 3)
        buffer.extend(np.arange(turn))
        done = naive.together(*[ring.repair] * 3)
        assert sum(one.slots for one in done) == 1
        sound(buffer)


def test_a_repair_beside_one_who_is_inside_is_finished_later(buffer):
    stand_in(buffer, 3)
    leave_slot(buffer, 3)
    me = part(buffer, "members")[0]
    # A leaf of a whole row, that somebody who lives has just set.
    difference = tree_exchange(part(buffer, "tree"), tree_levels(ROWS), 2, 77)
    member_enter(me, members.INSIDE)
    done = buffer._ring.repair()
    assert (done.slots, done.finished) == (1, False)
    assert part(buffer, "members")[3, members.STATE] == members.MENDING
    assert difference != 0
    assert buffer.priorities.verify() > 0
    assert buffer.sample(8).x.size == 8
    me[members.INSIDE] -= 1
    assert buffer._ring.repair().finished
    sound(buffer)


def test_a_repair_beside_a_first_row_that_is_being_written_is_finished_later(buffer):
    stand_in(buffer, 3)
    leave_slot(buffer, 3)
    part(buffer, "heads")[0, FILLED] += 1
    ticket = int(ring_claim(part(buffer, "heads"), 0, 1))
    assert ring_take(part(buffer, "records"), ticket, ticket, 0)
    done = buffer._ring.repair()
    assert (done.slots, done.finished) == (1, False)
    assert len(buffer) == 11
    part(buffer, "records")[ticket, 0] = 0
    assert buffer._ring.repair().finished
    sound(buffer)


# After a fork: private memory is copied, with all that other threads were at.


@pytest.mark.parametrize("filled", [3, ROWS + 3])
def test_a_child_frees_what_a_thread_of_its_parent_was_filling(filled):
    with opened("private", ROWS, FIELDS, sampler=SAMPLER, seed=0) as buffer:
        buffer.extend(np.arange(filled))
        # A thread of the parent, in the middle of an add and of a clear.
        slot = leave_slot(buffer, 0)
        leave_clear(buffer, 0)

        def act():
            assert buffer._ring.members.number == 1
            assert part(buffer, "records")[slot, 0] & 1
            assert buffer._ring.repair().slots == 1
            sound(buffer)
            assert len(buffer) == 0
            buffer.extend(np.arange(5))
            assert set(buffer.sample(20).x.tolist()) <= set(range(5))
            sound(buffer)

        with child(act):
            # The parent's thread is still there, and nobody takes its slot away.
            assert part(buffer, "records")[slot, 0] & 1
            assert buffer._ring.repair().slots == 0
        ticket = int(part(buffer, "heads")[0, HEAD]) - 1
        ring_commit(part(buffer, "records"), slot, ticket)


def test_a_child_that_goes_on_looks_after_what_it_inherited():
    with opened("private", 4, FIELDS, seed=0) as buffer:
        for number in range(6):
            buffer.add(number)
        for _ in range(2):
            ticket = int(ring_claim(part(buffer, "heads"), 0, 1))
            assert ring_take(part(buffer, "records"), ticket % 4, ticket, 0)

        def act():
            buffer._ring._next_look = 0
            for number in range(10):
                buffer.add(number)
            assert not (part(buffer, "records")[:, 0] & 1).any()
            assert sorted(buffer.column("x").tolist()) == [6, 7, 8, 9]
            assert len(buffer) == 4

        with child(act):
            pass


def test_a_child_repairs_though_its_parents_thread_was_at_it():
    with opened("private", ROWS, FIELDS, seed=0) as buffer:
        buffer.extend(np.arange(5))
        lock = buffer._ring._repairing
        assert lock.acquire(blocking=False)
        try:

            def act():
                assert buffer._ring.repair().finished

            with child(act):
                assert not buffer._ring.repair().finished
        finally:
            lock.release()


# A child of a process whose other thread is at work: coverage, which the interpreted lane runs
# under, may hold a lock of its own there, and the child waits for it.
@pytest.mark.compiled
def test_many_children_of_a_thread_that_adds_have_whole_buffers():
    """Whatever the other thread is at when its process forks, its copy is repaired."""
    with opened("private", ROWS, FIELDS, sampler=SAMPLER, seed=0) as buffer:
        buffer.extend(np.arange(5))
        end = threading.Event()

        def add():
            number = 5
            while not end.is_set():
                buffer.extend(np.arange(number, number + 200))
                number += 200

        thread = threading.Thread(target=add)
        thread.start()
        try:
            for _ in range(10):
                with child(lambda: buffer._ring.repair().finished is not True):
                    pass
        finally:
            end.set()
            thread.join()
        assert os.getpid() == buffer._ring.members.table()[0].pid
        sound(buffer)


KILLED_AT_A_LEAF = """
import os, sys
os.environ["REPLAY_FAULTS"] = os.environ["NUMBA_DISABLE_JIT"] = "1"
import replay
from kernels.faults import arm

buffer = replay.ReplayBuffer(8, {"x": int}, sampler=replay.Proportional(), path=sys.argv[1])
buffer.extend(x=range(11))
if sys.argv[2] == "update":
    arm("LEAF", 2)
    buffer.update_priorities([5, 9, 10], [2.0, 3.0, 4.0])
else:
    arm("LEAF", 3)
    buffer.clear()
"""


@pytest.mark.parametrize(("walk", "doubt"), [("update", 9 + 1), ("clear", -(2 + 1))])
def test_who_dies_at_a_leaf_leaves_word_of_it(tmp_path, walk, doubt):
    path = tmp_path / "block"
    assert python(KILLED_AT_A_LEAF, str(path), walk).returncode == -signal.SIGKILL
    place = Block.attach(path, named=False)
    lines = place.part("members").copy()
    place.close()
    assert lines[0, members.DOUBT] == doubt
    with replay.attach(path=path) as buffer:
        leaves = buffer.priorities.priorities()
        assert (leaves[:3] == 0).all() if walk == "clear" else leaves[9 % 8] == pytest.approx(3.0)
        assert buffer.priorities.verify() == 0
        assert not buffer._ring.block.part("members")[0, members.DOUBT]
