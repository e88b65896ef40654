"""A buffer goes to other processes in every way that Python and its frameworks have."""

import base64
import os
import pickle
import subprocess
import sys

# Gymnasium, which the tests need, brings it; Ray and others send functions with it.
import cloudpickle
import pytest

import replay
from tests.buffers.errands import FIELDS, checked
from tests.homes import fresh_name
from tests.processes import python

pytestmark = pytest.mark.processes


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("method", "home"),
    [
        ("fork", "named"),
        ("fork", "path"),
        ("spawn", "named"),
        ("forkserver", "path"),
        ("threads", "private"),
        ("threads", "named"),
    ],
)
def test_a_crew_writes_and_learns_at_once(method, home):
    done = subprocess.run(
        [sys.executable, "-m", "tests.buffers.starting", method, home],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("pickler", "home"), [(pickle, "named"), (cloudpickle, "path")])
def test_an_unrelated_program_unpickles_a_buffer(pickler, home, tmp_path):
    place = {"name": fresh_name()} if home == "named" else {"path": tmp_path / "block"}
    with replay.ReplayBuffer(10, FIELDS, **place) as buffer:
        buffer.extend(**checked([1, 2]))
        sent = base64.b64encode(pickler.dumps([buffer, buffer]))
        code = (
            "import sys, base64, pickle\n"
            "one, other = pickle.loads(base64.b64decode(sys.argv[1]))\n"
            "one.add(3, 3, [3] * 40)\n"
            "assert one is other\n"
            "print(sorted(set(other.sample(100).number.tolist())))\n"
        )
        done = python(code, sent.decode())
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "[1, 2, 3]\n")
        assert len(buffer) == 3


def test_a_function_that_holds_a_buffer_is_sent_by_value():
    with replay.ReplayBuffer(10, FIELDS, name=fresh_name()) as buffer:
        sent = base64.b64encode(
            cloudpickle.dumps(lambda number: buffer.add(number, number, [number] * 40))
        )
        code = (
            "import sys, base64, pickle\n"
            "add = pickle.loads(base64.b64decode(sys.argv[1]))\n"
            "print(add(7), add(8))\n"
        )
        done = python(code, sent.decode())
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "0 1\n")
        assert buffer.column("number")[:2].tolist() == [7, 8]


def test_a_pickled_buffer_that_has_gone_is_an_error_that_names_it():
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        sent = pickle.dumps(buffer)
    with pytest.raises(replay.BlockMissingError, match=name):
        pickle.loads(sent)


# after a fork

FORK = """
import os, sys
import numpy as np
import replay

FIELDS = {"x": np.int64}

def child(work):
    # In a child, and say how it ended.
    number = os.fork()
    if number == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

def place():
    if sys.argv[1] == "named":
        return {"name": sys.argv[2]}
    return {"path": sys.argv[2]} if sys.argv[1] == "path" else {}

sampler = replay.Proportional(normalise="buffer")
buffer = replay.ReplayBuffer(10, FIELDS, sampler=sampler, seed=0, streams=2, **place())
writer = buffer.writer(1)
buffer.extend(x=np.arange(3))
"""


def forked(home, code, place=""):
    done = python(FORK + code, home, str(place))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("home", ["named", "path"])
def test_after_a_fork_both_go_on_with_a_shared_buffer(home, tmp_path):
    code = """
def work():
    assert len(buffer) == 3
    assert writer.add(x=7) == 1
    assert buffer.add(x=8) == 6
    batch = buffer.sample(500)
    assert set(batch.x.tolist()) == {0, 1, 2, 7, 8}
    assert buffer.update_priorities(batch.ids, batch.x.astype(float)) == 500
    assert len({member.number for member in buffer._ring.members.table()}) == 2

assert child(work) == 0
assert len(buffer) == 5
assert buffer.priorities.priorities()[[0, 1, 2, 3, 5]].round(6).tolist() == [0, 1, 2, 8, 7]
assert writer.add(x=9) == 3
assert buffer.priorities.verify() == 0
# The child left without closing: it is one who died, and its place is free again.
assert buffer._ring.repair().dead <= 1
assert len(buffer._ring.members.table()) == 1
buffer.close()
assert os.path.exists(sys.argv[2]) == (sys.argv[1] == "path")
"""
    forked(home, code, tmp_path / "block" if home == "path" else fresh_name())


