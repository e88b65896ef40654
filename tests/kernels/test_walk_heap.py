"""Rows into the heap and out of it: against plain Python, and whatever their entries hold."""

import ctypes
import itertools
import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import dictionary as dictionary_words
from kernels import handle as handle_words
from kernels import heap as words
from kernels.handle import handle_heap, handle_levels, handle_tree
from kernels.heap import BYTES, LINE_WORDS, LINES, LZ4, MARGIN, RAW
from kernels.lz4_pack import LEARNED_WORDS, TABLE_WORDS, lz4_learn, lz4_pack
from kernels.ring import (
    FILLED,
    FLOOR,
    SHIFT,
    TAKEN_EMPTY,
    ring_claim,
    ring_commit,
    ring_filled,
    ring_take,
)
from kernels.tree import tree_get
from kernels.walk_evict import rows_evict
from kernels.walk_heap_get import lanes_unpack
from kernels.walk_heap_put import heap_put
from tests import naive_heap
from tests.homes import fewer

ANY_WORD = st.integers(-(1 << 63), (1 << 63) - 1)
PAGE = mmap.PAGESIZE
ROOM, SLOTS = 150, 7


def fenced(pages=2):
    """Give memory between two pages that end the process if they are touched."""
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    array = np.frombuffer(memory, np.uint8)
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (0, pages + 1):
        start = ctypes.c_void_p(array.ctypes.data + page * PAGE)
        assert mprotect(start, ctypes.c_size_t(PAGE), 0) == 0
    return array[PAGE:-PAGE]


class Store:
    """
    Fields of one stream, their rows' bytes at one end of a piece of memory, and a target.

    A field is bytes of its largest row, of an element, its codec, and whether ends are left open.
    """

    FIELDS = ((40, 0, RAW, 0), (48, 8, LZ4, 0), (64, 0, LZ4, 0), (30, 1, RAW, 1))

    def __init__(self):
        largest = sum(field[0] for field in self.FIELDS)
        self.rings, self.targets = fenced(), fenced()
        self.size = ROOM + largest + MARGIN
        self.records = np.zeros((SLOTS, 1 + 3 * len(self.FIELDS)), np.int64)
        self.heads = np.zeros((1, 8), np.int64)
        self.dictionary = np.zeros(dictionary_words.WORDS, np.int64)
        self.heap = np.zeros(LINES + LINE_WORDS * len(self.FIELDS), np.int64)
        self.heap[[words.ROOM, words.ROWS_OF, words.COUNT]] = ROOM, SLOTS, len(self.FIELDS)
        self.heap[words.HEADS_AT] = self.heads.ctypes.data
        self.lines = self.heap[LINES:].reshape(-1, LINE_WORDS)
        for field, line in enumerate(self.lines):
            line[words.OWNER] = self.heap.ctypes.data
            line[words.LARGEST], line[words.UNIT], line[words.CODEC], line[words.OPEN_END] = (
                self.FIELDS[field]
            )
            line[words.ENTRY_AT] = self.records.ctypes.data + 8 + field * 24
            line[words.ENTRY_STRIDE] = self.records.shape[1] * 8
            line[words.LENGTHS_AT] = line[words.ENTRY_AT] + 16
        self.known = [bytes(range(30)), b"frame" * 9]
        content = b"".join(self.known)
        self.dictionary[dictionary_words.ROWS] = len(self.known)
        self.dictionary[dictionary_words.ENDS : dictionary_words.ENDS + 3] = 0, 30, 75
        self.dictionary[dictionary_words.CONTENT :].view(np.uint8)[:75] = list(content)
        # Of the one that is packed and not of any length.
        self.lines[2, words.DICTIONARY_AT] = self.dictionary.ctypes.data
        self.to_the(end=True)

    def to_the(self, *, end):
        """Let the ring begin behind a page that is not to be touched, or end before one."""
        self.ring = self.rings[-self.size :] if end else self.rings[: self.size]
        self.heap[words.BYTES_AT] = self.ring.ctypes.data

    def entry(self, slot, field):
        return self.records[slot, 1 + 3 * field : 4 + 3 * field]

    def put(self, slot, field, row, position, known=None):
        """Store a row, packed with as many rows of the dictionary, or as it is."""
        unit = self.FIELDS[field][1]
        stored, codec = row, RAW
        if known is not None:
            stored, codec = packed(row, self.known[:known]), LZ4 + known
            if not stored:
                stored, codec = row, RAW
        start = position % ROOM
        self.ring[start : start + len(stored)] = list(stored)
        word = naive_heap.word_of(codec, len(row), len(stored))
        self.entry(slot, field)[:] = position, word, len(row) // unit if unit else 0

    def wanted(self, slot, field):
        """Unpack a row in plain Python; None where it is none."""
        largest, unit, codec, _ = self.FIELDS[field]
        position, word, length = self.entry(slot, field).tolist()
        known = self.known if self.lines[field, words.DICTIONARY_AT] else None
        line = largest, unit, codec == LZ4, known
        return naive_heap.row_of(self.ring, ROOM, line, (position, word), length)

    def unpack(self, field, lanes, each=1, stack=1, kin=None, kin_to=None):
        """Give what became of lanes, and the bits of rows that were none."""
        lanes = np.array(lanes, np.int64)
        largest = self.FIELDS[field][0]
        self.targets[:] = 0xEE
        target = self.targets[-lanes.size * largest :]
        request = np.zeros(64, np.int64)
        request[words.REQUEST_LINE] = self.lines[field].ctypes.data
        request[words.REQUEST_TO] = target.ctypes.data
        request[words.REQUEST_LANES] = lanes.ctypes.data
        request[words.REQUEST_COUNT] = lanes.size
        request[words.REQUEST_EACH] = each
        request[words.REQUEST_STACK] = stack
        if kin is not None:
            kin = np.array(kin, np.int64)
            request[words.REQUEST_KIN] = kin.ctypes.data
            request[words.REQUEST_KIN_TO] = kin_to.ctypes.data
        damaged = lanes_unpack(request.ctypes.data)
        assert (self.targets[: -target.size] == 0xEE).all()
        return target.reshape(-1, largest), damaged

    def check(self, field, slot, got):
        """Compare a lane with what its slot says."""
        row = b"" if slot < 0 else self.wanted(slot, field)
        assert row is not None
        assert got[: len(row)].tobytes() == row
        open_end = self.FIELDS[field][3]
        assert (got[len(row) :] == (0xEE if open_end else 0)).all()


