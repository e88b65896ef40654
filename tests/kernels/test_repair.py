"""Repair of slots, counts, sums and minima: of what the dead left, beside the living."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.atomics import fetch_add, load, store
from kernels.jit import kernel
from kernels.members import (
    CLEARING,
    INSIDE,
    INSIDE_COUNT,
    member_counted,
    member_enter,
    member_leave,
)
from kernels.minimum import NONE, minimum_rebuild, minimum_update
from kernels.repair import minimum_mend, ring_free, ring_recount, tree_lack, tree_mend
from kernels.ring import (
    BASE,
    FILLED,
    HEAD,
    HELD,
    LINE,
    SHIFT,
    TAKEN_EMPTY,
    WRITERS,
    ring_claim,
    ring_clear,
    ring_commit,
    ring_filled,
    ring_rebase,
    ring_take,
)
from kernels.tree import tree_exchange, tree_levels, tree_rebuild, tree_set, tree_verify
from tests import naive
from tests.homes import fewer
from tests.kernels.test_members import new_members

ROWS = 6


def new_ring(streams=1, rows=ROWS):
    return np.zeros((streams, LINE), np.int64), np.zeros((streams * rows, 2), np.int64)


def write(heads, records, writer=0, rows=ROWS, stream=0, commit=True):
    """Write a row, or leave it before its commit."""
    ticket = ring_claim(heads, stream, 1)
    slot = stream * rows + ticket % rows
    taken = ring_take(records, slot, ticket, writer)
    if taken == TAKEN_EMPTY:
        ring_filled(heads, stream, 1)
    if commit and taken:
        ring_commit(records, slot, ticket)
    return slot


# slots


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_a_slot_is_freed_of_its_writer_alone(data):
    plain = naive.Ring(1, ROWS)
    heads, records = new_ring()
    for _ in range(data.draw(st.integers(0, 15))):
        writer = data.draw(st.sampled_from([0, 1, 5, WRITERS - 1]))
        commit = data.draw(st.booleans())
        ticket = plain.claim(0, 1)
        taken = plain.take(ticket % ROWS, ticket, writer)
        if taken and commit:
            plain.commit(ticket % ROWS, ticket)
        write(heads, records, writer, commit=commit)
    for slot in range(ROWS):
        for writer in (1, WRITERS - 1, 2):
            assert ring_free(records, slot, writer) == plain.free(slot, writer)
            assert records[slot, 0] == plain.word(slot)


def test_a_whole_row_is_not_freed_whatever_its_ticket_says():
    """The bits of a writer's number are 0 in the word of a whole row, and member 0 dies too."""
    heads, records = new_ring()
    write(heads, records, 0)
    word = int(records[0, 0])
    assert not ring_free(records, 0, 0)
    assert not ring_free(records, 1, 0)
    assert records[:, 0].tolist() == [word, *[0] * (ROWS - 1)]


# counts


def recount(heads, records, lines, ready, rows=ROWS, stream=0):
    return ring_recount(heads, records, lines, ready, stream, rows)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(0, 20), st.integers(-5, 5), st.integers(0, 4))
def test_a_wrong_count_is_corrected(written, off, freed):
    heads, records = new_ring(2)
    lines, ready = new_members()
    plain = naive.Ring(2, ROWS)
    for _ in range(written):
        slot = write(heads, records, stream=1)
        ticket = plain.claim(1, 1)
        plain.take(slot, ticket, 0)
        plain.commit(slot, ticket)
    for slot in range(ROWS, ROWS + freed):
        records[slot, 0], plain.slots[slot] = 0, None
    heads[1, FILLED] += off
    plain.recount()
    before = heads.copy()
    assert recount(heads, records, lines, ready, stream=1)
    assert heads[1, FILLED] == plain.filled(1)
    before[1, FILLED] = heads[1, FILLED]
    assert (heads == before).all()


def test_a_slot_that_is_being_replaced_counts():
    heads, records = new_ring()
    lines, ready = new_members()
    for _ in range(ROWS):
        write(heads, records)
    write(heads, records, 3, commit=False)
    assert records[0, 0] & HELD
    heads[0, FILLED] = 0
    assert recount(heads, records, lines, ready)
    assert heads[0, FILLED] == ROWS


def test_nothing_is_counted_while_a_first_row_is_written():
    heads, records = new_ring()
    lines, ready = new_members()
    write(heads, records, 3, commit=False)
    heads[0, FILLED] = 5
    assert not recount(heads, records, lines, ready)
    assert heads[0, FILLED] == 5


