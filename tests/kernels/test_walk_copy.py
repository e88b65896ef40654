"""Rows on their way into a stage and back: whole rows as they are, all else as empty slots."""

import numpy as np
import pytest

from kernels import walk_copy, walk_paste
from kernels.ring import BASE, FILLED, HEAD, SHIFT

ROWS = 70
STREAMS = 3
SLOTS = ROWS * STREAMS
#: Of a block without a heap.
NONE = np.zeros(0, np.int64)
WIDTH = 3


def word(ticket):
    return (ticket + 1) << SHIFT


class Block:
    """Records, a column of 5 bytes a slot and leaves, and a stage for `room` slots of each."""

    def __init__(self, room):
        self.parts = [
            np.zeros((SLOTS, WIDTH * 8), np.uint8),
            np.zeros((SLOTS, 5), np.uint8),
            np.zeros((SLOTS, 8), np.uint8),
        ]
        self.records = self.parts[0].view(np.int64)
        self.leaves = self.parts[2].view(np.int64)
        self.stage = [np.full((room, part.shape[1]), 0xEE, np.uint8) for part in self.parts]
        self.heads = np.zeros((STREAMS, 8), np.int64)
        self.places = np.array(
            [
                (part.ctypes.data, stage.ctypes.data, part.shape[1])
                for part, stage in zip(self.parts, self.stage, strict=True)
            ],
            np.int64,
        )

    def fill(self, slot, ticket):
        self.records[slot] = word(ticket), slot, ticket
        self.parts[1][slot] = slot % 250 + 1
        self.leaves[slot] = slot + 1

    def check(self, first, count, most=10_000):
        shape = np.zeros(8, np.int64)
        shape[walk_paste.SHAPE_ROWS] = ROWS
        shape[walk_paste.SHAPE_MOST] = most
        shape[walk_paste.SHAPE_LEAVES] = 2
        return walk_paste.rows_check(self.places, self.heads, shape, first, count)


@pytest.fixture
def block():
    block = Block(SLOTS)
    for stream in range(STREAMS):
        for position in range(ROWS):
            block.fill(stream * ROWS + position, ROWS * stream + position)
    return block


@pytest.mark.parametrize(("first", "count"), [(0, SLOTS), (3, 1), (60, 100), (ROWS, ROWS)])
def test_whole_rows_are_copied_and_counted(block, first, count):
    walk_copy.rows_copy(block.places, block.heads, NONE, ROWS, first, count)
    for part, stage in zip(block.parts, block.stage, strict=True):
        assert (stage[:count] == part[first : first + count]).all()
        assert (stage[count:] == 0xEE).all()
    slots = np.arange(first, first + count)
    for stream in range(STREAMS):
        mine = slots[slots // ROWS == stream] % ROWS
        assert block.heads[stream, FILLED] == len(mine)
        newest = ROWS * stream + mine.max() + 1 if len(mine) else 0
        assert block.heads[stream, HEAD] == newest


def test_heads_never_fall(block):
    block.heads[:, HEAD] = 1000
    walk_copy.rows_copy(block.places, block.heads, NONE, ROWS, 0, SLOTS)
    assert (block.heads[:, HEAD] == 1000).all()


def test_what_is_not_whole_is_an_empty_slot_of_zeros(block):
    empty, held, cleared = 5, 77, 150
    block.records[empty, 0] = 0
    block.records[held, 0] |= 1
    block.heads[2, BASE] = 2 * ROWS + 11
    walk_copy.rows_copy(block.places, block.heads, NONE, ROWS, 0, SLOTS)
    gone = {empty, held, *range(2 * ROWS, cleared + 1)}
    for slot in range(SLOTS):
        for part, stage in zip(block.parts, block.stage, strict=True):
            assert (stage[slot] == (0 if slot in gone else part[slot])).all()
    assert block.heads[:, FILLED].tolist() == [ROWS - 1, ROWS - 1, ROWS - 11]


def test_what_was_copied_can_be_pasted(block):
    other = Block(SLOTS)
    walk_copy.rows_copy(block.places, block.heads, NONE, ROWS, 0, SLOTS)
    other.places[:, walk_copy.STAGE] = block.places[:, walk_copy.STAGE]
    walk_paste.rows_paste(other.places, 0, SLOTS)
    for part, pasted in zip(block.parts, other.parts, strict=True):
        assert (part == pasted).all()


def test_rows_that_can_be_are_counted_by_stream(block):
    block.heads[:, HEAD] = 1000
    walk_copy.rows_copy(block.places, np.zeros_like(block.heads), NONE, ROWS, 0, SLOTS)
    assert block.check(0, 100) == -1
    assert block.heads[:, FILLED].tolist() == [ROWS, 30, 0]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("word", word(12) | 1),
        ("word", word(12) | 1 << (SHIFT - 1)),
        ("word", word(13)),
        ("word", word(12 + ROWS * 1000)),
        ("word", word(-2)),
        ("word", 0),
        ("leaf", -1),
        ("leaf", 10_001),
    ],
)
def test_rows_that_cannot_be_are_found(block, part, value):
    block.heads[:, HEAD] = 1000
    if part == "word":
        block.records[12, 0] = value
    else:
        block.leaves[12] = value
    block.places[:, walk_copy.STAGE] = block.places[:, walk_copy.BLOCK]
    assert block.check(0, SLOTS) == 12
    block.heads[:, FILLED] = 0
    if part == "leaf":
        assert block.check(0, SLOTS, most=-1) == -1
    assert block.check(0, 12) == -1


def test_a_ticket_below_the_base_or_above_the_head_is_found(block):
    block.places[:, walk_copy.STAGE] = block.places[:, walk_copy.BLOCK]
    block.heads[:, HEAD] = 1000
    block.heads[0, HEAD] = 40
    assert block.check(0, SLOTS) == 40
    block.heads[0, HEAD] = 1000
    block.heads[1, BASE] = ROWS + 1
    assert block.check(0, SLOTS) == ROWS