@pytest.mark.parametrize("home", ["named", "path"])
def test_a_childs_child_goes_on_when_both_above_it_have_gone(home, tmp_path):
    code = """
import signal
ours, theirs = os.pipe()

def grandchild():
    # Its parent is dead by now, and what that one held is free.
    while os.getppid() == parent:
        pass
    assert buffer.add(x=5) == 6
    assert set(buffer.sample(300).x.tolist()) == {0, 1, 2, 5}
    os.write(theirs, b"done")

def work():
    global parent
    parent = os.getpid()
    if os.fork() == 0:
        grandchild()
        os._exit(0)
    os.kill(parent, signal.SIGKILL)

assert child(work) == -9
os.close(theirs)
assert os.read(ours, 10) == b"done"
assert os.read(ours, 10) == b""
assert len(buffer) == 4
"""
    forked(home, code, tmp_path / "block" if home == "path" else fresh_name())


def test_after_a_fork_a_private_buffer_is_two():
    code = """
def work():
    assert set(buffer.sample(200).x.tolist()) == {0, 1, 2}
    buffer.extend(x=np.arange(10, 20))
    writer.add(x=99)
    buffer.update_priorities(buffer.sample(20).ids, np.zeros(20))
    assert buffer.priorities.verify() == 0
    assert len(buffer) == 6

before = buffer._ring.block.memory.tobytes()
assert child(work) == 0
assert buffer._ring.block.memory.tobytes() == before
ours, theirs = os.pipe()
# From here on, the same draws: each has a generator of its own, and both stand at one place.
assert child(lambda: os.write(theirs, buffer.sample(50).ids.tobytes())) == 0
assert os.read(ours, 400) == buffer.sample(50).ids.tobytes()
assert len(buffer) == 3
assert buffer.add(x=1) == 6
"""
    forked("private", code)


@pytest.mark.parametrize("home", ["named", "path", "private"])
def test_after_a_fork_a_closed_buffer_is_closed(home, tmp_path):
    code = """
buffer.close()

def work():
    for use in (lambda: buffer.add(x=1), lambda: buffer.sample(3), lambda: writer.add(x=1),
                lambda: buffer.update_priorities([0], [1.0]), buffer.stats):
        try:
            use()
        except replay.ClosedError:
            continue
        raise AssertionError(use)

assert child(work) == 0
work()
"""
    forked(home, code, tmp_path / "block" if home == "path" else fresh_name())


@pytest.mark.parametrize("home", ["named", "path", "private"])
def test_a_child_that_closes_closes_for_itself_alone(home, tmp_path):
    code = """
assert child(buffer.close) == 0
assert len(buffer) == 3
assert buffer.add(x=4) == 6
if sys.argv[1] == "named":
    with replay.attach(sys.argv[2]) as other:
        assert len(other) == 4
"""
    forked(home, code, tmp_path / "block" if home == "path" else fresh_name())


@pytest.mark.compiled
def test_a_fork_while_a_thread_is_inside_leaves_the_child_a_working_buffer():
    code = """
import threading
rows = {"x": np.arange(20_000)}
over = threading.Event()

def without_end():
    # Long enough that the interpreter's lock is let go.
    while not over.is_set():
        buffer.extend(**rows)

def work():
    for _ in range(3):
        writer.extend(x=np.arange(4))
        assert len(buffer.sample(30).ids) == 30
    buffer.repair()
    buffer.close()

thread = threading.Thread(target=without_end)
thread.start()
try:
    for _ in range(20):
        assert child(work) == 0
finally:
    over.set()
    thread.join()
assert buffer.priorities.verify() == 0
"""
    for home, place in (("named", fresh_name()), ("private", "")):
        done = python(
            "import warnings; warnings.simplefilter('ignore')\n" + FORK + code, home, place
        )
        assert (done.returncode, done.stderr) == (0, "")
