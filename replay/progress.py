"""What a person is told while something takes its seconds: lines on standard error."""

import contextlib
import sys
import time
from collections.abc import Iterator

#: Seconds of silence that a person is asked to bear.
PATIENCE = 1.0


class Progress:
    """
    A line that says how far something long has come; silent while it is short.

    Parameters
    ----------
    what : str
        "reserving 12.0 GB", say.
    total : int
        Steps there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = max(total, 1)
        self._shown = time.monotonic()
        self._spoke = False

    def step(self, done: int) -> None:
        """Show that `done` of the steps are behind, at most once a second."""
        now = time.monotonic()
        if now - self._shown >= PATIENCE:
            self._shown = now
            self._say(f"{100 * done // self._total:3d} %")

    def end(self) -> None:
        """Close the line, if one was shown."""
        if self._spoke:
            self._say("done ")
            if sys.stderr.isatty():
                sys.stderr.write("\n")

    def _say(self, state: str) -> None:
        self._spoke = True
        live = sys.stderr.isatty()
        sys.stderr.write(f"{chr(13) if live else ''}replay: {self._what}: {state}")
        sys.stderr.write("" if live else "\n")
        sys.stderr.flush()


@contextlib.contextmanager
def compiling(kernels: int) -> Iterator[None]:
    """
    Say so when kernels are compiled, which happens once on a machine, and not when they load.

    Parameters
    ----------
    kernels : int
        How many are about to be asked for.
    """
    from numba.core import event

    class Watch(event.Listener):
        def on_start(self, event: object) -> None:
            if not started:
                started.append(time.monotonic())
                sys.stderr.write(
                    f"replay: compiling {kernels} kernels, once for this machine; "
                    "this takes some seconds\n"
                )
                sys.stderr.flush()

        def on_end(self, event: object) -> None:
            return None

    started: list[float] = []
    watch = Watch()
    event.register("numba:compile", watch)
    try:
        yield
    finally:
        event.unregister("numba:compile", watch)
        if started:
            seconds = time.monotonic() - started[0]
            sys.stderr.write(f"replay: kernels compiled in {seconds:.1f} s\n")
            sys.stderr.flush()
