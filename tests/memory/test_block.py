"""Blocks: created, attached to, closed, unlinked, and whatever else may lie at their place."""

import gc
import mmap
import os
import random
import socket
import stat

import numpy as np
import pytest

import replay
from kernels import handle as words
from replay.memory import block_file
from replay.memory.block import Block
from replay.memory.block_file import in_use
from replay.memory.home import named_path
from replay.memory.layout import Layout
from replay.memory.parse import parse_schema
from replay.memory.safetensors import PAGE
from tests.homes import fewer, fresh_name

FIELDS = {"obs": (np.float32, (80,)), "action": np.int64}


@pytest.fixture
def path(tmp_path):
    """Give the file of a buffer of three rows that nobody has open."""
    path = tmp_path / "block"
    with replay.ReplayBuffer(30, FIELDS, path=path, sampler=replay.Proportional()) as buffer:
        buffer.extend(obs=np.ones((3, 80)), action=np.arange(3))
    return path


def layout():
    return Layout(parse_schema(FIELDS), 10, 1, {"kind": "uniform"})


@pytest.mark.parametrize("name", ["named", "path"])
def test_a_block_is_for_its_user_alone(name, tmp_path):
    given = {"name": fresh_name()} if name == "named" else {"path": tmp_path / "block"}
    with replay.ReplayBuffer(10, FIELDS, **given):
        path = named_path(given["name"]) if name == "named" else given["path"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_named_block_is_reserved_to_the_last_byte():
    with replay.ReplayBuffer(1000, FIELDS, name=fresh_name()) as buffer:
        state = named_path(buffer.name).stat()
        assert state.st_size == buffer.nbytes
        assert state.st_blocks * 512 >= buffer.nbytes


def test_its_creator_unlinks_a_named_block():
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        assert named_path(name).exists()
        buffer.close()
        assert not named_path(name).exists()
        buffer.close()
    with pytest.raises(replay.BlockMissingError, match=name):
        replay.attach(name)


def test_a_buffer_that_is_forgotten_is_closed():
    name = fresh_name()
    buffer = replay.ReplayBuffer(10, FIELDS, name=name)
    assert named_path(name).exists()
    del buffer
    gc.collect()
    assert not named_path(name).exists()


def test_whoever_attached_leaves_the_name():
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        for _ in range(2):
            with replay.attach(name) as other:
                other.add(np.ones(80, np.float32), 1)
            assert named_path(name).exists()
        replay.attach(name)
        gc.collect()
        assert named_path(name).exists()
        assert len(buffer) == 2


def test_an_attached_buffer_outlives_its_creators():
    name = fresh_name()
    creator = replay.ReplayBuffer(10, FIELDS, name=name)
    with replay.attach(name) as other:
        creator.close()
        assert other.add(np.ones(80, np.float32), 1) == 0
        assert other.sample(2).action.tolist() == [1, 1]


def test_a_file_stays_and_is_opened_again(path):
    with replay.attach(path=path) as buffer:
        assert len(buffer) == 3
        assert buffer.add(np.ones(80), 3) == 3
        buffer.flush()
    with replay.attach(path=str(path)) as buffer:
        assert sorted(set(buffer.sample(100).action.tolist())) == [0, 1, 2, 3]


def test_a_name_that_is_in_use_is_taken():
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        buffer.add(np.ones(80), 1)
        with pytest.raises(replay.BlockExistsError, match=rf"{name}.*in use.*replay\.attach"):
            replay.ReplayBuffer(10, FIELDS, name=name)
        with pytest.raises(replay.BlockError, match=rf"{name}.*open.*force=True"):
            replay.unlink(name)
        assert len(buffer) == 1
        replay.unlink(name, force=True)
        assert not named_path(name).exists()
        buffer.add(np.ones(80), 1)
        assert len(buffer) == 2


def test_a_path_that_exists_is_not_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(replay.BlockExistsError, match=r"exists already.*replay\.attach"):
        replay.ReplayBuffer(30, FIELDS, path=path)
    assert path.read_bytes() == before


def test_a_forgotten_name_can_be_unlinked():
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name):
        left_behind = named_path(name).read_bytes()
    named_path(name).write_bytes(left_behind)
    with pytest.raises(replay.BlockExistsError, match=r"left behind .* replay\.unlink"):
        replay.ReplayBuffer(10, FIELDS, name=name)
    assert not in_use(named_path(name))
    replay.unlink(name)
    assert not named_path(name).exists()
    with pytest.raises(replay.BlockMissingError, match=name):
        replay.unlink(name)


def test_a_private_block_belongs_to_its_process():
    block = Block.private(layout())
    assert block.path is None
    assert block.memory.nbytes == layout().nbytes
    assert bytes(block.memory[:PAGE]) == layout().header
    block.close()
    assert block.closed
    with pytest.raises(replay.ClosedError):
        block.part("records")


