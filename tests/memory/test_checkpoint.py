"""Snapshots: everything comes back, damage is refused, and a crash leaves the old file."""

import contextlib
import json
import os
import random
import threading
import tracemalloc

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels.dictionary import ENDS, OWNER, dictionary_fits, dictionary_time
from kernels.heap import BYTES
from kernels.jit import interpreted
from kernels.ring import FLOOR, HEAD
from replay.memory import checkpoint, journal, side_file, snapshot_layout, snapshot_load
from replay.memory.safetensors import PAGE
from replay.memory.snapshot_front import Front
from replay.memory.snapshot_load import snapshot_layout_of
from tests.heaped import assert_at_rest, claimed, entries_of
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
from tests.memory import ordeal
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


# compressed and ragged fields

HEAPED = {
    "frame": replay.Field(np.uint8, (6, 5), compression="lz4", room=900),
    "note": replay.Field(bytes, longest=20, ratio=1e9),
    "text": replay.Field(str, longest=40, compression="lz4", ratio=1e9),
    "number": np.int64,
}


#: By salt what the texts of all rows have in common.
COMMON = ("a game of many words", "the other one's text")


def heaped_row(number, salt=0):
    """Give a row that says its number in each field, and takes few bytes or many."""
    chance = random.Random(number * 1000 + salt)
    frame = np.frombuffer(chance.randbytes(30), np.uint8).reshape(6, 5).copy()
    if number % 3:
        frame[:] = frame[0]
    note = chance.randbytes(chance.choice((0, 20, 7)))
    text = COMMON[salt][chance.randrange(9) :] + chance.choice("abcd") * chance.randrange(21)
    return {"frame": frame, "note": note, "text": text, "number": number}


def add_heaped(buffer, first, count, salt=0):
    made = [heaped_row(number, salt) for number in range(first, first + count)]
    buffer.extend(**{name: [row[name] for row in made] for name in HEAPED})


def assert_heaped(batch, salts=(0,)):
    """Find that each row is the one of its number; give the numbers."""
    notes, texts = batch.note.tolist(), batch.text.tolist()
    for place, number in enumerate(batch.number.tolist()):
        got = batch.frame[place].tolist(), notes[place], texts[place]
        wanted = [heaped_row(number, salt) for salt in salts]
        assert got in [(row["frame"].tolist(), row["note"], row["text"]) for row in wanted]
    return set(batch.number.tolist())


def draw_heaped(buffer):
    """Look at every row of a buffer; give their numbers."""
    assert_at_rest(buffer)
    slots = np.flatnonzero(buffer._ring.block.part("records")[:, 0])
    columns = [np.empty((slots.size, *f.shape), f.dtype) for f in buffer.fields.values()]
    assert buffer._ring.gather(buffer._handle, slots, tuple(columns)) == 0
    found = dict(zip(buffer.fields, columns, strict=True))
    for place, number in enumerate(found["number"].tolist()):
        wanted = heaped_row(number)
        assert (found["frame"][place] == wanted["frame"]).all()
        for name, row_ in (("note", wanted["note"]), ("text", wanted["text"].encode())):
            assert found[f"{name}/lengths"][place] == len(row_)
            assert found[f"{name}/values"][place].tobytes().rstrip(b"\0") == row_.rstrip(b"\0")
    assert len(set(found["number"].tolist())) == len(buffer) == slots.size
    return set(found["number"].tolist())


@pytest.fixture(params=fewer(["uniform", "batch"], ["batch"]))
def heaped(request):
    """Give a buffer whose bytes were used up some times over."""
    with opened("private", 60, HEAPED, sampler=SAMPLERS[request.param], seed=0) as buffer:
        add_heaped(buffer, 0, 150)
        assert 4 < len(buffer) < 60
        assert claimed(buffer)[0] > 3 * buffer.stats()["room"]
        yield buffer


def test_the_newest_row_is_in_the_snapshot_if_it_has_no_bytes(tmp_path):
    with opened("private", 5, {"x": bytes, "n": int}) as buffer:
        for number, row_ in enumerate((b"one", b"", b"")):
            buffer.add(row_, number)
        buffer.save(tmp_path / "snapshot")
        with replay.load(tmp_path / "snapshot") as loaded:
            assert len(loaded) == 3
            batch = loaded.sample(40)
            assert set(zip(batch.n.tolist(), batch.x.tolist(), strict=True)) == {
                (0, b"one"),
                (1, b""),
                (2, b""),
            }


