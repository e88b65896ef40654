"""Waiting without burning a core: naps that grow with the time waited."""

import math
from time import monotonic, sleep
from typing import Any

import numpy as np

from replay.errors import InputError

#: The first nap, in seconds, and the longest.
FIRST = 50e-6
LONGEST = 20e-3
#: A nap as a share of the time waited so far.
SHARE = 1 / 8


class Waiting:
    """
    One wait: naps between two looks at what is waited for, up to a timeout.

    Whoever waits looks again and again and is woken by nobody: a process that is killed before it
    would have woken the others cannot leave them asleep, memory that several processes map needs
    no system's own kind of signal, and adding a row costs nothing more because somebody might be
    waiting for it. A nap is a fixed share of the time waited so far, so that what was there after
    a short wait is found soon after, and none is longer than 20 ms; a core is busy for less than
    one part in a hundred.

    Parameters
    ----------
    timeout : float or None
        Seconds from now on; None: there is no end.

    Raises
    ------
    InputError
        The timeout is no number of seconds.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = seconds("timeout", timeout)
        self._began = monotonic()

    @property
    def left(self) -> float | None:
        """Seconds until the timeout, 0 after it; None where there is no end."""
        if self.timeout is None:
            return None
        return max(self.timeout - (monotonic() - self._began), 0.0)

    def nap(self) -> bool:
        """
        Sleep a little, unless the time is up.

        Returns
        -------
        bool
            False: the time is up. The last nap ends with the timeout, so there is always a look
            after it.
        """
        waited = monotonic() - self._began
        length = min(max(waited * SHARE, FIRST), LONGEST)
        if self.timeout is not None:
            if waited >= self.timeout:
                return False
            length = min(length, self.timeout - waited)
        sleep(length)
        return True


def seconds(name: str, timeout: Any) -> float | None:
    """
    Check a timeout.

    Parameters
    ----------
    name : str
        What the caller calls it.
    timeout : object

    Returns
    -------
    float or None
        None where there is no end.

    Raises
    ------
    InputError
        It is no number, or below 0.
    """
    if timeout is None:
        return None
    known = isinstance(timeout, (int, float, np.integer, np.floating))
    if not known or isinstance(timeout, bool) or math.isnan(timeout):
        raise InputError(f"{name} is {timeout!r}, it must be a number of seconds, or None")
    if timeout < 0:
        raise InputError(f"{name} is {timeout}, it must be 0 or more seconds, or None")
    return None if timeout == math.inf else float(timeout)