def test_nothing_is_counted_while_a_row_of_a_cleared_ticket_is_written():
    """Its writer will find that it was cleared, and take back what was counted for its slot."""
    heads, records = new_ring()
    lines, ready = new_members()
    for _ in range(ROWS):
        write(heads, records)
    write(heads, records, 3, commit=False)
    ring_rebase(heads, 0)
    heads[0, FILLED] = 5
    assert not recount(heads, records, lines, ready)
    assert heads[0, FILLED] == 5


def test_nothing_is_counted_during_a_clear():
    heads, records = new_ring()
    lines, ready = new_members()
    member_counted(ready, 1)
    member_enter(lines[1], CLEARING)
    heads[0, FILLED] = 5
    assert not recount(heads, records, lines, ready)
    member_leave(lines[1], CLEARING)
    assert recount(heads, records, lines, ready)
    assert heads[0, FILLED] == 0


@kernel
def fill_first_slots(heads, records, writer, pause):
    """Fill slots of the first lap, and announce the end."""
    rows = records.shape[0]
    while True:
        ticket = ring_claim(heads, 0, 1)
        if ticket >= rows:
            break
        if ring_take(records, ticket, ticket, writer) == TAKEN_EMPTY:
            ring_filled(heads, 0, 1)
        ring_commit(records, ticket, ticket)
        for _ in range(pause):
            load(heads, 5)
    fetch_add(heads, 7, 1)


@kernel
def clear_thrice(heads, records, line):
    """Look at all slots three times, and empty those of cleared tickets the first time."""
    for _ in range(3):
        member_enter(line, CLEARING)
        for slot in range(records.shape[0]):
            ring_clear(heads, records, 0, slot)
        member_leave(line, CLEARING)
    fetch_add(heads, 7, 1)


@kernel
def clear_and_fill(heads, records, line, rounds):
    """Empty a slot and fill it again, many times; say how often the count was wrong after it."""
    rows = records.shape[0]
    wrong = 0
    for turn in range(rounds):
        member_enter(line, CLEARING)
        ring_clear(heads, records, 0, turn % rows)
        member_leave(line, CLEARING)
        ticket = turn + rows
        if ring_take(records, ticket % rows, ticket, 1) == TAKEN_EMPTY:
            ring_filled(heads, 0, 1)
        ring_commit(records, ticket % rows, ticket)
        wrong += np.int64(load(heads, FILLED) != rows)
    fetch_add(heads, 7, 1)
    return wrong


@kernel
def recount_until(heads, records, lines, ready, others):
    """Recount until all others are done; say how many counts were taken."""
    counted = 0
    while load(heads, 7) < others:
        counted += np.int64(ring_recount(heads, records, lines, ready, 0, records.shape[0]))
    return counted


@pytest.mark.compiled
def test_a_count_taken_beside_writers_is_right():
    def counted_beside(turn):
        heads, records = new_ring(1, 200 + turn)
        lines, ready = new_members()
        member_counted(ready, 2)
        # What a dead one left: whichever count is taken corrects it once and for all.
        heads[0, FILLED] = off = 7 - turn % 15
        *_, counted = naive.together(
            lambda: fill_first_slots(heads, records, 1, 20),
            lambda: fill_first_slots(heads, records, 2, 35),
            lambda: recount_until(heads, records, lines, ready, 2),
        )
        wrong = heads[0, FILLED] - records.shape[0]
        assert wrong == (0 if counted else off)
        return counted

    assert sum(counted_beside(turn) for turn in range(90)) > 0


@pytest.mark.compiled
@pytest.mark.parametrize("turn", range(20))
def test_a_count_taken_beside_a_clear_is_right(turn):
    heads, records = new_ring(1, 300)
    lines, ready = new_members()
    member_counted(ready, 2)
    for _ in range(300):
        write(heads, records, rows=300)
    heads[0, BASE] = 150 + turn
    naive.together(
        lambda: clear_thrice(heads, records, lines[1]),
        lambda: recount_until(heads, records, lines, ready, 1),
    )
    assert heads[0, FILLED] == np.count_nonzero(records[:, 0]) == 150 - turn


