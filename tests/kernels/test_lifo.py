"""The newest rows against lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels.codes import EMPTY, TOO_FEW
from kernels.lifo import draw_lifo, row_before
from tests import naive_order


def filled(streams, rows, counts, cleared):
    """Give a buffer, and its twin, whose streams had so many rows before a clear and after."""
    buffer = replay.ReplayBuffer(
        streams * rows, {"x": np.int64}, sampler=replay.Lifo(), streams=streams
    )
    twin = naive_order.Streams(streams, rows)
    for turn, part in enumerate((cleared, counts)):
        for stream, count in enumerate(part):
            buffer.writer(stream).extend(np.arange(count))
            for ticket in twin.claim(stream, count):
                twin.commit(stream, ticket)
        if turn == 0 and any(cleared):
            buffer.clear()
            twin.clear()
    return buffer, twin


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_draws_agree_with_lists(data):
    streams = data.draw(st.integers(1, 4))
    rows = data.draw(st.integers(1, 6))
    counts = st.lists(st.integers(0, 2 * rows), min_size=streams, max_size=streams)
    buffer, twin = filled(streams, rows, data.draw(counts), data.draw(counts))
    with buffer:
        stored = [len(twin.stored(stream)) for stream in range(streams)]
        # A writer is in the middle of a row.
        stream = data.draw(st.integers(0, streams - 1))
        if stored[stream] > 1:
            ticket = data.draw(st.sampled_from(twin.stored(stream)))
            buffer._ring.block.part("records")[stream * rows + ticket % rows, 0] |= 1
            twin.held[stream][ticket % rows] = -1
            stored[stream] -= 1
        count = data.draw(st.integers(1, streams * rows + 1))
        slots, weights = np.full(count, -5), np.zeros(count, np.float32)
        code = draw_lifo(buffer._ring.handle, slots, weights)
        if count > sum(stored):
            assert code in (EMPTY, TOO_FEW - sum(stored))
            assert buffer.stats()["batches"] == 0
            return
        assert code == 1
        wanted = [s * rows + ticket % rows for s, ticket in twin.newest(count)]
        assert slots.tolist() == wanted
        assert weights.tolist() == [1.0] * count
        assert (buffer.stats()["batches"], buffer.stats()["sampled"]) == (1, count)


@pytest.mark.parametrize("streams", [1, 3])
def test_nothing_is_drawn_from_nothing(streams):
    buffer, _ = filled(streams, 4, [0] * streams, [0] * streams)
    with buffer:
        assert draw_lifo(buffer._ring.handle, np.zeros(1, np.int64), np.zeros(1)) == EMPTY


def test_the_row_before_a_ticket_is_the_next_older_one():
    buffer, _ = filled(2, 5, [3, 8], [0, 0])
    with buffer:
        handle = buffer._ring.handle
        assert [row_before(handle, 0, ticket) for ticket in (-1, 3, 2, 1, 0)] == [2, 2, 1, 0, -1]
        assert [row_before(handle, 1, ticket) for ticket in (-1, 7, 4, 3, 2)] == [7, 6, 3, -1, -1]
