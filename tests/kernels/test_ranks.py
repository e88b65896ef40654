"""Ranks: leaves sorted into buckets, masses of ranks, and prefixes that find their rank."""

import bisect
import itertools

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.jit import interpreted
from kernels.ranks import (
    BUCKETS,
    CELLS,
    COUNT,
    FIRST,
    LAST,
    MASS_BITS,
    SLOT_BITS,
    SLOT_MASK,
    STARTS,
    bucket_mass,
    rank_bucket,
    ranks_clear,
    ranks_collect,
    ranks_find,
    ranks_guide,
    ranks_masses,
    ranks_sort,
)
from kernels.tree import tree_levels
from tests import naive_ranked
from tests.homes import fewer

LEAF = st.one_of(st.integers(1, 3000), st.integers(1, 2**63 - 1))
ALPHAS = [0.0, 0.3, 0.7, 1.0, 4.0]


def tree_of(leaves):
    """Lay leaves into a tree; nobody asks for the sums."""
    levels = interpreted(tree_levels)(len(leaves))
    tree = np.zeros((levels[-1], 8), np.int64)
    tree[levels[-2] :].reshape(-1)[: len(leaves)] = leaves
    return tree, levels


class Sorter:
    """The arrays of one order, used again and again."""

    def __init__(self, slots):
        self.entries, self.order = np.zeros((2, slots), np.int64)
        self.starts = np.zeros(STARTS, np.int64)
        self.line = np.zeros(8, np.int64)

    def sort(self, leaves, cuts=()):
        """Sort, collecting piece by piece."""
        tree, levels = tree_of(leaves)
        ranks_clear(self.starts, self.line)
        edges = [0, *cuts, len(leaves)]
        for first, after in itertools.pairwise(edges):
            ranks_collect(tree, levels, first, after, self.entries, self.starts, self.line)
        ranks_sort(self.entries, self.starts, self.line, self.order)

    def groups(self):
        """Read the order as (bucket, slots), by the entries and again by the starts."""
        entries = self.order[: self.line[COUNT]]
        by_start = []
        for bucket in dict.fromkeys((entries >> SLOT_BITS).tolist()):
            inside = self.order[self.starts[bucket] : self.starts[bucket + 1]]
            assert (inside >> SLOT_BITS == bucket).all()
            by_start.append((bucket, (inside & SLOT_MASK).tolist()))
        assert sum(len(slots) for _, slots in by_start) == self.line[COUNT]
        return by_start


def masses_of(ranks, alpha):
    masses, guide = np.zeros(ranks + 1, np.int64), np.zeros(CELLS + 1, np.int64)
    ranks_masses(masses, alpha)
    ranks_guide(masses, guide)
    return masses, guide


def find(masses, guide, prefixes):
    found = []
    for first in range(0, len(prefixes), 64):
        piece = np.array(prefixes[first : first + 64], np.int64)
        ranks = np.full(piece.size, -1, np.int64)
        ranks_find(masses, guide, piece, ranks, piece.size)
        found += ranks.tolist()
    return found


# buckets


@settings(max_examples=200)
@given(LEAF, LEAF)
@example(1, 2**63 - 1)
@example(1023, 1024)
@example(2**53 - 1, 2**53)
def test_larger_leaves_have_smaller_buckets(one, other):
    one, other = sorted((one, other))
    high, low = rank_bucket(one), rank_bucket(other)
    assert (high, low) == (naive_ranked.bucket(one), naive_ranked.bucket(other))
    assert 0 <= low <= high < BUCKETS
    if low == high:
        # Beyond 2**53 an integer is rounded before its bits are looked at.
        assert (other - one) * 1024 <= one * (1 + 2.0**-40)
    elif other < 2**53:
        assert other * 1024 != one * 1024


def test_small_leaves_all_have_buckets_of_their_own():
    assert [rank_bucket(leaf) for leaf in (1, 2**63 - 1)] == [BUCKETS - 1, 0]
    buckets = [rank_bucket(leaf) for leaf in range(1, 2049)]
    assert len(set(buckets)) == 2048
    assert rank_bucket(2**40) == rank_bucket(2**40 + 2**30 - 1) > rank_bucket(2**40 + 2**30)


# the sort


@settings(max_examples=fewer(60, 12))
@given(st.lists(st.lists(st.one_of(st.just(0), LEAF), min_size=9, max_size=9), min_size=1))
def test_slots_are_sorted_by_bucket_time_and_again(turns):
    sorter = Sorter(9)
    for leaves in turns:
        sorter.sort(leaves, cuts=(4, 4, 7))
        expected = naive_ranked.groups(leaves)
        assert sorter.groups() == expected
        buckets = [bucket for bucket, _ in expected]
        limits = [buckets[0], buckets[-1]] if buckets else [BUCKETS, -1]
        assert [sorter.line[FIRST], sorter.line[LAST]] == limits
        # Whoever looks up a larger leaf than any finds an empty bucket before the first.
        used = np.flatnonzero(sorter.starts)
        assert not used.size or limits[0] < used[0] <= used[-1] <= limits[1] + 1


