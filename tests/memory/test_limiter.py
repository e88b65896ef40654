"""The rate limiter's numbers: what it takes, what it makes of them, what it reads."""

import fractions
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from replay.memory.limiter import RateLimiter

WRONG = [
    ({"samples_per_insert": 0}, "samples_per_insert is 0.0, it must be from 1e-06 to 1e+06"),
    ({"samples_per_insert": -1}, "samples_per_insert is -1.0"),
    ({"samples_per_insert": 1e-7}, "samples_per_insert is 1e-07"),
    ({"samples_per_insert": 2e6}, "samples_per_insert is 2000000.0"),
    ({"samples_per_insert": math.nan}, "samples_per_insert is nan"),
    ({"samples_per_insert": math.inf}, "samples_per_insert is inf"),
    ({"samples_per_insert": 10**400}, "samples_per_insert is inf"),
    ({"samples_per_insert": "4"}, "samples_per_insert is '4', it must be a number"),
    ({"samples_per_insert": True}, "samples_per_insert is True, it must be a number"),
    ({"samples_per_insert": None}, "samples_per_insert is None"),
    ({"min_size": 0}, "min_size is 0, it must be from 1 to 1099511627776"),
    ({"min_size": 10**400}, "it must be from 1 to 1099511627776"),
    ({"min_size": 1.0}, "min_size is 1.0, it must be an int"),
    ({"min_size": True}, "min_size is True, it must be an int"),
    ({"tolerance": 3.99}, "tolerance is 3.99, it must be 4 or more"),
    ({"samples_per_insert": 0.1, "tolerance": 0.5}, "tolerance is 0.5, it must be 1 or more"),
    ({"tolerance": math.nan}, "tolerance is nan, it must be from 4"),
    ({"tolerance": 2e12}, "tolerance is 2000000000000.0, it must be from 4 to 1e+12"),
    ({"tolerance": "much"}, "tolerance is 'much', it must be a number"),
    ({"timeout": -0.5}, "timeout is -0.5, it must be 0 or more seconds"),
    ({"timeout": math.nan}, "timeout is nan, it must be a number of seconds"),
    ({"timeout": "1"}, "timeout is '1', it must be a number of seconds"),
    ({"timeout": False}, "timeout is False"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[str(wrong)[:40] for wrong, _ in WRONG])
def test_a_limiter_refuses_what_cannot_be(wrong, said):
    with pytest.raises(replay.InputError) as caught:
        RateLimiter(**{"samples_per_insert": 4, **wrong})
    assert said in str(caught.value)


def test_a_limiter_is_what_it_was_given():
    limiter = RateLimiter(np.float32(0.5), np.int32(10), 7, np.float64(2))
    assert limiter == RateLimiter(0.5, 10, 7.0, 2.0)
    assert hash(limiter) == hash(RateLimiter(0.5, 10, 7.0, 2.0))
    assert limiter.limits == (1, 2, 10 - 14, 10 + 14, 10)
    assert RateLimiter(4, timeout=math.inf).timeout is None
    with pytest.raises(AttributeError):
        limiter.min_size = 3


def test_the_tolerance_is_a_tenth_if_it_is_not_given():
    assert RateLimiter(4).tolerance == 4
    assert RateLimiter(0.25).tolerance == 1
    assert RateLimiter(4, min_size=1000).tolerance == 400
    assert RateLimiter(1e6, min_size=1 << 40).tolerance == 1e12


@pytest.mark.parametrize(
    ("ratio", "fraction"),
    [
        (4, (4, 1)),
        (0.25, (1, 4)),
        (0.3, (3, 10)),
        (0.1 + 0.2, (3, 10)),
        (1 / 3, (1, 3)),
        (32 / 7, (32, 7)),
        (1e-6, (1, 10**6)),
        (1e6, (10**6, 1)),
    ],
)
def test_a_usual_ratio_is_kept_exactly(ratio, fraction):
    assert RateLimiter(ratio).limits[:2] == fraction


@settings(deadline=None, max_examples=500, derandomize=True)
@given(
    st.floats(-6, 6).map(lambda power: min(max(10.0**power, 1e-6), 1e6)),
    st.integers(1, 1 << 40),
    st.floats(0, 12).map(lambda power: min(10.0**power, 1e12)),
)
def test_any_ratio_is_kept_closely_and_its_words_are_safe(ratio, size, tolerance):
    tolerance = max(tolerance, ratio, 1.0)
    limiter = RateLimiter(ratio, size, tolerance)
    insert, sample, low, high, least = limiter.limits
    kept = fractions.Fraction(insert, sample)
    assert abs(kept / fractions.Fraction(ratio) - 1) <= 1.1e-6
    # What never both sides held back rests upon, see kernels.limit.
    assert high - low >= insert + sample
    assert (low + high, least) == (2 * size * insert, size)
    width = fractions.Fraction(high - low, 2 * sample)
    assert abs(width - fractions.Fraction(tolerance)) <= 1 + fractions.Fraction(tolerance) / 10**6
    # The largest operation that there can be, on top of the widest balance, is a word still.
    assert max(abs(low) + (sample << 40), high + (insert << 40)) < 1 << 63


def test_a_limiter_comes_back_out_of_json():
    for limiter in (
        RateLimiter(4),
        RateLimiter(1 / 3, 10, 2.5, 0.1),
        RateLimiter(1e6, 1000, 1e12, 0),
    ):
        described = json.loads(json.dumps(limiter.to_json()))
        assert RateLimiter.read(described, 1000) == limiter
    assert RateLimiter.read({}, 1000) is None


GOOD = RateLimiter(4, 10).to_json()


@pytest.mark.parametrize(
    "described",
    [
        None,
        [],
        [1],
        "4",
        4,
        {"samples_per_insert": 4.0},
        {**GOOD, "more": 1},
        {**GOOD, "samples_per_insert": 0.0},
        {**GOOD, "samples_per_insert": "4"},
        {**GOOD, "samples_per_insert": [4]},
        {**GOOD, "samples_per_insert": 10**400},
        {**GOOD, "samples_per_insert": math.nan},
        {**GOOD, "min_size": 10.5},
        {**GOOD, "min_size": 1 << 200},
        {**GOOD, "min_size": 51},
        {**GOOD, "tolerance": 1.0},
        {**GOOD, "tolerance": None},
        {**GOOD, "timeout": -1},
        {**GOOD, "timeout": {}},
        {**GOOD, "timeout": math.inf},
    ],
    ids=str,
)
def test_a_hostile_description_is_refused(described):
    with pytest.raises(replay.InputError, match=r"limiter|min_size"):
        RateLimiter.read(described, 50)


def test_a_limiter_needs_room_for_its_rows():
    RateLimiter(4, 50).check(50)
    with pytest.raises(replay.InputError, match="min_size is 51, the buffer keeps 50 rows"):
        RateLimiter(4, 51).check(50)


def test_the_balance_begins_in_the_middle_once_there_are_rows():
    limiter = RateLimiter(1.5, 10)
    control = np.zeros((words.CONTROL_LINES, 8), np.int64)
    for stored, balance in ((0, 0), (4, 6), (10, 15), (1000, 15)):
        limiter.begin(control, stored)
        assert limiter.balance(control) == balance
    assert "balance is 15," in limiter.explain(control, 7)
    assert "7 rows are stored, samples need 10" in limiter.explain(control, 7)
    assert np.count_nonzero(control) == 1


def test_a_handle_without_a_limiter_says_so():
    handle = np.zeros(words.PLAN, np.int64)
    assert handle[words.LIMITS] == 0
    for ratio in (1e-6, 1, 1e6):
        limiter = RateLimiter(ratio)
        limiter.prepare(handle)
        assert tuple(handle[words.LIMITS : words.LIMITS + 5]) == limiter.limits
        assert handle[words.LIMITS] > 0
    assert not handle[words.LIMITS + 5 :].any()
