"""Members: a number for each opening, and who is dead, whatever process ids say."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels import members
from kernels.ring import ring_claim, ring_take
from replay.memory.process import namespace, started
from tests.homes import opened

FIELDS = {"x": np.int64}

#: Python 3.12 warns of forks beside threads, which pytest-xdist always has.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(params=["named", "path"])
def buffer(request):
    with opened(request.param, 16, FIELDS) as buffer:
        buffer.extend(np.arange(5))
        yield buffer


def again(buffer):
    return replay.attach(buffer.name) if buffer.name else replay.attach(path=buffer.path)


def table(buffer):
    return {member.number: member for member in buffer._ring.members.table()}


def line(buffer, number):
    return buffer._ring.block.part("members")[number]


def take_slot(buffer, number):
    """Leave a slot as a writer of that number does who is in the middle of a row."""
    ticket = int(ring_claim(buffer._ring.block.part("heads"), 0, 1))
    assert ring_take(buffer._ring.block.part("records"), ticket % 16, ticket, number)
    return ticket % 16


def word(buffer, slot):
    return int(buffer._ring.block.part("records")[slot, 0])


@contextlib.contextmanager
def child(act, *, status=0):
    """Fork; the child acts, says so, and waits until it is let go."""
    to_parent, to_child = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = act() or 0
            os.write(to_parent[1], b"x")
            os.close(to_child[1])
            os.read(to_child[0], 1)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(to_parent[1])
    try:
        assert os.read(to_parent[0], 1) == b"x"
        yield pid
    finally:
        os.close(to_child[1])
        _, ended = os.waitpid(pid, 0)
        os.close(to_parent[0])
        os.close(to_child[0])
    assert os.waitstatus_to_exitcode(ended) == status


def test_each_opening_has_a_number_of_its_own(buffer):
    with again(buffer) as second, again(buffer) as third:
        numbers = [one._ring.members.number for one in (buffer, second, third)]
        assert numbers == [0, 1, 2]
        assert [one._ring.handle[words.WRITER] for one in (buffer, second, third)] == numbers
        assert {number: one.state for number, one in table(third).items()} == {
            0: "creator",
            1: "attached",
            2: "attached",
        }
        assert all(one.alive and one.pid == os.getpid() for one in table(second).values())
    assert list(table(buffer)) == [0]
    with again(buffer) as fourth:
        assert fourth._ring.members.number == 1
    assert buffer._ring.members.used == 3


def test_a_member_says_who_it_is(buffer):
    me = table(buffer)[0]
    assert (me.pid, me.started, me.namespace) == (os.getpid(), started(os.getpid()), namespace())
    assert me.started > 0
    assert me.namespace > 0
    assert abs(me.since - os.stat(f"/proc/{os.getpid()}").st_mtime) < 86_400


def test_whoever_is_killed_is_dead_and_whoever_is_stopped_is_not(buffer):
    with child(lambda: None, status=-signal.SIGKILL) as pid:
        assert [one.pid for one in table(buffer).values()] == [os.getpid(), pid]
        assert table(buffer)[1].alive
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert table(buffer)[1].alive
        assert buffer._ring.members.dead() == []
        os.kill(pid, signal.SIGKILL)
    assert not table(buffer)[1].alive
    assert buffer._ring.members.dead() == [1]
    done = buffer._ring.repair()
    assert (done.dead, done.finished) == (1, True)
    assert list(table(buffer)) == [0]


def test_a_number_is_not_given_again_before_its_slots_are_free(buffer):
    with child(lambda: take_slot(buffer, 1) and None, status=-signal.SIGKILL) as pid:
        os.kill(pid, signal.SIGKILL)
    assert word(buffer, 5) & 1
    # Its repair is another's: this one joins while it is still to come.
    register = buffer._ring.members
    assert register.hold_for_repair([1]) == [1]
    with again(buffer) as other:
        assert other._ring.members.number == 2
        assert word(buffer, 5) & 1
        assert other._ring.repair().dead == 0
        register.release_after_repair([1], done=False)
        assert other._ring.repair().slots == 1
        assert word(buffer, 5) == 0
        with again(buffer) as third:
            assert third._ring.members.number == 1


def test_a_process_id_that_is_used_again_keeps_nobody_alive(buffer):
    """The line of a dead one, with the process id and start of one who lives: of this one."""
    number = 3
    slot = take_slot(buffer, number)
    fake = line(buffer, number)
    fake[members.PROCESS] = os.getpid()
    fake[members.STARTED] = started(os.getpid())
    fake[members.NAMESPACE] = namespace()
    members.member_counted(buffer._ring.block.part("control")[words.READY], number)
    fake[members.STATE] = members.ATTACHED
    assert not table(buffer)[number].alive
    assert buffer._ring.repair().slots == 1
    assert word(buffer, slot) == 0


def test_one_of_another_namespace_lives_as_long_as_its_lock(buffer):
    """Its process id is nobody's here, or somebody else's."""
    with again(buffer) as other:
        foreign = line(buffer, 1)
        foreign[members.NAMESPACE] += 1
        foreign[members.PROCESS] = 2**22 + 7
        slot = take_slot(buffer, 1)
        assert table(buffer)[1].alive
        assert buffer._ring.repair().slots == 0
        assert word(buffer, slot) & 1
        other._ring.members._unlock(1)
        assert buffer._ring.repair().slots == 1


def test_one_in_a_namespace_of_its_own_is_told_alive_and_dead():
    """Where the system lets this user make one; elsewhere the child is one of this namespace."""
    with opened("named", 16, FIELDS) as buffer:
        code = (
            "import os, sys, replay\n"
            "buffer = replay.attach(sys.argv[1])\n"
            "print(os.getpid(), flush=True)\n"
            "sys.stdin.read()\n"
        )
        inside = ["unshare", "--user", "--pid", "--fork", "--kill-child"]
        with contextlib.suppress(OSError):
            if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
                inside = []
        process = subprocess.Popen(
            [*inside, sys.executable, "-c", code, buffer.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        with process:
            pid = int(process.stdout.readline())
            assert (table(buffer)[1].pid, table(buffer)[1].alive) == (pid, True)
            if inside:
                assert pid == 1
                assert table(buffer)[1].namespace != namespace()
            assert buffer._ring.members.dead() == []
            process.kill()
            # Before its input ends, at which the one inside would close the buffer.
            process.wait()
        while table(buffer)[1].alive:
            # The one inside dies with the one that was killed, soon after.
            pass
        assert buffer._ring.repair().dead == 1


def test_more_openings_than_there_are_places_are_refused(buffer):
    lines = buffer._ring.block.part("members")
    lines[1:, members.STATE] = members.MENDING
    with pytest.raises(replay.BlockError, match="1023 times"):
        again(buffer)
    lines[5, members.STATE] = members.FREE
    with again(buffer) as other:
        assert other._ring.members.number == 5
    lines[1:] = 0


def test_of_two_who_repair_one_does(buffer):
    with child(lambda: take_slot(buffer, 1) and None, status=-signal.SIGKILL) as pid:
        os.kill(pid, signal.SIGKILL)
    with child(lambda: buffer._ring.members.hold_for_repair([1]) != [1]):
        # While it is at it, it holds the place of the dead one too.
        assert buffer._ring.repair().dead == 0
        assert word(buffer, 5) & 1
    # It held the place of the dead one, and is gone: so are its locks.
    assert buffer._ring.repair().slots == 1


def test_one_repairs_at_a_time_whoever_died(buffer):
    for _ in range(2):
        with child(lambda: None, status=-signal.SIGKILL) as pid:
            os.kill(pid, signal.SIGKILL)
    slot = take_slot(buffer, 2)
    with child(lambda: buffer._ring.members.hold_for_repair([1]) != [1]):
        assert not buffer._ring.repair().finished
        assert word(buffer, slot) & 1
    assert buffer._ring.repair().slots == 1


def test_a_repair_that_came_too_late_leaves_a_place_that_is_used_again(buffer):
    register = buffer._ring.members
    with again(buffer) as other:
        assert register.hold_for_repair([other._ring.members.number]) == []
        register.release_after_repair([], done=True)
        assert table(buffer)[1].alive
    assert register.hold_for_repair([1]) == []
    register.release_after_repair([], done=True)
    with again(buffer) as other:
        assert other._ring.members.number == 1


def test_parent_and_child_go_on_with_numbers_of_their_own(buffer):
    numbers = []
    with child(lambda: buffer.add(100) and None) as pid:
        assert {one.number: one.pid for one in table(buffer).values()} == {0: os.getpid(), 1: pid}
        assert table(buffer)[1].state == "attached"
        with child(lambda: buffer.add(101) and None):
            numbers = sorted(table(buffer))
            buffer.add(102)
    assert numbers == [0, 1, 2]
    assert sorted(buffer.column("x")[:8].tolist()) == [0, 1, 2, 3, 4, 100, 101, 102]
    assert buffer._ring.members.dead() == [1, 2]
    assert buffer._ring.repair().dead == 2


def test_a_child_of_a_child_is_a_member_too(buffer):
    def act():
        with child(lambda: buffer.add(7) and None):
            assert sorted(table(buffer)) == [0, 1, 2]

    with child(act):
        assert len(buffer) == 6


def test_the_slots_of_a_parent_that_is_killed_are_freed_by_its_child():
    """The child inherits the parent's open file, but holds nothing in its name."""
    with opened("named", 16, FIELDS) as buffer:
        started, ended = os.pipe(), os.pipe()

        def act():
            slot = take_slot(buffer, buffer._ring.members.number)
            if os.fork() == 0:
                # Itself a member by now, with an open file of its own.
                os.write(started[1], b"x")
                os.close(ended[1])
                os.read(ended[0], 1)
                os._exit(0)
            os.read(started[0], 1)
            os._exit(0 if word(buffer, slot) & 1 else 1)

        pid = os.fork()
        if pid == 0:
            act()
        assert os.waitpid(pid, 0)[1] == 0
        assert [one.alive for one in table(buffer).values()] == [True, False, True]
        assert buffer._ring.repair().slots == 1
        assert not (buffer._ring.block.part("records")[:, 0] & 1).any()
        for end in (*started, *ended):
            os.close(end)


def test_a_closed_buffer_stays_closed_in_a_child(buffer):
    other = again(buffer)
    other.close()

    def act():
        with pytest.raises(replay.ClosedError):
            other.add(1)
        assert sorted(table(buffer)) == [0, 1]

    with child(act):
        assert sorted(table(buffer)) == [0, 1]


def test_a_fork_in_a_thread_makes_a_member(buffer):
    seen = []

    def fork():
        with child(lambda: buffer.add(9) and None):
            seen.append(sorted(table(buffer)))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    assert seen == [[0, 1]]
    assert len(buffer) == 6


def test_a_writer_of_a_stream_has_the_number_of_the_child():
    with opened("named", 16, FIELDS, streams=2) as buffer:
        writer = buffer.writer(1)

        def act():
            assert writer._handle[words.WRITER] == buffer._ring.members.number == 1
            writer.add(3)

        with child(act):
            assert writer._handle[words.WRITER] == 0
        assert writer.add(4) == 3


def test_a_child_that_closes_a_buffer_leaves_it_to_its_parent(buffer):
    def act():
        buffer.close()
        return 0

    with child(act):
        assert sorted(table(buffer)) == [0]
        with again(buffer) as other:
            assert len(other) == 5
    assert buffer.add(1) == 5
