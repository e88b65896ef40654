"""Rows between a block and a file: what is written, what is told, what is refused."""

import os

import numpy as np
import pytest

from kernels import walk_snapshot as walk
from kernels.ring import FILLED, HEAD
from kernels.walk_copy import BLOCK, SIZE, STAGE
from tests import naive
from tests.kernels.test_walk_copy import NONE, ROWS, SLOTS, STREAMS
from tests.kernels.test_walk_copy import Block as Rows

CHUNK = 8
ROOM = 16
CHUNKS = -(-SLOTS // CHUNK)


class Case:
    """A block of three parts, a file for it, and all that the walks take."""

    def __init__(self, path):
        self.block = Rows(ROOM)
        for stream in range(STREAMS):
            for position in range(ROWS):
                self.block.fill(stream * ROWS + position, ROWS * stream + position)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.heads = np.zeros((STREAMS, 8), np.int64)
        self.sums = np.zeros((3, CHUNKS), np.uint64)
        self.known = np.zeros((3, CHUNKS), np.uint64)
        self.places = np.zeros((3, walk.PLACE_WORDS), np.int64)
        self.places[:, :3] = self.block.places
        ends = np.cumsum(SLOTS * self.places[:, SIZE])
        self.places[:, walk.OFFSET] = 100 + ends - SLOTS * self.places[:, SIZE]
        self.places[:, walk.SUMS] = [line.ctypes.data for line in self.sums]
        self.shape = np.zeros(walk.SHAPE_WORDS, np.int64)
        self.shape[:6] = ROWS, CHUNK, ROOM, self.descriptor, -1, 10_000
        self.shape[walk.LEAVES] = 2
        self.journal = np.zeros(walk.FIRST + walk.LINE_WORDS * 3 * CHUNKS, np.int64)

    def save(self, old=None):
        self.places[:, walk.OLD] = 0 if old is None else [line.ctypes.data for line in old]
        arguments = self.places, self.heads, self.shape, self.journal, NONE, 0, SLOTS
        return walk.rows_save(*arguments)

    def load(self, into, where=None):
        self.known[:] = self.sums
        self.heads[:, FILLED] = 0
        self.heads[:, HEAD] = 1000
        self.shape[walk.INTO] = into
        self.places[:, walk.OLD] = [line.ctypes.data for line in self.known]
        if where is None:
            where = np.zeros((0, 0), np.int64)
        return walk.rows_load(self.places, self.heads, self.shape, where, 0, SLOTS)

    def file(self):
        """Give the bytes of each part as they lie in the file."""
        return [
            os.pread(self.descriptor, SLOTS * int(line[SIZE]), int(line[walk.OFFSET]))
            for line in self.places
        ]

    def chunk(self, part, number):
        return self.block.parts[part][number * CHUNK : (number + 1) * CHUNK].tobytes()


@pytest.fixture
def case(tmp_path):
    case = Case(tmp_path / "file")
    yield case
    os.close(case.descriptor)


def test_a_whole_file_holds_every_slot_and_its_checksums(case):
    assert case.save() == walk.DONE
    assert case.file() == [part.tobytes() for part in case.block.parts]
    for part in range(3):
        for number in range(CHUNKS):
            assert int(case.sums[part, number]) == naive.checksum(case.chunk(part, number))
    assert case.heads[:, FILLED].tolist() == [ROWS] * STREAMS


def test_a_journal_holds_the_runs_of_chunks_that_differ(case):
    assert case.save() == walk.DONE
    old = case.sums.copy()
    changed = {(0, 2), (0, 3), (0, 4), (1, 0), (2, CHUNKS - 1)}
    for part, number in changed:
        case.block.parts[part][number * CHUNK, 0 if part == 2 else -1] += 1
    case.journal[walk.CURSOR] = 50_000
    case.journal[walk.LIMIT] = 60_000
    assert case.save(old) == walk.DONE
    lines = case.journal[walk.FIRST :].reshape(-1, walk.LINE_WORDS)[: case.journal[walk.LINES]]
    found = {}
    for part, first, count, where in lines.tolist():
        for number in range(first, first + count):
            content = case.chunk(part, number)
            assert os.pread(case.descriptor, len(content), where) == content
            found[part, number] = where
            where += len(content)
    assert set(found) == changed
    assert (case.sums != old).sum() == len(changed)
    assert max(found.values()) < case.journal[walk.CURSOR] < 52_000
    # A load reads them from there.
    blank = Rows(ROOM)
    case.places[:, BLOCK] = blank.places[:, BLOCK]
    case.shape[walk.JOURNAL] = case.descriptor
    where = np.zeros((3, CHUNKS), np.int64)
    for place, offset in found.items():
        where[place] = offset
    assert case.load(walk.PASTE, where) == walk.DONE
    assert [part.tobytes() for part in blank.parts] == [p.tobytes() for p in case.block.parts]


def test_too_much_is_told_and_not_written(case):
    old = case.sums.copy()
    case.journal[walk.CURSOR] = 100
    case.journal[walk.LIMIT] = 400
    assert case.save(old) == walk.TOO_MUCH
    assert os.fstat(case.descriptor).st_size <= 400


@pytest.mark.parametrize("into", [walk.LOOK, walk.PASTE, walk.FRESH])
def test_what_was_saved_is_loaded(case, into):
    assert case.save() == walk.DONE
    blank = Rows(ROOM)
    case.places[:, BLOCK] = blank.places[:, BLOCK]
    assert case.load(into) == walk.DONE
    assert case.heads[:, FILLED].tolist() == [ROWS] * STREAMS
    for part, loaded in zip(case.block.parts, blank.parts, strict=True):
        assert (loaded == (0 if into == walk.LOOK else part)).all()


@pytest.mark.parametrize(("part", "slot"), [(0, 0), (1, 77), (2, SLOTS - 1)])
def test_damage_is_told_by_its_place(case, part, slot):
    assert case.save() == walk.DONE
    offset = int(case.places[part, walk.OFFSET] + slot * case.places[part, SIZE]) + 3
    byte = os.pread(case.descriptor, 1, offset)[0]
    os.pwrite(case.descriptor, bytes([byte ^ 1]), offset)
    place, kind = divmod(case.load(walk.LOOK), 3)
    assert (divmod(place, 3), kind) == ((slot // CHUNK * CHUNK, part), walk.DAMAGED)


def test_a_row_that_cannot_be_is_told(case):
    case.block.records[100, 0] += 1 << 13
    assert case.save() == walk.DONE
    place, kind = divmod(case.load(walk.LOOK), 3)
    assert (place // 3, kind) == (100, walk.IMPOSSIBLE)


def test_a_file_that_cannot_be_moved_is_told(case):
    assert case.save() == walk.DONE
    os.ftruncate(case.descriptor, int(case.places[2, walk.OFFSET]))
    assert case.load(walk.LOOK) == 2 * 3 + walk.FAILED
    case.shape[walk.FILE] = -1
    assert case.load(walk.LOOK) == walk.FAILED
    assert case.save() == walk.FAILED
    case.journal[walk.LIMIT] = 1 << 20
    assert case.save(case.sums + np.uint64(1)) == walk.FAILED
    assert case.places[0, STAGE]