@pytest.mark.compiled
def test_a_slot_that_went_and_one_that_came_do_not_add_up_to_no_change():
    heads, records = new_ring(1, 40)
    lines, ready = new_members()
    member_counted(ready, 1)
    for _ in range(40):
        write(heads, records, rows=40)
    # All tickets may be cleared: what is refused is refused for the clear that was announced.
    heads[0, BASE] = 1 << 40
    wrong, _ = naive.together(
        lambda: clear_and_fill(heads, records, lines[1], 1_000_000),
        lambda: recount_until(heads, records, lines, ready, 1),
    )
    assert wrong == 0
    assert heads[0, FILLED] == np.count_nonzero(records[:, 0]) == 40


# sums


def tree_of(leaves):
    levels = tree_levels(len(leaves))
    tree = np.array(naive.tree_lines(leaves), np.int64)
    return tree, levels


def leaves_of(data, capacity, most):
    """Draw leaves by one number: to draw each takes Hypothesis longer than all that is tested."""
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    return (generator.integers(0, most, capacity) * generator.integers(0, 2, capacity)).tolist()


def summing(levels):
    """List the entries above the leaves that sum a line; behind them are some that sum none."""
    return [
        int(levels[level]) * 8 + node
        for level in range(len(levels) - 2)
        for node in range(int(levels[level + 2] - levels[level + 1]))
    ]


capacities = st.sampled_from([1, 7, 8, 9, 63, 64, 65, 100, 513])


@settings(deadline=None, max_examples=fewer(150, 40), derandomize=True)
@given(st.data(), capacities)
def test_every_difference_is_found_and_corrected_once(data, capacity):
    tree, levels = tree_of(leaves_of(data, capacity, 2**40))
    lines, ready = new_members()
    before = tree.copy()
    if summing(levels):
        for place in data.draw(st.lists(st.sampled_from(summing(levels)), max_size=6)):
            tree.reshape(-1)[place] += data.draw(st.integers(-(2**41), 2**41))
    spoiled = tree.copy()
    lacks = naive.tree_lacks(tree.tolist(), levels.tolist())
    for (level, node), lack in lacks.items():
        entry = int(levels[level]) * 8 + node
        assert tree_lack(tree, entry, int(levels[level + 1]) + node) == lack
    differing = sum(lack != 0 for lack in lacks.values())
    mended = tree_mend(tree, levels, lines, ready)
    # A sum above one that is corrected differs then, where it did not before.
    assert mended == np.count_nonzero(tree != spoiled) >= (differing > 0)
    assert (tree == before).all()
    assert tree_mend(tree, levels, lines, ready) == 0
    assert tree_verify(tree, levels) == 0


def test_no_sum_is_corrected_while_somebody_is_inside():
    tree, levels = tree_of([3] * 100)
    lines, ready = new_members()
    member_counted(ready, 4)
    member_enter(lines[4], INSIDE)
    before = tree.copy()
    # Nothing differs, but what is on its way may be what makes up for something missing.
    assert tree_mend(tree, levels, lines, ready) == -1
    assert (tree == before).all()
    tree_exchange(tree, levels, 50, 9)
    assert tree_mend(tree, levels, lines, ready) == -1
    changed = np.flatnonzero(tree != before)
    assert changed.tolist() == [levels[-2] * 8 + 50]
    # It was killed there.
    lines[4, INSIDE] = 0
    assert tree_mend(tree, levels, lines, ready) == 2
    assert tree_verify(tree, levels) == 0


def test_the_words_of_clearing_do_not_stop_a_correction_of_sums():
    tree, levels = tree_of([3] * 100)
    lines, ready = new_members()
    member_counted(ready, 4)
    member_enter(lines[4], CLEARING)
    tree_exchange(tree, levels, 50, 9)
    assert tree_mend(tree, levels, lines, ready) == 2
    assert tree_verify(tree, levels) == 0


@kernel
def update_leaves(tree, levels, line, capacity, seed, words):
    """Set leaves, as update_priorities does, until word 0 says that it is enough."""
    state = seed
    while load(words, 0) == 0:
        member_enter(line, INSIDE)
        for _ in range(state & 3):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            tree_set(tree, levels, (state >> 8) % capacity, state)
        member_leave(line, INSIDE)
        for _ in range(state & 255):
            load(words, 8)
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF


