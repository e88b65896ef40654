"""Rows in and out against NumPy's indexing: every type, every size, packed and wide."""

import numba
import numpy as np
import pytest

from kernels.addresses import address_of
from kernels.atomics import load, store
from kernels.jit import INTERPRETED, kernel
from kernels.ring import (
    LINE,
    NOT_TAKEN,
    ring_claim,
    ring_commit,
    ring_take,
)
from kernels.rows import (
    ADDRESS,
    AHEAD,
    AT_ONCE,
    KINDS,
    MISSED,
    PLAN_WIDTH,
    SIZE,
    STRIDE,
    rows_field,
    rows_get,
    rows_plan,
    rows_prefetch,
    rows_put,
    rows_put_many,
)
from tests import naive

STREAMS, ROWS = 2, 5
SLOTS = STREAMS * ROWS
SIZES = [*range(301), 7056]


class Store:
    """A block in small: records with packed fields behind their word, and wide columns."""

    def __init__(self, packed, wide):
        self.sizes = [*packed, *wide]
        width = 1 + -(-sum(packed) // 8)
        self.records = np.zeros((SLOTS, width), np.int64)
        self.columns = [np.zeros((SLOTS, size), np.uint8) for size in wide]
        self.plan = np.zeros((len(self.sizes), PLAN_WIDTH), np.int64)
        offset = 8
        for field, size in enumerate(packed):
            self.plan[field, ADDRESS] = self.records.ctypes.data + offset
            self.plan[field, STRIDE] = width * 8
            self.plan[field, SIZE] = size
            offset += size
        for field, column in enumerate(self.columns):
            rows_plan(self.plan, len(packed) + field, column)
        self.ring = naive.Ring(STREAMS, ROWS)
        # What each slot must hold, as bytes.
        self.plain = [[bytes(size)] * SLOTS for size in self.sizes]

    def put(self, rows, row, slot, ticket, commit=True):
        sources = np.array([array.ctypes.data for array in rows], np.int64)
        assert ring_take(self.records, slot, ticket, 1) == self.ring.take(slot, ticket, 1)
        rows_put(self.plan, sources, row, slot)
        for field, array in enumerate(rows):
            self.plain[field][slot] = array[row].tobytes()
        if commit:
            ring_commit(self.records, slot, ticket)
            self.ring.commit(slot, ticket)

    def check(self, slots):
        """Get slots, some of them twice and more than 64, and hold all bytes against the list."""
        ids = np.array(slots, np.int64)
        batch = [np.full((len(slots) + 1, size), 0xA5, np.uint8) for size in self.sizes]
        targets = np.array([array.ctypes.data for array in batch], np.int64)
        missed = rows_get(self.plan, self.records, ROWS, STREAMS, targets, ids)
        expected_ids, columns = naive.rows_get(self.ring, self.plain, slots)
        assert ids.tolist() == expected_ids
        assert missed == expected_ids.count(-1)
        for array, column in zip(batch, columns, strict=True):
            for row, identity in enumerate(expected_ids):
                assert identity == MISSED or array[row].tobytes() == column[row]
            assert (array[-1] == 0xA5).all()


def noise(random, *shape):
    return random.integers(0, 256, shape, np.uint8)


def test_rows_of_every_size_come_out_as_they_went_in():
    random = np.random.default_rng(0)
    for size in SIZES:
        # Beside the field under test small ones, so that packed offsets are odd.
        store_ = Store([3, size if size < 301 else 1, 8], [size, 1])
        rows = [noise(random, 4, width) for width in store_.sizes]
        for slot in (0, 2, 4, 7, 9):
            store_.put(rows, slot % 4, slot, slot % ROWS + ROWS)
        store_.put(rows, 3, 2, 2 + 2 * ROWS)  # over an older row
        store_.put(rows, 1, 8, 3, commit=False)  # its writer is still inside
        store_.check([2, 0, 1, 9, 9, 4, 8, 7])


def test_more_rows_than_one_round_and_none_at_all():
    random = np.random.default_rng(1)
    store_ = Store([4, 8, 1, 32], [700, 12])
    rows = [noise(random, SLOTS, size) for size in store_.sizes]
    for slot in range(SLOTS - 1):
        store_.put(rows, slot, slot, slot % ROWS)
    for count in (0, 1, 63, 64, 65, 128, 130):
        store_.check(random.integers(0, SLOTS, count).tolist())


@pytest.mark.parametrize("words", [0, 1, 3, 4, 11, 62, 63, 64, 512])
def test_records_of_every_width_are_copied_whole_or_field_by_field(words):
    random = np.random.default_rng(words)
    # With their sequence word up to STAGED words are staged; one column lies apart.
    store_ = Store([8] * words, [300])
    rows = [noise(random, SLOTS, size) for size in store_.sizes]
    for slot in range(SLOTS):
        store_.put(rows, slot, slot, slot % ROWS, commit=slot != 3)
    for count in (1, AHEAD, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + AHEAD):
        store_.check(random.integers(0, SLOTS, count).tolist())


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_many_rows_go_in_as_one_by_one(count):
    random = np.random.default_rng(count)
    for size in SIZES:
        one, many = (Store([3, size if size < 301 else 1, 8], [size, 1, 32]) for _ in range(2))
        for store_ in (one, many):
            store_.records[:, 1:] = -1
        rows = [noise(random, 6, width) for width in one.sizes]
        sources = np.array([array.ctypes.data for array in rows])
        for turn in range(count):
            rows_put(one.plan, sources, 2 + turn, 5 + turn)
        rows_put_many(many.plan, sources, 2, 5, count)
        assert many.records.tobytes() == one.records.tobytes()
        for column, expected in zip(many.columns, one.columns, strict=True):
            assert column.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_every_type_comes_out_as_numpy_indexes_it(kind, shape):
    dtype = np.dtype(kind)
    random = np.random.default_rng(2)
    column = np.zeros((SLOTS, *shape), dtype)
    rows = random.integers(0, 200, column.shape).astype(dtype)
    plan = np.zeros((1, PLAN_WIDTH), np.int64)
    # Numba has no float16 arrays: its bytes are entered as integers of the same width.
    rows_plan(plan, 0, column.view(np.int16) if kind == "<f2" else column)
    assert plan[0, :3].tolist() == [column.ctypes.data, column.strides[0], column.strides[0]]
    records = np.zeros((SLOTS, 1), np.int64)
    for slot in range(SLOTS):
        ring_take(records, slot, slot % ROWS, 0)
        rows_put(plan, np.array([rows.ctypes.data]), slot, slot)
        ring_commit(records, slot, slot % ROWS)
    assert np.array_equal(column, rows)
    slots = random.integers(0, SLOTS, 100)
    ids, batch = slots.copy(), np.zeros((100, *shape), dtype)
    assert rows_get(plan, records, ROWS, STREAMS, np.array([batch.ctypes.data]), ids) == 0
    assert np.array_equal(batch, column[slots])
    assert ids.tolist() == [slot % ROWS * STREAMS + slot // ROWS for slot in slots]


def test_a_column_without_bytes_or_rows_has_a_plan():
    plan = np.full((2, PLAN_WIDTH), 7, np.int64)
    rows_plan(plan, 0, np.zeros((4, 0), np.float32))
    rows_plan(plan, 1, np.zeros((0, 3), np.float32))
    assert plan[:, STRIDE].tolist() == plan[:, SIZE].tolist() == [0, 0]


@pytest.mark.parametrize("size", [0, 1, 2, 4, 7, 8, 16, 31, 32, 33, 257])
def test_a_field_is_copied_from_first_for_count(size):
    random = np.random.default_rng(size)
    base = noise(random, 20, size + 5)
    slots = random.integers(0, 20, 10)
    target = np.full((10, size), 0xA5, np.uint8)
    rows_field(target.ctypes.data, base.ctypes.data + 2, size + 5, size, slots, 3, 4)
    expected = np.full((10, size), 0xA5, np.uint8)
    expected[3:7] = base[slots[3:7], 2 : 2 + size]
    assert np.array_equal(target, expected)


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(column, records, source, batch):
        plan = np.zeros((1, 16), np.int64)
        rows_plan(plan, 0, column)
        sources = np.array([address_of(source)])
        for slot in range(2):
            rows_prefetch(plan, records, slot)
            ring_take(records, slot, slot, 0)
            rows_put(plan, sources, 1 - slot, slot)
            rows_put_many(plan, sources, slot, slot, 1)
            ring_commit(records, slot, slot)
        slots = np.array([1, 0, 2])
        missed = rows_get(plan, records, 3, 1, np.array([address_of(batch)]), slots)
        rows_field(address_of(batch), plan[0, 0], plan[0, 1], plan[0, 2], slots, 2, 0)
        return missed, slots[0], slots[1], slots[2]

    column, records = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int64)
    source, batch = np.array([[1, 2], [3, 4]], np.float32), np.zeros((3, 2), np.float32)
    assert user(column, records, source, batch) == (1, 1, 0, MISSED)
    assert batch[:2].tolist() == [[3, 4], [1, 2]]


@kernel
def put_laps(heads, records, plan, rows, row, sources, count):
    """Write rows whose bytes all repeat one number, a new one each."""
    burnt = 0
    for _ in range(count):
        ticket = ring_claim(heads, 0, 1)
        if ring_take(records, ticket % rows, ticket, 0) == NOT_TAKEN:
            burnt += 1
        else:
            for word in range(row.size):
                row[word] = ticket
            rows_put(plan, sources, 0, ticket % rows)
            ring_commit(records, ticket % rows, ticket)
    store(heads, 7, 1)
    return burnt


@kernel
def get_until_done(heads, records, plan, rows, targets, batch, slots, limit):
    whole = 0
    torn = 0
    for _ in range(limit):
        if load(heads, 7) == 1:
            break
        for draw in range(slots.size):
            slots[draw] = draw % rows
        rows_get(plan, records, rows, 1, targets, slots)
        for draw in range(slots.size):
            if slots[draw] >= 0:
                whole += 1
                for word in range(batch.shape[1]):
                    if batch[draw, word] != slots[draw]:
                        torn += 1
                        break
    return whole, torn


@pytest.mark.compiled
@pytest.mark.parametrize("rows", [1, 3, 70])
def test_no_row_comes_out_torn(rows):
    assert not INTERPRETED
    heads, records = np.zeros((1, LINE), np.int64), np.zeros((rows, 1), np.int64)
    column, row = np.zeros((rows, 120), np.int64), np.zeros(120, np.int64)
    slots = np.zeros(100, np.int64)
    batch, plan = np.zeros((100, 120), np.int64), np.zeros((1, PLAN_WIDTH), np.int64)
    rows_plan(plan, 0, column)
    sources, targets = np.array([row.ctypes.data]), np.array([batch.ctypes.data])
    burnt, (_, torn) = naive.together(
        lambda: put_laps(heads, records, plan, rows, row, sources, 500_000),
        lambda: get_until_done(heads, records, plan, rows, targets, batch, slots, 10**8),
    )
    assert burnt == 0
    assert torn == 0
