"""`replay ls`: what is shown of buffers, in use and left behind."""

import itertools
import json
import os
import time
import types

import numpy as np
import pytest

import replay
from replay import cli
from replay.commands import ls
from replay.memory import census
from replay.memory.home import named_path
from tests.commands.blocks import FIELDS, left_behind
from tests.homes import fresh_name
from tests.processes import python

pytestmark = pytest.mark.processes

KEYS = [
    "name", "path", "state", "reason", "open", "bytes", "user", "capacity", "streams", "size",
    "added", "sampled", "adds_per_second", "samples_per_second", "fields", "sampler", "owner",
    "members",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _half_a_second_is_soon_over(monkeypatch):
    monkeypatch.setattr(ls, "_BETWEEN", 0)


@pytest.fixture
def buffer():
    with replay.ReplayBuffer(
        1000, FIELDS, name=fresh_name(), sampler=replay.Proportional(alpha=0.5)
    ) as buffer:
        buffer.extend(np.ones((250, 80), np.float32), np.arange(250))
        yield buffer


@pytest.fixture
def left():
    name = left_behind()
    yield name
    named_path(name).unlink(missing_ok=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let named buffers lie in a folder of their own."""
    monkeypatch.setattr(census, "named_folder", lambda: tmp_path)
    return tmp_path


def shown(capsys, *words, code=0):
    assert cli.main(["ls", *words]) == code
    out, err = capsys.readouterr()
    assert "--json" in words or all(len(line) <= 100 for line in out.splitlines())
    return out, err


def listed(capsys, *words, code=0):
    return json.loads(shown(capsys, *words, "--json", code=code)[0])


def test_a_buffer_in_use(buffer, capsys):
    with replay.attach(buffer.name):
        out, err = shown(capsys, buffer.name)
    assert err == ""
    title, line, *below = out.splitlines()
    assert title.split() == ["NAME", "STATE", "SIZE", "ROWS", "ADDS/S", "SAMPLES/S"]
    assert line.split()[:3] == [buffer.name, "in", "use"]
    assert "250 of 1,000  25 %" in line
    assert below[0].split(maxsplit=1) == ["fields", "obs float32 (80,), action int64"]
    assert below[1].split(maxsplit=1)[1].startswith("Proportional(alpha=0.5")
    owner, other = (line for line in below[2:] if "pid" in line)
    assert owner.startswith(f"  owner     pid {os.getpid()}, alive: ")
    assert other.startswith(f"  attached  pid {os.getpid()}, alive: ")


def test_a_buffer_left_behind(left, capsys):
    out, _ = shown(capsys, left)
    assert "left behind" in out
    assert "3 of 30  10 %" in out
    assert f"owner     pid {os.getpid()}, dead" in out
    assert f"attached  pid {os.getpid()}, dead" in out
    assert out.splitlines()[1].endswith("-           -")


def test_programs_are_told_the_same(buffer, left, capsys):
    first, second = listed(capsys, buffer.name, left)
    assert list(first) == list(second) == KEYS
    assert first["fields"] == {
        "obs": {"dtype": "float32", "shape": [80]},
        "action": {"dtype": "int64", "shape": []},
    }
    assert (first["state"], first["open"], first["reason"]) == ("in use", True, "")
    assert (first["capacity"], first["streams"], first["size"]) == (1000, 1, 250)
    assert first["bytes"] == buffer.nbytes
    assert first["owner"]["pid"] == os.getpid()
    assert [member["role"] for member in first["members"]] == ["creator"]
    assert first["members"][0]["state"] == "alive"
    assert first["members"][0]["since"] <= time.time()
    assert (second["state"], second["open"]) == ("left behind", False)
    assert second["adds_per_second"] is None
    assert [member["state"] for member in second["members"]] == ["dead", "dead"]


def test_rates_are_those_between_two_readings(buffer, capsys, monkeypatch):
    moments = itertools.count(step=0.5)
    monkeypatch.setattr(census, "time", types.SimpleNamespace(monotonic=lambda: next(moments)))

    def work(_):
        buffer.extend(np.ones((40, 80), np.float32), np.arange(40))
        buffer.sample(300)

    monkeypatch.setattr(ls, "time", types.SimpleNamespace(sleep=work))
    (told,) = listed(capsys, buffer.name)
    assert (told["adds_per_second"], told["samples_per_second"]) == (80.0, 600.0)
    line = shown(capsys, buffer.name)[0].splitlines()[1]
    assert line.split()[-2:] == ["80", "600"]


def test_nobody_is_waited_for_where_nobody_works(left, capsys, monkeypatch):
    def refuse(_):
        raise AssertionError("waited")

    monkeypatch.setattr(ls, "time", types.SimpleNamespace(sleep=refuse))
    listed(capsys, left)


@pytest.mark.parametrize("change", ["closed", "replaced", "restored"])
def test_a_buffer_that_goes_while_it_is_measured(change, capsys, monkeypatch):
    name = fresh_name()
    opened = [replay.ReplayBuffer(10, FIELDS, name=name)]
    opened[0].add(np.ones(80), 1)

    def go(_):
        if change == "restored":
            opened[0]._ring.block.part("heads")[:] = 0
            return
        opened.pop().close()
        if change == "replaced":
            opened.append(replay.ReplayBuffer(10, FIELDS, name=name))

    monkeypatch.setattr(ls, "time", types.SimpleNamespace(sleep=go))
    (told,) = listed(capsys, name)
    assert told["adds_per_second"] == (0.0 if change == "restored" else None)
    while opened:
        opened.pop().close()


def test_no_buffers_is_no_error(folder, capsys):
    out, err = shown(capsys)
    assert (out.count("\n"), err) == (1, "")
    assert out.startswith("no buffers")
    assert listed(capsys) == []


def test_all_that_have_names_are_listed(folder, capsys):
    (folder / "other").touch()
    for name in ("b", "a"):
        left_behind(folder / f"replay.{name}")
    assert [told["name"] for told in listed(capsys)] == ["a", "b"]


def test_one_that_ends_while_it_is_listed_is_left_out(folder, capsys, monkeypatch):
    monkeypatch.setattr(ls, "named_files", lambda: [folder / "replay.gone"])
    assert listed(capsys) == []


def test_a_name_that_is_not_there(left, capsys):
    out, err = shown(capsys, "not-there", left, code=1)
    assert left in out
    assert err == "replay ls: there is no buffer 'not-there'\n"


def test_files_are_listed_by_their_paths(left, tmp_path, capsys):
    path = tmp_path / "buffer"
    left_behind(path)
    (told,) = listed(capsys, "--path", str(path))
    assert (told["name"], told["path"], told["state"]) == (None, str(path), "left behind")
    told = listed(capsys, left, "--path", str(path), str(path))
    assert [one["name"] for one in told] == [left, None, None]
    out, err = shown(capsys, "--path", str(tmp_path / "none"), code=1)
    assert (out, err) == ("", f"replay ls: there is no file '{tmp_path / 'none'}'\n")


def test_what_is_no_block_has_a_line_that_says_so(folder, capsys):
    (folder / "replay.a-folder").mkdir()
    os.mkfifo(folder / "replay.b-pipe")
    (folder / "replay.c-link").symlink_to(folder)
    (folder / "replay.d-text").write_text("text")
    left_behind(folder / "replay.e-short")
    os.truncate(folder / "replay.e-short", 5000)
    left_behind(folder / "replay.f-sampler")
    content = (folder / "replay.f-sampler").read_bytes()
    (folder / "replay.f-sampler").write_bytes(content.replace(b"proportional", b"proportiomal"))
    told = listed(capsys)
    assert [one["state"] for one in told] == ["foreign"] * 4 + ["damaged"] * 2
    assert all(one["reason"] for one in told)
    out, _ = shown(capsys)
    assert "it is a pipe" in out
    assert "its header says" in out


def test_a_sampler_of_another_release_is_not_known(folder, capsys, monkeypatch):
    left_behind(folder / "replay.a")

    def refuse(_):
        raise replay.InputError("no such sampler")

    monkeypatch.setattr(ls.samplers, "from_json", refuse)
    assert listed(capsys)[0]["sampler"] is None
    assert "none that this release knows" in shown(capsys)[0]


def test_a_terminal_is_not_given_what_it_would_obey(folder, capsys):
    (folder / "replay.a\x1b[31mb\nc").write_text("text")
    (folder / os.fsdecode(b"replay.d\xff")).write_text("text")
    out, _ = shown(capsys)
    assert "a\\x1b[31mb\\nc" in out
    assert "d\\udcff" in out


def test_long_names_and_many_fields_fit_the_terminal(capsys):
    fields = {"obs": {f"sensor_{number}": (np.float32, (3, 3)) for number in range(30)}}
    name = fresh_name() + "-" + "long" * 40
    with replay.ReplayBuffer(1 << 14, fields, streams=1, name=name):
        out, _ = shown(capsys, name)
    assert name[:90] in out
    assert "obs/sensor_29" in out


@pytest.mark.parametrize("bad", ["a/b", "", ".a", "x" * 300])
def test_a_name_that_cannot_be_is_refused_in_one_line(bad, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["ls", bad])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_looking_does_not_compile_or_join(buffer):
    code = (
        "import sys\n"
        "from replay import cli\n"
        "from replay.memory import calls\n"
        "assert cli.main(['ls', sys.argv[1]]) == 0\n"
        "assert calls.load_calls.cache_info().currsize == 0\n"
    )
    before = named_path(buffer.name).read_bytes()
    done = python(code, buffer.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pid {os.getpid()}, alive" in done.stdout
    assert named_path(buffer.name).read_bytes() == before
