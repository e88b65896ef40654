"""Signals become an exception where the demo asks, and nowhere else."""

import os
import signal
from contextlib import closing

import pytest

from replay.demo.errors import InterruptionError
from replay.demo.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_waits_for_check(signum):
    with closing(Interruption()) as interruption:
        interruption.hold()
        interruption.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(InterruptionError) as caught:
            interruption.check()
    assert caught.value.signum == signum


def test_a_signal_that_was_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with closing(Interruption()) as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            interruption.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back():
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with closing(Interruption()):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(signum) for signum in SIGNALS] == before
