"""What a process holds of a block, and how it lets go, however it ends."""

import atexit
import contextlib
import multiprocessing
import multiprocessing.util
import os
import pathlib
import weakref
from collections.abc import Callable

from replay.memory import block_file


class Held:
    """
    What a process holds of a block, and lets go when it closes the block or ends.

    Parameters
    ----------
    path : pathlib.Path or None
    descriptor : int or None
        An open file, with the locks that others see.
    creator : int
        The process that made the block, 0 for another one than this.
    unlink : bool
        Whether the creator removes the file.
    """

    def __init__(
        self, path: pathlib.Path | None, descriptor: int | None, creator: int, unlink: bool
    ) -> None:
        self.path = path
        self.descriptor = descriptor
        self.creator = creator
        self.unlink = unlink
        #: Leaves the register, see `Members.leave`.
        self.leave: Callable[[bool], bool] = _nothing
        self._at_end: multiprocessing.util.Finalize | None = None

    @property
    def created(self) -> bool:
        """Whether this process made the block; a child that was forked since did not."""
        return self.creator == os.getpid()

    def release(self, at_end: bool = False) -> None:
        """
        Leave the register, close, and where this process created the block unlink it.

        Parameters
        ----------
        at_end : bool
            The process ends with the block open.
        """
        leave, self.leave = self.leave, _nothing
        left = leave(at_end)
        if self._at_end is not None:
            self._at_end.cancel()
            self._at_end = None
        if self.path is not None and self.descriptor is not None and self.created and self.unlink:
            self.unlink = False
            block_file.remove_file(self.path, self.descriptor)
        # With other threads inside, the locks are held until the process has ended.
        if left and self.descriptor is not None:
            descriptor, self.descriptor = self.descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def reopen(self) -> None:
        """
        Open the file anew in a child after a fork.

        Locks belong to what was opened, and the parent holds those of what the child inherits.
        """
        if self.descriptor is None:
            return
        inherited, self.descriptor = self.descriptor, None
        try:
            descriptor = block_file.open_again(inherited)
            # Before the inherited one goes: without any lock the file is taken for a leftover.
            block_file.lock_file(descriptor)
        finally:
            os.close(inherited)
        self.descriptor = descriptor

    @staticmethod
    def release_at_end(held: "Held") -> None:
        """Have a child of multiprocessing release what it holds."""
        # Late: after the threads of multiprocessing's queues, of priority -5, have ended.
        held._at_end = multiprocessing.util.Finalize(
            held, Held.release, (held, True), exitpriority=-10
        )


def _nothing(at_end: bool) -> bool:
    return True


all_held: "weakref.WeakSet[Held]" = weakref.WeakSet()


@atexit.register
def _release_all() -> None:
    for held in list(all_held):
        held.release(at_end=True)
