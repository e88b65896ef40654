"""`replay repair`: what the dead left is freed and mended, or the reason why not is said."""

import os

import numpy as np
import pytest

import replay
from kernels import members
from replay import cli
from replay.commands import repair
from replay.memory.home import named_path
from tests.commands.blocks import FIELDS, left_behind
from tests.homes import fresh_name
from tests.processes import without_progress

pytestmark = pytest.mark.processes


@pytest.fixture
def left():
    name = left_behind()
    yield name
    named_path(name).unlink(missing_ok=True)


def repaired(capsys, *words, code=0):
    assert cli.main(["repair", *words]) == code
    out, err = capsys.readouterr()
    return out, without_progress(err)


def test_what_the_dead_left_is_mended(left, capsys):
    out, err = repaired(capsys, left)
    where = f"buffer '{left}': "
    assert out.splitlines() == [
        where + f"died with it open: process {os.getpid()}",
        where + "slots freed: 1, sums corrected: 1",
        where + "sound, 3 of 30 rows",
    ]
    assert err == ""
    out, _ = repaired(capsys, left)
    assert out.splitlines() == [where + "died with it open: nobody", where + "sound, 3 of 30 rows"]


def test_a_file_is_mended_after_all_have_died(tmp_path, capsys):
    path = tmp_path / "buffer"
    left_behind(path)
    out, _ = repaired(capsys, "--path", str(path))
    assert f"file '{path}': slots freed: 1" in out
    with replay.attach(path=path) as buffer:
        assert buffer.priorities.verify() == 0
        assert len(buffer) == 3


def test_sums_are_mended_that_nobody_died_of(capsys):
    with replay.ReplayBuffer(
        30, FIELDS, name=fresh_name(), sampler=replay.Proportional()
    ) as buffer:
        buffer.add(np.ones(80), 1)
        buffer._ring.block.part("tree")[0, 0] += 7
        assert buffer.priorities.verify() == 1
        out, _ = repaired(capsys, buffer.name)
        assert "nobody" in out
        assert "sums corrected: 1" in out
        assert buffer.priorities.verify() == 0
        assert buffer.repair() == replay.Repaired()


def test_one_without_priorities(capsys):
    with replay.ReplayBuffer(30, FIELDS, name=fresh_name()) as buffer:
        assert "sound, 0 of 30 rows" in repaired(capsys, buffer.name)[0]


def test_one_who_stands_still_inside_is_named(left, capsys, monkeypatch):
    monkeypatch.setattr(repair, "_PATIENCE", 0)
    with replay.attach(left) as alive:
        alive._ring.block.part("tree")[0, 0] += 7
        line = alive._ring.members.line(alive._ring.members.number)
        line[members.INSIDE] += (1 << 16) + 1
        out, err = repaired(capsys, left, code=1)
        assert "sound" not in out
        assert f"is not repaired: process {os.getpid()} is changing" in err
        assert not alive.repair().finished
        line[members.INSIDE] -= 1
        assert "sound" in repaired(capsys, left)[0]


def test_one_who_repairs_already_is_waited_for_in_vain(left, capsys, monkeypatch):
    monkeypatch.setattr(repair, "_PATIENCE", 0)
    with replay.attach(left) as other:
        assert other._ring.members.hold_for_repair([]) == []
        _, err = repaired(capsys, left, code=1)
        assert "another process is repairing it" in err
        other._ring.members.release_after_repair([], done=True)
        assert "sound" in repaired(capsys, left)[0]


def test_threads_of_one_process_do_not_repair_at_once(left):
    with replay.attach(left) as buffer, buffer._ring._repairing:
        assert buffer._ring.repair() == replay.Repaired(finished=False)


def test_sums_that_stay_wrong_are_no_success(left, capsys, monkeypatch):
    monkeypatch.setattr(repair, "_PATIENCE", 0)
    monkeypatch.setattr("replay.memory.priority_tree.PriorityTree.verify", lambda _: 2)
    _, err = repaired(capsys, left, code=1)
    assert "2 sums of its priorities differ" in err


def test_what_cannot_be_attached_is_not_repaired(tmp_path, capsys):
    (tmp_path / "text").write_text("text" * 9000)
    os.mkfifo(tmp_path / "pipe")
    for words, said in (
        (["not-there"], "there is no buffer 'not-there'"),
        (["--path", str(tmp_path / "none")], "there is no file"),
        (["--path", str(tmp_path / "text")], "no block of ours"),
        (["--path", str(tmp_path / "pipe")], "no block of ours"),
        (["--path", str(tmp_path)], "cannot be opened"),
    ):
        out, err = repaired(capsys, *words, code=1)
        assert out == ""
        assert err.startswith("replay repair: ")
        assert said in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["a", "--path", "b"], ["a/b"], ["--path", ""]])
def test_one_buffer_is_named(words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["repair", *words])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
