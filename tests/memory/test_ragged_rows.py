"""Rows of different lengths on their way in: which become arrays, and which are refused."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.memory.fields import Field
from replay.memory.pieces import SCRATCH, Pieces
from replay.memory.ragged import Flat, FlatStr, Padded, PaddedBytes, PaddedStr, flattened
from replay.memory.ragged_rows import RaggedRows, many_rows, one_row
from tests.homes import fewer

CLOUD = Field(np.float32, (None, 2), longest=3)
TOKENS = Field(np.int16, (None,), longest=4)
BYTES = Field(bytes, longest=6)
TEXT = Field(str, longest=6)


def says(error, *words):
    for word in words:
        assert str(word) in str(error.value), error.value


def listed(field, value):
    """Give what becomes of rows, as lists."""
    rows, lengths = many_rows(field, "x", value)
    if isinstance(rows, RaggedRows):
        assert all(row.dtype == field.dtype and row.flags.c_contiguous for row in rows.rows)
        assert [len(row) for row in rows.rows] == lengths.tolist()
        rows = rows.padded()
    assert rows.shape == (len(lengths), *field.shape)
    assert rows.dtype == field.dtype
    assert lengths.dtype == np.int64
    return [row[:end].tolist() for row, end in zip(rows, lengths, strict=True)]


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        (CLOUD, np.ones((2, 2), np.float32), [[1, 1], [1, 1]]),
        (CLOUD, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (CLOUD, np.arange(12.0).reshape(2, 6)[:, ::3], [[0, 3], [6, 9]]),
        (CLOUD, np.arange(4, dtype=">f4").reshape(2, 2).T, [[0, 2], [1, 3]]),
        (CLOUD, [], []),
        (CLOUD, np.zeros((0, 2), np.int8), []),
        (CLOUD, Padded(np.ones((3, 2), np.float32), np.int64(1)), [[1, 1]]),
        (CLOUD, Padded(np.ones((1, 2)), 1), [[1, 1]]),
        (TOKENS, (1, -2, 3, 4), [1, -2, 3, 4]),
        (TOKENS, np.array([1, 2], np.uint64), [1, 2]),
        (TOKENS, np.array([]), []),
        (BYTES, b"", []),
        (BYTES, b"ab", [97, 98]),
        (BYTES, bytearray(b"abcdef"), list(b"abcdef")),
        (BYTES, memoryview(b"abcd")[::2], list(b"ac")),
        (BYTES, np.array([1, 2], np.uint8), [1, 2]),
        (BYTES, PaddedBytes(np.arange(6, dtype=np.uint8), np.int32(2)), [0, 1]),
        (TEXT, "", []),
        (TEXT, "äöü", list("äöü".encode())),
        (TEXT, np.str_("ab"), [97, 98]),
        (TEXT, PaddedStr(np.frombuffer(b"ab\xff", np.uint8), np.int64(2)), [97, 98]),
    ],
)
def test_one_row_becomes_an_array(field, value, wanted):
    row, length = one_row(field, "x", value)
    assert row.tolist() == wanted
    assert (row.dtype, row.shape[1:]) == (field.dtype, field.shape[1:])
    assert row.flags.c_contiguous
    assert (length, type(length)) == (len(row), int)


WRONG_ROWS = [
    (CLOUD, np.zeros((4, 2)), ["has 4 elements", "most is 3", "longest=4"]),
    (CLOUD, np.zeros((2, 3)), ["(2, 3)", "(n, 2)"]),
    (CLOUD, np.zeros(2), ["(2,)", "(n, 2)"]),
    (CLOUD, 5.0, ["()", "(n, 2)"]),
    (CLOUD, [[1, 2], [3]], ["no array"]),
    (CLOUD, [[1e39, 2]], ["1e+39", "3.4028235e+38"]),
    (CLOUD, np.zeros((0, 3)), ["(0, 3)", "(n, 2)"]),
    (CLOUD, "text", ["'text'", "not numbers"]),
    (CLOUD, None, ["None", "not numbers"]),
    (CLOUD, Padded(np.ones((3, 2)), np.array([1])), ["(1,)", "one row"]),
    (CLOUD, Padded(np.ones((2, 2)), 3), ["length of 3", "2 elements"]),
    (CLOUD, Padded(np.ones((2, 2)), -1), ["length of -1"]),
    (CLOUD, Padded(np.ones((2, 2)), 1.0), ["()", "int"]),
    (CLOUD, Flat(np.ones((2, 2)), np.array([0, 2])), ["no array"]),
    (TOKENS, [1.5], ["float64", "int16"]),
    (TOKENS, [1 << 15], [1 << 15, (1 << 15) - 1]),
    (TOKENS, range(5), ["has 5 elements", "longest=5"]),
    (BYTES, b"abcdefg", ["has 7 bytes", "most is 6", "longest=7"]),
    (BYTES, "abc", ["'abc'", "bytes"]),
    (BYTES, [1, 2], ["[1, 2]", "bytes"]),
    (BYTES, np.array([1, 2]), ["array([1, 2])", "uint8"]),
    (BYTES, np.zeros((1, 2), np.uint8), ["(1, 2)", "(n,)"]),
    (BYTES, 5, ["is 5"]),
    (TEXT, b"abc", ["b'abc'", "str"]),
    (TEXT, "äöüa", ["has 7 bytes", "longest=7"]),
    (TEXT, "a\ud800", ["UTF-8", "surrogates", "at 1"]),
    (TEXT, np.zeros(2, np.uint8), ["must be a str"]),
    (TEXT, ["abc"], ["must be a str"]),
    (TEXT, "x" * 10_000, ["has 10000 bytes"]),
    (TEXT, PaddedStr(np.frombuffer(b"ab\xff", np.uint8), np.int64(3)), ["no UTF-8", "byte 2"]),
]


@pytest.mark.parametrize(("field", "value", "said"), WRONG_ROWS)
def test_a_row_that_does_not_fit_is_refused(field, value, said):
    with pytest.raises(replay.FieldError, match="field 'x'") as caught:
        one_row(field, "x", value)
    says(caught, *said)
    assert len(str(caught.value)) < 300
    good = {CLOUD: [[1, 2]], TOKENS: [1], BYTES: b"a", TEXT: "a"}[field]
    with pytest.raises(replay.FieldError, match="row 2: field 'x'") as caught:
        many_rows(field, "x", [good, good, value])
    says(caught, *said)


ROWS = [[[1, 2]], [], [[3, 4], [5, 6], [7, 8]]]
PADDED = Padded(
    np.array([[[1, 2], [9, 9], [9, 9]], [[9, 9]] * 3, [[3, 4], [5, 6], [7, 8]]], np.float32),
    np.array([1, 0, 3]),
)
FLAT = Flat(*flattened(*PADDED))


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        tuple(np.array(row).reshape(-1, 2) for row in ROWS),
        np.array([np.array(row).reshape(-1, 2) for row in ROWS], object),
        dict(enumerate(ROWS)).values(),
        PADDED,
        PADDED._replace(lengths=PADDED.lengths.astype(np.uint8)),
        PADDED._replace(values=PADDED.values.astype(float)),
        PADDED._replace(values=np.concatenate([PADDED.values, PADDED.values], 1)),
        PaddedBytes(*PADDED),
        FLAT,
        FLAT._replace(values=np.concatenate([FLAT.values, FLAT.values])),
        Flat(np.concatenate([FLAT.values[:1], FLAT.values]), FLAT.offsets + 1),
        FLAT._replace(values=FLAT.values.astype(np.int8)),
    ],
)
def test_rows_are_taken_in_every_form(value):
    assert listed(CLOUD, value) == ROWS


def test_rows_of_one_length_may_be_an_array():
    assert listed(TOKENS, np.arange(6).reshape(3, 2)) == [[0, 1], [2, 3], [4, 5]]
    assert listed(TOKENS, np.zeros((2, 0))) == [[], []]
    assert listed(TOKENS, np.zeros((0, 3))) == []


def test_rows_as_a_batch_has_them_are_not_copied():
    rows, _ = many_rows(CLOUD, "x", PADDED)
    assert np.shares_memory(rows, PADDED.values)


def test_a_short_padded_array_and_one_with_rubbish_behind_the_ends_is_taken():
    values = np.array([[1, 1 << 20], [1 << 20, 1 << 20]])
    assert listed(TOKENS, Padded(values, np.array([1, 0]))) == [[1], []]
    with pytest.raises(replay.FieldError, match=str(1 << 20)):
        many_rows(TOKENS, "x", Padded(values, np.array([2, 0])))


def test_text_of_batches_is_looked_at():
    values = np.frombuffer("aäb".encode() + b"\0\0", np.uint8).reshape(2, 3)
    assert listed(TEXT, PaddedStr(values, np.array([3, 1]))) == [list("aä".encode()), [98]]
    flat = FlatStr(values.reshape(-1), np.array([0, 1, 4]))
    assert listed(TEXT, flat) == [[97], list("äb".encode())]
    wide = np.concatenate([values, values], 1)
    assert listed(TEXT, PaddedStr(wide, np.array([3, 1]))) == [list("aä".encode()), [98]]
    for wrong in (values, wide):
        with pytest.raises(replay.FieldError, match="no UTF-8"):
            many_rows(TEXT, "x", PaddedStr(wrong, np.array([2, 1])))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5.0, ["single float"]),
        (np.float32(1), ["single float32"]),
        (np.array(1.0), ["single ndarray"]),
        ("abc", ["single str"]),
        (b"abc", ["single bytes"]),
        ({0: []}, ["single dict"]),
        (iter([[]]), ["single list_iterator"]),
        (PADDED._replace(lengths=np.array([1, 0])), ["(3, 3, 2)", "2 lengths"]),
        (PADDED._replace(lengths=np.array([1, 0, 4])), ["length of 4", "0 to 3"]),
        (PADDED._replace(lengths=np.array([1, -1, 0])), ["length of -1"]),
        (PADDED._replace(lengths=np.array([1.0, 0, 0])), ["lengths of float64"]),
        (PADDED._replace(lengths=PADDED.lengths.reshape(3, 1)), ["lengths", "(3, 1)"]),
        (PADDED._replace(values=np.zeros((3, 3, 3))), ["(1, 3)", "(n, 2)"]),
        (PADDED._replace(values=np.zeros(3)), ["(3,)"]),
        (Padded(np.zeros((1, 4, 2)), np.array([4])), ["has 4 elements", "longest=4"]),
        (FLAT._replace(offsets=np.array([0, 2, 1, 4])), ["offsets must grow"]),
        (FLAT._replace(offsets=np.array([-1, 0, 1, 4])), ["offsets must grow"]),
        (FLAT._replace(offsets=np.array([0, 1, 5])), ["(4, 2)", "offsets must grow"]),
        (FLAT._replace(offsets=np.array([], np.int64)), ["offsets must grow"]),
        (FLAT._replace(offsets=np.array([0.0, 4])), ["offsets of float64"]),
        (FLAT._replace(offsets=np.array([0, 4])), ["has 4 elements"]),
    ],
)
def test_rows_that_are_none_are_refused(value, said):
    with pytest.raises(replay.FieldError, match="field 'x'") as caught:
        many_rows(CLOUD, "x", value)
    says(caught, *said)


# pieces


@settings(deadline=None, max_examples=fewer(60, 30), derandomize=True)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=12),
    st.integers(1, 40),
)
def test_pieces_are_the_rows_whatever_their_size(rows, scratch):
    numbers = np.arange(len(rows), dtype=np.int64)
    ragged, lengths = many_rows(TOKENS, "x", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("replay.memory.pieces.SCRATCH", scratch)
        pieces = Pieces([ragged, lengths, numbers], [8, 8, 8])
    found = 0
    while found < len(rows):
        starts, count = pieces.behind(found, len(rows) - found)
        assert 1 <= count <= max(scratch // 8, 1)
        for row in range(count):
            length = at(starts[1] + row * 8, 1, np.int64)[0]
            assert at(starts[0] + row * 8, length, np.int16) == rows[found]
            assert at(starts[2] + row * 8, 1, np.int64) == [found]
            found += 1


def test_many_long_rows_take_little_memory():
    field = Field(bytes, longest=SCRATCH // 3)
    ragged, lengths = many_rows(field, "x", [b"ab"] * 1000)
    pieces = Pieces([ragged, lengths], [field.nbytes, 8])
    assert pieces.behind(0, 1000)[1] == 3
    assert pieces.behind(999, 1)[1] == 1
    assert sum(array.nbytes for array in pieces._scratch.values()) <= SCRATCH


def test_plain_rows_are_one_piece():
    pieces = Pieces([np.zeros((9, 2), np.float32)], [8])
    assert pieces.behind(0, 9)[1] == 9
    assert pieces.behind(4, 5)[0][0] - pieces.behind(0, 9)[0][0] == 32


def at(address, count, dtype):
    """Read numbers at an address."""
    size = int(count) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(int(address)), dtype).tolist()
