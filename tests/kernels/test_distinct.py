"""Draws without replacement: all different, every order of every set as likely as the next."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from kernels.codes import EMPTY, NOT_WHOLE, TOO_FEW, TOO_LARGE
from kernels.distinct import distinct_add, distinct_begin, distinct_has, distinct_slots
from kernels.jit import kernel
from kernels.walk_distinct import KEPT, draw_distinct
from tests import naive, naive_mixed
from tests.homes import fewer, opened

FIELDS = {"x": np.int64}
#: Draws for each order of each set. Compiled, orders that come 1 % too often or too rarely in
#: turns add 1e-4 times all draws to the statistic, 240 or more, and its limit is 145 at most.
DRAWS = fewer(200_000, 60)


def filled(capacity, counts, seed=5):
    """Open a buffer for so many rows a stream; say in which slots those are, oldest first."""
    buffer = opened("private", capacity, FIELDS, streams=len(counts), seed=seed)
    return buffer, [
        [
            stream * (capacity // len(counts)) + ticket % (capacity // len(counts))
            for ticket in range(max(0, count - capacity // len(counts)), count)
        ]
        for stream, count in enumerate(counts)
    ]


def fill(buffer, counts):
    for stream, count in enumerate(counts):
        for first in range(0, count, buffer.capacity):
            rows = min(buffer.capacity, count - first)
            buffer.writer(stream).extend(np.zeros(rows, np.int64))


@settings(max_examples=fewer(200, 40))
@given(
    slots=st.lists(st.integers(0, 40) | st.integers(0, 2**40 - 1), min_size=1, max_size=90),
    kept=st.integers(0, 5),
)
def test_the_table_is_a_set(slots, kept):
    known = list(dict.fromkeys(slots))
    kept = min(kept, len(known))
    places = np.array(known[:kept] + [0] * (len(slots) - kept), np.int64)
    weights = np.ones(len(slots), np.float32)
    distinct_begin(places, weights, kept)
    drawn = known[:kept]
    for slot in slots:
        assert distinct_has(places, weights, slot) == (slot in drawn)
        if len(drawn) < len(slots):
            assert distinct_add(places, weights, len(drawn), slot) == (slot not in drawn)
            drawn += [slot] * (slot not in drawn)
    distinct_slots(places)
    assert places[: len(drawn)].tolist() == drawn


@settings(max_examples=fewer(150, 40))
@given(st.data())
def test_draws_agree_with_a_list(data):
    streams = data.draw(st.integers(1, 3))
    rows = data.draw(st.integers(1, 9))
    counts = data.draw(st.lists(st.integers(0, 3 * rows), min_size=streams, max_size=streams))
    opening, live = filled(streams * rows, counts)
    with opening as buffer:
        fill(buffer, counts)
        live = list(itertools.chain(*live))
        handle = buffer._ring.handle.twin()
        gone = data.draw(st.sets(st.sampled_from(live), max_size=2)) if live else set()
        records = buffer._ring.block.part("records")
        records[list(gone), 0] = 0
        generator = naive_mixed.Generator(5, 0)
        for _ in range(3):
            count = data.draw(st.integers(1, streams * rows + 1))
            some = st.sampled_from([slot for slot in live if slot not in gone] or [0])
            kept = data.draw(st.lists(some, unique=True, max_size=count - 1))
            slots = np.array([*kept, *[-1] * (count - len(kept))], np.int64)
            handle[KEPT] = len(kept)
            drawn = draw_distinct(handle, slots, np.zeros(count, np.float32))
            drawable = [slot for slot in live if slot not in gone]
            if count > streams * rows:
                assert drawn == TOO_LARGE - streams * rows
            elif not live:
                assert drawn == EMPTY
            elif count > len(live):
                assert drawn == TOO_FEW - len(drawable)
            else:
                full = len(live) == streams * rows
                wanted = naive_mixed.distinct(
                    generator, live, full, drawable, count - len(kept), kept
                )
                if wanted is None:
                    most = len(set(drawable) | set(kept))
                    assert drawn == (TOO_FEW - most if most else NOT_WHOLE)
                else:
                    assert drawn == 1
                    assert slots.tolist() == [*kept, *wanted]
            assert buffer._ring.block.part("control")[words.GENERATOR, 1] == generator.counter


@kernel
def count_orders(handle, slots, weights, codes, draws, counts):
    base = codes.size
    for _ in range(draws):
        draw_distinct(handle, slots, weights)
        code = 0
        for place in range(handle[KEPT], slots.size):
            code = code * base + codes[slots[place]]
        counts[code] += 1


@pytest.mark.parametrize(
    ("capacity", "counts", "count", "kept"),
    [
        pytest.param(5, [5], 2, 0, id="full, one by one"),
        pytest.param(4, [7], 2, 0, id="full, one by one or by a reservoir"),
        pytest.param(9, [4], 3, 0, id="part filled, by a reservoir"),
        pytest.param(4, [4], 4, 0, id="all"),
        pytest.param(8, [3, 1], 2, 0, id="two streams"),
        pytest.param(6, [8], 3, 1, id="beside one that is kept"),
    ],
)
def test_every_order_of_every_set_is_as_likely_as_the_next(capacity, counts, count, kept):
    opening, live = filled(capacity, counts)
    with opening as buffer:
        fill(buffer, counts)
        live = list(itertools.chain(*live))
        handle = buffer._ring.handle.twin()
        handle[KEPT] = kept
        slots = np.array([live[0]] * count, np.int64)
        codes = np.zeros(capacity, np.int64)
        codes[live] = range(len(live))
        orders = list(itertools.permutations(range(kept, len(live)), count - kept))
        seen = np.zeros(capacity ** (count - kept), np.int64)
        draws = DRAWS * len(orders)
        count_orders(handle, slots, np.zeros(count, np.float32), codes, draws, seen)
        place = [sum(row * capacity**at for at, row in enumerate(o[::-1])) for o in orders]
        assert seen.sum() == seen[place].sum() == draws
        statistic = naive.chi_square(seen[place].tolist(), [1 / len(orders)] * len(orders))
        assert statistic < naive.chi_square_limit(len(orders) - 1)


def test_a_large_batch_of_a_larger_buffer():
    count = fewer(4000, 300)
    opening, _ = filled(3 * count, [3 * count])
    with opening as buffer:
        fill(buffer, [3 * count])
        slots, weights = np.empty(count, np.int64), np.empty(count, np.float32)
        assert draw_distinct(buffer._ring.handle, slots, weights) == 1
        assert len(set(slots.tolist())) == count
        assert (weights == 1).all()
        assert ((slots >= 0) & (slots < 3 * count)).all()


def test_uniform_without_replacement_is_this_kernel():
    assert replay.Uniform(replace=False).kernel is draw_distinct
