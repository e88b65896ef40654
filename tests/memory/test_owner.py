"""Who made a named buffer, and that those who attached are told when it has gone."""

import gc
import os

import numpy as np
import pytest

import replay
from replay.memory import ring as rings
from replay.memory.home import named_path
from replay.memory.owner import NUMBER, Ownership
from replay.memory.process import started
from tests.commands.blocks import left_behind
from tests.homes import fresh_name
from tests.processes import python

pytestmark = pytest.mark.processes

FIELDS = {"number": np.int64}


@pytest.fixture
def another(monkeypatch):
    """Let this process take itself for another one than the owner."""
    monkeypatch.setattr(rings, "is_this_process", lambda _: False)


@pytest.fixture
def pair():
    """Give a creator and one who attached."""
    with (
        replay.ReplayBuffer(8, FIELDS, name=fresh_name()) as creator,
        replay.attach(creator.name) as other,
    ):
        yield creator, other


def test_an_owner_is_alive_until_it_closes(pair):
    creator, other = pair
    for buffer in pair:
        owner = buffer.owner
        assert (owner.pid, owner.state) == (os.getpid(), "alive")
        assert owner.started == started(os.getpid())
    creator.close()
    assert (other.owner.pid, other.owner.state) == (os.getpid(), "closed")


def test_a_place_that_is_taken_anew_is_not_the_owners(pair):
    creator, other = pair
    assert creator._ring.members.number == 0
    creator.close()
    # Somebody else, on the owner's old place.
    assert other._ring.members.join() == 0
    assert other.owner.state == "closed"


def test_only_named_buffers_have_an_owner(tmp_path, pair):
    with replay.ReplayBuffer(8, FIELDS) as buffer:
        assert buffer.owner is None
    with replay.ReplayBuffer(8, FIELDS, path=tmp_path / "block") as buffer:
        assert buffer.owner is None
    with replay.ReplayBuffer(8, name=fresh_name()) as buffer:
        assert buffer.owner is None
    pair[1].close()
    with pytest.raises(replay.ClosedError):
        _ = pair[1].owner


def test_an_owner_that_closes_is_told_once(pair, another):
    creator, other = pair
    other.stats()
    creator.close()
    with pytest.warns(replay.OwnerGoneWarning) as told:
        other.stats()
    (warning,) = told
    said = str(warning.message)
    assert said.startswith(
        f"process {os.getpid()}, which made buffer {creator.name!r}, has closed"
    )
    assert "rows stay readable" in said
    assert "no other process can attach" in said
    assert warning.filename == __file__
    other.stats()
    assert other.add(number=1) == 0
    assert other.sample(3).number.tolist() == [1] * 3


def test_whoever_closed_it_itself_is_not_told(pair):
    creator, other = pair
    creator.close()
    other.stats()


def test_a_creator_is_not_told_of_itself(pair, another):
    creator, other = pair
    other.close()
    creator.stats()
    creator._ring.look_after(creator._ring.handle, now=True)


def test_one_who_adds_is_told(pair, another):
    creator, other = pair
    creator.close()
    handle = other._ring.handle
    other._ring._next_look = 0.0
    with pytest.warns(replay.OwnerGoneWarning):
        other._ring.look_after(handle)
    other._ring.look_after(handle, now=True)


def test_an_owner_that_died_is_told_with_the_cure(another):
    name = left_behind()
    try:
        for _ in range(2):
            # Opening repairs: what became of the owner is known all the same.
            cure = rf"died.*replay\.unlink\('{name}'\).*replay clean"
            with pytest.warns(replay.OwnerGoneWarning, match=cure) as told:
                buffer = replay.attach(name)
            assert told[0].filename == __file__
            with buffer:
                assert buffer.owner.state == "dead"
                buffer.stats()
    finally:
        named_path(name).unlink(missing_ok=True)


