"""Claims of bytes against a list that looks at everything, and bytes that are somebody else's."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kernels import heap as words
from kernels.addresses import address_of, store_int64
from kernels.atomics import fence, load, store
from kernels.heap import (
    BYTES,
    BYTES_OF,
    CLEAR,
    LINE_WORDS,
    LINES,
    MOST_BYTES,
    NO_ROOM,
    OWNER_OF,
    POSITION_OF,
    SKIPS,
    STREAM_OF,
    TRIES,
    WRITING,
    entry_codec,
    entry_pack,
    entry_size,
    entry_stored,
    heap_claim,
    heap_next,
    heap_of,
    heap_stands,
    writing_enter,
    writing_free,
    writing_leave,
)
from kernels.jit import kernel
from kernels.ring import (
    LINE,
    NOT_TAKEN,
    ring_claim,
    ring_commit,
    ring_read,
    ring_take,
    ring_ticket,
    ring_unchanged,
)
from tests import naive, naive_heap
from tests.homes import fewer

STREAMS = 2
#: How often a claim passes over others before it gives up.
PATIENCE = min(SKIPS + 1, TRIES)
ANY_WORD = st.integers(-(1 << 63), (1 << 63) - 1)


def new_heap(streams=STREAMS):
    return np.zeros((streams, LINE), np.int64), np.zeros((WRITING, LINE), np.int64)


def announce(writing, line, stream, position, size):
    """Write a claim's line, as a writer does that is stopped right after."""
    writing[line, [OWNER_OF, STREAM_OF, POSITION_OF, BYTES_OF]] = line + 1, stream, position, size


