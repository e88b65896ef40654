"""What the person in front of the terminal sees while the demo works."""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from replay.demo.tally import Tally

#: Seconds between two plain lines where there is no terminal.
PLAIN_INTERVAL = 5.0
#: Seconds between two updates of an activity's clock on a terminal.
TICK = 0.2
#: Episodes behind the return shown.
RECENT = 20


@contextmanager
def activity(what: str, stream: TextIO | None = None, *, quiet: float = 0.0) -> Iterator[None]:
    """
    Say what takes its time, with a running clock on a terminal.

    Parameters
    ----------
    what : str
        Such as "loading PyTorch".
    stream : file, optional
        Where to; the default is standard error.
    quiet : float
        Seconds in which nothing is shown on a terminal: for what is mostly over by then, or has
        a line of its own to say first.

    Yields
    ------
    None
        Do it inside.
    """
    out = stream or sys.stderr
    started = time.monotonic()
    if not out.isatty():
        print(f"{what} ...", file=out, flush=True)
        yield
        return
    ended = threading.Event()

    def show(end: str) -> None:
        # The cursor goes back to the left: whatever else is printed overwrites the clock.
        out.write(f"{what} ... {time.monotonic() - started:.1f} s{end}")
        out.flush()

    def tick() -> None:
        if not ended.wait(quiet):
            show("\r")
        while not ended.wait(TICK):
            show("\r")

    if not quiet:
        show("\r")
    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield
    finally:
        ended.set()
        clock.join()
        if time.monotonic() - started >= quiet:
            show("\n")


class Progress:
    """
    A bar on a terminal, a line now and then elsewhere.

    Parameters
    ----------
    total : int
        Environment steps of the run.
    stream : file, optional
        Where to; the default is standard error.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total = total
        self._bar: Any = None
        self._shown = -PLAIN_INTERVAL  # the first call shows something, however soon it comes
        # Rates are those of the last lines shown: (time, steps, samples).
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=20)
        self._marks.append((time.monotonic(), 0, 0))
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                file=self._stream,
                dynamic_ncols=True,
                mininterval=0.0,
                bar_format="{percentage:3.0f}%|{bar}| {remaining} {desc}",
            )

    def close(self) -> None:
        """Leave the bar as it stands and go to the next line."""
        if self._bar is not None:
            self._bar.close()

    def show(self, tally: Tally, fill: float) -> None:
        """
        Show where things stand, unless that was done a moment ago.

        Parameters
        ----------
        tally : Tally
            What has happened.
        fill : float
            Share of the buffer in use, 0 to 1.
        """
        now = time.monotonic()
        interval = TICK if self._bar is not None else PLAIN_INTERVAL
        if now - self._shown < interval and tally.steps < self._total:
            return
        self._shown = now
        line = self._line(tally, fill, now)
        if self._bar is None:
            share = tally.steps / self._total
            print(f"{share:4.0%} of {self._total:,} steps | {line}", file=self._stream, flush=True)
            return
        self._bar.set_description_str(line, refresh=False)
        self._bar.n = min(tally.steps, self._total)
        self._bar.refresh()

    def _line(self, tally: Tally, fill: float, now: float) -> str:
        then, steps, samples = self._marks[0]
        self._marks.append((now, tally.steps, tally.samples))
        seconds = max(now - then, 1e-9)
        recent = [value for _, value in tally.episodes[-RECENT:]]
        mean = sum(recent) / len(recent) if recent else 0.0
        return (
            f"return {mean:3.0f} | {(tally.steps - steps) / seconds:,.0f} steps/s | "
            f"{(tally.samples - samples) / seconds / 1000:,.0f}k samples/s | fill {fill:.0%} | "
            f"stale {tally.stale:,}"
        )
