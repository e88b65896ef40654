"""The composed kernels, compiled once for the types that the classes pass."""

import functools
from collections.abc import Callable
from typing import Any

from kernels import (
    object_calls,
    object_steps,
    objects,
    steps,
    walk_add,
    walk_clear,
    walk_decay,
    walk_gather,
    walk_heap_get,
    walk_heap_put,
    walk_heap_rows,
    walk_limit,
    walk_repair,
    walk_step_add,
    walk_update,
    walk_view,
)
from kernels import structure as structures
from kernels.codes import MISMATCH
from kernels.entries import entry_address
from kernels.jit import INTERPRETED, entry_point
from replay.progress import compiling

#: A batch of more bytes is gathered, and rows are stored, without the interpreter's lock: other
#: threads run meanwhile. Below, getting it back would cost more than it gives.
LONG = 1 << 16


@functools.cache
def structure() -> dict[int, int]:
    """Say what `kernels.objects` needs to know of this interpreter; empty: use the plain path."""
    return structures.structure()


@functools.cache
def heap_entries() -> tuple[int, int, int]:
    """Compile or load what stores rows in the heap and takes them out, and say where it is."""
    with compiling() as ready:
        put = entry_address(walk_heap_put.heap_put, 4)
        ready("heap_put")
        get = entry_address(walk_heap_get.lanes_unpack, 1)
        ready("lanes_unpack")
        gather = entry_address(walk_heap_rows.heap_gather, 4)
        ready("heap_gather")
    return put, get, gather


@functools.cache
def walk_entry(kernel: Any) -> int:
    """
    Compile or load a walk, and say where it is; 0 where it is not called this way.

    Parameters
    ----------
    kernel : kernel
        Of `kernels.walks`.
    """
    if not structure():
        return 0
    with compiling() as ready:
        address = entry_address(kernel, 4)
        ready(getattr(kernel, "__name__", ""))
    return address


