"""Journals: whole ones are the new state, all else is none; hostile ones are refused."""

import os
import random

import numpy as np
import pytest

import replay
from kernels.walk_snapshot import CURSOR, FIRST, LINES
from replay.memory import journal, snapshot_layout, snapshot_load
from replay.memory.journal import Journal, JournalWriter
from replay.memory.safetensors import PAGE
from replay.memory.side_file import side_path, write_at
from replay.memory.snapshot_front import Front
from replay.memory.snapshot_layout import SnapshotLayout
from replay.memory.snapshot_load import snapshot_layout_of
from tests.homes import FIELDS, SAMPLERS, fewer, opened, rows
from tests.memory.test_checkpoint import loaded_state, whole_state

CAPACITY = 40


class Case:
    """An old state at a path, beside it a journal to a new one, and both states."""

    def __init__(self, folder, buffer):
        self.path = folder / "snapshot"
        self.side = side_path(self.path)
        buffer.extend(**rows(range(CAPACITY)))
        buffer.save(self.path)
        self.snapshot = self.path.read_bytes()
        self.old = loaded_state(self.path)
        new = buffer.extend(**rows(range(100, 103)))
        buffer.update_priorities(new[:1], np.array([0.25]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "apply", _fail)
            with pytest.raises(replay.BlockError, match="cannot be written"):
                buffer.save(self.path)
        assert self.path.read_bytes() == self.snapshot
        self.journal = self.side.read_bytes()
        self.new = whole_state(buffer)
        self.layout = SnapshotLayout(snapshot_layout_of(self.path))

    def found(self, content):
        """Load beside a journal of these bytes."""
        self.side.write_bytes(content)
        return loaded_state(self.path)

    def front(self, content):
        start, end = self.layout.front
        return Front(self.layout, content[start:end])

    def forged(self, lines, front=None):
        """Make a journal with right checksums of any index."""
        content = self.journal
        words = np.frombuffer(content[:PAGE], np.uint64).copy()
        chunks, nbytes = int(words[3]), int(words[4])
        rest = content[PAGE + nbytes + chunks * 16 :] if front is None else front
        tail = np.asarray(lines, np.int64).tobytes() + rest
        words[3] = len(lines)
        words[5] = journal._sum(np.frombuffer(tail, np.uint8))
        words[6] = journal._sum(words[:6])
        return words.tobytes() + content[PAGE : PAGE + nbytes] + tail


def _fail(*_):
    raise OSError(5, "Input/output error")


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_layout, "CHUNK", 4)
    monkeypatch.setattr(snapshot_layout, "ROOM_BYTES", 1)
    monkeypatch.setattr(snapshot_layout, "PIECE_BYTES", 1)
    snapshot_layout._read.cache_clear()
    with opened("private", CAPACITY, FIELDS, sampler=SAMPLERS["buffer"], seed=3) as buffer:
        yield Case(tmp_path, buffer)
    snapshot_layout._read.cache_clear()


def test_a_whole_journal_is_the_new_state(case):
    assert case.found(case.journal) == case.new != case.old
    with opened("private", CAPACITY, FIELDS, sampler=SAMPLERS["buffer"]) as buffer:
        buffer.restore(case.path)
        assert whole_state(buffer) == case.new
    assert case.path.read_bytes() == case.snapshot, "loads write nothing"


def test_the_next_save_finishes_it(case):
    with replay.load(case.path) as buffer:
        buffer.save(case.path)
    assert loaded_state(case.path) == case.new
    assert os.listdir(case.path.parent) == [case.path.name]


def test_a_cut_journal_is_none(case):
    for end in range(0, len(case.journal), 128):
        assert case.found(case.journal[:end]) == case.old
    assert case.found(case.journal + b"\0") == case.old


def test_a_damaged_journal_is_none(case):
    content = bytearray(case.journal)
    places = random.Random(4).sample(range(len(content)), fewer(150, 30))
    for place in [*range(64), *places]:
        content[place] ^= 1 << place % 8
        assert case.found(content) == case.old, place
        content[place] ^= 1 << place % 8
    assert case.found(content) == case.new


def test_a_journal_of_another_state_is_none(case):
    with replay.load(case.path) as buffer:
        buffer.extend(**rows(range(30)))
        buffer.save(case.path)
        later = whole_state(buffer)
    assert case.found(case.journal) == later
    with replay.load(case.path) as buffer:
        buffer.save(case.path)
    assert loaded_state(case.path) == later
    assert not case.side.exists()


