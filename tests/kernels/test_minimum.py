"""The smallest leaf above zero against min(), also after threads."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.atomics import fetch_add, load, store
from kernels.jit import kernel
from kernels.minimum import (
    NONE,
    minimum_line,
    minimum_of,
    minimum_rebuild,
    minimum_update,
)
from kernels.random import random_below
from kernels.tree import tree_exchange, tree_levels, tree_set
from tests import naive


def new_tree(capacity):
    levels = tree_levels(capacity)
    tree = np.zeros((levels[-1], 8), np.int64)
    minima = np.full((max(levels[-2], 1), 8), NONE, np.int64)
    return tree, minima, levels


def minima_lines(leaves):
    """Build the lines of the minima: those of a tree of smallest entries, less its leaves."""
    return naive.tree_lines(leaves, naive.smallest)[: naive.tree_levels(len(leaves))[-2]]


@pytest.mark.parametrize("capacity", [1, 2, 7, 8, 9, 63, 64, 65, 200, 512, 513])
def test_minimum_is_the_smallest_leaf_above_zero(capacity):
    @settings(deadline=None, max_examples=15, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, capacity - 1),
                st.one_of(st.just(0), st.integers(1, 5), st.integers(1, 2**40)),
            ),
            max_size=40,
        )
    )
    def agree(steps):
        tree, minima, levels = new_tree(capacity)
        plain = [0] * capacity
        assert minimum_of(minima, tree, levels) == NONE
        for leaf, value in steps:
            tree_set(tree, levels, leaf, value)
            minimum_update(minima, tree, levels, leaf)
            plain[leaf] = value
            assert minimum_of(minima, tree, levels) == naive.smallest(plain)
        lines = minima_lines(plain)
        assert minima[: len(lines)].tolist() == lines
        minima[: len(lines)] = 1
        minimum_rebuild(minima, tree, levels)
        assert minima[: len(lines)].tolist() == lines

    agree()


def test_every_capacity_has_its_minimum_rebuilt():
    random = np.random.default_rng(0)
    for capacity in [*range(1, 201), 511, 512, 513, 4097]:
        tree, minima, levels = new_tree(capacity)
        plain = random.integers(0, 100, capacity) * (random.random(capacity) < 0.1)
        tree.reshape(-1)[levels[-2] * 8 : levels[-2] * 8 + capacity] = plain
        minimum_rebuild(minima, tree, levels)
        assert minimum_of(minima, tree, levels) == naive.smallest(plain.tolist())
        lines = minima_lines(plain.tolist())
        assert minima[: len(lines)].tolist() == lines


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.integers(-3, 5), min_size=16, max_size=16))
def test_a_line_has_its_smallest_entry_above_zero(words):
    lines = np.array(words, np.int64).reshape(2, 8)
    assert minimum_line(lines, 0) == naive.smallest(words[:8])
    assert minimum_line(lines, 1) == naive.smallest(words[8:])


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(tree, minima, levels):
        tree_set(tree, levels, 77, 9)
        minimum_update(minima, tree, levels, 77)
        seen = minimum_of(minima, tree, levels)
        tree_set(tree, levels, 3, 4)
        minimum_rebuild(minima, tree, levels)
        return seen, minimum_of(minima, tree, levels), minimum_line(minima, 0)

    assert user(*new_tree(100)) == (9, 4, 4)


@kernel
def update_in_step(tree, minima, levels, words, seed, rounds, patience):
    """
    Set a leaf of one line, two threads at once, and compare; count the minima that are wrong.

    An error that the next update would cover up stands still here for both to see. Word 0 counts
    arrivals at two meetings a round; word 8 ends it all early where waiting costs too much (on a
    single processor): set ahead of a round's last meeting and read after it, it is the same to
    both.
    """
    wrong = 0
    for turn in range(rounds):
        leaf = 8 * random_below(99, turn, 64) + seed
        tree_exchange(tree, levels, leaf, random_below(seed, turn, 6))
        minimum_update(minima, tree, levels, leaf)
        fetch_add(words, 0, 1)
        while load(words, 0) < (2 * turn + 1) * 2:
            patience -= 1
        line = leaf >> 3
        for level in range(levels.size - 3, -1, -1):
            below = tree if level == levels.size - 3 else minima
            smallest = minimum_line(below, levels[level + 1] + line)
            wrong += smallest != load(minima, levels[level] * 8 + line)
            line >>= 3
        if patience < 0:
            store(words, 8, 1)
        fetch_add(words, 0, 1)
        while load(words, 0) < (2 * turn + 2) * 2:
            patience -= 1
        if load(words, 8) == 1:
            break
    return wrong


@pytest.mark.compiled
def test_threads_leave_every_minimum_exact():
    tree, minima, levels = new_tree(512)
    words = np.zeros(16, np.int64)
    wrong = naive.together(
        lambda: update_in_step(tree, minima, levels, words, 0, 2_000_000, 10**9),
        lambda: update_in_step(tree, minima, levels, words, 1, 2_000_000, 10**9),
    )
    assert wrong == [0, 0]
    leaves = tree[levels[-2] :].reshape(-1).tolist()
    assert minima.tolist() == minima_lines(leaves)
    assert minimum_of(minima, tree, levels) == naive.smallest(leaves)