@kernel
def die_and_mend(tree, levels, lines, ready, capacity, words, rounds):
    """
    Leave leaves without their ancestors, as those who are killed there, and mend, over and over.

    Give how many sums were corrected by passes that were done, and by passes after those, which
    have nothing to correct: a sum that was wrongly corrected would be corrected back.
    """
    mended = 0
    again = 0
    for turn in range(rounds):
        for death in range(3):
            tree_exchange(tree, levels, (turn * 7919 + death * 31) % capacity, turn * 3 + death)
        corrected = -1
        while corrected < 0:
            corrected = tree_mend(tree, levels, lines, ready)
        mended += corrected
        again += max(tree_mend(tree, levels, lines, ready), 0)
    store(words, 0, 1)
    return mended, again


@pytest.mark.compiled
@pytest.mark.parametrize("capacity", [65, 1000])
def test_sums_are_corrected_once_beside_two_who_update_at_full_speed(capacity):
    tree, levels = tree_of([5] * capacity)
    lines, ready = new_members()
    words = np.zeros(16, np.int64)
    for number in range(2):
        member_counted(ready, number)
    *_, (mended, again) = naive.together(
        lambda: update_leaves(tree, levels, lines[0], capacity, 1, words),
        lambda: update_leaves(tree, levels, lines[1], capacity, 2, words),
        lambda: die_and_mend(tree, levels, lines, ready, capacity, words, 400),
    )
    assert mended > 0
    assert again == 0
    assert tree_verify(tree, levels) == 0
    assert not (lines[:, INSIDE] & INSIDE_COUNT).any()


# minima


def minima_of(tree, levels):
    minima = np.zeros((max(int(levels[-2]), 1), 8), np.int64)[: int(levels[-2])]
    if minima.size:
        minimum_rebuild(minima, tree, levels)
    return minima


@settings(deadline=None, max_examples=fewer(100, 30), derandomize=True)
@given(st.data(), st.sampled_from([9, 64, 65, 100, 513]))
def test_every_minimum_is_corrected(data, capacity):
    leaves = leaves_of(data, capacity, 20)
    tree, levels = tree_of(leaves)
    right = minima_of(tree, levels)
    wrong = right.copy()
    for place in data.draw(st.lists(st.sampled_from(summing(levels)), max_size=8)):
        wrong.reshape(-1)[place] = data.draw(st.sampled_from([1, 5, 2**40, NONE]))
    minimum_mend(wrong, tree, levels)
    assert (wrong == right).all()
    # The last level above the leaves, in plain lists.
    lowest = wrong[levels[-3] :].reshape(-1)
    for node in range(-(-capacity // 8)):
        assert lowest[node] == naive.smallest(leaves[node * 8 : node * 8 + 8])


@kernel
def update_minima(minima, tree, levels, capacity, seed, words, count):
    """Set leaves, and the minima above them."""
    state = seed
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        leaf = (state >> 8) % capacity
        tree_set(tree, levels, leaf, state % 50)
        minimum_update(minima, tree, levels, leaf)
    fetch_add(words, 0, 1)


@kernel
def spoil_and_mend(minima, tree, levels, words):
    """Mend what a dead one left, over and over."""
    turns = 0
    while load(words, 0) < 2:
        tree_set(tree, levels, turns % 64, 1 + turns % 3)
        minimum_mend(minima, tree, levels)
        turns += 1
    return turns


@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(8))
def test_minima_are_right_after_corrections_beside_updates(seed):
    tree, levels = tree_of([30] * 100)
    minima = minima_of(tree, levels)
    words = np.zeros(8, np.int64)
    naive.together(
        lambda: update_minima(minima, tree, levels, 100, seed, words, 3000),
        lambda: update_minima(minima, tree, levels, 100, ~seed, words, 3000),
        lambda: spoil_and_mend(minima, tree, levels, words),
    )
    right = minima_of(tree, levels)
    assert (minima == right).all()


def test_nothing_is_written_where_nothing_is_wrong():
    tree, levels = tree_of([3] * 100)
    lines, ready = new_members()
    heads, records = new_ring()
    for _ in range(9):
        write(heads, records)
    minima = minima_of(tree, levels)
    before = [array.copy() for array in (tree, minima, heads, records, lines)]
    assert tree_mend(tree, levels, lines, ready) == 0
    minimum_mend(minima, tree, levels)
    assert recount(heads, records, lines, ready)
    assert not any(ring_free(records, slot, 0) for slot in range(ROWS))
    for array, old in zip((tree, minima, heads, records, lines), before, strict=True):
        assert (array == old).all()
    assert heads[0, HEAD] == 9
    assert records[0, 0] == 7 << SHIFT
    tree_rebuild(tree, levels)
    assert (tree == before[0]).all()
