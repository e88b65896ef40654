"""Priorities out of TD errors, and those that new rows enter with."""

import json
import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from kernels.walk_new import GIVEN
from replay import priorities
from replay.samplers import from_json
from tests import naive_mixed
from tests.homes import HOMES, WALKS, fewer, opened, walking

FIELDS = {"x": np.int64}
ERRORS = [0.5, -2.0, 0.0, 1.0, -0.25]
FUNCTIONS = {
    "absolute": (priorities.absolute, lambda error: abs(error) + 1e-6),
    "clipped": (priorities.clipped, lambda error: min(abs(error), 1.0) + 1e-6),
    "lap": (priorities.lap, lambda error: max(abs(error), 1.0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [list, np.float32, np.float64, np.float16, np.int64])
def test_each_row_gets_what_the_papers_give_it(name, kind):
    function, plain = FUNCTIONS[name]
    errors = ERRORS if kind is list else np.array(ERRORS).astype(kind)
    given = function(errors)
    assert given.dtype == (np.float32 if kind is np.float32 else np.float64)
    wanted = [plain(float(error)) for error in errors]
    np.testing.assert_allclose(given, wanted, rtol=1e-6)


def test_their_numbers_can_be_chosen():
    np.testing.assert_allclose(priorities.absolute(ERRORS, 0.5), np.abs(ERRORS) + 0.5)
    given = priorities.clipped(ERRORS, largest=0.4, epsilon=0.0)
    np.testing.assert_allclose(given, [0.4, 0.4, 0.0, 0.4, 0.25])


def test_lap_is_that_of_the_paper_once_it_is_raised_to_alpha():
    sampler = replay.Proportional(alpha=0.4, beta=0.0)
    with opened("private", 5, FIELDS, sampler=sampler) as buffer:
        ids = buffer.extend(np.arange(5))
        buffer.update_priorities(ids, priorities.lap(ERRORS))
        share = np.maximum(np.abs(ERRORS) ** 0.4, 1.0)
        np.testing.assert_allclose(buffer.priorities.priorities() ** 0.4, share, rtol=1e-6)
        assert buffer.sample(20).weights.tolist() == [1.0] * 20


@settings(max_examples=fewer(100, 100))
@given(st.data())
def test_a_sequence_gets_a_mixture_of_its_largest_and_its_mean_error(data):
    batch, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    eta = data.draw(st.floats(0, 1))
    number = st.floats(-100, 100, width=32)
    line = st.lists(number, min_size=steps, max_size=steps)
    errors = data.draw(st.lists(line, min_size=batch, max_size=batch))
    if data.draw(st.booleans()):
        counts = [[True] * steps] * batch
        given = priorities.sequence(errors, eta=eta)
    else:
        line = st.lists(st.booleans(), min_size=steps, max_size=steps).filter(any)
        counts = data.draw(st.lists(line, min_size=batch, max_size=batch))
        # What does not count may be anything.
        garbage = np.where(counts, errors, np.nan)
        given = priorities.sequence(garbage, np.array(counts, np.float32), eta)
    wanted = [
        naive_mixed.sequence_priority(*sequence, eta)
        for sequence in zip(errors, counts, strict=True)
    ]
    np.testing.assert_allclose(given, wanted, rtol=1e-9, atol=1e-12)


def test_a_sequence_of_float32_has_a_priority_of_float32():
    given = priorities.sequence(np.ones((3, 5), np.float32), np.ones((3, 5), bool))
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, 1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: priorities.absolute([[1.0]]), r"shape \(1, 1\), it must be \(n,\)"),
        (lambda: priorities.clipped(1.0), r"shape \(\), it must be \(n,\)"),
        (lambda: priorities.lap([1.0, np.nan]), r"td_errors\[1\] is nan"),
        (lambda: priorities.clipped([-np.inf]), r"td_errors\[0\] is -inf"),
        (lambda: priorities.absolute(["a"]), "td_errors is of <U1"),
        (lambda: priorities.absolute([1j]), "td_errors is of complex"),
        (lambda: priorities.absolute([[1.0], [1.0, 2.0]]), "td_errors is no array"),
        (lambda: priorities.absolute([1.0], epsilon=-1), "epsilon is -1"),
        (lambda: priorities.absolute([1.0], epsilon=np.nan), "epsilon is nan"),
        (lambda: priorities.absolute([1.0], epsilon=True), "epsilon is True"),
        (lambda: priorities.clipped([1.0], largest="1"), "largest is '1'"),
        (lambda: priorities.sequence([1.0]), r"shape \(1,\), it must be \(batch, steps\)"),
        (lambda: priorities.sequence(np.ones((2, 0))), r"\(2, 0\)"),
        (lambda: priorities.sequence([[1.0, np.inf]]), r"td_errors\[0, 1\] is inf"),
        (lambda: priorities.sequence([[1.0]], [True]), r"mask has shape \(1,\), td_errors has"),
        (lambda: priorities.sequence([[1.0], [1.0]], [[1], [0]]), r"mask\[1\] has no step"),
        (lambda: priorities.sequence([[1.0]], eta=1.1), "eta is 1.1, .* from 0 to 1"),
    ],
)
def test_errors_that_cannot_be_are_refused(call, said):
    with pytest.raises(replay.InputError, match=said):
        call()


