"""The ring over a block: streams, columns, counters, writers that never finished."""

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels import members
from kernels.ring import HEAD, ring_claim, ring_take
from replay.memory import members as register
from replay.memory.block import Block
from replay.memory.layout import Layout
from replay.memory.parse import parse_schema
from replay.memory.ring import Ring
from tests.homes import FIELDS, assert_rows, opened, row, rows


@pytest.mark.parametrize("stream", [-1, 2, 1.0, "0", None, True])
def test_a_stream_that_is_not_there_is_refused(stream):
    with opened("private", 10, FIELDS, streams=2) as buffer:
        with pytest.raises(replay.InputError, match="stream") as caught:
            buffer.writer(stream)
        assert repr(stream) in str(caught.value)


def test_a_field_that_is_not_there_is_refused():
    with opened("private", 10, FIELDS) as buffer:
        for name in ("other", "weights", "records", "", None, "obs/0"):
            with pytest.raises(replay.FieldError, match="no field"):
                buffer.column(name)


def test_a_ring_stores_and_gathers_rows():
    block = Block.private(Layout(parse_schema(FIELDS), 6, 2, {"kind": "uniform"}))
    ring = Ring(block)
    other = ring.stream_handle(1)
    assert ring.add(ring.handle, tuple(row(1).values())) == 0
    assert ring.add(other, tuple(row(2).values())) == 1
    assert ring.extend(other, tuple(rows([3, 4]).values())).tolist() == [3, 5]
    assert (ring.size, ring.added, ring.burnt) == (4, 4, 0)
    slots = np.array([0, 3, 4, 5, 1])
    columns = tuple(np.zeros((5, *f.shape), f.dtype) for f in ring.fields.values())
    assert ring.gather(ring.handle, slots, columns) == 1
    assert slots.tolist() == [0, 1, 3, 5, -1]
    assert_rows({n: c[:4] for n, c in zip(ring.fields, columns, strict=True)}, [1, 2, 3, 4])
    ring.close()
    with pytest.raises(replay.ClosedError):
        ring.add(other, tuple(row(1).values()))


def test_a_slot_whose_writer_never_finished_is_passed_over():
    with opened("private", 4, FIELDS, seed=0) as buffer:
        ring = buffer._ring
        buffer.extend(**rows(range(4)))
        heads, records = ring.block.part("heads"), ring.block.part("records")
        ticket = ring_claim(heads, 0, 1)
        assert ring_take(records, ticket % 4, ticket, 99) != 0
        batch = buffer.sample(50)
        assert set(batch.ids.tolist()) == {1, 2, 3}
        assert_rows(batch, batch.ids)
        ids = [buffer.add(**row(number)) for number in range(5, 15)]
        assert len(set(ids)) == 10
        assert all(identity % 4 != 0 for identity in ids)
        batch = buffer.sample(50)
        assert set(batch.ids.tolist()) <= set(ids)
        assert buffer.stats()["burnt"] > 0
        assert buffer.stats()["redrawn"] > 0


@pytest.mark.compiled
def test_a_ring_with_no_slot_left_says_so():
    with opened("private", 4, FIELDS, sampler=replay.Proportional()) as buffer:
        heads = buffer._ring.block.part("heads")
        records = buffer._ring.block.part("records")
        for _ in range(4):
            ticket = ring_claim(heads, 0, 1)
            ring_take(records, ticket % 4, ticket, 99)
        assert int(heads[0, HEAD]) == 4
        for use in (lambda: buffer.add(**row(1)), lambda: buffer.extend(**rows([1, 2]))):
            with pytest.raises(replay.JammedError, match="all 4 slots"):
                use()
        with pytest.raises(replay.EmptyError):
            buffer.sample(1)
        assert len(buffer) == 0


def test_a_register_full_of_the_dead_makes_room():
    with opened("named", 4, {"x": int}) as buffer:
        lines = buffer._ring.block.part("members")
        lines[1:-1, members.STATE] = members.ATTACHED
        buffer._ring.block.part("control")[words.READY, 1] = members.MEMBERS
        with replay.attach(buffer.name) as other:
            assert other.add(1) == 0
            assert other.stats()["repairs"] == members.MEMBERS - 2
            assert [member.number for member in other._ring.members.table()] == [0, 1]


def test_a_register_full_of_the_living_refuses_one_more(monkeypatch):
    with opened("named", 4, {"x": int}) as buffer:
        lines = buffer._ring.block.part("members")
        lines[1:-1, members.STATE] = members.ATTACHED
        monkeypatch.setattr(register, "place_held", lambda *_: True)
        with pytest.raises(replay.BlockError, match=rf"{buffer.name}.*1023 times"):
            replay.attach(buffer.name)
        assert lines[-1, members.STATE] == members.FREE
        lines[1:] = 0
