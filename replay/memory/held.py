"""What a process holds of a block, and how it lets go, however it ends."""

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


def _nothing(at_end: bool) -> bool:
    return True


all_held: "weakref.WeakSet[Held]" = weakref.WeakSet()


def _release_all() -> None:
    for held in list(all_held):
        held.release(at_end=True)


def _at_end_of_this_process(_: object = None) -> None:
    # Not by atexit: children of multiprocessing do not come there before Python 3.13, and from
    # then on before their queues have ended, whose threads have priority -5.
    multiprocessing.util.Finalize(None, _release_all, exitpriority=-10)


_at_end_of_this_process()
# A child of multiprocessing forgets what was registered before it began to run, but not this;
# other children are told here.
multiprocessing.util.register_after_fork(_release_all, _at_end_of_this_process)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_at_end_of_this_process)