def test_chunks_that_are_in_their_places_already_do_no_harm(case):
    """A crash while they were written: any of them new, old, or half of each."""
    with replay.load(case.path) as buffer:
        buffer.save(case.path)
    new = np.frombuffer(case.path.read_bytes(), np.uint8)
    old = np.frombuffer(case.snapshot, np.uint8)
    rng = np.random.default_rng(5)
    start, end = case.layout.front
    for _ in range(fewer(20, 5)):
        # Sectors of a disk are whole: the root is the old one or the new one.
        sectors = np.repeat(rng.random(len(old) // 64 + 1) < 0.5, 64)[: len(old)]
        mixed = np.where(sectors, new, old)
        case.path.write_bytes(mixed.tobytes())
        assert case.found(case.journal) == case.new
        case.side.unlink()
        if (mixed != old).any() and (mixed != new).any():
            with pytest.raises(replay.BlockFormatError):
                replay.load(case.path)
    mixed = old.copy()
    mixed[start + 64 : end] = 0
    case.path.write_bytes(mixed.tobytes())
    assert case.found(case.journal) == case.new


def test_a_hostile_index_is_refused(case):
    lines = [(0, 0), (1, 0), (2, 0)]
    assert case.found(case.forged(lines)) == case.new
    chunks = case.layout.chunks
    for bad in (
        [(0, 0), (1, 0), (3, 0)],
        [(0, 0), (1, 0), (2, chunks)],
        [(0, 0), (1, 0), (2, 2**62)],
        [(0, 0), (1, 0), (-1, 0)],
        [(0, 0), (1, 0), (2, -1)],
        [(0, 0), (1, 0), (1, 0)],
        [(0, 0), (1, 0)],
        [(0, 0), (1, 0), (2, 0), (2, 1)],
        [(0, 1), (1, 0), (2, 0)],
        [],
    ):
        assert case.found(case.forged(bad)) == case.old, bad
        with replay.load(case.path) as buffer:
            buffer.save(case.path)
        assert loaded_state(case.path) == case.old
        case.path.write_bytes(case.snapshot)


def test_a_front_that_is_not_the_one_told_is_refused(case):
    assert case.found(
        case.forged([(0, 0), (1, 0), (2, 0)], bytes(case.front(case.snapshot).content))
    )
    front = case.front(case.snapshot)
    front.heads[0, 0] = -1
    front.seal()
    assert case.found(case.forged([(0, 0), (1, 0), (2, 0)], front.content.tobytes())) == case.old


def test_a_journal_of_no_chunks_is_one(case):
    """Counters alone changed."""
    with replay.load(case.path) as buffer:
        buffer.save(case.path)
        buffer.sample(3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "apply", _fail)
            with pytest.raises(replay.BlockError):
                buffer.save(case.path)
        assert loaded_state(case.path) == whole_state(buffer)
        buffer.save(case.path)
        assert loaded_state(case.path) == whole_state(buffer)


def test_a_journal_that_cannot_be_read_to_its_end_is_said(case):
    with open(case.side, "rb+") as file:
        read = journal.read_journal(file.fileno(), case.layout, case.front(case.snapshot).root)
        assert read is not None
        os.ftruncate(file.fileno(), PAGE)
        with (
            open(case.path, "rb+") as snapshot,
            pytest.raises(replay.BlockFormatError, match="cut short"),
        ):
            read.apply(snapshot.fileno())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(snapshot_load, "read_journal", lambda *_: read)
            with pytest.raises(replay.BlockFormatError, match="cut short"):
                replay.load(case.path)


def test_what_is_no_journal_is_none(case):
    for content in (b"", b"REPLAYJ1", case.snapshot, bytes(PAGE), b"REPLAYJ1".ljust(PAGE)):
        assert case.found(content) == case.old
    case.side.unlink()
    os.mkfifo(case.side)
    assert loaded_state(case.path) == case.old


def test_chunks_may_lie_in_any_order(case, tmp_path):
    """Threads write them as they come."""
    with open(tmp_path / "journal", "wb+") as file:
        writer = JournalWriter(file.fileno(), case.layout, 1)
        order = ((2, 4, 2), (0, 1, 3), (2, 0, 1))
        for line, (part, first, count) in enumerate(order):
            width = case.layout.widths[part]
            start = case.layout.cut[part].offset + first * 4 * width
            offset = int(writer.words[CURSOR])
            write_at(file.fileno(), case.snapshot[start : start + count * 4 * width], offset)
            at = FIRST + 4 * (2 - line)
            writer.words[at : at + 4] = part, first, count, offset
            writer.words[CURSOR] += count * 4 * width
            writer.words[LINES] += 1
        writer.commit(case.front(case.snapshot))
        read = journal.read_journal(file.fileno(), case.layout, 1)
        assert read is not None
        assert read.whole()
        assert np.argwhere(read.where()).tolist() == [
            [0, 1], [0, 2], [0, 3], [2, 0], [2, 4], [2, 5]
        ]  # fmt: skip
