"""Snapshots: everything comes back, damage is refused, and a crash leaves the old file."""

import json
import os
import random
import tracemalloc

import numpy as np
import pytest

import replay
from kernels import handle as words
from replay.memory import checkpoint, journal, side_file, snapshot_layout
from replay.memory.safetensors import PAGE
from replay.memory.snapshot_front import Front
from replay.memory.snapshot_load import snapshot_layout_of
from tests.homes import (
    FIELDS,
    HOMES,
    SAMPLERS,
    assert_rows,
    block_bytes,
    fewer,
    fresh_name,
    home_of,
    opened,
    refused,
    row,
    rows,
)
from tests.processes import python


def fill(buffer, sampler):
    buffer.extend(**rows(range(33)))
    buffer.writer(1).extend(**rows(range(5)))
    buffer.sample(6)
    if sampler.prioritized:
        buffer.update_priorities(np.array([8, 10, 3]), np.array([0.5, 0.0, 7.0]))


@pytest.fixture
def sampler():
    return SAMPLERS["buffer"]


@pytest.fixture
def snapshot(tmp_path, sampler):
    path = tmp_path / "snapshot"
    with opened("private", 14, FIELDS, sampler=sampler, streams=2, seed=5) as buffer:
        fill(buffer, sampler)
        buffer.save(path)
    return path


@pytest.fixture
def small_chunks(monkeypatch):
    """Have many pieces of few rows."""
    monkeypatch.setattr(snapshot_layout, "CHUNK", 4)
    monkeypatch.setattr(snapshot_layout, "ROOM_BYTES", 1)
    monkeypatch.setattr(snapshot_layout, "PIECE_BYTES", 1)
    snapshot_layout._read.cache_clear()
    yield
    snapshot_layout._read.cache_clear()


@pytest.fixture
def journals(monkeypatch):
    """Note the bytes of each journal, and those written in place."""
    seen = []
    apply = journal.Journal.apply

    def noted(self, descriptor):
        seen.append((os.fstat(self.descriptor).st_size, int(self.sizes.sum())))
        apply(self, descriptor)

    monkeypatch.setattr(journal.Journal, "apply", noted)
    return seen


def whole_state(buffer):
    """Give all that a snapshot keeps."""
    block = buffer._ring.block
    names = [name for name in block.layout.parts if name not in ("control", "members", "minima")]
    control = block.part("control")[words.GENERATOR :].tobytes()
    return control, *(block.part(name).tobytes() for name in names)


def loaded_state(path):
    with replay.load(path) as buffer:
        return whole_state(buffer)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", SAMPLERS)
def test_everything_comes_back_and_the_draws_go_on(home, kind, tmp_path):
    sampler = SAMPLERS[kind]
    path = tmp_path / "snapshot"
    options = {"sampler": sampler, "streams": 2}
    with (
        opened(home, 14, FIELDS, **options, seed=5) as buffer,
        opened(home, 14, FIELDS, **options, seed=77) as other,
    ):
        fill(buffer, sampler)
        buffer.save(path)
        stats = buffer.stats()
        other.extend(**rows(range(50)))
        other.restore(path)
        loaded = replay.load(path, name=fresh_name() if home == "named" else None)
        with loaded:
            for again in (other, loaded):
                assert again.stats() == stats
                assert again.fields == buffer.fields
                assert (again.sampler, again.streams, again.capacity) == (sampler, 2, 14)
                if sampler.prioritized:
                    assert again.priorities.verify() == 0
                    mine, theirs = again.priorities, buffer.priorities
                    assert mine.priorities().tolist() == theirs.priorities().tolist()
            for _ in range(3):
                batches = [each.sample(9) for each in (buffer, other, loaded)]
                for one in batches[1:]:
                    for mine, theirs in zip(one, batches[0], strict=True):
                        np.testing.assert_array_equal(mine, theirs)
                ids = [each.add(**row(99)) for each in (buffer, other, loaded)]
                assert ids[0] == ids[1] == ids[2]


