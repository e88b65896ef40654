"""The plainest view gives back what was stored."""

import numpy as np

from replay.views.rows import Rows
from tests.homes import FIELDS, assert_rows, opened, rows


def test_a_row_has_its_fields_types_and_shapes():
    with opened("private", 5, FIELDS) as buffer:
        dtypes = Rows(buffer._ring).dtypes
        assert [dtype.shape for dtype in dtypes] == [(3,), (), (), (), (17, 17)]
        made = [np.empty(4, dtype) for dtype in dtypes]
        assert made[0].shape == (4, 3)
        assert made[4].dtype == np.uint8


def test_a_row_is_copied_as_it_was_added():
    with opened("private", 5, FIELDS) as buffer:
        buffer.extend(**rows(range(8)))
        view = Rows(buffer._ring)
        columns = tuple(np.empty(5, dtype) for dtype in view.dtypes)
        slots = np.arange(5)
        assert view.gather(buffer._ring.handle, slots, columns) == 0
        assert slots.tolist() == [5, 6, 7, 3, 4]
        assert_rows(dict(zip(FIELDS, columns, strict=True)), slots)
