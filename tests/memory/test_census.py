"""The census: blocks, and what lies in their place, seen from outside."""

import contextlib
import dataclasses
import json
import os
import random
import socket

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels import members
from kernels.ring import BURNT, FILLED, HEAD
from replay.memory import census
from replay.memory.block_file import held_alone, in_use
from replay.memory.census import command_of, judge_alone, look, named_files
from replay.memory.home import named_path
from replay.memory.process import namespace, started
from replay.memory.safetensors import PAGE
from tests.commands.blocks import FIELDS, left_behind
from tests.homes import fewer, fresh_name


@pytest.fixture
def path(tmp_path):
    """Give a file of a named block that was left behind."""
    path = tmp_path / "replay.left"
    left_behind(path)
    return path


@pytest.fixture
def named():
    with replay.ReplayBuffer(30, FIELDS, name=fresh_name(), streams=3) as buffer:
        buffer.writer(0).extend(np.ones((4, 80), np.float32), np.arange(4))
        buffer.writer(2).extend(np.ones((12, 80), np.float32), np.arange(12))
        buffer.sample(7)
        yield buffer


def seen(path, **options):
    return look(path, **{"named": True} | options)


def test_a_block_in_use_is_described(named):
    sight = seen(named_path(named.name))
    assert (sight.state, sight.reason, sight.open) == ("in use", "", True)
    assert sight.nbytes == named.nbytes
    assert sight.layout.schema == named._ring.layout.schema
    assert (sight.counters.size, sight.counters.added, sight.counters.sampled) == (14, 16, 7)
    assert sight.owner == named.owner
    assert [(member.state, member.pid, member.alive) for member in sight.members] == [
        ("creator", os.getpid(), True)
    ]
    assert sight.user == os.geteuid()


def test_looking_changes_nothing_and_is_no_joining(named):
    path = named_path(named.name)
    before, table = path.read_bytes(), named._ring.members.table()
    stamp = path.stat().st_mtime_ns
    for _ in range(3):
        seen(path)
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == stamp
    assert named._ring.members.table() == table
    named.close()
    assert not path.exists()


def test_looking_does_not_keep_others_from_removing(path):
    for _ in range(3):
        assert seen(path).open is False
        assert not in_use(path)


def test_a_block_left_behind_has_dead_members(path):
    sight = seen(path)
    assert (sight.state, sight.reason, sight.open) == ("left behind", "", False)
    assert [(member.state, member.alive) for member in sight.dead] == [
        ("creator", False),
        ("attached", False),
    ]
    assert sight.owner.state == "dead"
    assert sight.counters.size == 3


def test_a_file_that_nobody_has_open_is_closed_or_left_behind(path, tmp_path):
    assert seen(path, named=False).state == "left behind"
    content = bytearray(path.read_bytes())
    at = seen(path).layout.parts["members"]
    content[at.offset : at.offset + at.nbytes] = bytes(at.nbytes)
    path.write_bytes(content)
    assert seen(path, named=False).state == "closed"
    assert seen(path, named=True).state == "left behind"


def test_an_opening_that_has_not_joined_yet_is_an_opening(path):
    with open(path, "rb") as file, held_alone(path):
        # The lock of whoever attaches, before it is a member.
        sight = seen(path)
        assert file.closed is False
    assert (sight.state, sight.open) == ("in use", True)
    assert not any(member.alive for member in sight.members)


def test_what_is_held_alone_is_judged_as_nobodys(path):
    with held_alone(path) as descriptor:
        assert (seen(path).state, seen(path).open) == ("in use", True)
        sight = judge_alone(descriptor, path)
    assert (sight.state, sight.open, len(sight.dead)) == ("left behind", False, 2)


def test_nothing_is_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        seen(tmp_path / "none")


