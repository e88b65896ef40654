"""The composed kernels, compiled once for the types that the classes pass."""

import functools
from collections.abc import Callable
from typing import Any

from kernels import calls, object_calls, objects
from kernels.jit import INTERPRETED, entry_point
from replay.progress import compiling

#: A batch of more bytes is gathered, and rows are stored, without the interpreter's lock: other
#: threads run meanwhile. Below, getting it back would cost more than it gives.
LONG = 1 << 16


@functools.cache
def structure() -> dict[int, int]:
    """Say what `kernels.objects` needs to know of this interpreter; empty: use the plain path."""
    return objects.structure()


class Calls:
    """
    Owns the entries of the kernels behind a buffer's methods.

    The `object_` entries read Python's objects themselves. They give MISMATCH for anything but the
    plainest arguments, and always where `structure` found the interpreter laid out otherwise; the
    plain ones take addresses of arrays that Python has checked.
    """

    def __init__(self, *, prioritized: bool) -> None:
        with compiling() as ready:
            self.object_add = _object("object_add", 2)
            ready("add")
            self.object_extend = _object("object_extend", 3)
            ready("extend")
            self.object_gather = _object("object_gather", 2)
            ready("gather")
            if prioritized:
                self.object_draw = _object("object_draw_proportional", 2)
                ready("draw")
                self.object_update = _object("object_update", 3)
                ready("update")
            else:
                self.object_draw = _object("object_draw_uniform", 2)
                ready("draw")
                self.object_update = _mismatch

    # Asked for seldom, and compiled only then.

    @functools.cached_property
    def object_extend_long(self) -> Callable[..., int]:
        """As object_extend, without the interpreter's lock."""
        return _object("object_extend", 3, nogil=True)

    @functools.cached_property
    def object_gather_long(self) -> Callable[..., int]:
        """As object_gather, without the interpreter's lock."""
        return _object("object_gather", 2, nogil=True)

    @functools.cached_property
    def rows_add(self) -> Callable[..., int]:
        """Store rows whose addresses Python knows."""
        return _plain("rows_add", "handle", "words", "int", "int", "words")

    @functools.cached_property
    def rows_gather(self) -> Callable[..., int]:
        """Gather rows to addresses that Python knows."""
        return _plain("rows_gather", "handle", "words", "words")

    @functools.cached_property
    def draw_uniform(self) -> Callable[..., int]:
        """Draw slots uniformly into arrays that Python checked."""
        return _plain("draw_uniform", "handle", "words", "floats")

    @functools.cached_property
    def draw_proportional(self) -> Callable[..., float]:
        """Draw slots in proportion into arrays that Python checked."""
        return _plain("draw_proportional", "handle", "words", "floats")

    @functools.cached_property
    def priorities_update(self) -> Callable[..., int]:
        """Update priorities at an address that Python knows."""
        return _plain("priorities_update", "handle", "words", "int", "int")


@functools.cache
def load_calls(*, prioritized: bool) -> Calls:
    """
    Compile or load the kernels that a buffer needs.

    Parameters
    ----------
    prioritized : bool
        Whether the buffer keeps priorities.
    """
    return Calls(prioritized=prioritized)


def _mismatch(*_: Any) -> int:
    return calls.MISMATCH


def _object(name: str, objects_taken: int, *, nogil: bool = False) -> Callable[..., int]:
    if not structure():
        return _mismatch
    signature = None
    if not INTERPRETED:
        signature = (objects.object_type,) * objects_taken
    with compiling():
        return entry_point(getattr(object_calls, name), signature, nogil=nogil)


def _plain(name: str, *arguments: str) -> Callable[..., Any]:
    signature = None if INTERPRETED else tuple(_types()[argument] for argument in arguments)
    with compiling():
        return entry_point(getattr(calls, name), signature, nogil=True)


@functools.cache
def _types() -> dict[str, Any]:
    from numba import types

    words = types.Array(types.int64, 1, "C")
    floats = types.Array(types.float32, 1, "C")
    return {"handle": words, "words": words, "floats": floats, "int": types.int64}