def test_a_slot_whose_writer_never_finished_is_empty_in_the_snapshot(tmp_path):
    path = tmp_path / "snapshot"
    with opened("private", 14, FIELDS, sampler=SAMPLERS["batch"]) as buffer:
        buffer.extend(**rows(range(20)))
        buffer._ring.block.part("records")[3, 0] |= 1
        buffer.save(path)
        with replay.load(path) as loaded:
            assert len(loaded) == 13
            assert loaded.priorities.verify() == 0
            assert not loaded.column("image")[3].any()
            assert loaded.priorities.priorities()[3] == 0
            assert loaded.add(**row(20)) == 20


def test_the_file_is_what_a_stock_safetensors_reader_reads(snapshot, sampler):
    content = snapshot.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__")
    widths = {"BOOL": 1, "U8": 1, "I64": 8, "U64": 8, "F32": 4}
    end = 0
    for tensor in sorted(header.values(), key=lambda tensor: tensor["data_offsets"]):
        first, after = tensor["data_offsets"]
        assert first == end, "no gap, no overlap"
        end = after
        assert after - first == np.prod(tensor["shape"]) * widths[tensor["dtype"]]
    assert 8 + size + end == len(content)
    place = header["column/image"]
    first, after = (8 + size + offset for offset in place["data_offsets"])
    image = np.frombuffer(content[first:after], np.uint8).reshape(place["shape"])
    with replay.load(snapshot) as buffer:
        np.testing.assert_array_equal(image, buffer.column("image"))


def test_a_damaged_byte_anywhere_is_refused(snapshot, sampler):
    content = bytearray(snapshot.read_bytes())
    layout = snapshot_layout_of(snapshot)
    parts = snapshot_layout.SnapshotLayout(layout).parts.values()
    edges = [edge for part in parts for edge in (part.offset, part.offset + part.nbytes - 1)]
    with opened("private", 14, FIELDS, sampler=sampler, streams=2) as buffer:
        buffer.add(**row(1))
        chosen = random.Random(2).sample(range(len(content)), fewer(250, 80))
        for place in [*chosen, *edges, 0, 8, PAGE - 1, len(content) - 1]:
            flip = 1 << place % 8
            content[place] ^= flip
            snapshot.write_bytes(content)
            with refused(buffer, replay.BlockFormatError, snapshot):
                buffer.restore(snapshot)
            with pytest.raises(replay.BlockFormatError):
                replay.load(snapshot)
            content[place] ^= flip
        snapshot.write_bytes(content)
        buffer.restore(snapshot)


def test_damage_is_said_by_part_and_slots(snapshot):
    content = bytearray(snapshot.read_bytes())
    image = snapshot_layout.SnapshotLayout(snapshot_layout_of(snapshot)).parts["column/image"]
    content[image.offset] ^= 1
    snapshot.write_bytes(content)
    with pytest.raises(replay.BlockFormatError, match="column/image of slots 0 to 13"):
        replay.load(snapshot)


@pytest.mark.parametrize(
    ("part", "place", "said"),
    [
        ("records", 0, "slot 0"),
        ("leaves", 5, "slot 5"),
        ("heads", 0, "slot 0|a head -"),
        ("heads", 1, "as many rows"),
        ("heads", 2, "a base"),
        ("control", words.PRIORITY * 8, "the largest leaf"),
    ],
)
def test_numbers_that_cannot_be_are_refused_behind_right_checksums(
    snapshot, sampler, part, place, said
):
    """A checksum is no proof: what would lead the kernels astray is looked for."""
    with opened("private", 14, FIELDS, sampler=sampler, streams=2) as buffer:
        forge(snapshot, part, place)
        with refused(buffer, replay.BlockFormatError, snapshot):
            buffer.restore(snapshot)
        with pytest.raises(replay.BlockFormatError, match=said):
            replay.load(snapshot)


