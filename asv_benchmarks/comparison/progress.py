"""A line on standard error that says what is being done; nobody waits a second without it."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

#: Seconds between two signs of life.
PULSE = 0.4
_WIDTH = 78


class Progress:
    """
    Counts the works of a run.

    Parameters
    ----------
    total : int
        Works there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.live = sys.stderr.isatty()
        self.began = time.monotonic()
        self.work = ""
        self.shown = 0.0

    def begin(self, work: str) -> None:
        """Say which work is begun."""
        self.done += 1
        self.work = work
        self._write(self._line(""))

    def turn(self, name: str) -> None:
        """Say whose turn it is, at most every PULSE."""
        if self.live and time.monotonic() - self.shown > PULSE:
            self._write(self._line(name))

    @contextlib.contextmanager
    def long(self, what: str) -> Iterator[None]:
        """Show the seconds that something takes which says nothing itself; nothing is timed."""
        over = threading.Event()

        def pulse() -> None:
            began = time.monotonic()
            while True:
                self._write(self._line(f"{what}, {time.monotonic() - began:.0f} s"))
                if over.wait(PULSE):
                    return

        if not self.live:
            self._write(self._line(what))
            yield
            return
        thread = threading.Thread(target=pulse)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def clear(self) -> None:
        """Take the line away, before a table is printed."""
        if self.live:
            sys.stderr.write("\r" + " " * _WIDTH + "\r")
            sys.stderr.flush()

    def _line(self, what: str) -> str:
        head = f"{time.monotonic() - self.began:4.0f} s  {self.done}/{self.total} {self.work}"
        return f"{head}: {what}" if what else head

    def _write(self, line: str) -> None:
        self.shown = time.monotonic()
        if self.live:
            sys.stderr.write("\r" + line[:_WIDTH].ljust(_WIDTH))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