def test_a_function_of_the_users_own_may_be_compiled():
    @numba.njit
    def cubed(errors):
        given = np.empty_like(errors)
        for row in range(errors.size):
            given[row] = abs(errors[row]) ** 3
        return given

    sampler = replay.Proportional(alpha=1.0)
    with opened("private", 5, FIELDS, sampler=sampler) as buffer:
        ids = buffer.extend(np.arange(5))
        assert buffer.update_priorities(ids, cubed(np.array(ERRORS))) == 5
        np.testing.assert_allclose(buffer.priorities.priorities(), np.abs(ERRORS) ** 3, rtol=1e-6)


# new rows


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("initial", [None, 0.0, 0.3, 5.0])
def test_new_rows_enter_at_the_given_priority_always(walk, initial):
    sampler = replay.Proportional(alpha=0.7, epsilon=0.5, normalise="buffer", initial=initial)
    with walking(walk), opened("private", 6, FIELDS, sampler=sampler) as buffer:
        tree = buffer.priorities
        first = 1.0 if initial is None else initial
        buffer.extend(np.arange(3))
        np.testing.assert_allclose(tree.priorities()[:3], first, rtol=1e-9)
        if initial == 0:
            with pytest.raises(replay.EmptyError, match="priority 0"):
                buffer.sample(1)
        buffer.update_priorities([1, 2], [20.0, 0.25])
        later = 20.5 if initial is None else initial
        buffer.add(3)
        wanted = [first, 20.5, 0.75, later, 0, 0]
        np.testing.assert_allclose(tree.priorities(), wanted, rtol=1e-9)
        buffer.extend(np.arange(4))
        np.testing.assert_allclose(tree.priorities()[[4, 5, 0, 1]], later, rtol=1e-9)
        buffer.clear()
        buffer.add(3)
        np.testing.assert_allclose(tree.priorities()[2], first, rtol=1e-9)
        assert tree.verify() == 0


def test_a_row_that_replaces_one_in_doubt_enters_at_the_given_priority():
    sampler = replay.Proportional(alpha=1.0, initial=0.5)
    with opened("private", 4, FIELDS, sampler=sampler) as buffer:
        buffer.extend(np.arange(4))
        buffer.update_priorities([0], [8.0])
        # As a learner does who finds that the row whose leaf it has set is gone.
        from kernels.walk_leaf import leaf_settle

        leaf_settle(buffer._ring.handle, 0)
        np.testing.assert_allclose(buffer.priorities.priorities(), 0.5)
        assert buffer.priorities.verify() == 0


@pytest.mark.parametrize("home", HOMES)
def test_the_given_priority_is_kept(home, tmp_path):
    sampler = replay.Proportional(alpha=0.5, initial=2.0)
    with opened(home, 4, FIELDS, sampler=sampler) as buffer:
        buffer.add(0)
        buffer.update_priorities([0], [9.0])
        buffer.save(tmp_path / "snapshot")
        holders = [replay.load(tmp_path / "snapshot")]
        if home != "private":
            where = {"name": buffer.name} if buffer.name else {"path": buffer.path}
            holders.append(replay.attach(**where))
        for holder in holders:
            assert holder.sampler == sampler
            holder.add(1)
            np.testing.assert_allclose(holder.priorities.priorities()[:2], [9, 2], rtol=1e-9)
            holder.close()


def test_a_damaged_word_is_refused(tmp_path):
    path = tmp_path / "block"
    sampler = replay.Proportional(initial=2.0)
    with replay.ReplayBuffer(4, FIELDS, sampler=sampler, path=path) as buffer:
        part = buffer._ring.layout.parts["control"]
    place = part.offset + (words.PRIORITY * 8 + GIVEN) * 8
    for value in (-1, 1 << 62):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(value.to_bytes(8, "little", signed=True))
        with pytest.raises(replay.BlockFormatError, match="the leaf of new rows"):
            replay.attach(path=path)


def test_a_sampler_without_it_is_described_as_it_always_was():
    assert "initial" not in replay.Proportional().to_json()
    sampler = replay.Proportional(alpha=0.5, initial=np.float32(0.5))
    described = json.loads(json.dumps(sampler.to_json()))
    assert described["initial"] == 0.5
    assert from_json(described) == sampler
    for value in (None, -1, "x", [], math.inf, True):
        with pytest.raises(replay.InputError, match=r"initial|sampler"):
            from_json({**described, "initial": value})


@pytest.mark.parametrize(
    ("alpha", "initial", "said"),
    [
        (1.0, -1.0, "initial is -1.0, it must be from 0"),
        (1.0, math.nan, "initial is nan"),
        (1.0, math.inf, "initial is inf"),
        (1.0, 16385.0, "from 0 to 16384"),
        (0.5, 3e8, r"from 0 to 2.68435e\+08"),
        (1.0, "1", "must be a number"),
        (1.0, True, "must be a number"),
    ],
)
def test_a_first_priority_that_cannot_be_is_refused(alpha, initial, said):
    with pytest.raises(replay.InputError, match=said):
        replay.Proportional(alpha=alpha, initial=initial)
    assert replay.Proportional(alpha=0.0, initial=1e300).initial == 1e300


def test_time_major_sequences_are_those_of_the_other_axis():
    generator = np.random.default_rng(3)
    errors, mask = generator.normal(size=(4, 4)), generator.random((4, 4)) < 0.7
    mask[:, 0] = True
    wanted = priorities.sequence(errors, mask)
    found = priorities.sequence(errors.T.copy(), mask.T.copy(), time_major=True)
    assert found.tolist() == wanted.tolist()
    with pytest.raises(replay.InputError, match=r"it must be \(steps, batch\)"):
        priorities.sequence(errors[0], time_major=True)