def test_rows_whose_bytes_are_being_written_are_not_in_the_snapshot(heaped, tmp_path):
    """As of writers that are stopped: one inside its slot, and one of whom a line tells."""
    block = heaped._ring.block
    newest = heaped.stats()["added"] - 1
    wanted = draw_heaped(heaped) - {newest - 2, newest - 1}
    position = entries_of(heaped, (newest - 2) % 60)[0][0]
    line = block.part("writing")[7]
    line[:4] = 5, 0, position, 9
    words, turn = block.part("records")[:, 0], []
    words[(newest - 1) % 60] |= 1
    words[(newest - 2) % 60] |= 1
    # Announced by one who came too late; it was another who claimed and finished it.
    block.part("writing")[10, :4] = 8, 0, entries_of(heaped, (newest - 3) % 60)[0][0], 9
    spread = checkpoint.spread

    def spread_while_one_commits(*args):
        if not turn:
            words[(newest - 2) % 60] &= -2
        turn.append(args)
        spread(*args)

    # Of another stream, and announced but not claimed.
    block.part("writing")[8, :4] = 6, 1, entries_of(heaped, newest % 60)[0][0], 9
    block.part("writing")[9, :4] = 7, 0, claimed(heaped)[0], 9
    block.part("dictionaries")[:, OWNER] = 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "spread", spread_while_one_commits)
        heaped.save(tmp_path / "snapshot")
    assert len(turn) == 2
    block.part("writing")[:] = 0
    with replay.load(tmp_path / "snapshot") as loaded:
        assert draw_heaped(loaded) == wanted
        assert not loaded._ring.block.part("writing").any()
        assert not loaded._ring.block.part("dictionaries")[:, OWNER].any()
        add_heaped(loaded, newest + 1, 40)
        assert draw_heaped(loaded) <= set(range(newest + 1, newest + 41)) | wanted


def claim_by_hand(buffer, nbytes):
    """Do as a writer that is stopped once it has written its bytes over those of other rows."""
    block, room = buffer._ring.block, buffer._ring.layout.room
    heads = block.part("heads")
    written = (int(heads[0, BYTES]) + np.arange(nbytes)) % room
    heads[0, BYTES] += nbytes
    block.part("heap")[0, written] ^= 255


@pytest.mark.parametrize("when", [1, 2])
def test_rows_whose_bytes_are_written_over_during_a_save_are_not_in_it(heaped, tmp_path, when):
    """Also where nobody has emptied their slots yet: those of bytes that were copied too late."""
    before, spread, turn = draw_heaped(heaped), checkpoint.spread, []

    def spread_after(*args):
        turn.append(args)
        if len(turn) == when:
            claim_by_hand(heaped, 300)
        spread(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "spread", spread_after)
        heaped.save(tmp_path / "snapshot")
    with replay.load(tmp_path / "snapshot") as loaded:
        found = draw_heaped(loaded)
    assert found < before
    assert len(found) > 0
    assert found == set(range(min(found), 150))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("when", ["after the front", "before the heap", "before the rows", "each"])
@pytest.mark.parametrize("count", fewer([1, 5, 40], [5]))
def test_rows_that_come_while_a_save_is_under_way(heaped, tmp_path, when, count):
    """Each row of the snapshot is right, and those alone are missing whose bytes went."""
    turns = ("after the front", "before the heap", "before the rows")
    at = [turns.index(when)] if when in turns else [0, 1, 2]
    state = {"turn": 0, "next": 150}
    taken, spread = Front.of, checkpoint.spread

    def more():
        if state["turn"] in at:
            add_heaped(heaped, state["next"], count)
            state["next"] += count
        state["turn"] += 1

    def front_of(*args):
        front = taken(*args)
        more()
        return front

    def spread_after(*args):
        more()
        spread(*args)

    before = draw_heaped(heaped)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Front, "of", front_of)
        patch.setattr(checkpoint, "spread", spread_after)
        heaped.save(tmp_path / "snapshot")
    assert state["turn"] == 3
    with replay.load(tmp_path / "snapshot") as loaded:
        found = draw_heaped(loaded) if len(loaded) else set()
        assert found >= before & draw_heaped(heaped)
        assert found <= before
        following = max(loaded.stats()["added"], 0)
        add_heaped(loaded, following, 60)
        draw_heaped(loaded)