def test_a_private_block_that_the_system_refuses_is_an_error_of_ours(monkeypatch):
    def refuse(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(replay.RoomError, match=r"needs .* bytes.*Cannot allocate"):
        Block.private(layout())


def test_arrays_stay_mapped_after_the_block_is_closed(path):
    block = Block.attach(path, named=False)
    records = block.part("records")
    seen = records.copy()
    block.close()
    del block
    gc.collect()
    assert (records == seen).all()


def test_a_creation_that_is_interrupted_leaves_no_file(monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    name = fresh_name()
    for place in ("reserve", "lock_file"):
        with monkeypatch.context() as patch:
            patch.setattr(block_file, place, interrupt)
            for given in ({"name": name}, {"path": tmp_path / "block"}):
                with pytest.raises(KeyboardInterrupt):
                    replay.ReplayBuffer(10, FIELDS, **given)
    with monkeypatch.context() as patch:
        patch.setattr("replay.buffers.replay_buffer.Ring", interrupt)
        for given in ({"name": name}, {"path": tmp_path / "block"}):
            with pytest.raises(KeyboardInterrupt):
                replay.ReplayBuffer(10, FIELDS, **given)
    assert not named_path(name).exists()
    assert not list(tmp_path.iterdir())


# attaching to what is no block


def refuses(path, error=replay.BlockError, match=None):
    with pytest.raises(error, match=match) as caught:
        replay.attach(path=path)
    assert str(path) in str(caught.value)


def test_attaching_to_nothing(tmp_path):
    refuses(tmp_path / "none", replay.BlockMissingError, "does not exist")
    name = fresh_name()
    with pytest.raises(replay.BlockMissingError, match=f"there is no buffer '{name}'"):
        replay.attach(name)
    with pytest.raises(FileNotFoundError):
        replay.attach(name)


@pytest.mark.parametrize("given", [{}, {"name": "a", "path": "b"}])
def test_attaching_takes_a_name_or_a_path(given):
    with pytest.raises(replay.InputError, match="one of them"):
        replay.attach(**given)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE])
def test_attaching_to_foreign_bytes(tmp_path, size):
    path = tmp_path / "foreign"
    for content in (
        random.Random(size).randbytes(size),
        bytes(size),
        (b"{}" * size)[:size],
        ((PAGE - 8).to_bytes(8, "little") + b"{" + b" " * size)[:size],
        ((PAGE - 8).to_bytes(8, "little") + b'{"__metadata__": 5}' + b" " * size)[:size],
        ((PAGE - 8).to_bytes(8, "little") + b"{" + b"[" * size)[:size],
        (b"\xff" * 7 + b"\x7f{" + b" " * size)[:size],
    ):
        path.write_bytes(content)
        refuses(path, replay.BlockFormatError, "no block of ours")
        with pytest.raises(replay.BlockFormatError):
            replay.load(path)


def test_attaching_to_an_array_file_and_to_text(tmp_path):
    np.save(tmp_path / "array.npy", np.arange(10_000))
    refuses(tmp_path / "array.npy", replay.BlockFormatError)
    (tmp_path / "text").write_text("obs, action\n" * 1000)
    refuses(tmp_path / "text", replay.BlockFormatError)


def test_attaching_to_a_folder_a_link_a_pipe_and_a_socket(tmp_path, path):
    refuses(tmp_path, replay.BlockError, "cannot be opened")
    (tmp_path / "link").symlink_to(path)
    refuses(tmp_path / "link", replay.BlockError, "cannot be opened")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    refuses(tmp_path / "dangling", replay.BlockError)
    os.mkfifo(tmp_path / "pipe")
    refuses(tmp_path / "pipe", replay.BlockError)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        refuses(tmp_path / "socket", replay.BlockError)
    refuses("/dev/null", replay.BlockError)
    for name in ("link", "pipe", "dangling"):
        with pytest.raises(replay.BlockError):
            replay.ReplayBuffer(5, FIELDS, path=tmp_path / name)


def test_creating_and_unlinking_where_something_else_has_the_name():
    name = fresh_name()
    place = named_path(name)
    place.mkdir()
    try:
        for use in (
            lambda: replay.ReplayBuffer(5, FIELDS, name=name),
            lambda: replay.attach(name),
            lambda: replay.unlink(name),
        ):
            with pytest.raises(replay.BlockError, match=name):
                use()
    finally:
        place.rmdir()


def test_attaching_to_a_truncated_block(path):
    content = path.read_bytes()
    assert len(content) > 3 * PAGE
    for end in [*range(0, len(content), PAGE), len(content) - 1]:
        path.write_bytes(content[:end])
        refuses(path, replay.BlockFormatError, "no block of ours")
    path.write_bytes(content + b"\0")
    refuses(path, replay.BlockFormatError, "its header says")


@pytest.mark.parametrize("version", ["0", "1", "10"])
def test_attaching_to_another_format_version(path, version):
    content = path.read_bytes()
    field = b'"version": "2"'
    assert content.count(field) == 1
    other = content.replace(field, b'"version": "%s"' % version.encode())
    path.write_bytes(other[:PAGE] + content[PAGE:])
    refuses(path, replay.BlockFormatError, f"version is {version}, this release reads version 2")


def test_attaching_to_a_block_with_a_damaged_header(path):
    content = bytearray(path.read_bytes())
    places = random.Random(1).sample(range(PAGE), fewer(300, 100))
    for place in [*range(9), *places]:
        for flip in (1, 0x80, 0xFF):
            content[place] ^= flip
            path.write_bytes(content)
            refuses(path, replay.BlockFormatError, "no block of ours")
            content[place] ^= flip
    path.write_bytes(content)
    replay.attach(path=path).close()


def test_attaching_to_an_unfinished_block(path):
    whole = Block.attach(path, named=False)
    whole.part("control")[words.READY, 0] = 0
    whole.close()
    refuses(path, replay.BlockFormatError, "did not finish")
    with pytest.raises(replay.BlockFormatError, match="buffer's own file"):
        replay.load(path)


def test_a_refused_block_is_left_as_it_is(path):
    content = path.read_bytes()[:-PAGE]
    path.write_bytes(content)
    refuses(path)
    assert path.read_bytes() == content
    assert not in_use(path)