def test_what_is_no_file_is_not_opened(path, tmp_path, monkeypatch):
    folder, link, dangling, pipe = (tmp_path / name for name in ("a", "b", "c", "d"))
    folder.mkdir()
    link.symlink_to(path)
    dangling.symlink_to(tmp_path / "none")
    os.mkfifo(pipe)
    place = tmp_path / "e"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))

        def refuse(*_):
            raise AssertionError("was opened")

        monkeypatch.setattr(os, "open", refuse)
        for odd, what in (
            (folder, "a folder"),
            (link, "a symbolic link"),
            (dangling, "a symbolic link"),
            (pipe, "a pipe"),
            (place, "a socket"),
            ("/dev/null", "a device"),
        ):
            sight = seen(odd)
            assert (sight.state, sight.reason, sight.open) == ("foreign", f"it is {what}", None)


def test_a_file_that_becomes_a_pipe_is_not_waited_for(path, tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = os.lstat(path)
    monkeypatch.setattr(os, "lstat", lambda _: found)
    assert seen(pipe).state == "not readable"


def test_a_file_of_somebody_else_says_so(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    sight = seen(path)
    assert (sight.state, sight.reason) == ("not readable", "Permission denied")
    assert sight.nbytes == path.stat().st_size


@pytest.mark.parametrize("size", [0, 1, PAGE, 5 * PAGE])
def test_a_creation_that_was_killed_early_is_unfinished(tmp_path, size):
    path = tmp_path / "replay.early"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    assert (seen(path).state, seen(path).open) == ("unfinished", False)
    assert "killed" in seen(path).reason
    with open(path, "rb") as file, contextlib.ExitStack() as stack:
        stack.enter_context(held_alone(path))
        assert "still at it" in seen(path).reason
        assert not file.closed


def test_zeros_of_somebody_else_are_foreign(tmp_path):
    path = tmp_path / "replay.lock"
    path.write_bytes(b"")
    path.chmod(0o644)
    assert seen(path).state == "foreign"


def test_a_creation_that_was_killed_late_is_unfinished(path):
    change(path, "control", words.READY * 8, 0)
    assert seen(path).state == "unfinished"
    assert seen(path).layout is not None


def change(path, part, word, value):
    """Write a word of a part."""
    at = seen(path).layout.parts[part].offset + 8 * word
    content = bytearray(path.read_bytes())
    content[at : at + 8] = int(value).to_bytes(8, "little", signed=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("part", "word", "value"),
    [
        ("heads", HEAD, -1),
        ("heads", HEAD, (1 << 63) - 1),
        ("heads", FILLED, -(1 << 63)),
        ("heads", FILLED, 1 << 40),
        ("heads", BURNT, 5),
        ("control", words.SAMPLES * 8, -5),
        ("control", words.REPAIRS * 8 + 1, -5),
    ],
)
def test_counters_that_cannot_be_are_damage(path, part, word, value):
    change(path, part, word, value)
    sight = seen(path)
    assert sight.state == "damaged"
    assert "count" in sight.reason


@pytest.mark.parametrize("value", [-(1 << 63), -1, 5, 1025, (1 << 63) - 1])
def test_a_register_of_nonsense_is_listed_as_it_is(path, value):
    change(path, "control", words.READY * 8 + 1, value)
    for word in range(8):
        change(path, "members", word, value)
        change(path, "members", 8 * 4 + word, value)
        change(path, "control", words.READY * 8 + 3 + word % 5, value)
    sight = seen(path)
    assert sight.state == "left behind"
    assert all(command_of(member) is None for member in sight.members if member.number != 1)
    assert command_of(sight.owner) is None


def test_another_version_is_named(path):
    content = path.read_bytes()
    version = content.split(b'"version": "', 1)[1].split(b'"')[0]
    field = b'"version": "%s"' % version
    path.write_bytes(content.replace(field, b'"version": "%s"' % (b"9" * len(version)), 1))
    sight = seen(path)
    assert sight.state == "other version"
    assert "9" * len(version) in sight.reason
    assert f"version {version.decode()}" in sight.reason


def test_foreign_bytes_are_foreign(tmp_path):
    path = tmp_path / "replay.foreign"
    for content in (
        b"obs, action\n" * 1000,
        random.Random(1).randbytes(5 * PAGE),
        (PAGE - 8).to_bytes(8, "little") + b'{"__metadata__": {"format": "pt"}}' + b" " * PAGE,
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        assert seen(path).state == "foreign"


def test_a_damaged_block_says_how(path):
    content = path.read_bytes()
    for end in (PAGE - 1, PAGE, len(content) - 1):
        path.write_bytes(content[:end])
        assert seen(path).state == "damaged"
        assert seen(path).reason
    path.write_bytes(content + b"\0")
    assert "its header says" in seen(path).reason


def test_no_bytes_make_it_raise(path):
    content = path.read_bytes()
    generator = random.Random(2)
    states = set()
    for number in range(fewer(400, 150)):
        changed = bytearray(content)
        if number % 3 == 0:
            changed[generator.randrange(PAGE)] = generator.randrange(256)
        elif number % 3 == 1:
            for _ in range(20):
                at = PAGE + generator.randrange(70_000 // 8) * 8
                changed[at : at + 8] = generator.choice(
                    [
                        generator.randbytes(8),
                        b"\xff" * 8,
                        b"\xff" * 7 + b"\x7f",
                        bytes(7) + b"\x80",
                    ]
                )
        else:
            del changed[generator.randrange(len(content)) :]
        path.write_bytes(changed)
        sight = seen(path)
        assert bool(sight.reason) == (sight.state != "left behind")
        states.add(sight.state)
    assert states >= {"damaged", "left behind"}


@pytest.mark.parametrize("field", ["capacity", "streams", "schema", "sampler", "version"])
@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), None, -1, "9" * 5000, [], "[" * 5000, "null", "[1e400]"]
)
def test_no_header_makes_it_raise(path, field, value):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"][field] = value
    body = json.dumps(header).encode()
    pages = -(-(len(body) + 8) // PAGE)
    length = (pages * PAGE - 8).to_bytes(8, "little")
    path.write_bytes(length + body.ljust(pages * PAGE - 8) + content[size + 8 :])
    sight = seen(path)
    assert sight.state in ("damaged", "foreign")
    assert 0 < len(sight.reason) <= 300
    with pytest.raises(replay.BlockFormatError):
        replay.attach(path=path)


def test_a_file_that_is_cut_short_meanwhile_is_damaged(path, monkeypatch):
    read = census.read_header

    def cut(*arguments):
        os.truncate(path, PAGE)
        return read(*arguments)

    monkeypatch.setattr(census, "read_header", cut)
    sight = seen(path)
    assert (sight.state, sight.reason) == ("damaged", "it was cut short")


def test_named_files_are_those_of_our_names(tmp_path, monkeypatch):
    monkeypatch.setattr(census, "named_folder", lambda: tmp_path)
    for name in ("replay.b", "replay.a", "other"):
        (tmp_path / name).touch()
    assert [path.name for path in named_files()] == ["replay.a", "replay.b"]


def test_the_command_is_that_of_the_very_process(named):
    (member,) = seen(named_path(named.name)).members
    with open("/proc/self/cmdline", "rb") as file:
        first = file.read().split(b"\0")[0].decode()
    assert command_of(member).startswith(first)
    assert command_of(named.owner).startswith(first)
    for changed in (
        # Its id is another process's by now; it lives in a container; neither is told.
        {"started": member.started - 1},
        {"namespace": member.namespace + 1},
        {"started": 0},
        {"namespace": 0},
        {"pid": -1},
        {"pid": 1 << 62},
    ):
        assert command_of(dataclasses.replace(member, **changed)) is None


def test_who_is_inside_is_told(named):
    ring = named._ring
    line = ring.members.line(ring.members.number)
    for word in (members.INSIDE, members.CLEARING):
        assert not seen(named_path(named.name)).members[0].inside
        line[word] += (1 << 16) + 1
        assert seen(named_path(named.name)).members[0].inside
        line[word] -= 1


def test_a_process_is_told_by_its_start():
    assert started(os.getpid()) > 0
    assert started(-1) == 0
    assert namespace() > 0
