"""Where blocks live, and whether there is room for them."""

import os
import types

import pytest

import replay
from replay.memory import home
from tests.homes import fresh_name, home_of

ROOM = 10_000


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "/a", "..", ".a", "-a", "a b", "a\n", "ä", "a\0", "x" * 201, None, 5, b"a"],
)
def test_a_name_that_could_lead_out_of_the_folder_is_refused(name):
    with pytest.raises(replay.InputError, match="name") as caught:
        home.named_path(name)
    assert repr(name) in str(caught.value)
    assert "200" in str(caught.value)
    with pytest.raises(replay.InputError):
        replay.unlink(name)
    if name is not None:
        with pytest.raises(replay.InputError):
            replay.attach(name)
        with pytest.raises(replay.InputError):
            replay.ReplayBuffer(5, name=name)


def test_a_name_is_a_file_of_our_prefix():
    path = home.named_path("a.B-c_9")
    assert path.name == "replay.a.B-c_9"
    assert path.parent == home.named_folder()


def test_without_shared_memory_names_live_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(home, "SHARED_MEMORY", tmp_path / "none")
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    with replay.ReplayBuffer(5, {"x": int}, name="somewhere") as buffer:
        buffer.add(3)
        assert (tmp_path / "replay.somewhere").exists()
        with replay.attach("somewhere") as other:
            assert other.sample(1).x.tolist() == [3]
    assert not list(tmp_path.iterdir())


def test_bytes_are_written_for_people():
    assert home.in_bytes(12) == "12 bytes"
    assert home.in_bytes(1_500_000_000) == "1.50 GB (1500000000 bytes)"


def test_available_memory_is_what_the_system_or_its_container_leaves(monkeypatch, tmp_path):
    group = tmp_path / "group"
    group.mkdir()
    monkeypatch.setattr(home.pathlib, "Path", lambda *_: group)
    machine = home.available_memory()
    (group / "memory.max").write_text("max\n")
    assert home.available_memory() == pytest.approx(machine, rel=0.2)
    (group / "memory.max").write_text("5000\n")
    (group / "memory.current").write_text("2000\n")
    assert home.available_memory() == 3000
    (group / "memory.current").write_text("9000\n")
    assert home.available_memory() == 0


@pytest.mark.parametrize("where", ["private", "named", "path"])
def test_a_buffer_that_this_machine_cannot_hold_is_refused(where):
    with home_of(where) as place, pytest.raises(replay.RoomError) as caught:
        replay.ReplayBuffer(1 << 38, {"x": (float, (100,))}, **place)
    needed, *rest = (word for word in str(caught.value).replace("(", "").split() if word.isdigit())
    assert int(needed) > (1 << 38) * 800
    assert rest, "it says how much there is"
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize("where", ["private", "named"])
def test_too_little_memory_says_how_much_is_needed_and_how_much_there_is(where, monkeypatch):
    monkeypatch.setattr(home, "available_memory", lambda: ROOM)
    said = r"needs .*\(\d{5} bytes\).*\(10000 bytes"
    with home_of(where) as place, pytest.raises(replay.RoomError, match=said):
        replay.ReplayBuffer(1000, {"x": int}, **place)


@pytest.mark.parametrize("where", ["named", "path"])
def test_too_little_room_in_a_folder_says_how_much_is_needed_and_free(where, monkeypatch):
    state = types.SimpleNamespace(f_bavail=ROOM // 10, f_frsize=10)
    with monkeypatch.context() as patch, home_of(where) as place:
        patch.setattr(os, "statvfs", lambda _: state)
        with pytest.raises(replay.RoomError) as caught:
            replay.ReplayBuffer(1000, {"x": int}, **place)
    assert "10000 bytes) are free" in str(caught.value)
    assert "needs" in str(caught.value)


@pytest.mark.parametrize("where", ["named", "path"])
def test_room_that_runs_out_while_it_is_reserved_leaves_no_file(where, monkeypatch, tmp_path):
    def run_out(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", run_out)
    name = fresh_name()
    place = {"name": name} if where == "named" else {"path": tmp_path / name}
    with pytest.raises(replay.RoomError, match="ran out after 0 bytes: No space left"):
        replay.ReplayBuffer(1000, {"x": int}, **place)
    assert not home.named_path(name).exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_an_error_of_ours(tmp_path):
    with pytest.raises(replay.BlockError, match="none"):
        replay.ReplayBuffer(10, {"x": int}, path=tmp_path / "none" / "block")
