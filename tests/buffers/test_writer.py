"""Writers: one stream each, beside each other."""

import numpy as np
import pytest

import replay
from tests.homes import FIELDS, assert_rows, opened, row, rows


def test_a_writer_keeps_its_rows_in_order():
    with opened("private", 12, FIELDS, streams=3) as buffer:
        writer = buffer.writer(2)
        ids = [writer.add(**row(number)) for number in range(3)] + writer.extend(
            **rows([3])
        ).tolist()
        assert ids == [2, 5, 8, 11]
        assert_rows({name: buffer.column(name)[8:] for name in FIELDS}, range(4))
        assert not buffer.column("image")[:8].any()


def test_a_writer_needs_fields():
    buffer = replay.ReplayBuffer(10)
    with pytest.raises(replay.FieldError, match="not known yet"):
        buffer.writer(0)


def test_a_writer_refuses_as_its_buffer_does():
    with opened("private", 12, FIELDS, streams=3) as buffer:
        writer = buffer.writer(1)
        with pytest.raises(replay.FieldError, match="lacks field 'obs'"):
            writer.add(action=1)
        with pytest.raises(replay.FieldError, match="has shape"):
            writer.extend(**{**rows([1]), "obs": np.zeros((1, 4))})
        assert len(buffer) == 0


def test_a_writer_keeps_the_memory_of_its_buffer():
    with opened("private", 12, FIELDS, streams=3) as buffer:
        writer = buffer.writer(1)
        writer.add(**row(1))
    with pytest.raises(replay.ClosedError):
        writer.add(**row(1))
