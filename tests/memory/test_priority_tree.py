"""The priority tree of a block: exact sums, and ids and priorities that cannot be."""

import numpy as np
import pytest

import replay
from tests.homes import WALKS, fewer, opened, refused, walking

FIELDS = {"x": np.int64}


@pytest.fixture(params=WALKS, autouse=True)
def walk(request):
    with walking(request.param):
        yield


def prioritized(capacity, **options):
    return opened("private", capacity, FIELDS, sampler=replay.Proportional(**options), seed=0)


@pytest.mark.parametrize("alpha", [0.25, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("normalise", ["batch", "buffer"])
def test_priorities_come_back_as_they_were_set(alpha, normalise):
    with prioritized(100, alpha=alpha, normalise=normalise) as buffer:
        buffer.extend(np.arange(70))
        assert buffer.priorities.priorities().tolist() == [1.0] * 70 + [0.0] * 30
        given = np.random.default_rng(0).uniform(0.01, 20, 70)
        assert buffer.update_priorities(np.arange(70), given) == 70
        tree = buffer.priorities
        np.testing.assert_allclose(tree.priorities()[:70], given, rtol=1e-9)
        assert tree.total == pytest.approx((given**alpha).sum(), rel=1e-9)
        assert tree.largest == pytest.approx(given.max(), rel=1e-9)
        assert tree.smallest == pytest.approx(given.min(), rel=1e-9)
        assert tree.verify() == 0


def test_new_rows_enter_at_the_largest_priority_so_far():
    with prioritized(10, alpha=0.5) as buffer:
        buffer.extend(np.arange(3))
        buffer.update_priorities([0, 1], [9.0, 0.1])
        buffer.add(5)
        buffer.update_priorities([0], [0.2])
        buffer.add(6)
        np.testing.assert_allclose(buffer.priorities.priorities()[:5], [0.2, 0.1, 1, 9, 9])
        assert buffer.priorities.total == pytest.approx(np.sqrt([0.2, 0.1, 1, 9, 9]).sum())


def test_epsilon_is_added_to_every_priority_given():
    with prioritized(10, alpha=1.0, epsilon=0.5) as buffer:
        buffer.extend(np.arange(3))
        buffer.update_priorities([0, 1], [0.0, 2.0])
        np.testing.assert_allclose(buffer.priorities.priorities()[:3], [0.5, 2.5, 1.0])


def test_alpha_0_draws_all_positive_priorities_alike():
    with prioritized(4, alpha=0) as buffer:
        buffer.extend(np.arange(4))
        buffer.update_priorities(np.arange(4), [0.0, 1e-9, 1.0, 1e9])
        assert buffer.priorities.priorities().tolist() == [0, 1, 1, 1]
        counts = np.bincount(buffer.sample(fewer(3000, 600)).ids, minlength=4)
        assert counts.tolist() == [0, *[fewer(1000, 200)] * 3]


def test_a_tiny_priority_is_not_lost_and_a_huge_one_saturates():
    with prioritized(8, alpha=1.0) as buffer:
        buffer.extend(np.arange(3))
        buffer.update_priorities([0, 1, 2], [1e-300, 5e-324, 1e308])
        tree = buffer.priorities
        assert tree.smallest > 0
        assert np.count_nonzero(tree.priorities()) == 3
        assert tree.largest == 2**14
        assert buffer.stats()["saturated"] == 1
        assert tree.verify() == 0


def test_the_last_of_two_priorities_for_one_id_wins():
    with prioritized(40, alpha=1.0) as buffer:
        buffer.extend(np.arange(40))
        ids = np.array([3, 3, 5, 3] * 10)
        assert buffer.update_priorities(ids, np.arange(1, 41)) == 40
        got = buffer.priorities.priorities()
        assert (got[3], got[5]) == (40, 39)
        assert buffer.priorities.verify() == 0


def test_an_empty_update_is_no_error():
    with prioritized(4) as buffer:
        buffer.add(1)
        assert buffer.update_priorities([], []) == 0
        assert buffer.update_priorities(np.empty(0, np.int64), np.empty(0)) == 0


BAD = [
    ([0, 1], [1.0, np.nan], "priorities[1] is nan"),
    ([0, 1], [np.inf, 1.0], "priorities[0] is inf"),
    ([0, 1], [1.0, -0.5], "priorities[1] is -0.5"),
    ([0, 1], [1.0, -np.inf], "priorities[1] is -inf"),
    ([0, 12], [1.0, 1.0], "ids[1] is 12"),
    ([-1, 0], [1.0, 1.0], "ids[0] is -1"),
    ([1 << 62], [1.0], f"ids[0] is {1 << 62}"),
    ([1 << 63], [1.0], f"ids holds {1 << 63}"),
    ([0, 1, 2], [1.0], "3 ids were given and 1 priorities"),
    ([], [1.0], "0 ids were given and 1 priorities"),
    ([[0, 1]], [[1.0, 1.0]], "ids has shape (1, 2)"),
    ([0, 1], [[1.0, 1.0]], "priorities has shape (1, 2)"),
    (3, 1.0, "ids has shape ()"),
    ([0.0, 1.0], [1.0, 1.0], "ids is of float64"),
    ([True], [1.0], "ids is of bool"),
    (["a"], [1.0], "ids is of <U1"),
    ([0], ["a"], "priorities is of <U1"),
    ([0], [1j], "priorities is of complex128"),
    ([[0], [1, 2]], [1.0, 1.0], "ids"),
    ([0, 1], [[0], [1, 2]], "priorities"),
    ([None], [1.0], "ids is of object"),
    ([1 << 70], [1.0], "ids"),
    (np.array([0, 1]), np.array([1.0, np.nan]), "priorities[1] is nan"),
    (np.array([0, 1]), np.array([-1, 1], np.float32), "priorities[0] is -1"),
    (np.array([0, 12]), np.array([1.0, 1.0]), "ids[1] is 12"),
]


@pytest.mark.parametrize(("ids", "priorities", "said"), BAD)
@pytest.mark.parametrize("normalise", ["batch", "buffer"])
def test_an_update_that_cannot_be_changes_nothing(ids, priorities, said, normalise):
    with prioritized(10, normalise=normalise) as buffer:
        buffer.extend(np.arange(12))
        with refused(buffer, replay.InputError, said):
            buffer.update_priorities(ids, priorities)


def test_an_id_that_was_never_given_out_is_refused_by_its_stream():
    with opened("private", 8, FIELDS, sampler=replay.Proportional(), streams=2) as buffer:
        with refused(buffer, replay.InputError, "ids[0] is 0"):
            buffer.update_priorities([0], [1.0])
        buffer.writer(1).extend(np.arange(3))
        with refused(buffer, replay.InputError, "ids[1] is 2", "0 to 5"):
            buffer.update_priorities([1, 2], [1.0, 1.0])
        assert buffer.update_priorities([1, 3, 5], [1.0, 2.0, 3.0]) == 3


def test_a_broken_tree_is_found_and_rebuilt():
    with prioritized(100, normalise="buffer") as buffer:
        buffer.extend(np.arange(100))
        tree = buffer.priorities
        whole = tree.total
        tree._tree[0, 3] += 5
        assert tree.verify() > 0
        tree.rebuild()
        assert tree.verify() == 0
        assert tree.total == whole
