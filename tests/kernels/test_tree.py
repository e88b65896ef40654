"""The prefix-sum tree against lists: every capacity, every sum, and threads."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.jit import INTERPRETED, kernel
from kernels.random import random_below
from kernels.tree import (
    TOP,
    tree_add,
    tree_exchange,
    tree_fill,
    tree_flush,
    tree_gather,
    tree_get,
    tree_leaf_bits,
    tree_levels,
    tree_prefetch,
    tree_rebuild,
    tree_set,
    tree_total,
    tree_verify,
)
from tests import naive

#: The interpreter takes seconds for the million: it gets the same edge four levels lower.
LARGE = [2**12, 2**12 + 1] if INTERPRETED else [2**20, 2**20 + 1]
CAPACITIES = [*range(1, 201), 511, 512, 513, *LARGE]


def new_tree(capacity):
    levels = tree_levels(capacity)
    return np.zeros((levels[-1], 8), np.int64), levels


@pytest.mark.parametrize("capacities", [CAPACITIES, [8, 64, 65, 2**20, 2**20 + 1, 10**7]])
def test_levels_are_where_a_list_of_lists_has_them(capacities):
    for capacity in capacities:
        assert tree_levels(capacity).tolist() == naive.tree_levels(capacity)


def test_leaf_bits_keep_the_total_within_62_bits():
    for capacity in [*CAPACITIES, 2**20, 2**20 + 1, 2**40 - 1, 2**40, 2**40 + 1, 2**48]:
        bits = tree_leaf_bits(capacity)
        assert bits == naive.leaf_bits(capacity)
        assert capacity << bits <= 2**62
        # and no bit is given away
        assert (capacity << bits) * 2 > 2**62


@kernel
def set_many(tree, levels, leaves, values):
    for turn in range(leaves.size):
        tree_set(tree, levels, leaves[turn], values[turn])


@kernel
def update_batch(tree, levels, leaves, values, sums):
    """Set leaves the way of a batch: the two top levels at the end, all at once."""
    for turn in range(leaves.size):
        difference = tree_exchange(tree, levels, leaves[turn], values[turn])
        tree_add(tree, levels, leaves[turn], difference, 2)
        tree_gather(levels, leaves[turn], difference, sums)
    tree_flush(tree, levels, sums)


@pytest.mark.parametrize("way", ["set", "batch"])
def test_every_capacity_keeps_every_sum(way):
    random = np.random.default_rng(0)
    for capacity in CAPACITIES:
        tree, levels = new_tree(capacity)
        if way == "batch" and levels.size <= 3:
            continue  # tree_gather wants three levels
        plain = [0] * capacity
        for turn in range(2):
            count = min(2 * capacity, 20 if capacity in LARGE else 100)
            leaves = random.integers(0, capacity, count)
            leaves[:2] = 0, capacity - 1
            values = random.integers(0, 2 ** tree_leaf_bits(capacity), count)
            values[random.random(count) < 0.2] = 0
            if way == "set":
                set_many(tree, levels, leaves, values)
            else:
                sums = np.zeros(TOP, np.int64)
                update_batch(tree, levels, leaves, values, sums)
                assert not sums.any()
            for leaf, value in zip(leaves.tolist(), values.tolist(), strict=True):
                plain[leaf] = value
            if turn == 0 and capacity in LARGE:
                continue
            assert tree.tolist() == naive.tree_lines(plain)
            assert tree_total(tree) == sum(plain)
            assert tree_verify(tree, levels) == 0
        probe = int(leaves[-1])
        assert tree_get(tree, levels, probe) == plain[probe]


@pytest.mark.parametrize("capacity", [1, 7, 8, 9, 64, 65, 200, 512, 513])
def test_exchange_and_add_are_a_set_in_two_steps(capacity):
    @settings(deadline=None, max_examples=15, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, capacity - 1), st.integers(0, 2 ** naive.leaf_bits(capacity))
            ),
            max_size=30,
        )
    )
    def agree(steps):
        tree, levels = new_tree(capacity)
        plain = [0] * capacity
        late = []
        for leaf, value in steps:
            difference = tree_exchange(tree, levels, leaf, value)
            assert difference == value - plain[leaf]
            plain[leaf] = value
            assert tree_get(tree, levels, leaf) == value
            late.append((leaf, difference))
        # Sums commute: the additions may come in any order.
        for leaf, difference in reversed(late):
            tree_add(tree, levels, leaf, difference, 0)
        assert tree.tolist() == naive.tree_lines(plain)

    agree()


@pytest.mark.parametrize("capacity", [1, 7, 8, 9, 64, 65, 200, 513])
def test_a_fill_sets_each_leaf_of_its_range(capacity):
    random = np.random.default_rng(capacity)
    tree, levels = new_tree(capacity)
    plain = [0] * capacity
    for _ in range(25):
        first = int(random.integers(0, capacity))
        count = int(random.integers(0, capacity - first + 1))
        value = int(random.integers(0, 2 ** tree_leaf_bits(capacity)))
        tree_fill(tree, levels, first, count, value)
        plain[first : first + count] = [value] * count
        assert tree.tolist() == naive.tree_lines(plain)


@pytest.mark.parametrize("capacity", [1, 8, 9, 64, 65, 512, 513, LARGE[0], LARGE[1]])
def test_leaves_at_their_largest_do_not_overflow(capacity):
    tree, levels = new_tree(capacity)
    most = 1 << tree_leaf_bits(capacity)
    first = levels[-2]
    tree.reshape(-1)[first * 8 : first * 8 + capacity] = most
    tree_rebuild(tree, levels)
    assert tree_total(tree) == capacity * most
    assert tree_verify(tree, levels) == 0
    assert (tree >= 0).all()
    tree_set(tree, levels, capacity - 1, 0)
    tree_set(tree, levels, 0, 0)
    tree_set(tree, levels, 0, most)
    assert tree_total(tree) == most * (capacity - 1 if capacity > 1 else 1)


@pytest.mark.parametrize("capacity", [1, 8, 9, 63, 64, 65, 200, 512, 513, *LARGE])
def test_rebuild_mends_what_verify_finds(capacity):
    tree, levels = new_tree(capacity)
    random = np.random.default_rng(capacity)
    plain = random.integers(0, 1000, capacity)
    first = levels[-2]
    leaves = tree.reshape(-1)[first * 8 : first * 8 + capacity]
    leaves[:] = plain
    tree_rebuild(tree, levels)
    assert tree_verify(tree, levels) == 0
    if capacity < 1000:
        assert tree.tolist() == naive.tree_lines(plain.tolist())
    if levels.size > 2:
        # A writer that was killed between leaf and root: its top entry and all between lack it.
        tree_exchange(tree, levels, capacity - 1, 5000)
        assert tree_verify(tree, levels) == 1
        tree[0, 0] -= 7
        assert tree_verify(tree, levels) >= 2
        tree_rebuild(tree, levels)
        assert tree_verify(tree, levels) == 0
        assert tree_total(tree) == plain[:-1].sum() + 5000
    leaves[0] = -3
    tree_rebuild(tree, levels)
    assert tree_verify(tree, levels) >= 1


def test_verify_finds_a_sum_over_no_children():
    tree, levels = new_tree(65)
    tree[0, 7] = 1
    assert tree_verify(tree, levels) == 1
    tree_rebuild(tree, levels)
    assert not tree.any()


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(capacity):
        levels = tree_levels(capacity)
        tree = np.zeros((levels[-1], 8), np.int64)
        sums = np.zeros(64, np.int64)
        tree_prefetch(tree, levels, 3)
        tree_fill(tree, levels, 2, 3, 10)
        tree_fill(tree, levels, 4, 1, 0)
        tree_set(tree, levels, 2, 0)
        grown = tree_exchange(tree, levels, capacity - 1, 1 << 5)
        tree_add(tree, levels, capacity - 1, grown, 2)
        tree_gather(levels, capacity - 1, grown, sums)
        torn = tree_verify(tree, levels)
        tree_flush(tree, levels, sums)
        total = tree_total(tree), tree_get(tree, levels, 3), tree_leaf_bits(capacity)
        tree_rebuild(tree, levels)
        return torn, total, tree_verify(tree, levels)

    torn, total, wrong = user(600)
    assert torn > 0
    assert wrong == 0
    assert total == (42, 10, 52)


@kernel
def set_at_random(tree, levels, capacity, seed, count):
    most = 1 << tree_leaf_bits(capacity)
    for turn in range(count):
        leaf = random_below(seed, 2 * turn, capacity)
        tree_set(tree, levels, leaf, random_below(seed, 2 * turn + 1, most))


@kernel
def update_at_random(tree, levels, capacity, seed, batches):
    most = 1 << tree_leaf_bits(capacity)
    sums = np.zeros(TOP, np.int64)
    for batch in range(batches):
        for turn in range(32 * batch, 32 * batch + 32):
            leaf = random_below(seed, 2 * turn, capacity)
            value = random_below(seed, 2 * turn + 1, most)
            difference = tree_exchange(tree, levels, leaf, value)
            tree_add(tree, levels, leaf, difference, 2)
            tree_gather(levels, leaf, difference, sums)
        tree_flush(tree, levels, sums)
        count = min(20, capacity)
        tree_fill(tree, levels, random_below(seed, batch, capacity - count + 1), count, batch)


@pytest.mark.compiled
@pytest.mark.parametrize("capacity", [1, 8, 9, 100, 513, 2**20 + 1])
def test_threads_leave_every_sum_exact(capacity):
    tree, levels = new_tree(capacity)
    calls = [
        lambda seed=seed: set_at_random(tree, levels, capacity, seed, 200_000)
        for seed in range(2 if capacity > 64 else 4)
    ]
    if capacity > 64:
        calls += [
            lambda seed=seed: update_at_random(tree, levels, capacity, seed, 6000)
            for seed in (8, 9)
        ]
    naive.together(*calls)
    assert tree_verify(tree, levels) == 0
    first = levels[-2]
    assert tree_total(tree) == sum(tree[first:].reshape(-1).tolist())
    assert not tree.reshape(-1)[first * 8 + capacity :].any()