class Calls:
    """
    Owns the entries of the kernels behind a buffer's methods.

    The `object_` entries read Python's objects themselves. They give MISMATCH for anything but the
    plainest arguments, and always where `structure` found the interpreter laid out otherwise; the
    plain ones take addresses of arrays that Python has checked.
    """

    def __init__(self) -> None:
        self._reads_objects = bool(structure())
        self._draws: dict[Any, Callable[..., float]] = {}

    def draw(self, kernel: Any) -> Callable[..., float]:
        """
        Give the entry of a sampler's kernel, compiled when it is asked for first.

        Parameters
        ----------
        kernel : kernel
            Of a handle, slots (n,) int64 and weights (n,) float32, the latter two written.
        """
        if kernel not in self._draws:
            self._draws[kernel] = _plain(kernel, "handle", "words", "floats")
        return self._draws[kernel]

    def late(self, name: str) -> Callable[..., Any]:
        """
        Give an entry that is compiled when it is called first.

        Parameters
        ----------
        name : str
            Of one of the entries here.
        """

        def call(*arguments: Any) -> Any:
            return getattr(self, name)(*arguments)

        return call

    # Compiled when they are asked for first.

    @functools.cached_property
    def object_add(self) -> Callable[..., int]:
        """Store a row."""
        return self._object(object_calls.object_add, 2)

    @functools.cached_property
    def object_extend(self) -> Callable[..., int]:
        """Store rows."""
        return self._object(object_calls.object_extend, 3)

    @functools.cached_property
    def object_draw(self) -> Callable[..., float]:
        """Draw into a batch."""
        return self._object(object_calls.object_draw, 2)

    @functools.cached_property
    def object_gather(self) -> Callable[..., int]:
        """Gather what was drawn into a batch."""
        return self._object(object_calls.object_gather, 2)

    @functools.cached_property
    def object_update(self) -> Callable[..., int]:
        """Set priorities."""
        return self._object(object_calls.object_update, 3)

    @functools.cached_property
    def object_check(self) -> Callable[..., int]:
        """Look whether a batch is one to draw into."""
        return self._object(object_calls.object_check, 2)

    @functools.cached_property
    def object_extend_long(self) -> Callable[..., int]:
        """As object_extend, without the interpreter's lock."""
        return self._object(object_calls.object_extend, 3, nogil=True)

    @functools.cached_property
    def object_gather_long(self) -> Callable[..., int]:
        """As object_gather, without the interpreter's lock."""
        return self._object(object_calls.object_gather, 2, nogil=True)

    @functools.cached_property
    def view_gather(self) -> Callable[..., int]:
        """Gather what a view makes of slots to addresses that Python knows."""
        return _plain(walk_view.view_gather, "handle", "words", "words", "words")

    @functools.cached_property
    def rows_spread(self) -> Callable[..., int]:
        """Store a row a stream, of addresses that Python knows."""
        return _plain(walk_step_add.rows_spread, "handle", "words", "words")

    @functools.cached_property
    def token_exchange(self) -> Callable[..., bool]:
        """Take a stream for one writer of steps."""
        return _plain(steps.token_exchange, "handle", "int", "int", "int")

    @functools.cached_property
    def object_step(self) -> Callable[..., int]:
        """Store the row of one step."""
        return self._object(object_steps.object_step, 2)

    @functools.cached_property
    def rows_step(self) -> Callable[..., int]:
        """Store the rows of steps whose addresses Python knows."""
        return _plain(walk_step_add.rows_step, "handle", "words", "int", "int", "words")

    @functools.cached_property
    def priorities_decay(self) -> Callable[..., int]:
        """Pass priorities back along their episodes."""
        return _plain(walk_decay.priorities_decay, "handle", "words")

    @functools.cached_property
    def object_spread(self) -> Callable[..., int]:
        """Store a row a stream."""
        return self._object(object_steps.object_spread, 3)

    @functools.cached_property
    def rows_add(self) -> Callable[..., int]:
        """Store rows whose addresses Python knows."""
        return _plain(walk_add.rows_add, "handle", "words", "int", "int", "words")

    @functools.cached_property
    def insert_claim(self) -> Callable[..., int]:
        """Begin an add, where the buffer is limited."""
        return _plain(walk_limit.insert_claim, "handle", "int")

    @functools.cached_property
    def claims_back(self) -> Callable[..., int]:
        """Give back what the limiter has counted and did not come about."""
        return _plain(walk_limit.claims_back, "handle", "int", "int")

    @functools.cached_property
    def rows_clear(self) -> Callable[..., int]:
        """Forget every row."""
        return _plain(walk_clear.rows_clear, "handle")

    @functools.cached_property
    def rows_forget(self) -> Callable[..., int]:
        """Empty the slots of rows that were cleared away."""
        return _plain(walk_clear.rows_forget, "handle")

    @functools.cached_property
    def slots_repair(self) -> Callable[..., int]:
        """Empty the slots that a dead member was filling."""
        return _plain(walk_repair.slots_repair, "handle", "int", "int", "int")

    @functools.cached_property
    def leaves_repair(self) -> Callable[..., int]:
        """Clear the leaves of empty slots."""
        return _plain(walk_repair.leaves_repair, "handle", "int", "int")

    @functools.cached_property
    def doubt_repair(self) -> Callable[..., bool]:
        """Set a leaf that a dead member may have set for a row which was gone."""
        return _plain(walk_repair.doubt_repair, "handle", "int")

    @functools.cached_property
    def counts_repair(self) -> Callable[..., bool]:
        """Correct how many slots hold a row."""
        return _plain(walk_repair.counts_repair, "handle")

    @functools.cached_property
    def sums_repair(self) -> Callable[..., int]:
        """Correct the sums of the priority tree."""
        return _plain(walk_repair.sums_repair, "handle")

    @functools.cached_property
    def leaves_trim(self) -> Callable[..., int]:
        """Clear the leaves of rows that the view cannot draw."""
        return _plain(walk_repair.leaves_trim, "handle")

    @functools.cached_property
    def rows_gather(self) -> Callable[..., int]:
        """Gather rows to addresses that Python knows."""
        return _plain(walk_gather.rows_gather, "handle", "words", "words")

    @functools.cached_property
    def priorities_update(self) -> Callable[..., int]:
        """Update priorities at an address that Python knows."""
        return _plain(walk_update.priorities_update, "handle", "words", "int", "int")

    def _object(
        self, kernel: Any, objects_taken: int, *, nogil: bool = False
    ) -> Callable[..., int]:
        if not self._reads_objects:
            return _mismatch
        signature = None
        if not INTERPRETED:
            signature = (objects.object_type,) * objects_taken
        with compiling() as ready:
            entry = entry_point(kernel, signature, nogil=nogil)
            ready(getattr(kernel, "__name__", ""))
        return entry


@functools.cache
def load_calls() -> Calls:
    """Give the entries, the same to every buffer."""
    return Calls()


def _mismatch(*_: Any) -> int:
    return MISMATCH


def _plain(kernel: Any, *arguments: str) -> Callable[..., Any]:
    signature = None if INTERPRETED else tuple(_types()[argument] for argument in arguments)
    with compiling() as ready:
        entry = entry_point(kernel, signature, nogil=True)
        ready(getattr(kernel, "__name__", ""))
    return entry


@functools.cache
def _types() -> dict[str, Any]:
    from numba import types

    words = types.Array(types.int64, 1, "C")
    floats = types.Array(types.float32, 1, "C")
    return {"handle": words, "words": words, "floats": floats, "int": types.int64}
