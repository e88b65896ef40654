"""The ring: a block's rows, taken in and given out."""

import functools
import mmap
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import CLOSED, HELD_BACK
from kernels.ring import BASE, BURNT, FILLED, HEAD, STEPS
from replay.errors import (
    BlockError,
    ClosedError,
    FieldError,
    InputError,
    JammedError,
    WaitTimeoutError,
)
from replay.memory.block import Block, shown
from replay.memory.calls import load_calls
from replay.memory.damage import check_words
from replay.memory.durability import Durability
from replay.memory.fields import SEPARATOR, VALUES, Field
from replay.memory.handle import Handle, forget_learned, make_handle
from replay.memory.limiter import RateLimiter
from replay.memory.members import Members
from replay.memory.owner import is_this_process, warn_owner_gone
from replay.memory.pieces import Pieces
from replay.memory.ragged_rows import RaggedRows
from replay.memory.repair import Repaired, repair
from replay.memory.waiting import Waiting
from replay.memory.window import STEP

#: Seconds between two looks at who has died, where something was noticed; and after a repair that
#: somebody who is stopped did not let finish.
_PAUSE = 0.05
_PAUSE_UNFINISHED = 1.0

_open_rings: "weakref.WeakSet[Ring]" = weakref.WeakSet()


class Ring:
    """
    Owns the heads, records and columns of a block, and the handle that kernels work by.

    Any number of threads may share a ring, and any number of rings (one a process, or several) a
    block.

    Parameters
    ----------
    block : Block
    force : bool
        Also a file that was open when its machine went down.

    Raises
    ------
    BlockFormatError, UnflushedError
    """

    def __init__(self, block: Block, *, force: bool = False) -> None:
        self.block = block
        self.layout = block.layout
        self.fields = block.layout.schema.fields
        self.limiter = RateLimiter.read(block.layout.limiter, block.layout.capacity)
        check_words(block.layout, block.part("control"), block.part("heads"), self._shown())
        self.calls = load_calls()
        self.members = Members(block)
        self._join()
        self._durability = None if block.path is None or block.named else self._begin(force)
        self.handle = self._handle()
        self._others: list[weakref.ref[Handle]] = []
        self._heads = block.part("heads")
        self._running: list[None] = []
        self._leaving: list[Handle] = []
        self._closed = False
        self._lost = ""
        self._next_look = 0.0
        self._repairing = threading.Lock()
        self._owner_watched = block.named and not block.held.created
        _open_rings.add(self)
        self.repair()
        # It may have gone before this one came, and without it nobody removes the name.
        self.watch_owner()

    def _join(self) -> None:
        """Become a member, where the dead hold all places by making room first."""
        try:
            self.members.join()
        except BlockError as error:
            if self.members.join_to_repair():
                repair(self.layout, self.members, self._handle(), self.calls)
                self.members.give_back()
            try:
                self.members.join()
            except BlockError:
                raise BlockError(f"buffer {self._shown()} cannot be opened: {error}") from None

    def _shown(self) -> str:
        block = self.block
        return "in private memory" if block.path is None else shown(block.path, block.named)

    def _handle(self) -> Handle:
        handle = make_handle(self.block, self.members.number)
        if self.limiter is not None:
            self.limiter.prepare(handle)
        return handle

    def _begin(self, force: bool) -> Durability:
        line = self.block.part("control")[words.DURABILITY]
        # NumPy puts a memoryview between an array and the mapping.
        memory = getattr(self.block.memory.base, "obj", None)
        assert isinstance(memory, mmap.mmap)
        durability = Durability(memory, line, repr(str(self.block.path)))
        durability.begin(force=force)
        # Kept by the register, which lives as long as what is to be let go.
        self.members.before_leaving = functools.partial(durability.end, self.members.alone)
        return durability

    def flush(self) -> None:
        """
        Bring every page of a file to the disk; there is nothing to do in the other homes.

        Raises
        ------
        ClosedError
        """
        self.check_open(self.handle)
        if self._durability is not None:
            self.run(self._durability.flush)

    def new_handle(self) -> Handle:
        """Make a handle whose words may be changed; closing the ring closes it."""
        handle = self.handle.twin()
        self._others.append(weakref.ref(handle))
        return handle

    def stream_handle(self, stream: int) -> Handle:
        """
        Make a handle whose rows go to another stream.

        Raises
        ------
        InputError
            There is no such stream.
        """
        if not isinstance(stream, (int, np.integer)) or isinstance(stream, bool):
            raise InputError(f"stream is {stream!r}, it must be an int")
        if not 0 <= stream < self.layout.streams:
            last = self.layout.streams - 1
            raise InputError(f"stream is {stream}, this buffer has streams 0 to {last}")
        handle = self.new_handle()
        handle[words.STREAM] = stream
        return handle

    def token(self, stream: int) -> int:
        """Read which writer of steps a stream has; 0: none."""
        return int(self._heads[stream, STEPS])

    @property
    def size(self) -> int:
        """Rows that are stored now."""
        filled = int(self._heads[:, FILLED].sum())
        # What deaths left uncounted, or twice, is not there until it is repaired.
        return min(max(filled, 0), self.layout.capacity)

    @property
    def added(self) -> int:
        """Tickets ever claimed, over all streams."""
        return int(self._heads[:, HEAD].sum())

    @property
    def burnt(self) -> int:
        """Tickets that found their slot taken."""
        return int(self._heads[:, BURNT].sum())

    @property
    def base(self) -> npt.NDArray[np.int64]:
        """The first ticket of each stream that `clear` has not forgotten, (streams,) int64."""
        return np.asarray(self._heads[:, BASE])

    def add(self, handle: Handle, values: tuple[Any, ...]) -> int:
        """
        Store one row of any values that fit, or explain why they do not.

        Parameters
        ----------
        handle : Handle
            Whose stream takes it.
        values : tuple
            A value a field.

        Returns
        -------
        int
            The row's id.

        Raises
        ------
        FieldError, ClosedError, JammedError
        """
        row: list[Any] = [
            field.convert(name, value)
            for (name, field), value in zip(self.fields.items(), values, strict=True)
        ]
        sizes = [field.nbytes for field in self.fields.values()]
        return int(self._store(handle, Pieces(row, sizes), 1)[0])

    def extend(self, handle: Handle, values: tuple[Any, ...]) -> npt.NDArray[np.int64]:
        """
        Store rows of any values that fit, or explain why they do not.

        Parameters
        ----------
        handle : Handle
            Whose stream takes them.
        values : tuple
            Rows of each field; ragged ones as `Schema.flatten` gives them.

        Returns
        -------
        (n,) int64 ndarray
            The rows' ids.

        Raises
        ------
        FieldError, ClosedError, JammedError
        """
        count = count_rows(self.fields, values)
        return self._store(handle, self._converted(values, count), count)

    def _converted(self, values: tuple[Any, ...], count: int) -> Pieces:
        """Convert many rows, but for those of ragged fields, which are made a piece at a time."""
        rows = [
            value if isinstance(value, RaggedRows) else field.convert(name, value, count)
            for (name, field), value in zip(self.fields.items(), values, strict=True)
        ]
        return Pieces(rows, [field.nbytes for field in self.fields.values()])

    def _store(self, handle: Handle, rows: Pieces, count: int) -> npt.NDArray[np.int64]:
        self.check_open(handle)
        ids = np.empty(count, np.int64)
        if count:
            if self.limiter is not None:
                self.await_turn(handle, self.run, self.calls.insert_claim, handle, count)
            self._store_rest(handle, rows, ids, 0)
        return ids

    def await_turn(self, handle: Handle, call: Callable[..., int], *arguments: Any) -> int:
        """
        Make a call that adds rows until the limiter does not hold it back.

        Parameters
        ----------
        handle : Handle
            Whose stream takes the rows.
        call : callable
            Gives HELD_BACK where nothing was done, and anything else when it is done.
        *arguments
            Its own.

        Returns
        -------
        int
            What the call gave.

        Raises
        ------
        WaitTimeoutError, ClosedError
        """
        waiting = None
        while True:
            self.check_open(handle)
            code = call(*arguments)
            if code != HELD_BACK or self.limiter is None:
                return code
            waiting = waiting or Waiting(self.limiter.timeout)
            if not waiting.nap():
                raise WaitTimeoutError(
                    f"an add was held back for {waiting.timeout:g} s: {self.limiter_state()}"
                )
            self.look_after(handle)

    def trim(self) -> None:
        """Take the priorities of what was loaded from rows that the view cannot draw."""
        if self.layout.view and "tree" in self.layout.parts:
            self.run(self.calls.leaves_trim, self.handle)

    def limiter_state(self) -> str:
        """Say how the limiter stands; "" where there is none."""
        if self.limiter is None:
            return ""
        return self.limiter.explain(self.block.part("control"), self.size)

    def begin_limiter(self) -> None:
        """Let the limiter count anew, from the rows that are stored."""
        if self.limiter is not None:
            self.limiter.begin(self.block.part("control"), self.size)

    def give_back(self, handle: Handle, inserts: int, samples: int) -> None:
        """Give the limiter back what was claimed for rows that were not added or not drawn."""
        # A handle that is open holds the memory; that of a closed ring does not.
        if self.limiter is not None and handle[words.OPEN]:
            self.run(self.calls.claims_back, handle, inserts, samples)

    def spread(
        self,
        handle: Handle,
        rows: tuple[npt.NDArray[Any], ...],
        streams: npt.NDArray[np.int64],
    ) -> int:
        """
        Store rows, each in a stream of its own.

        Parameters
        ----------
        handle : Handle
        rows : tuple of (n, *shape) ndarray
            An array a field, of its dtype and C-contiguous.
        streams : (n,) int64 ndarray, written
            Which stream takes a row, below 0 for none; the rows' ids after.

        Returns
        -------
        int
            As rows_spread.

        Raises
        ------
        WaitTimeoutError, ClosedError
        """

        def store(*_: Any) -> int:
            # The kernel moves the addresses on.
            sources = np.array([array.ctypes.data for array in rows], np.int64)
            return int(self.run(self.calls.rows_spread, handle, sources, streams))

        return self.await_turn(handle, store)

    def _store_rest(
        self, handle: Handle, rows: Pieces, ids: npt.NDArray[np.int64], stored: int
    ) -> None:
        """Store the rows behind the first `stored`, once more where the dead held all slots."""
        stream = int(handle[words.STREAM])
        add = self.calls.rows_step if self.layout.view else self.calls.rows_add
        tries = 0
        try:
            while tries < 2:
                sources, count = rows.behind(stored, ids.size - stored)
                piece = ids[stored : stored + count]
                added = self.run(add, handle, sources, stream, count, piece)
                stored += added
                tries = tries + 1 if added < count else 0
                self.look_after(handle, now=added < count)
                if stored == ids.size:
                    return
        finally:
            if stored < ids.size:
                self.give_back(handle, ids.size - stored, 0)
        said = f"; {stored} of {ids.size} rows were stored" if ids.size > 1 else ""
        what = f"all {self.layout.rows} slots of the stream"
        if self.layout.room:
            what += f", or so many of its {self.layout.room} bytes that no row fits,"
        raise JammedError(
            f"no slot is free: writers that live hold {what} and do not finish their rows{said}"
        )

    def store_rest(
        self, handle: Handle, values: tuple[Any, ...], ids: npt.NDArray[np.int64], stored: int
    ) -> None:
        """
        Store the rows of a batch that found no slot.

        Parameters
        ----------
        handle : Handle
        values : tuple
            Rows of each field; ragged ones as `Schema.flatten` gives them.
        ids : (n,) int64 ndarray, written
            Those of the first `stored` rows are there.
        stored : int

        Raises
        ------
        JammedError
        """
        rows = self._converted(values, ids.size)
        self.look_after(handle, now=True)
        self._store_rest(handle, rows, ids, stored)

    def gather(
        self, handle: Handle, slots: npt.NDArray[np.int64], columns: tuple[npt.NDArray[Any], ...]
    ) -> int:
        """
        Copy the rows of slots into arrays, and turn the slots into ids.

        Parameters
        ----------
        handle : Handle
        slots : (n,) int64 ndarray, written
            Ids after, -1 where a slot held no whole row.
        columns : tuple of (n, *shape) ndarray, written
            An array a field, of its dtype and C-contiguous.

        Returns
        -------
        int
            How many rows were missed.
        """
        self.check_open(handle)
        targets = np.array([column.ctypes.data for column in columns], np.int64)
        return int(self.run(self.calls.rows_gather, handle, targets, slots))

    def column(self, name: str) -> npt.NDArray[Any]:
        """
        View the whole storage of a field, without a copy.

        Parameters
        ----------
        name : str
            As in `fields`; parts of nested observations as "obs/image".

        Returns
        -------
        (capacity, *shape) ndarray
            Read-only: writing it would bypass the words that keep readers safe. Slots in the
            order of streams, each stream's oldest row anywhere in it.

        Raises
        ------
        FieldError
            There is no such field, or it is compressed or ragged.
        """
        field, place = self.fields.get(name), self.layout.places.get(name)
        if field is None:
            field = self.fields.get(f"{name}{SEPARATOR}{VALUES}")
        if field is not None and field.heaped:
            raise FieldError(
                f"field {name!r} is compressed or ragged: its rows lie packed in a ring of bytes, "
                "of which there is no view"
            )
        if field is None or place is None:
            raise FieldError(
                f"there is no field {name!r}, the fields are "
                f"{', '.join(known for known in self.fields if known != STEP)}"
            )
        part = self.block.part(place.part)
        if place.part != "records":
            view = part
        else:
            strides = (place.stride, *np.empty(field.shape, field.dtype).strides)
            view = np.ndarray(
                (self.layout.capacity, *field.shape),
                field.dtype,
                part.view(np.uint8).reshape(-1),
                place.offset,
                strides,
            )
        view = view[:]
        view.flags.writeable = False
        return view

    def clear(self) -> None:
        """Forget every row and its priority; ids go on growing."""
        self.check_open(self.handle)
        self.run(self.calls.rows_clear, self.handle)
        self.begin_limiter()

    def run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """
        Run a kernel that lets other threads run: a block that one of them closes is let go after.

        Parameters
        ----------
        call : callable
        *arguments
            Its own.
        """
        # A list's own methods are whole to other threads, and after a fork its length is zeroed.
        self._running.append(None)
        try:
            return call(*arguments)
        finally:
            self._running.pop()
            self.leave()

    def leave(self) -> None:
        """Let a closed block go, once nobody is inside a kernel any more."""
        if self._closed and not self._running:
            if any(handle[words.BUSY] for handle in self._leaving):
                return
            self._leaving = []
            self.block.close()

    def look_after(self, handle: Handle, *, now: bool = False) -> None:
        """
        See whether a process has died with the block open, and repair what it left.

        Parameters
        ----------
        handle : Handle
            That noticed something.
        now : bool
            Also if the last look was a moment ago.
        """
        handle[words.NOTICED] = 0
        moment = time.monotonic()
        if self._closed or (moment < self._next_look and not now):
            return
        self._next_look = moment + _PAUSE
        if not self.repair().finished:
            self._next_look = moment + _PAUSE_UNFINISHED
        self.watch_owner()

    def repair(self, *, always: bool = False) -> Repaired:
        """
        Free what dead processes hold, and correct what they left between two steps.

        Parameters
        ----------
        always : bool
            Correct counts and sums also where nobody died.

        Returns
        -------
        Repaired

        Raises
        ------
        ClosedError
        """
        self.check_open(self.handle)
        # The locks of the file tell processes apart, but not the threads of one.
        if not self._repairing.acquire(blocking=False):
            return Repaired(finished=False)
        try:
            call = functools.partial(repair, always=always)
            done: Repaired = self.run(call, self.layout, self.members, self.handle, self.calls)
        finally:
            self._repairing.release()
        return done

    def watch_owner(self) -> None:
        """Warn, once, when the process that made a named block has gone, if it was another one."""
        if not self._owner_watched or self._closed:
            return
        owner = self.members.owner()
        if owner.state in ("closed", "dead"):
            self._owner_watched = False
            if not is_this_process(owner):
                assert self.block.path is not None
                name = shown(self.block.path, named=True)
                warn_owner_gone(owner, name, attachable=self.block.is_at_its_path())

    def after_fork(self) -> None:
        """Become a member of its own in a child, which has inherited the parent's handles."""
        self._running.clear()
        for handle in (*self._leaving, *self._handles()):
            handle[words.BUSY] = 0
        # Another thread of the parent may have been at it.
        self._repairing = threading.Lock()
        if self._closed:
            return
        try:
            self.members.number = -1
            self._owner_watched = self.block.named
            self.block.held.reopen()
            self.members.join()
        except (OSError, BlockError) as error:
            self._lost = f"this process was forked and cannot join the buffer: {error}"
            self.close()
            return
        for handle in self._handles():
            handle[words.WRITER] = self.members.number
            forget_learned(handle)
            if handle[words.TOKEN]:
                # The streams stay the parent's: nothing has this token.
                handle[words.TOKEN] = -1

    def _handles(self) -> list[Handle]:
        found = [reference() for reference in self._others]
        return [self.handle, *(handle for handle in found if handle is not None)]

    def check(self, code: int) -> None:
        """
        Raise what a kernel's code stands for.

        Raises
        ------
        ClosedError
        """
        if code == CLOSED:
            raise ClosedError(self._lost or "the buffer is closed")

    def check_open(self, handle: Handle) -> None:
        """
        Refuse to work on a closed block.

        Raises
        ------
        ClosedError
        """
        if not handle[words.OPEN]:
            raise ClosedError(self._lost or "the buffer is closed")

    def close(self) -> None:
        """Let the block go; kernels that are running finish."""
        if self._closed:
            return
        self._closed = True
        self._leaving = self._handles()
        for handle in self._leaving:
            handle[words.OPEN] = 0
        # A handle of no block: the old one keeps the memory mapped for kernels still inside.
        self.handle = self.handle.copy()
        self.handle.memory = None
        self._heads = self._heads.copy()
        self.leave()


def count_rows(fields: dict[str, Field], values: tuple[Any, ...]) -> int:
    """
    Count the rows that were given.

    Parameters
    ----------
    fields : dict of str to Field
    values : tuple
        Rows of each field.

    Raises
    ------
    FieldError
        A field has no rows at all, or the fields differ.
    """
    counts = {}
    for (name, field), value in zip(fields.items(), values, strict=True):
        if field.ragged:
            name = name.removesuffix(SEPARATOR + VALUES)
        try:
            counts[name] = len(value)
        except TypeError:
            raise FieldError(
                f"field {name!r} is a single {type(value).__name__}, extend takes rows of shape "
                f"(n, {', '.join(map(str, field.shape))})"
            ) from None
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise FieldError(
                f"field {name!r} has {count} rows, field {first!r} has {counts[first]}"
            )
    return counts[first]


def _after_fork() -> None:
    for ring in list(_open_rings):
        ring.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
