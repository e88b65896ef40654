"""A process that a benchmark has beside its own."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

#: Seconds between two looks whether the benchmark is still there.
LOOK = 1.0


class Worker:
    """
    A process that takes orders and answers them.

    It is forked, so that it has all modules at hand, before the buffer is made, so that it has
    nothing of that. asv ends a benchmark that failed without its exit handlers, so the process
    goes by itself when its parent is gone.
    """

    def __init__(self, serve: Callable[["Worker"], None]) -> None:
        context = multiprocessing.get_context("fork")
        self._parent = os.getpid()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._serve, args=(serve, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def _serve(self, serve: Callable[["Worker"], None], pipe: Any) -> None:
        self._pipe = pipe
        serve(self)

    def say(self, what: Any) -> None:
        self._pipe.send(what)

    def hear(self) -> Any:
        """Wait for what the other side says."""
        while not self._pipe.poll(LOOK):
            if os.getpid() != self._parent and os.getppid() != self._parent:
                raise SystemExit
        return self._pipe.recv()

    def end(self) -> None:
        """Say None, which ends it, and wait until it has."""
        self.say(None)
        self._process.join()