def test_an_owner_that_died_without_its_name_is_told_so(another, monkeypatch):
    name = left_behind()
    with monkeypatch.context() as patch:
        patch.setattr(rings, "is_this_process", lambda _: True)
        buffer = replay.attach(name)
    replay.unlink(name, force=True)
    buffer._ring._owner_watched = True
    with buffer, pytest.warns(replay.OwnerGoneWarning, match="died, and the name is gone"):
        buffer.stats()


def test_a_warning_that_is_an_error_leaves_nothing_open(another):
    name = left_behind()
    with pytest.raises(replay.OwnerGoneWarning):
        replay.attach(name)
    gc.collect()
    replay.unlink(name)


def test_a_file_has_nobody_who_could_be_missed(tmp_path, another):
    left_behind(tmp_path / "block")
    with replay.attach(path=tmp_path / "block") as buffer:
        buffer.stats()
        buffer._ring.look_after(buffer._ring.handle, now=True)


def test_the_words_of_a_block_are_not_trusted(pair):
    _, other = pair
    words = np.zeros(8, np.int64)
    ownership = Ownership(words)

    def never(number):
        raise AssertionError(number)

    assert ownership.look(never).state == "unknown"
    ownership.take(3, other._ring.members.line(0))
    for number in (-1, 1024, 1 << 62):
        words[NUMBER] = number
        assert ownership.look(never).state == "dead"
    words[NUMBER] = 3
    assert ownership.look(lambda number: number == 3).state == "alive"
    ownership.end(died=False)
    ownership.end(died=True)
    assert ownership.look(never).state == "closed"


def test_a_close_between_two_looks_is_no_death():
    words = np.zeros(8, np.int64)
    ownership = Ownership(words)
    ownership.take(0, np.arange(8))

    def close(_):
        ownership.end(died=False)
        return False

    assert ownership.look(close).state == "closed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_processes_are_told_of_each_other():
    """Of a creator that is killed, one that ends, and one whose forked child goes on."""
    code = """
import os, signal, sys, warnings
import replay

def creator(name, end):
    hear, say = os.pipe()
    listen, speak = os.pipe()
    child = os.fork()
    if not child:
        buffer = replay.ReplayBuffer(8, {"number": int}, name=name)
        buffer.add(number=1)
        os.write(say, b".")
        os.read(listen, 1)
        end(buffer)
        sys.exit()
    os.read(hear, 1)
    attached = replay.attach(name)
    assert attached.owner == replay.Owner(child, "alive", attached.owner.started,
                                          attached.owner.namespace)
    attached.stats()
    os.write(speak, b".")
    os.waitpid(child, 0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        attached.stats()
        attached.stats()
    (warning,) = told
    assert attached.owner.pid == child
    print(attached.owner.state, str(child) in str(warning.message), len(attached))
    return attached

def kill(buffer):
    os.kill(os.getpid(), signal.SIGKILL)

creator(sys.argv[1] + "-killed", kill)
creator(sys.argv[1] + "-ended", lambda buffer: None)
creator(sys.argv[1] + "-closed", lambda buffer: buffer.close())

# A forked child of the creator is told, and is no creator.
buffer = replay.ReplayBuffer(8, {"number": int}, name=sys.argv[1] + "-forked")
listen, speak = os.pipe()
child = os.fork()
if not child:
    os.read(listen, 1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        buffer.stats()
    print(buffer.owner.state, len(told))
    sys.exit()
buffer.close()
os.write(speak, b".")
os.waitpid(child, 0)
"""
    name = fresh_name()
    done = python(code, name)
    try:
        assert done.stderr == ""
        assert sorted(done.stdout.splitlines()) == [
            "closed 1",
            "closed True 1",
            "closed True 1",
            "dead True 1",
        ]
    finally:
        replay.unlink(f"{name}-killed")
    for end in ("ended", "closed", "forked"):
        assert not named_path(f"{name}-{end}").exists()
