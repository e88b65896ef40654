"""Rows of different lengths as batches hold them."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.memory.ragged import (
    FLAT,
    PADDED,
    Flat,
    FlatBytes,
    FlatStr,
    Padded,
    PaddedBytes,
    PaddedStr,
    flattened,
)
from tests.homes import fewer

TEXT = ["", "a", "äöü", "abc"]


def text():
    coded = [row.encode() for row in TEXT]
    values = np.zeros((4, 8), np.uint8)
    for place, row in enumerate(coded):
        values[place, : len(row)] = list(row)
    return values, np.array([len(row) for row in coded])


def test_each_form_gives_back_its_rows():
    padded = text()
    coded = [row.encode() for row in TEXT]
    assert PaddedStr(*padded).tolist() == FlatStr(*flattened(*padded)).tolist() == TEXT
    assert PaddedBytes(*padded).tolist() == FlatBytes(*flattened(*padded)).tolist() == coded
    for rows in (Padded(*padded).tolist(), Flat(*flattened(*padded)).tolist()):
        assert [row.tolist() for row in rows] == [list(row) for row in coded]
    assert all(np.shares_memory(row, padded[0]) for row in Padded(*padded).tolist()[1:])


def test_the_axes_of_a_view_are_lists_of_lists():
    values, lengths = text()
    stacked = PaddedStr(values.reshape(2, 2, 8), lengths.reshape(2, 2))
    assert stacked.tolist() == [["", "a"], ["äöü", "abc"]]
    assert FlatStr(*flattened(*stacked)).tolist() == TEXT


@pytest.mark.parametrize("kind", [*PADDED.values(), *FLAT.values()])
def test_each_form_is_a_plain_named_tuple(kind):
    made = kind(np.zeros((2, 3), np.uint8), np.array([1, 2]))
    assert kind.__bases__ == (tuple,)
    assert kind._fields == ("values", "lengths" if kind in PADDED.values() else "offsets")
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind
    assert (again.values == made.values).all()
    # As a tree is mapped: the kind stays, whatever the leaves are.
    assert type(type(made)(*(array + 1 for array in made))) is kind
    assert repr(made) == f"{kind.__name__}(values=uint8[2, 3], {kind._fields[1]}=int64[2])"
    assert repr(kind(1, None)) == f"{kind.__name__}(values=1, {kind._fields[1]}=None)"


@settings(deadline=None, max_examples=fewer(100, 40), derandomize=True)
@given(st.lists(st.lists(st.integers(0, 255), max_size=5), max_size=6), st.integers(5, 7))
def test_flattened_rows_are_the_rows(rows, longest):
    values = np.full((len(rows), longest, 2), 255, np.uint16)
    for place, row in enumerate(rows):
        values[place, : len(row)] = np.array(row, np.uint16).reshape(-1, 1) * [1, 3]
    lengths = np.array([len(row) for row in rows], np.int64)
    packed, offsets = flattened(values, lengths)
    assert (packed.dtype, packed.shape) == (np.uint16, (sum(map(len, rows)), 2))
    assert offsets.tolist() == [0, *np.cumsum(lengths)]
    for got, row in zip(Flat(packed, offsets).tolist(), rows, strict=True):
        assert got.tolist() == [[value, value * 3] for value in row]


def test_lengths_that_cannot_be_read_nothing_else():
    values = np.arange(8, dtype=np.uint8).reshape(2, 4)
    packed, offsets = flattened(values, np.array([-5, 1 << 40]))
    assert offsets.tolist() == [0, 0, 4]
    assert packed.tolist() == [4, 5, 6, 7]