def test_a_save_whose_floor_is_younger_than_its_head_is_loaded(heaped, tmp_path):
    """A stream's counters are not copied at one moment."""
    path = tmp_path / "snapshot"
    heads = heaped._ring.block.part("heads")
    now = heads[0].copy()
    # None of the rows that are left had its bytes by then.
    heads[0, [HEAD, BYTES]] = now[FLOOR] - 9, 100
    heaped.save(path)
    heads[0] = now
    with replay.load(path) as loaded:
        assert draw_heaped(loaded) == set()
        assert loaded.add(**heaped_row(7)) == now[FLOOR]


def test_rows_below_the_floor_are_not_in_the_snapshot(heaped, tmp_path):
    """Their writer may be about to let them go."""
    heads = heaped._ring.block.part("heads")
    heads[0, FLOOR] += 2
    heaped.save(tmp_path / "snapshot")
    floor = int(heads[0, FLOOR])
    heads[0, FLOOR] -= 2
    with replay.load(tmp_path / "snapshot") as loaded:
        assert draw_heaped(loaded) == {number for number in draw_heaped(heaped) if number >= floor}
        assert len(loaded) == len(heaped) - 2


def looking(act, look):
    """Look before and after what is done."""

    def looked(*args):
        look()
        act(*args)
        look()

    return looked


def test_readers_beside_a_restore_get_no_wrong_row(heaped, tmp_path, monkeypatch):
    """Not of old bytes by new words, nor by another dictionary than it was packed against."""
    path = tmp_path / "snapshot"
    with opened("private", 60, HEAPED, sampler=heaped.sampler, seed=0) as other:
        ends = 120
        add_heaped(other, 0, ends, salt=1)
        # Else all rows that are pasted lie too far from what the block knows to be looked at.
        while claimed(other) < claimed(heaped):
            add_heaped(other, ends, 1, salt=1)
            ends += 1
        other.save(path)
    drawn = []
    # Of slots that are empty for a moment.
    monkeypatch.setattr("replay.buffers.reader._TRIES", 2)

    def look():
        with contextlib.suppress(replay.EmptyError):
            drawn.append(len(assert_heaped(heaped.sample(50), salts=(0, 1))))

    for name in ("read", "teach", "finish"):
        act = getattr(snapshot_load._Loading, name)
        monkeypatch.setattr(snapshot_load._Loading, name, looking(act, look))
    heaped.restore(path)
    assert len(drawn) >= 3
    assert_at_rest(heaped)
    monkeypatch.undo()
    # It goes on against the dictionary that it has now.
    for first in range(ends, ends + 40, 8):
        add_heaped(heaped, first, 8, salt=1)
        assert_heaped(heaped.sample(50), salts=(1,))


@pytest.mark.parametrize("rows", [1, 5, 70, 140])
def test_another_dictionary_of_as_many_rows_is_learned_anew(rows, tmp_path):
    """What packing knows of a dictionary is of this process, and must not outlive a restore."""
    path = tmp_path / "snapshot"
    fields = {"x": replay.Field(bytes, longest=300, compression="lz4"), "n": int}

    def row_(number, salt):
        chance = random.Random(number % 3 + salt)
        return chance.randbytes(30) * chance.randrange(2, 9) + bytes([number % 256])

    with opened("private", 60, fields) as buffer, opened("private", 60, fields) as other:
        for made, salt in ((buffer, 0), (other, 50)):
            for number in range(rows):
                made.add(row_(number, salt), number)
        buffer.save(path)
        other.restore(path)
        for number in range(rows, rows + 30):
            assert other.add(row_(number, number % 2 * 50), number) == number
        batch = other.sample(100)
        for got, number in zip(batch.x.tolist(), batch.n.tolist(), strict=True):
            assert got == row_(number, number % 2 * 50 if number >= rows else 0)


def test_a_dictionary_of_as_many_bytes_in_other_rows_is_learned_anew(tmp_path):
    fields = {"x": replay.Field(bytes, longest=300, compression="lz4")}
    words = random.Random(1).randbytes(200)
    with opened("private", 20, fields) as buffer, opened("private", 20, fields) as other:
        time = interpreted(dictionary_time)
        fits = interpreted(dictionary_fits)(300)
        # Rows of no bytes are in no dictionary; the last row is in it and not learned yet.
        for made, first, second in (
            (buffer, words[:100], words[100:]),
            (other, words, b"ab"),
        ):
            made.extend([b""] * time(0, fits) + [first])
            made.extend([b""] * (time(1, fits) - time(0, fits)) + [second])
        ends = [
            int(made._ring.block.part("dictionaries")[0, ENDS + 2]) for made in (buffer, other)
        ]
        assert ends == [200, 202]
        buffer.save(tmp_path / "snapshot")
        other.restore(tmp_path / "snapshot")
        newest = other.add(words[60:])
        batch = other.sample(200)
        found = dict(zip(batch.ids.tolist(), batch.x.tolist(), strict=True))
        assert found[newest] == words[60:]


