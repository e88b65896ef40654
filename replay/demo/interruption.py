"""Ctrl-C, at any moment."""

import os
import signal
from types import FrameType

from replay.demo.errors import InterruptionError

#: Ctrl-C, a polite kill, a terminal that was closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """
    Turns signals into an exception that is raised only where the demo asks for it.

    Python's KeyboardInterrupt can be raised between any two instructions: inside the import of a
    library, or after a buffer was made and before anybody holds it. Here a signal only leaves a
    note, which `check` reads. Before there is anything to clean up (`hold` was not called yet)
    the process ends at once instead, so that nobody waits for an import to end.
    """

    def __init__(self) -> None:
        self._signum = 0
        self._holding = False
        # A signal that is ignored already (by nohup, say) stays so.
        self._before = {
            signum: signal.signal(signum, self._note)
            for signum in SIGNALS
            if signal.getsignal(signum) != signal.SIG_IGN
        }

    def close(self) -> None:
        """Put back the handlers that were there before."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        first, self._signum = not self._signum, signum
        if not self._holding:
            os.write(2, b"\ninterrupted before anything was started\n")
            os._exit(128 + signum)
        if first:
            os.write(2, b"\nending ...\n")

    def hold(self) -> None:
        """From here on there is something to clean up: signals wait for `check`."""
        self._holding = True

    def check(self) -> None:
        """
        Raise what was noted.

        Raises
        ------
        InterruptionError
            A signal came.
        """
        if self._signum:
            raise InterruptionError(self._signum)
