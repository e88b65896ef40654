"""`replay clean`: removes what nobody has open, and nothing else, at whichever moment."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import replay
from replay import cli
from replay.commands import clean
from replay.memory import block_file
from replay.memory.block_file import in_use
from replay.memory.home import named_path
from tests.commands.blocks import FIELDS, dying, left_behind
from tests.homes import fresh_name

pytestmark = pytest.mark.processes


@pytest.fixture
def left():
    name = left_behind()
    yield name
    named_path(name).unlink(missing_ok=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let named buffers lie in a folder of their own."""
    monkeypatch.setattr(clean, "named_files", lambda: sorted(tmp_path.glob("replay.*")))
    return tmp_path


def cleaned(capsys, *words, code=0):
    assert cli.main(["clean", *words]) == code
    return capsys.readouterr()


def test_what_is_left_behind_is_removed(left, capsys):
    nbytes = named_path(left).stat().st_size
    out, err = cleaned(capsys, left)
    assert out.splitlines() == [
        f"removed {left}, {nbytes / 1000:.1f} kB",
        f"1 buffer removed, {nbytes / 1000:.1f} kB freed",
    ]
    assert err == ""
    assert not named_path(left).exists()


def test_a_rehearsal_removes_nothing(left, capsys):
    out, _ = cleaned(capsys, left, "--dry-run")
    assert out.startswith(f"would remove {left}, ")
    assert "1 buffer would be removed" in out
    assert named_path(left).exists()


def test_one_in_use_is_refused(capsys):
    with dying() as buffer:
        out, err = cleaned(capsys, buffer.name, code=1)
        assert out == ""
        assert err == (f"replay clean: buffer '{buffer.name}' is open in process {os.getpid()}\n")
        with replay.attach(buffer.name):
            _, err = cleaned(capsys, buffer.name, "--dry-run", code=1)
        assert f"open in processes {os.getpid()}, {os.getpid()}" in err
        assert named_path(buffer.name).exists()


def test_what_was_never_finished_or_is_damaged_is_removed(folder, capsys):
    left_behind(folder / "replay.a-whole")
    left_behind(folder / "replay.b-short")
    os.truncate(folder / "replay.b-short", 5000)
    for name, size in (("replay.c-empty", 0), ("replay.d-zeros", 9000)):
        (folder / name).write_bytes(bytes(size))
        (folder / name).chmod(0o600)
    content = (folder / "replay.a-whole").read_bytes()
    old = content.replace(b'"version": "', b'"version": "9', 1)
    (folder / "replay.e-version").write_bytes(old)
    out, err = cleaned(capsys)
    assert "5 buffers removed" in out
    assert "unfinished: its creator was killed" in out
    assert "damaged: " in out
    assert "other version: " in out
    assert err == ""
    assert list(folder.iterdir()) == []


def test_what_is_not_ours_is_left(folder, capsys):
    (folder / "replay.a").write_text("the words of somebody else")
    (folder / "replay.b").mkdir()
    (folder / "replay.c").symlink_to(folder / "replay.a")
    os.mkfifo(folder / "replay.d")
    (folder / "replay.lock").touch(0o644)
    before = sorted(folder.iterdir())
    out, err = cleaned(capsys)
    assert (out.count("\n"), err) == (1, "")
    assert out.startswith("nothing to remove")
    assert sorted(folder.iterdir()) == before


def test_only_those_of_this_user_are_removed(folder, capsys, monkeypatch):
    left_behind(folder / "replay.a")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert cleaned(capsys)[0].startswith("nothing to remove")
    monkeypatch.setattr(clean, "named_path", lambda _: folder / "replay.a")
    _, err = cleaned(capsys, "a", code=1)
    assert err == f"replay clean: buffer 'a' belongs to user {os.getuid()}\n"
    assert (folder / "replay.a").exists()


def test_root_removes_those_of_others_by_name(folder, capsys, monkeypatch):
    left_behind(folder / "replay.a")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.lstat

    def of_another(path):
        found = list(real(path))
        found[4] = 1000
        return os.stat_result(found)

    with monkeypatch.context() as patch:
        patch.setattr(clean.os, "lstat", of_another)
        patch.setattr(block_file, "is_at", lambda *_: True)
        patch.setattr(clean, "named_path", lambda _: folder / "replay.a")
        assert cleaned(capsys)[0].startswith("nothing to remove")
        assert "1 buffer removed" in cleaned(capsys, "a")[0]


def test_one_that_cannot_be_removed_does_not_stop_the_others(folder, capsys, monkeypatch):
    for name in "abc":
        left_behind(folder / f"replay.{name}")
    real = os.unlink

    def refuse(path, *_, **__):
        if str(path).endswith("replay.b"):
            raise PermissionError(1, "Operation not permitted")
        real(path)

    monkeypatch.setattr(clean.os, "unlink", refuse)
    out, err = cleaned(capsys, code=1)
    assert "2 buffers removed" in out
    assert err == "replay clean: buffer 'b' cannot be removed: Operation not permitted\n"
    assert [path.name for path in folder.iterdir()] == ["replay.b"]


def test_names_that_are_not_there_or_not_ours(left, capsys):
    odd = fresh_name()
    named_path(odd).mkdir()
    try:
        out, err = cleaned(capsys, "not-there", odd, left, code=1)
    finally:
        named_path(odd).rmdir()
    assert "1 buffer removed" in out
    assert err.splitlines() == [
        "replay clean: buffer 'not-there' does not exist",
        f"replay clean: buffer '{odd}' cannot be removed: it is no regular file",
    ]