@pytest.mark.parametrize("part", ["heap", "records", "dictionaries"])
def test_a_heap_that_somebody_made_up_does_no_harm(heaped, tmp_path, part):
    """Behind right checksums: rows are right, or an error names their slots."""
    path = tmp_path / "snapshot"
    heaped.save(path)
    content = path.read_bytes()
    chance = random.Random(part)
    told = []
    for _ in range(fewer(60, 5)):
        path.write_bytes(content)
        rewrite(path, part, lambda one: scribble(one, part, chance))
        try:
            heaped.restore(path)
        except replay.BlockFormatError:
            continue
        for _ in range(3):
            try:
                heaped.sample(20)
            except replay.BlockFormatError as error:
                told.append(str(error))
            except replay.EmptyError:
                pass
        add_heaped(heaped, 500, 30)
        heaped.clear()
        add_heaped(heaped, 530, 5)
        assert_heaped(heaped.sample(20))
    assert told
    assert all("slots" in said for said in told)


def scribble(content, part, chance):
    """Change words or bytes of a part, but not the words that say which row a slot has."""
    if part == "heap":
        for _ in range(chance.choice((1, 20, 500))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        return
    words = content.view(np.int64)
    if part == "dictionaries":
        words[chance.choice((1, 1, chance.randrange(8, 32)))] = ordeal.any_word(chance)
        content[chance.randrange(256, 2000)] ^= 255
        return
    width = len(words) // 60
    for _ in range(chance.choice((1, 30, 300))):
        words[chance.randrange(60) * width + chance.randrange(1, width)] = ordeal.any_word(chance)


def rewrite(path, name, change):
    """Change a part of a snapshot, and put right checksums over it."""
    content = bytearray(path.read_bytes())
    layout = snapshot_layout.SnapshotLayout(snapshot_layout_of(path))
    part = layout.parts[name]
    change(np.frombuffer(content, np.uint8)[part.offset : part.offset + part.nbytes])
    start, end = layout.front
    front = Front(layout, bytes(content[start:end]))
    for cut, (one, width) in enumerate(zip(layout.cut, layout.widths, strict=True)):
        capacity = layout.layout.capacity
        stage = np.frombuffer(content, np.uint8)[one.offset : one.offset + capacity * width]
        front.checksums[cut, 0] = journal._sum(stage)
    front.seal()
    content[start:end] = front.content.tobytes()
    path.write_bytes(content)


def test_a_damaged_byte_of_a_heap_is_refused(heaped, tmp_path):
    path = tmp_path / "snapshot"
    heaped.save(path)
    content = bytearray(path.read_bytes())
    parts = snapshot_layout.SnapshotLayout(heaped._ring.layout).parts
    for name in ("heap", "dictionaries", "heads", "records"):
        part = parts[name]
        for place in random.Random(3).sample(range(part.offset, part.offset + part.nbytes), 8):
            content[place] ^= 16
            path.write_bytes(content)
            with refused(heaped, replay.BlockFormatError, path):
                heaped.restore(path)
            content[place] ^= 16


@pytest.mark.compiled
def test_saves_and_restores_beside_threads_that_add_and_sample(tmp_path):
    """Every row of a snapshot is right, whichever moment it is of."""
    stop = threading.Event()
    errors = []
    found = 0
    frame = replay.Field(np.uint8, (6, 5), compression="lz4", room=40_000)
    fields = HEAPED | {"frame": frame}
    with opened("private", 3000, fields, sampler=SAMPLERS["batch"], seed=0) as buffer:
        add_heaped(buffer, 0, 700)

        def write():
            first = 700
            while not stop.is_set():
                add_heaped(buffer, first, 20)
                first += 20

        def learn():
            while not stop.is_set():
                assert_heaped(buffer.sample(8))

        def run(work):
            try:
                work()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(work,)) for work in (write, learn)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(5):
                buffer.save(tmp_path / f"snapshot {turn % 2}")
                with replay.load(tmp_path / f"snapshot {turn % 2}") as loaded:
                    found += len(draw_heaped(loaded))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert errors == []
    assert found > 100
