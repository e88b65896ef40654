"""Padded rows packed, against lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ragged import ragged_offsets, ragged_pack
from tests import naive_ragged
from tests.homes import fewer

EXAMPLES = settings(deadline=None, max_examples=fewer(100, 40), derandomize=True)


@EXAMPLES
@given(st.lists(st.integers(-3, 12), max_size=9), st.integers(1, 9))
def test_offsets_say_where_rows_begin(lengths, longest):
    offsets = np.full(len(lengths) + 1, -7, np.int64)
    total = ragged_offsets(np.array(lengths, np.int64), longest, offsets)
    assert offsets.tolist() == naive_ragged.offsets(lengths, longest)
    assert total == offsets[-1]


@EXAMPLES
@given(
    st.lists(st.integers(0, 9), max_size=9),
    st.integers(9, 12),
    st.sampled_from(["|u1", "<i2", "<f8", "<c16"]),
)
def test_packed_rows_lie_right_behind_each_other(lengths, longest, dtype):
    values = np.arange(len(lengths) * longest).astype(dtype).reshape(-1, longest)
    offsets = np.empty(len(lengths) + 1, np.int64)
    total = ragged_offsets(np.array(lengths, np.int64), longest, offsets)
    guard = 3
    to = np.full(total + guard, 77, dtype)
    unit = values.itemsize
    ragged_pack(values.ctypes.data, longest * unit, unit, offsets, to.ctypes.data)
    assert to[:total].tolist() == naive_ragged.packed(values.tolist(), lengths)
    assert (to[total:] == 77).all()