def test_many_leaves_are_sorted():
    count = fewer(20_000, 500)
    leaves = (np.random.default_rng(3).exponential(size=count) * 2**30).astype(np.int64)
    leaves[::7] = 0
    leaves[::5] = 2**30
    sorter = Sorter(count)
    sorter.sort(leaves)
    assert sorter.groups() == naive_ranked.groups(leaves.tolist())


# masses


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("ranks", [1, 2, 9, fewer(3000, 300)])
def test_masses_fall_as_ranks_to_the_alpha(ranks, alpha):
    masses, _ = masses_of(ranks, alpha)
    each = np.diff(masses)
    assert masses[0] == 0
    # A float64 of that size has steps of 2**8.
    assert abs(masses[-1] - (1 << MASS_BITS)) < (ranks + 4) * 2**8
    assert (each >= 1).all()
    assert (np.diff(each) <= 0).all()
    wanted = np.arange(1, ranks + 1) ** -alpha
    # An integer of 2**61 is half a unit off.
    np.testing.assert_allclose(each / masses[-1], wanted / wanted.sum(), rtol=1e-11, atol=1e-18)


def test_a_mass_is_never_zero():
    masses = np.zeros(fewer(200_001, 2_001), np.int64)
    ranks_masses(masses, 20.0)
    assert np.diff(masses).min() == 1


# prefixes


@pytest.mark.parametrize("alpha", [*ALPHAS, 20.0])
@pytest.mark.parametrize("ranks", [1, 2, 3, 65, fewer(5000, 200)])
def test_each_rank_is_found_by_its_first_and_its_last_prefix(ranks, alpha):
    masses, guide = masses_of(ranks, alpha)
    assert find(masses, guide, masses[:-1].tolist()) == list(range(ranks))
    assert find(masses, guide, (masses[1:] - 1).tolist()) == list(range(ranks))


@settings(max_examples=40)
@given(
    st.sampled_from([(1, 0.7), (40, 0.0), (700, 0.7), (700, 1.0), (700, 3.0)]),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=100),
)
def test_a_prefix_finds_the_rank_in_whose_mass_it_falls(kind, parts):
    masses, guide = KNOWN.setdefault(kind, masses_of(*kind))
    prefixes = [min(int(part * int(masses[-1])), int(masses[-1]) - 1) for part in parts]
    expected = [bisect.bisect_right(masses.tolist(), prefix) - 1 for prefix in prefixes]
    assert find(masses, guide, prefixes) == expected


KNOWN = {}


def test_a_prefix_that_is_too_large_finds_the_last_rank():
    for ranks, alpha in ((1, 0.7), (10, 0.0), (1000, 0.7)):
        masses, guide = masses_of(ranks, alpha)
        wrong = [int(masses[-1]), int(masses[-1]) + 5, 2**62, 2**63 - 1]
        assert find(masses, guide, wrong) == [ranks - 1] * 4


# the mass of a bucket


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_rows_of_a_bucket_share_the_masses_of_its_ranks(ahead):
    leaves = [5, 9, 9, 0, 9, 5, 1, 70]
    order = naive_ranked.Order(leaves, 1)
    sorter = Sorter(8)
    sorter.sort(leaves)
    masses, _ = masses_of(20, 0.7)
    total = naive_ranked.harmonic(20, 0.7)
    for leaf in (100, 70, 60, 9, 6, 5, 3, 1):
        bucket = rank_bucket(leaf)
        mass = bucket_mass(masses, sorter.starts, bucket, ahead) / masses[-1]
        assert mass == pytest.approx(order.mass(bucket, ahead, 0.7) / total, rel=1e-12)


def test_a_bucket_past_the_last_rank_has_its_mass():
    sorter = Sorter(8)
    sorter.sort([3, 2, 1, 1])
    masses, _ = masses_of(4, 1.0)
    last = float(masses[4] - masses[3])
    for ahead in (3, 4, 50):
        assert bucket_mass(masses, sorter.starts, rank_bucket(1), ahead) == last


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(masses, guide, starts, line, prefixes, found):
        ranks_masses(masses, 0.5)
        ranks_guide(masses, guide)
        ranks_clear(starts, line)
        ranks_find(masses, guide, prefixes, found, prefixes.size)
        return bucket_mass(masses, starts, rank_bucket(7), 2)

    masses, guide = np.zeros(11, np.int64), np.zeros(CELLS + 1, np.int64)
    found = np.full(3, -1)
    prefixes = np.array([0, 2**60, 2**61 - 100])
    mass = user(masses, guide, np.zeros(STARTS, np.int64), np.zeros(8, np.int64), prefixes, found)
    assert found.tolist() == [0, bisect.bisect_right(masses.tolist(), 2**60) - 1, 9]
    assert mass == masses[3] - masses[2]