def forge(path, name, place):
    """Put an absurd number into a snapshot, and right checksums over it."""
    content = bytearray(path.read_bytes())
    layout = snapshot_layout.SnapshotLayout(snapshot_layout_of(path))
    part = layout.parts[name]
    number = 3 if (name, place) == ("heads", 1) else -7
    at = part.offset + place * 8
    content[at : at + 8] = number.to_bytes(8, "little", signed=True)
    start, end = layout.front
    front = Front(layout, bytes(content[start:end]))
    for cut, (one, width) in enumerate(zip(layout.cut, layout.widths, strict=True)):
        stage = np.frombuffer(content[one.offset : one.offset + 14 * width], np.uint8)
        front.checksums[cut, 0] = journal._sum(stage)
    front.seal()
    content[start:end] = front.content.tobytes()
    path.write_bytes(content)


def test_a_truncated_snapshot_is_refused(snapshot, sampler):
    content = snapshot.read_bytes()
    with opened("private", 14, FIELDS, sampler=sampler, streams=2) as buffer:
        for end in (*range(0, len(content), PAGE), 5, len(content) // 2, len(content) - 1):
            snapshot.write_bytes(content[:end])
            with refused(buffer, replay.BlockFormatError, snapshot):
                buffer.restore(snapshot)
            with pytest.raises(replay.BlockFormatError):
                replay.load(snapshot)
        snapshot.write_bytes(content + b"\0")
        with refused(buffer, replay.BlockFormatError, snapshot):
            buffer.restore(snapshot)


def test_a_snapshot_of_another_buffer_is_refused(snapshot, sampler):
    other = SAMPLERS["batch"]
    for capacity, fields, options in (
        (16, FIELDS, {"sampler": sampler, "streams": 2}),
        (14, FIELDS, {"sampler": sampler, "streams": 7}),
        (14, FIELDS, {"sampler": other, "streams": 2}),
        (14, {"x": int}, {"sampler": sampler, "streams": 2}),
    ):
        with (
            opened("private", capacity, fields, **options) as buffer,
            refused(buffer, replay.BlockFormatError, "another buffer", snapshot),
        ):
            buffer.restore(snapshot)


def test_a_missing_snapshot_is_refused(tmp_path):
    with opened("private", 5, FIELDS) as buffer:
        with refused(buffer, replay.BlockMissingError, "none"):
            buffer.restore(tmp_path / "none")
        with refused(buffer, replay.BlockError, tmp_path):
            buffer.restore(tmp_path)
    with pytest.raises(replay.BlockMissingError, match="none"):
        replay.load(tmp_path / "none")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(replay.BlockFormatError, match="no regular file"):
        replay.load(path)
    with opened("private", 5, FIELDS) as buffer, refused(buffer, replay.BlockError, "no regular"):
        buffer.save(path)


def test_a_buffers_own_file_is_no_snapshot(tmp_path):
    path = tmp_path / "block"
    with replay.ReplayBuffer(5, FIELDS, path=path) as buffer:
        buffer.add(**row(1))
        with pytest.raises(replay.BlockFormatError, match=r"no snapshot.*attach"):
            replay.load(path)


def test_a_snapshot_is_no_buffers_own_file(snapshot):
    with pytest.raises(replay.BlockFormatError, match="snapshot"):
        replay.attach(path=snapshot)


def test_a_buffer_that_knows_no_fields_takes_them_from_the_snapshot(snapshot, sampler, tmp_path):
    with replay.ReplayBuffer(14, sampler=sampler, streams=2) as buffer:
        buffer.restore(snapshot)
        assert list(buffer.fields) == list(FIELDS)
        batch = buffer.sample(20)
        known = batch.ids % 2 == 0
        assert_rows({name: batch[name][known] for name in FIELDS}, batch.ids[known] // 2)
    for capacity in (14, 16):
        content = bytearray(snapshot.read_bytes())
        content[-1] ^= 1
        (tmp_path / "damaged").write_bytes(content)
        path = tmp_path / f"block of {capacity}"
        with replay.ReplayBuffer(capacity, sampler=sampler, streams=2, path=path) as buffer:
            with pytest.raises(replay.BlockFormatError):
                buffer.restore(tmp_path / "damaged")
            assert buffer.fields == {}
            assert not path.exists()
            assert buffer.add(x=1) == 0


def test_saving_replaces_the_old_file_and_leaves_no_other(snapshot, sampler):
    with replay.load(snapshot) as buffer:
        buffer.clear()
        buffer.save(snapshot)
    with replay.load(snapshot) as buffer:
        assert len(buffer) == 0
    assert os.listdir(snapshot.parent) == [snapshot.name]


@pytest.mark.usefixtures("small_chunks")
def test_a_second_save_writes_what_changed(tmp_path, sampler, journals):
    path = tmp_path / "snapshot"
    capacity = fewer(4000, 800)
    fields = {"x": np.int64, "wide": (np.int64, (40,))}
    values = np.arange(capacity)
    with opened("private", capacity, fields, sampler=sampler) as buffer:

        def saved(count=0):
            buffer.extend(x=values[:count] + 1, wide=np.repeat(values[:count, None] + 1, 40, 1))
            buffer.save(path)
            assert loaded_state(path) == whole_state(buffer)
            return path.stat().st_ino

        place = saved(capacity)
        assert journals == []
        front = np.ptp(snapshot_layout.SnapshotLayout(buffer._ring.layout).front)
        rows_bytes = capacity * (2 * 8 + 40 * 8)
        values += 1
        assert saved(capacity // 20) == place
        # Every chunk once into the journal and once into its place, the front as well.
        (nbytes, changed) = journals.pop()
        assert changed == rows_bytes // 20
        assert changed < nbytes <= changed + front + changed // 30 + PAGE
        buffer.update_priorities(np.array([capacity]), np.array([3.0]))
        assert saved() == place
        assert journals.pop()[1] == 4 * 8
        assert saved() == place
        assert journals == []
        values += 1
        assert saved(capacity) != place
        assert journals == []
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("small_chunks")
def test_a_save_over_another_state_of_the_layout_gives_up_its_journal(tmp_path):
    """The heads tell of no new rows, though all differ: found while the journal is written."""
    path = tmp_path / "snapshot"
    with opened("private", 40, {"x": int}) as buffer, opened("private", 40, {"x": int}) as other:
        buffer.extend(x=np.arange(40))
        other.extend(x=np.arange(40) + 1)
        buffer.save(path)
        other.save(path)
        assert loaded_state(path) == whole_state(other)
    assert os.listdir(tmp_path) == [path.name]


def test_another_name_of_the_file_keeps_the_old_state(snapshot):
    before = snapshot.read_bytes()
    kept = snapshot.with_name("kept")
    os.link(snapshot, kept)
    link = snapshot.with_name("link")
    link.symlink_to(snapshot.name)
    with replay.load(link) as buffer:
        buffer.add(**row(1))
        buffer.save(link)
        assert loaded_state(snapshot) == whole_state(buffer)
    assert kept.read_bytes() == before
    assert link.is_symlink()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "pwrite"])
@pytest.mark.parametrize("changed", [1, 7])
def test_a_save_that_fails_leaves_the_old_file(snapshot, monkeypatch, error, call, changed):
    before = snapshot.read_bytes()

    def fail(*_):
        raise error

    with replay.load(snapshot) as buffer:
        for stream in range(2):
            buffer.writer(stream).extend(**rows(range(changed)))
        monkeypatch.setattr(side_file.os, call, fail)
        with pytest.raises(replay.BlockError if isinstance(error, OSError) else KeyboardInterrupt):
            buffer.save(snapshot)
        monkeypatch.undo()
        assert snapshot.read_bytes() == before
        assert os.listdir(snapshot.parent) == [snapshot.name]
        buffer.save(snapshot)
        assert loaded_state(snapshot) == whole_state(buffer)


def test_a_killed_save_leaves_the_old_state_or_the_new_one(tmp_path):
    done = python(
        "from tests.memory import kills; kills.main(__import__('sys').argv[1])", tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_the_second_of_two_savers_is_told(snapshot, monkeypatch):
    with replay.load(snapshot) as buffer:
        begun = []

        def second(*_):
            if not begun:
                begun.append(True)
                with pytest.raises(replay.BlockError, match="another save to it is under way"):
                    buffer.save(snapshot)

        buffer.extend(**rows(range(20)))
        monkeypatch.setattr(checkpoint, "fault_point", second)
        buffer.save(snapshot)
        assert begun
        assert loaded_state(snapshot) == whole_state(buffer)


def test_a_save_beside_a_load_writes_a_file_of_its_own(snapshot):
    """The load would see some changed chunks and some old ones."""
    place = snapshot.stat().st_ino
    with replay.load(snapshot) as buffer:
        buffer.add(**row(1))
        with open(snapshot, "rb") as loading:
            side_file.shared(loading.fileno())
            buffer.save(snapshot)
        assert snapshot.stat().st_ino != place
        assert loaded_state(snapshot) == whole_state(buffer)


def test_what_lies_in_the_way_of_a_save_is_left_alone(tmp_path):
    path = tmp_path / "snapshot"
    side = side_file.side_path(path)
    mine = tmp_path / "mine"
    mine.write_text("precious")
    with opened("private", 5, FIELDS) as buffer:
        for put in (side.symlink_to, lambda target: os.link(target, side)):
            put(mine)
            with refused(buffer, replay.BlockError, "cannot be written"):
                buffer.save(path)
            side.unlink()
        side.mkdir()
        with refused(buffer, replay.BlockError, "cannot be written"):
            buffer.save(path)
    assert mine.read_text() == "precious"


def test_a_save_to_nowhere_is_refused(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with opened("private", 5, FIELDS) as buffer:
        for path in (tmp_path / "none" / "file", tmp_path, "", loop, tmp_path / ("x" * 254)):
            with refused(buffer, replay.BlockError, "cannot be written"):
                buffer.save(path)
    assert os.listdir(tmp_path) == [loop.name]


def test_a_buffer_is_not_saved_over_its_own_file(tmp_path):
    path = tmp_path / "block"
    with replay.ReplayBuffer(5, FIELDS, path=path) as buffer:
        buffer.add(**row(1))
        with refused(buffer, replay.BlockError, "block"):
            buffer.save(path)
        with pytest.raises(replay.BlockFormatError):
            buffer.restore(path)
        buffer.add(**row(2))
    with replay.attach(path=path) as buffer:
        assert len(buffer) == 2


def test_a_loaded_buffer_may_take_a_name(snapshot):
    with home_of("named") as place, replay.load(snapshot, **place) as buffer:
        with replay.attach(**place) as other:
            assert other.stats() == buffer.stats()
        with pytest.raises(replay.BlockExistsError):
            replay.load(snapshot, **place)


@pytest.mark.compiled
def test_saves_and_loads_take_constant_memory(tmp_path):
    with opened("private", 24, {"x": (np.uint8, (1 << 20,))}) as buffer:
        buffer.add(np.ones(1 << 20, np.uint8))
        before = block_bytes(buffer)[-(1 << 20) :]
        tracemalloc.start()
        try:
            buffer.save(tmp_path / "snapshot")
            buffer.add(np.ones(1 << 20, np.uint8))
            buffer.save(tmp_path / "snapshot")
            buffer.restore(tmp_path / "snapshot")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 6 << 20
        assert block_bytes(buffer)[-(1 << 20) :] == before


def test_a_long_save_and_a_long_load_say_how_far_they_are(snapshot, monkeypatch, capsys):
    monkeypatch.setattr("replay.progress.PATIENCE", 0.0)
    with replay.load(snapshot) as buffer:
        buffer.save(snapshot.with_name("again"))
        buffer.restore(snapshot)
    said = capsys.readouterr().err
    assert "saving" in said
    assert "loading" in said
    assert "100 %" in said