# at the very moment


def during(monkeypatch, where, name, act):
    """Do something once, right before a function does its work."""
    real = getattr(where, name)

    def first(*arguments):
        monkeypatch.setattr(where, name, real)
        act()
        return real(*arguments)

    monkeypatch.setattr(where, name, first)


def test_one_that_opens_it_and_has_no_lock_yet_finds_it_removed(left, capsys, monkeypatch):
    during(monkeypatch, block_file, "lock_file", lambda: cleaned(capsys, left))
    with pytest.raises(replay.BlockMissingError, match="removed at this moment"):
        replay.attach(left)
    assert not named_path(left).exists()


def test_one_that_opens_it_and_has_the_lock_keeps_it(left, capsys, monkeypatch):
    during(monkeypatch, block_file, "map_file", lambda: cleaned(capsys, left, code=1))
    with replay.attach(left) as buffer:
        assert len(buffer) == 3
        assert named_path(left).exists()


def test_one_that_comes_while_it_is_removed_waits_and_finds_it_removed(left, capsys, monkeypatch):
    found = []
    opened = threading.Event()

    def attach():
        try:
            replay.attach(left)
        except replay.BlockError as error:
            found.append(error)

    def come():
        during(monkeypatch, block_file, "lock_file", opened.set)
        thread.start()
        assert opened.wait(60)

    thread = threading.Thread(target=attach)
    during(monkeypatch, clean, "judge_alone", come)
    cleaned(capsys, left)
    thread.join()
    assert isinstance(found[0], replay.BlockMissingError)


def test_one_that_creates_it_and_has_no_lock_yet_creates_it_anew(capsys, monkeypatch):
    name = fresh_name()
    during(monkeypatch, block_file, "lock_file", lambda: cleaned(capsys, name))
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        buffer.add(np.ones(80), 1)
        with replay.attach(name) as other:
            assert len(other) == 1
    assert not named_path(name).exists()


@pytest.mark.parametrize("step", ["reserve", "map_file"])
def test_one_that_creates_it_and_has_the_lock_keeps_it(step, capsys, monkeypatch):
    name = fresh_name()
    during(monkeypatch, block_file, step, lambda: cleaned(capsys, name, code=1))
    with replay.ReplayBuffer(10, FIELDS, name=name), replay.attach(name):
        assert named_path(name).exists()


@pytest.mark.parametrize("way", ["clean", "unlink"])
def test_one_that_took_the_name_since_keeps_it(left, way, capsys, monkeypatch):
    taken = []

    def take():
        cleaned(capsys, left)
        taken.append(replay.ReplayBuffer(10, FIELDS, name=left))

    during(monkeypatch, block_file, "lock_alone", take)
    if way == "clean":
        cleaned(capsys, left, code=1)
    else:
        with pytest.raises(replay.BlockError):
            replay.unlink(left)
    with taken[0], replay.attach(left):
        assert in_use(named_path(left))


def test_unlink_holds_the_lock_too(left, capsys, monkeypatch):
    during(monkeypatch, block_file, "lock_file", lambda: replay.unlink(left))
    with pytest.raises(replay.BlockMissingError, match="removed at this moment"):
        replay.attach(left)


@pytest.mark.parametrize("step", ["close", "end", "failure"])
def test_whoever_lost_its_name_leaves_that_of_another(step, monkeypatch):
    name = fresh_name()
    taken = []

    def take():
        replay.unlink(name, force=True)
        taken.append(replay.ReplayBuffer(10, FIELDS, name=name))

    if step == "failure":

        def fail(*_):
            monkeypatch.undo()
            take()
            raise KeyboardInterrupt

        monkeypatch.setattr(block_file, "reserve", fail)
        with pytest.raises(KeyboardInterrupt):
            replay.ReplayBuffer(10, FIELDS, name=name)
    else:
        first = replay.ReplayBuffer(10, FIELDS, name=name)
        take()
        if step == "end":
            first._ring.block.held.release(at_end=True)
        first.close()
    with taken[0], replay.attach(name):
        assert named_path(name).exists()
    assert not named_path(name).exists()


def test_a_forked_child_is_never_without_a_lock(monkeypatch):
    with replay.ReplayBuffer(10, FIELDS, name=fresh_name()) as buffer:
        seen = []
        # As in the child, where the parent may be dead by now.
        during(
            monkeypatch,
            block_file,
            "lock_file",
            lambda: seen.append(in_use(named_path(buffer.name))),
        )
        buffer._ring.block.held.reopen()
        assert seen == [True]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
def test_a_creator_that_stands_still_is_alive_and_one_that_is_killed_is_not(capsys):
    name = fresh_name()
    code = "import sys, replay\nreplay.ReplayBuffer(10, {'x': int}, name=sys.argv[1])\n"
    environment = {"REPLAY_FAULTS": "HEADED:1:STOP", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, name], env=os.environ | environment)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert cli.main(["ls", name]) == 0
        assert "unfinished" in capsys.readouterr().out
        _, err = cleaned(capsys, name, code=1)
        assert "is open in a process" in err
        with pytest.raises(replay.BlockFormatError, match="still at it"):
            replay.attach(name)
    finally:
        process.kill()
        process.wait()
    assert cli.main(["ls", name]) == 0
    assert "its creator was killed" in capsys.readouterr().out
    assert "1 buffer removed" in cleaned(capsys, name)[0]
