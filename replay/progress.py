"""What a person is told while something takes its seconds: lines on standard error."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

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


_watching: list[Callable[[str], None]] = []


@contextlib.contextmanager
def compiling() -> Iterator[Callable[[str], None]]:
    """
    Say so while kernels are compiled, which happens once on a machine; be silent while they load.

    Yields
    ------
    callable
        To be called with the name of each kernel that is ready.
    """
    from numba.core import event

    if _watching:
        # Inside another of its kind, which speaks for both.
        yield _watching[0]
        return
    started: list[float] = []

    def ready(name: str) -> None:
        if started:
            sys.stderr.write(f" {name}")
            sys.stderr.flush()

    class Watch(event.Listener):
        def on_start(self, event: object) -> None:
            if not started:
                started.append(time.monotonic())
                sys.stderr.write("replay: compiling kernels, once for this machine:")
                sys.stderr.flush()

        def on_end(self, event: object) -> None:
            return None

    watch = Watch()
    _watching.append(ready)
    event.register("numba:compile", watch)
    try:
        yield ready
    finally:
        event.unregister("numba:compile", watch)
        _watching.remove(ready)
        if started:
            sys.stderr.write(f" in {time.monotonic() - started[0]:.1f} s\n")
            sys.stderr.flush()