class HeapMachine(RuleBasedStateMachine):
    """
    Writers claim bytes and are done with them in any order, after any number of rounds.

    The list looks at all lines for every claim: what a claim knows from an earlier look must never
    show. `owners` says of each byte of the memory who may write it.
    """

    unfinished = Bundle("unfinished")
    sizes = st.sampled_from([0, 0.1, 0.2, 0.3, 0.5, 1])
    streams = st.integers(0, STREAMS - 1)
    room = 24

    def __init__(self):
        super().__init__()
        self.heads, self.writing = new_heap()
        self.plain = [naive_heap.Claims(self.room, PATIENCE) for _ in range(STREAMS)]
        self.owners = [[None] * (self.room + self.room // 2) for _ in range(STREAMS)]
        #: The stream of each line.
        self.lines = {}

    def claim(self, stream, share):
        size = int(share * self.room / 2)
        line = writing_enter(self.writing, 5)
        before = self.heads[stream, BYTES]
        position = heap_claim(self.heads, self.writing, line, stream, self.room, size)
        plain = self.plain[stream]
        wanted = plain.claim(line, size)
        assert position == (NO_ROOM if wanted is None else wanted)
        assert self.heads[stream, BYTES] == plain.next >= before
        if position == NO_ROOM:
            # A place of so many bytes that nobody holds is nowhere.
            starts = range(plain.next, plain.next + self.room)
            assert not any(plain.free_at(line, start, size) for start in starts)
            writing_leave(self.writing, line)
            return None
        owners = self.owners[stream]
        for byte in naive_heap.places(self.room, position, size):
            assert owners[byte] is None
            owners[byte] = line
        self.lines[line] = stream
        return line

    def finish(self, line):
        stream = self.lines.pop(line)
        for byte in naive_heap.places(self.room, *self.plain[stream].held[line]):
            self.owners[stream][byte] = None
        self.plain[stream].leave(line)
        writing_leave(self.writing, line)

    @rule(target=unfinished, stream=streams, share=sizes)
    def begin(self, stream, share):
        return self.claim(stream, share)

    @rule(line=consumes(unfinished))
    def end(self, line):
        if line is not None:
            self.finish(line)

    @rule(stream=streams, shares=st.lists(sizes, max_size=12))
    def write_rows(self, stream, shares):
        for share in shares:
            line = self.claim(stream, share)
            if line is not None:
                self.finish(line)

    @rule(stream=streams, word=st.sampled_from([-1, 0, 1 << 62, -(1 << 63)]))
    def damage_what_is_known_to_be_clear(self, stream, word):
        self.heads[stream, CLEAR] = word

    @invariant()
    def lines_say_what_the_list_says(self):
        for line, stream in self.lines.items():
            position, size = self.plain[stream].held[line]
            assert self.writing[line, STREAM_OF : BYTES_OF + 1].tolist() == [
                stream,
                position,
                size,
            ]
        assert np.count_nonzero(self.writing[:, OWNER_OF]) == len(self.lines)


class SmallHeapMachine(HeapMachine):
    room = 6


limits = settings(
    deadline=None,
    max_examples=fewer(60, 12),
    stateful_step_count=40,
    derandomize=True,
)
TestHeapMachine = HeapMachine.TestCase
TestHeapMachine.settings = limits
TestSmallHeapMachine = SmallHeapMachine.TestCase
TestSmallHeapMachine.settings = limits


def test_an_entry_holds_codec_and_sizes():
    word = entry_pack(3, 7056, 612)
    assert word == naive_heap.word_of(3, 7056, 612)
    assert (entry_codec(word), entry_size(word), entry_stored(word)) == (3, 7056, 612)


@settings(deadline=None, max_examples=fewer(200, 60), derandomize=True)
@given(ANY_WORD)
def test_any_word_is_an_entry_of_bounded_sizes(word):
    codec, size, stored = naive_heap.parts(word)
    assert (entry_codec(word), entry_size(word), entry_stored(word)) == (codec, size, stored)
    assert 0 <= size <= MOST_BYTES
    assert 0 <= stored <= MOST_BYTES
    assert naive_heap.word_of(codec, size, stored) == word


def test_a_line_is_held_until_it_is_left():
    _, writing = new_heap()
    tried = min(WRITING, TRIES)
    lines = [writing_enter(writing, 300) for _ in range(tried)]
    assert lines == [(300 + turn) % WRITING for turn in range(tried)]
    assert writing_enter(writing, 300) == -1
    writing_leave(writing, 61)
    assert writing_enter(writing, 44) == 61
    assert writing[61].tolist() == [45, 0, 0, 0, 0, 0, 0, 0]


def test_the_lines_of_the_dead_alone_are_free_again():
    heads, writing = new_heap()
    for writer in (3, 8, 3):
        heap_claim(heads, writing, writing_enter(writing, writer), 1, 64, 10)
    writing_free(writing, 3)
    assert writing[:, OWNER_OF].nonzero()[0].tolist() == [8]
    assert writing[8, BYTES_OF] == 10
    writing_free(writing, 8)
    assert not writing[:, [OWNER_OF, BYTES_OF]].any()


def test_who_lost_the_race_is_not_in_the_way():
    _, writing = new_heap()
    announce(writing, 9, 0, 100, 10)
    # Bytes 100 to 102 are another one's: these 10 cannot be claimed any more.
    assert heap_next(writing, 0, 0, 64, 103, 20) == (103, 103 + 64)
    # From here on nobody can tell.
    assert heap_next(writing, 0, 0, 64, 110, 20) == (110, 164)
    assert heap_next(writing, 0, 0, 64, 145, 20) == (174, 164)
    assert heap_next(writing, 9, 0, 64, 145, 20) == (145, 145 + 64)
    assert heap_next(writing, 0, 1, 64, 145, 20) == (145, 145 + 64)


@settings(deadline=None, max_examples=fewer(300, 60), derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 20)), max_size=6),
    st.integers(40, 60),
    st.integers(90, 300),
    st.data(),
)
def test_bytes_of_others_are_found_in_every_round(claims, room, position, data):
    _, writing = new_heap()
    plain = naive_heap.Claims(room, PATIENCE)
    for line, (end, size) in enumerate(claims):
        announce(writing, line, 0, max(end - size, 0), min(size, end))
        plain.held[line] = max(end - size, 0), min(size, end)
    size = data.draw(st.integers(0, room // 2))
    first, clear = heap_next(writing, 77, 0, room, position, size)
    wanted, least = plain.next_free(77, position, size)
    assert first == wanted
    if first == position:
        assert clear == least
        # Whoever goes by it is in nobody's way.
        assert all(plain.free_at(77, byte, 1) for byte in range(position, clear))


@settings(deadline=None, max_examples=fewer(300, 30), derandomize=True)
@given(ANY_WORD, ANY_WORD, st.lists(st.tuples(*[ANY_WORD] * 3), max_size=4), st.integers(0, 20))
def test_damaged_words_end_a_claim_at_once(position, clear, lines, size):
    heads, writing = new_heap()
    heads[1, [BYTES, CLEAR]] = position, clear
    for line, (first, second, third) in enumerate(lines):
        announce(writing, line, first if first & 1 else 1, second, third)
    mine = writing_enter(writing, 100)
    with np.errstate(over="ignore"):
        got = heap_claim(heads, writing, mine, 1, 40, size)
        assert got in (NO_ROOM, writing[mine, POSITION_OF])
    assert heads[0].tolist() == [0] * LINE


def test_bytes_that_nobody_could_claim_are_in_nobodys_way():
    heads, writing = new_heap()
    heads[0, BYTES] = 1000
    announce(writing, 3, 0, 5, 41)
    announce(writing, 4, 0, -5, 10)
    announce(writing, 5, 0, 5, -10)
    assert heap_claim(heads, writing, 0, 0, 40, 20) == 1000


def test_a_writer_that_finds_no_room_says_so_soon():
    heads, writing = new_heap()
    for line in range(4):
        announce(writing, 10 + line, 0, 10 * line, 4)
    heads[0, BYTES] = 40
    assert heap_claim(heads, writing, 0, 0, 40, 7) == NO_ROOM
    # A round for each that is passed over, at most.
    assert heads[0, BYTES] <= 40 + (SKIPS + 1) * 40
    assert heap_claim(heads, writing, 0, 0, 40, 6) > 0


class Rows:
    """Slots whose records hold a word and an entry, and the words of a heap of one field."""

    def __init__(self, slots, room, largest):
        self.heads, self.writing = new_heap(1)
        self.records = np.zeros((slots, 3), np.int64)
        # A position is a number here and not a byte, so that a wrong one is seen at once.
        self.numbers = np.full(room + largest, -1, np.int64)
        self.heap = np.zeros(LINES + LINE_WORDS, np.int64)
        self.heap[words.ROOM] = room
        self.heap[words.HEADS_AT] = self.heads.ctypes.data
        self.heap[words.ROWS_OF] = slots
        self.heap[words.COUNT] = 1
        self.heap[LINES + words.OWNER] = self.heap.ctypes.data
        self.heap[LINES + words.ENTRY_AT] = self.records.ctypes.data + 8
        self.heap[LINES + words.ENTRY_STRIDE] = 24

    def arrays(self):
        return self.heads, self.writing, self.records, self.numbers


@pytest.mark.parametrize(
    ("head", "position", "stands"),
    [
        (40, 0, True),
        (41, 0, False),
        (41, 1, True),
        (41, 41, True),
        (41, 42, False),
        (41, -1, False),
        (-1, -1, False),
        (1 << 61, 0, False),
        (41, (1 << 63) - 1, False),
        (41, -(1 << 63), False),
    ],
)
def test_bytes_stand_until_others_are_claimed_a_round_later(head, position, stands):
    rows = Rows(3, 40, 20)
    rows.heads[0, BYTES] = head
    rows.records[2, 1] = position
    assert heap_stands(rows.heap, 2) == stands == naive_heap.stands(40, head, position)


def test_the_heap_of_a_field_is_found():
    rows = Rows(3, 40, 20)
    assert heap_of(rows.heap.ctypes.data + LINES * 8).tolist() == rows.heap.tolist()


@kernel
def write_rows(heads, writing, records, numbers, room, number, count, every, rounds):
    """
    Write rows of different lengths; give how many found numbers of others in their place.

    Every so many rows are held until others have gone so many rounds.
    """
    largest = numbers.size - room
    slots = records.shape[0]
    entry = address_of(records) + 8
    wrong = 0
    given_up = 0
    patience = 1 << 22
    for turn in range(count):
        line = writing_enter(writing, number)
        size = 1 + (turn * 2654435761 + number * 40503 >> 3) % largest
        position = heap_claim(heads, writing, line, 0, room, size)
        if position < 0:
            writing_leave(writing, line)
            given_up += 1
            continue
        ticket = ring_claim(heads, 0, 1)
        slot = ticket % slots
        taken = ring_take(records, slot, ticket, number) != NOT_TAKEN
        start = position % room
        for place in range(size):
            numbers[start + place] = ticket
        if every != 0 and turn % every == 0:
            while load(heads, BYTES) < position + rounds * room and patience > 0:
                patience -= 1
        fence()
        for place in range(size):
            if numbers[start + place] != ticket:
                wrong += 1
                break
        if taken:
            store_int64(entry + slot * records.shape[1] * 8, position)
            store_int64(entry + slot * records.shape[1] * 8 + 8, size)
        writing_leave(writing, line)
        if taken:
            ring_commit(records, slot, ticket)
    store(heads, 4, load(heads, 4) | 1 << number)
    return wrong, given_up


@kernel
def read_rows(heads, records, numbers, heap, room, done, limit):
    """Read rows until the writers are done; give how many stood, and how many were not whole."""
    stood = 0
    torn = 0
    for turn in range(limit):
        if load(heads, 4) == done:
            break
        slot = turn % records.shape[0]
        word = ring_read(records, slot)
        position = records[slot, 1]
        size = records[slot, 2]
        if word == 0 or position < 0 or size < 0 or size > numbers.size - room:
            continue
        whole = True
        for place in range(size):
            whole &= numbers[position % room + place] == ring_ticket(word)
        fence()
        if heap_stands(heap, slot) and ring_unchanged(records, slot, word):
            stood += 1
            torn += not whole
    return stood, torn


@pytest.mark.compiled
@pytest.mark.parametrize(("room", "largest", "slots"), [(64, 32, 16), (1024, 100, 64), (9, 4, 3)])
def test_nobody_writes_bytes_of_one_who_is_stopped_and_no_row_is_read_torn(room, largest, slots):
    rows = Rows(slots, room, largest)
    heads, _, records, numbers = rows.arrays()
    count = 40_000
    *wrote, (_, torn) = naive.together(
        lambda: write_rows(*rows.arrays(), room, 0, count, 0, 0),
        lambda: write_rows(*rows.arrays(), room, 1, count, 200, 5),
        lambda: write_rows(*rows.arrays(), room, 2, count, 0, 0),
        lambda: read_rows(heads, records, numbers, rows.heap, room, 0b111, 10**9),
    )
    assert [wrong for wrong, _ in wrote] == [0, 0, 0]
    assert torn == 0
    assert not rows.writing[:, [OWNER_OF, BYTES_OF]].any()


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(heads, writing, heap):
        line = writing_enter(writing, 2)
        position = heap_claim(heads, writing, line, 0, 40, 20)
        clear = heap_next(writing, 0, 0, 40, 45, 10)
        writing_leave(writing, line)
        writing_free(writing, 2)
        return position, clear, heap_stands(heap, 1), entry_stored(entry_pack(1, 9, 5))

    rows = Rows(3, 40, 20)
    assert user(rows.heads, rows.writing, rows.heap) == (0, (60, 40), True, 5)
