"""Naps: how long, how many, and to the very timeout."""

import math

import numpy as np
import pytest

import replay
from replay.memory import waiting
from replay.memory.waiting import FIRST, LONGEST, SHARE, Waiting, seconds
from tests.clock import ticking


def test_a_nap_is_a_share_of_the_time_waited():
    with ticking() as clock:
        wait = Waiting(None)
        while clock.now < 10:
            waited = clock.now
            assert wait.nap()
            assert clock.naps[-1] == min(max(waited * SHARE, FIRST), LONGEST)
    assert clock.naps == sorted(clock.naps)
    # Few looks: hardly more than one for each of the longest naps.
    assert len(clock.naps) < 10 / LONGEST + 100


def test_what_is_waited_for_is_found_soon_after_it_came():
    for power in range(-5, 4):
        came = 10.0**power
        with ticking() as clock:
            wait = Waiting(None)
            while clock.now < came:
                wait.nap()
        assert clock.now - came <= max(came * SHARE, FIRST)
        assert clock.now - came <= LONGEST


@pytest.mark.parametrize("timeout", [1e-5, 1e-3, 0.7, 3, np.float32(2)])
def test_the_last_nap_ends_with_the_timeout(timeout):
    with ticking() as clock:
        wait = Waiting(timeout)
        looks = 1
        while wait.nap():
            looks += 1
        assert clock.now == pytest.approx(float(timeout), rel=1e-12)
        assert looks == len(clock.naps) + 1
        assert wait.left == 0
        assert not wait.nap()


def test_a_timeout_of_nothing_is_one_look():
    with ticking() as clock:
        assert not Waiting(0).nap()
        assert clock.naps == []


def test_what_is_left_shrinks():
    with ticking() as clock:
        wait = Waiting(2)
        assert wait.left == 2
        clock.now = 1.5
        assert wait.left == 0.5
        assert Waiting(None).left is None


def test_an_interrupt_gets_through(monkeypatch):
    def interrupted(length):
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Waiting(None).nap()


@pytest.mark.parametrize("wrong", [-1, -1e-9, math.nan, -math.inf, True, False, "1", [1], 1j])
def test_what_is_no_number_of_seconds_is_refused(wrong):
    with pytest.raises(replay.InputError, match=r"patience is .* seconds, or None") as caught:
        seconds("patience", wrong)
    assert str(wrong) in str(caught.value)


def test_seconds_are_any_real_number():
    assert seconds("timeout", None) is None
    assert seconds("timeout", math.inf) is None
    for given in (0, 3, 0.5, np.int8(3), np.float32(0.5)):
        assert seconds("timeout", given) == float(given)