def packed(row, known):
    """Pack a row with rows of a dictionary; empty where it does not become smaller."""
    source = np.frombuffer(row, np.uint8)
    before = np.frombuffer(b"".join(known) or b"\0", np.uint8)
    table, learned = np.zeros(TABLE_WORDS, np.int64), np.zeros(LEARNED_WORDS, np.int64)
    room = np.zeros(len(row) + 8, np.uint8)
    lz4_learn(before.ctypes.data, sum(map(len, known)), learned.ctypes.data)
    size = lz4_pack(
        source.ctypes.data,
        len(row),
        room.ctypes.data,
        max(len(row) - 1, 0),
        table.ctypes.data,
        learned.ctypes.data if known else 0,
    )
    return room[:size].tobytes()


@pytest.fixture(scope="module")
def store():
    return Store()


@st.composite
def row_of(draw, field):
    """Draw a row of a field: noise, runs, or what the dictionary has."""
    largest, unit, _, _ = Store.FIELDS[field]
    size = draw(st.integers(0, largest // unit)) * unit if unit else largest
    kind = draw(st.sampled_from(["noise", "run", "known"]))
    if kind == "run":
        return bytes([draw(st.integers(0, 255))]) * size
    if kind == "known":
        return (b"frame" * 20)[:size]
    return draw(st.randoms(use_true_random=False)).randbytes(size)


@st.composite
def entries(draw, field):
    """Draw an entry's words and a length: of a row that could be, or of none."""
    largest, unit, _, _ = Store.FIELDS[field]
    near = [0, 1, largest - 1, largest, largest + 1, largest + 8, naive_heap.MOST_BYTES]
    position = draw(st.one_of(st.integers(0, 3 * ROOM), ANY_WORD))
    size = draw(st.one_of(st.just(largest), st.integers(0, largest), st.sampled_from(near)))
    stored = draw(st.one_of(st.just(size), st.integers(0, largest), st.sampled_from(near)))
    codec = draw(st.sampled_from([0, 1, 2, 3, 4, 127, 128, 255]))
    word = naive_heap.word_of(codec, size, stored)
    length = size // unit if unit else 0
    if draw(st.integers(0, 3)) == 0:
        # With eight bytes an element the last two have the same product as the right one.
        wrong = [length + 1, -length, -1, length + (1 << 61), length - (1 << 61)]
        length = draw(st.one_of(ANY_WORD, st.sampled_from(wrong)))
        length = max(min(length, (1 << 63) - 1), -(1 << 63))
    return position, draw(st.one_of(st.just(word), ANY_WORD)), length


@settings(deadline=None, max_examples=fewer(150, 60), derandomize=True)
@given(st.integers(0, 3), st.booleans(), st.integers(0, 2**32), st.data())
def test_no_entry_leads_outside_or_to_a_row_that_is_none(store, field, end, seed, data):
    store.to_the(end=end)
    rng = np.random.default_rng(seed)
    store.ring[:] = rng.integers(0, data.draw(st.sampled_from([4, 256])), store.size)
    for slot in range(SLOTS):
        store.entry(slot, field)[:] = data.draw(entries(field))
    slot = data.draw(st.integers(0, SLOTS - 1))
    # One that is sound, unless its bytes are those of another one.
    known = data.draw(st.sampled_from([None, 0, 0, 1, 2]))
    if Store.FIELDS[field][2] == RAW or (known and field != 2):
        known = None
    store.put(slot, field, data.draw(row_of(field)), data.draw(st.integers(0, 3 * ROOM)), known)
    if data.draw(st.booleans()):
        start = int(store.entry(slot, field)[0]) % ROOM
        store.ring[start + rng.integers(0, 20)] ^= 1 << rng.integers(0, 8)
    with np.errstate(over="ignore"):
        got, damaged = store.unpack(field, range(SLOTS))
    for lane in range(SLOTS):
        if store.wanted(lane, field) is None:
            assert damaged >> lane & 1
        else:
            assert not damaged >> lane & 1
            store.check(field, lane, got[lane])
    assert damaged >> SLOTS == 0


@settings(deadline=None, max_examples=fewer(200, 40), derandomize=True)
@given(st.integers(0, 3), st.data())
def test_a_row_comes_back_wherever_it_lies(store, field, data):
    store.to_the(end=data.draw(st.booleans()))
    row = data.draw(row_of(field))
    known = data.draw(st.integers(0, 2)) if field == 2 else 0
    known = None if Store.FIELDS[field][2] == RAW else known
    position = data.draw(st.integers(0, 3 * ROOM))
    store.put(3, field, row, position, known)
    got, damaged = store.unpack(field, [3])
    assert damaged == 0
    assert store.wanted(3, field) == row
    store.check(field, 3, got[0])


#: Literals alone: a block of more bytes than its row.
LITERALS = bytes([0xF0, 64 - 15, *range(64)])


@pytest.mark.parametrize(
    ("field", "entry", "length"),
    [
        pytest.param(0, (0, RAW, 40, 40), 0, id="sound"),
        pytest.param(0, (0, RAW, 40, 39), 0, id="as it is, but for a byte"),
        pytest.param(0, (0, RAW, 39, 39), 0, id="too short"),
        pytest.param(0, (-1, RAW, 40, 40), 0, id="before the first"),
        pytest.param(0, (0, LZ4, 40, 40), 0, id="packed where nothing is"),
        pytest.param(1, (7, RAW, 24, 24), 3, id="sound, of any length"),
        pytest.param(1, (7, RAW, 24, 24), 2, id="another length"),
        pytest.param(1, (7, RAW, 24, 24), 3 + (1 << 61), id="a length of the same product"),
        pytest.param(1, (7, RAW, 20, 20), 2, id="half an element"),
        pytest.param(1, (7, RAW, 56, 56), 7, id="too many elements"),
        pytest.param(2, (ROOM - 1, LZ4, 64, 66), 0, id="packed to more than it was"),
        pytest.param(2, (0, LZ4 + 3, 64, 60), 0, id="a dictionary of more rows"),
        pytest.param(2, (0, -1, 64, 60), 0, id="a dictionary of less than none"),
        pytest.param(3, (0, RAW, 31, 31), 31, id="a byte too long"),
        pytest.param(3, (0, RAW, naive_heap.MOST_BYTES, naive_heap.MOST_BYTES), 9, id="huge"),
    ],
)
def test_what_contradicts_itself_is_no_row(store, request, field, entry, length):
    store.to_the(end=True)
    position, codec, size, stored = entry
    store.ring[:] = np.arange(store.size) % 256
    start = position % ROOM
    store.ring[start : start + len(LITERALS)] = list(LITERALS)
    word = naive_heap.word_of(codec, size, stored)
    store.entry(4, field)[:] = position, word, length
    damaged = store.unpack(field, [4])[1]
    assert damaged == ("sound" not in request.node.callspec.id)
    assert damaged == (store.wanted(4, field) is None)


@pytest.mark.parametrize("rows", [-1, 3, 23, 24, 1 << 40])
def test_a_dictionary_that_says_what_cannot_be_is_not_read(store, rows):
    store.put(2, 2, b"frame" * 12 + b"fram", 10, 2)
    assert store.wanted(2, 2) is not None
    before = store.dictionary.copy()
    try:
        store.dictionary[dictionary_words.ROWS] = rows
        store.dictionary[dictionary_words.ENDS + 2] = 1 << 40
        assert store.unpack(2, [2])[1] == 1
        store.dictionary[dictionary_words.ENDS + 2] = -5
        assert store.unpack(2, [2])[1] == 1
    finally:
        store.dictionary[:] = before
    assert store.unpack(2, [2])[1] == 0


@settings(deadline=None, max_examples=fewer(150, 40), derandomize=True)
@given(
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.data(),
)
def test_each_lane_is_the_row_of_its_slot(store, field, rows, times, stack, with_kin, data):
    store.to_the(end=True)
    each = times * stack
    for slot in range(SLOTS):
        store.entry(slot, field)[:] = 0, naive_heap.word_of(255, 0, 0), 0
    # Two that are none, the others one behind the other.
    position = 0
    for slot in range(SLOTS - 2):
        row = data.draw(row_of(field))
        store.put(slot, field, row, position, 0 if Store.FIELDS[field][2] == LZ4 else None)
        position = (position + len(row)) % ROOM
    some = st.integers(-1, SLOTS - 1)
    few = st.lists(some, min_size=rows * each, max_size=rows * each)
    lanes = data.draw(few)
    if stack > 1 and data.draw(st.booleans()):
        # As stacks are: a step's lanes are those of the step before, and one more.
        for lane in range(len(lanes)):
            if lane % each >= stack and lane % stack < stack - 1:
                lanes[lane] = lanes[lane - stack + 1]
    kin = kin_to = None
    kin_damaged = 0
    if with_kin:
        kin = data.draw(few)
        kin_to, kin_damaged = store.unpack(field, kin, each, stack)
        kin_to = kin_to.copy()
    got, damaged = store.unpack(field, lanes, each, stack, kin, kin_to)
    for row in range(rows):
        mine = lanes[row * each : (row + 1) * each]
        wrong = [slot for slot in mine if slot >= 0 and store.wanted(slot, field) is None]
        # One that was found to be none before was said to be.
        assert bool((damaged | kin_damaged) >> row & 1) >= bool(wrong)
        if kin is None:
            assert bool(damaged >> row & 1) == bool(wrong)
    for lane, slot in enumerate(lanes):
        if slot < 0 or store.wanted(slot, field) is not None:
            store.check(field, slot, got[lane])


# Rows on their way in, and what becomes of the oldest.

FIELDS = {
    "frame": replay.Field(np.uint8, (6, 5), compression="lz4", room=400),
    "points": replay.Field(np.float32, (None, 2), longest=6, room=200),
    "number": np.int64,
}


def frame_of(number):
    """Make a frame: noise, of one colour, or something in between."""
    rng = np.random.default_rng(number)
    frame = np.full((6, 5), number % 251, np.uint8)
    frame[: number * 7 % 7] = rng.integers(0, 256, (number * 7 % 7, 5))
    if number % 3 == 0:
        frame[:] = rng.integers(0, 256, (6, 5))
    return frame


def points_of(number):
    return np.arange(number * 5 % 7 * 2, dtype=np.float32).reshape(-1, 2) + number


class Heap:
    """A private buffer, a slot's entry, and rows stored by the steps of their walk."""

    def __init__(self, capacity=40, streams=1, **options):
        self.buffer = replay.ReplayBuffer(capacity, FIELDS, streams=streams, seed=0, **options)
        self.ring = self.buffer._ring
        self.handle = self.ring.handle
        self.heads, self.records, self.writing = (
            self.ring.block.part(name) for name in ("heads", "records", "writing")
        )
        self.rows = capacity // streams
        self.room = self.ring.layout.room
        self.heap = handle_heap(self.handle)
        self.lines = self.heap[LINES:].reshape(-1, LINE_WORDS)

    def add(self, number, stream=0):
        writer = self.buffer if stream == 0 else self.buffer.writer(stream=stream)
        return writer.add(frame=frame_of(number), points=points_of(number), number=number)

    def entry(self, slot, place=0):
        start = self.lines[place, words.ENTRY_AT] - self.records.ctypes.data
        return self.records.reshape(-1)[slot * self.records.shape[1] + start // 8 :][:2].tolist()

    def known(self):
        """Give the rows of the frames' dictionary."""
        part = self.ring.block.part("dictionaries").reshape(-1)
        ends = part[dictionary_words.ENDS :][: part[dictionary_words.ROWS] + 1].tolist()
        content = part[dictionary_words.CONTENT :].view(np.uint8).tobytes()
        return [content[start:end] for start, end in itertools.pairwise(ends)]

    def take(self, stream=0):
        """Claim a ticket and take its slot."""
        ticket = ring_claim(self.heads, stream, 1)
        slot = stream * self.rows + ticket % self.rows
        taken = ring_take(self.records, slot, ticket, int(self.handle[handle_words.WRITER]))
        if taken == TAKEN_EMPTY:
            ring_filled(self.heads, stream, 1)
        return ticket, slot

    def put(self, number, slot):
        """Store a row's fields of the heap."""
        frame, points = frame_of(number), points_of(number)
        count = np.array([len(points)])
        sources = np.array([part.ctypes.data for part in (frame, points, count, count)])
        return heap_put(self.handle.ctypes.data, sources.ctypes.data, 0, slot)

    def commit(self, ticket, slot):
        ring_commit(self.records, slot, ticket)
        heap_put(self.handle.ctypes.data, 0, ticket, slot)

    def whole(self, stream=0):
        """Give the tickets of the rows that a stream holds."""
        found = self.records[stream * self.rows : (stream + 1) * self.rows, 0]
        assert not (found & 1).any()
        return sorted((found[found != 0] >> SHIFT) - 1)


def test_rows_go_when_their_bytes_do_the_oldest_first():
    heap = Heap()
    stored = []
    for number in range(fewer(400, 120)):
        ticket = heap.add(number)
        stored.append((ticket, heap.entry(ticket % heap.rows)[0]))
        kept = naive_heap.remaining(stored, heap.room, int(heap.heads[0, BYTES]), heap.rows)
        assert heap.whole() == kept
        assert heap.heads[0, FILLED] == len(kept) == len(heap.buffer)
    # Bytes were fewer than slots, and sometimes the other way.
    assert len(kept) < heap.rows
    assert heap.heads[0, FLOOR] == kept[0]


def test_the_bytes_of_a_row_are_one_behind_the_other_in_their_fields_order():
    heap = Heap()
    for number in range(fewer(150, 60)):
        ticket = heap.add(number)
        slot = ticket % heap.rows
        (first, word), (second, other) = heap.entry(slot), heap.entry(slot, 1)
        assert second == first + naive_heap.parts(word)[2]
        assert heap.heads[0, BYTES] == second + naive_heap.parts(other)[2]
        ring = heap.ring.block.part("heap")[0]
        line = 30, 0, True, heap.known()
        row = naive_heap.row_of(ring, heap.room, line, (first, word), 0)
        assert row == frame_of(number).tobytes()
        points = points_of(number)
        entry = second, other
        row = naive_heap.row_of(ring, heap.room, (48, 8, False, None), entry, len(points))
        assert row == points.tobytes()


def test_streams_have_rings_of_their_own():
    heap = Heap(60, streams=3)
    for number in range(30):
        heap.add(number, stream=2)
    heap.add(7, stream=0)
    assert heap.whole(0) == [0]
    assert heap.whole(1) == []
    assert heap.heads[1].tolist() == [0] * 8
    before = heap.whole(2)
    for number in range(40):
        heap.add(number, stream=0)
    assert heap.whole(2) == before
    assert heap.heads[0, FLOOR] > 0


def test_a_row_of_which_a_field_is_too_long_is_not_stored():
    heap = Heap()
    _, slot = heap.take()
    frame, points = frame_of(1), np.zeros((7, 2), np.float32)
    for count in (7, -1, 1 << 61, -(1 << 63)):
        counts = np.array([count])
        sources = np.array([part.ctypes.data for part in (frame, points, counts, counts)])
        assert heap_put(heap.handle.ctypes.data, sources.ctypes.data, 0, slot) == 0
    assert heap.heads[0, BYTES] == 0
    assert not heap.writing.any()


def test_a_row_that_comes_late_goes_again_if_others_needed_its_place():
    heap = Heap()
    for number in range(3):
        heap.add(number)
    ticket, slot = heap.take()
    assert heap.put(3, slot) == 1
    while heap.heads[0, FLOOR] <= ticket:
        heap.add(int(heap.heads[0, 0]))
    assert heap.records[slot, 0] & 1
    held = heap.heads[0, FILLED]
    heap.commit(ticket, slot)
    assert heap.records[slot, 0] == 0
    assert heap.heads[0, FILLED] == held - 1 == len(heap.whole())


def test_a_row_that_comes_in_time_stays():
    heap = Heap()
    ticket, slot = heap.take()
    assert heap.put(3, slot) == 1
    heap.add(4)
    heap.commit(ticket, slot)
    assert heap.whole() == [0, 1]
    assert heap.heads[0, FILLED] == 2


def test_a_row_of_a_round_before_goes_with_the_next_one_of_its_slot():
    heap = Heap(12)
    late = ring_claim(heap.heads, 0, 1)
    for number in range(1, 12):
        heap.add(number)
    # The next one of the slot is given back, and the late writer finds it empty.
    assert ring_claim(heap.heads, 0, 1) == 12
    assert ring_take(heap.records, 0, late, 0) == TAKEN_EMPTY
    ring_filled(heap.heads, 0, 1)
    assert heap.put(0, 0) == 1
    heap.commit(late, 0)
    rows = heap.whole()
    assert rows == [late, *range(rows[1], 12)]
    while heap.heads[0, FLOOR] <= 12:
        heap.add(int(heap.heads[0, 0]))
        assert len(heap.whole()) == heap.heads[0, FILLED]
    assert late not in heap.whole()


def test_bytes_that_are_passed_over_cost_the_rows_that_had_them():
    heap = Heap()
    for number in range(30):
        heap.add(number)
    position = int(heap.heads[0, BYTES])
    # Somebody holds all that comes next, and the row fits nowhere.
    for line in range(2):
        held = [1 + line, 0, position - heap.room + line * heap.room // 2, heap.room // 2]
        heap.writing[200 + line, :4] = held
    ticket, slot = heap.take()
    assert heap.put(3, slot) == 0
    assert heap.heads[0, BYTES] > position + heap.room
    heap.records[slot, 0] = 0
    heap.heads[0, FILLED] -= 1
    assert heap.whole() == []
    assert heap.heads[0, FILLED] == 0
    heap.writing[:] = 0
    assert heap.add(5) == ticket + 1
    assert heap.whole() == [ticket + 1]


def test_with_priorities_a_row_that_goes_leaves_no_leaf():
    heap = Heap(sampler=replay.Proportional(alpha=1.0, beta=1.0))
    for number in range(60):
        heap.add(number)
    assert heap.buffer.priorities.verify() == 0
    tree, levels = handle_tree(heap.handle), handle_levels(heap.handle)
    for slot in range(heap.rows):
        assert (tree_get(tree, levels, slot) == 0) == (heap.records[slot, 0] == 0)
    ids = set()
    for _ in range(40):
        ids |= set(heap.buffer.sample(32).ids.tolist())
    assert ids == set(heap.whole())


@pytest.mark.parametrize(("behind", "gone"), [(0, 0), (1, 1), (30, 1), (31, 2)])
def test_a_row_goes_with_its_first_byte(behind, gone):
    heap = Heap()
    noise = frame_of(3)
    for number in range(5):
        row = {"frame": noise + number, "points": np.zeros((0, 2), np.float32)}
        heap.buffer.add(**row, number=number)
    assert [heap.entry(slot)[0] for slot in range(2)] == [0, 30]
    heap.heads[0, BYTES] = heap.room + behind
    rows_evict(heap.handle, 0, 4)
    assert heap.whole() == list(range(gone, 5))
    assert heap.heads[0, FLOOR] == gone


def test_nothing_goes_while_all_have_their_bytes():
    heap = Heap(8)
    for number in range(4):
        heap.add(number * 3 + 1)
    rows_evict(heap.handle, 0, 3)
    assert heap.whole() == [0, 1, 2, 3]
    assert heap.heads[0, FLOOR] == 0


@settings(deadline=None, max_examples=fewer(100, 20), derandomize=True)
@given(st.lists(ANY_WORD, min_size=8, max_size=8), st.lists(ANY_WORD, min_size=12, max_size=12))
def test_damaged_words_are_walked_past(heads, entries):
    heap = Heap(12)
    for number in range(12):
        heap.add(number)
    heap.heads[0, 2:] = heads[2:]
    start = (heap.lines[0, words.ENTRY_AT] - heap.records.ctypes.data) // 8
    heap.records[:, start] = entries
    with np.errstate(over="ignore"):
        rows_evict(heap.handle, 0, 11)
    assert not (heap.records[:, 0] & 1).any()
