"""Drawing batches out of a buffer."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.addresses import STACK
from kernels.codes import HELD_BACK, MISMATCH, NO_PRIORITY, NOT_WHOLE, NOTICE
from kernels.rows import DAMAGED
from replay.buffers.batch import batch_type
from replay.buffers.handled import Handled
from replay.buffers.methods import install
from replay.errors import BlockFormatError, EmptyError, InputError, ReplayError, WaitTimeoutError
from replay.memory.calls import LONG, walk_entry
from replay.memory.fields import Schema
from replay.memory.handle import KEPT, Handle
from replay.memory.limiter import RateLimiter
from replay.memory.ring import Ring
from replay.memory.waiting import Waiting
from replay.samplers.sampler import Sampler
from replay.views.rows import Rows
from replay.views.windows import Windows

#: Tries of a batch whose rows are overwritten while they are copied.
_TRIES = 1000
#: Bytes of a batch that is kept to be used anew; larger ones would hold memory that nobody asks
#: for again.
LARGEST_KEPT = 1 << 25


class Reader(Handled):
    """
    Draws batches: a sampler says which rows, a view what becomes of them.

    Any number of threads and processes may draw at once, beside writers.
    """

    _schema: Schema | None = None
    _ring: Ring | None = None
    _sampler: Sampler | None = None
    _limiter: RateLimiter | None = None
    _closed = False
    _batch_type: Any = None
    _batch_bytes = 1
    _dtypes: tuple[np.dtype[Any], ...]
    _leads: tuple[int, ...] | None = None
    _batch_schema: Schema
    _nested = False
    _complete: Callable[[tuple[npt.NDArray[Any], ...]], None] | None = None

    def _close_reader(self, stub: Callable[..., int]) -> None:
        """Let every draw end in `stub`, which gives a code."""
        self._object_draw: Callable[..., float] = stub
        self._object_gather: Callable[..., int] = stub

    def _open_reader(
        self, ring: Ring, sampler: Sampler, gatherer: Rows | Windows, handle: Handle
    ) -> None:
        gatherer = sampler.watched(gatherer)
        self._gatherer = gatherer
        self._batch_schema = gatherer.batch
        self._sampler = sampler
        self._dtypes = (*gatherer.dtypes, np.dtype(np.float32), np.dtype(np.int64))
        self._leads = gatherer.leads
        self._batch_type = batch_type(gatherer.batch.names)
        self._nested = gatherer.batch.nested
        self._batch_bytes = sum(dtype.itemsize for dtype in self._dtypes)
        if gatherer.leads is not None:
            fields = gatherer.batch.fields.values()
            self._batch_bytes = sum(field.nbytes for field in fields)
        self._complete = gatherer.complete
        self._object_draw = _lacking(gatherer.lacks) if gatherer.lacks else sampler.entry(ring)
        self._object_gather = gatherer.entry
        if sampler.walk is None or not handle[words.TYPE_ARRAY]:
            return
        handle[words.DRAW] = walk_entry(sampler.walk)
        # Batches of more arrays than kernels take at once are Python's.
        if not gatherer.lacks and len(self._dtypes) <= STACK:
            # Whatever Python has to do to a batch, it does to what kernels have filled.
            handle[words.FLAT] = flat = self._nested or gatherer.complete is not None
            handle[words.BATCH_TYPE] = id(tuple if flat else self._batch_type)
            handle[words.BATCH_BYTES] = self._batch_bytes
            handle.batches = [None] * KEPT
            handle[words.BATCHES] = id(handle.batches)
            install(Reader, "sample")

    def _opened(self, method: str) -> Ring:
        raise NotImplementedError

    def sample(
        self, batch_size: int | None = None, *, out: Any = None, timeout: float | None = None
    ) -> Any:
        """
        Draw a batch.

        Parameters
        ----------
        batch_size : int, optional
            Rows wanted, 1 or more; may be left out beside `out`.
        out : batch, optional
            An earlier batch of this buffer, whose arrays are written anew. A `Flat` has no size
            that the next batch would have: in its place stands a `Padded`, whose values are left
            as they come behind the end of each row.
        timeout : float, optional
            Seconds to wait for rows and for the rate limiter; 0 tries once. None: an empty buffer
            is an error at once, and a limiter is waited for as long as it takes.

        Returns
        -------
        Batch
            A named tuple: a contiguous (batch_size, *shape) array a field, a `Padded` or a `Flat`
            of a ragged one, then weights (batch_size,) float32 and ids (batch_size,) int64.

        Raises
        ------
        EmptyError
            Nothing is stored, or every row has priority 0.
        WaitTimeoutError
            The same, or the limiter held the batch back, until the timeout.
        InputError
            batch_size is below 1, or `out` is no batch of this size and buffer.
        BlockFormatError
            A compressed or ragged row is damaged: of a file that somebody wrote into.
        ClosedError
        """
        waiting = None if timeout is None else Waiting(timeout)
        if out is None:
            try:
                flat = self._arrays(batch_size)
            except (AttributeError, TypeError, ValueError, MemoryError, OverflowError) as error:
                if self._ring is None and self._await_fields(waiting, batch_size):
                    left = None if waiting is None else waiting.left
                    return self.sample(batch_size, timeout=left)
                return self._refuse_sample(batch_size, error)
        elif type(out) is self._batch_type and not self._nested and _fits(batch_size, out[-1]):
            # The kernel checks the arrays, and finds what is wrong with one in no time.
            flat = out
        else:
            if self._ring is None:
                self._await_fields(waiting, 1 if batch_size is None else batch_size)
            flat = self._flat_batch(batch_size, out)
        drawn = self._object_draw(self._handle, flat)
        if drawn == MISMATCH and out is not None:
            flat = self._flat_batch(batch_size, out)
        missed = -1
        if drawn > 0:
            if len(flat[-1]) * self._batch_bytes > LONG and self._ring is not None:
                ring = self._ring
                missed = ring.run(self._gatherer.entry_long, self._handle, flat)
            else:
                missed = self._object_gather(self._handle, flat)
        if missed != 0:
            self._sample_slowly(flat, drawn, missed, waiting)
        if self._complete is not None:
            self._complete_batch(self._complete, flat)
        if out is not None:
            return out
        return self._typed(flat)

    # What compiled methods call, by these names.
    _plain_sample = sample

    def _new_batch(self, batch_size: int) -> Any:
        """Make a batch to draw into, and keep it to be used anew once nobody holds it."""
        try:
            flat = self._arrays(batch_size)
        except (ValueError, MemoryError, OverflowError) as error:
            return self._refuse_sample(batch_size, error)
        handle = self._handle
        batch = flat if handle is not None and handle[words.FLAT] else self._typed(flat)
        if batch_size * self._batch_bytes <= LARGEST_KEPT and handle is not None:
            handle.keep(handle.batches, batch)
        return batch

    def _sample_rest(self, batch: Any, drawn: float, missed: int, timeout: Any) -> Any:
        """Bring a batch to its end that was not drawn or gathered at the first try."""
        waiting = None if timeout is None else Waiting(timeout)
        self._sample_slowly(tuple(batch), drawn, missed, waiting)
        return batch if type(batch) is self._batch_type else self._dressed(batch)

    def _dressed(self, flat: tuple[npt.NDArray[Any], ...]) -> Any:
        """Make of arrays that are filled what is given out."""
        if self._complete is not None:
            self._complete_batch(self._complete, flat)
        return self._typed(flat)

    def _typed(self, flat: tuple[npt.NDArray[Any], ...]) -> Any:
        """Make a batch of its arrays, nested as its rows are."""
        if self._nested:
            return self._batch_type._make((*self._batch_schema.nest(flat[:-2]), *flat[-2:]))
        return tuple.__new__(self._batch_type, flat)

    def _left(self) -> None:
        """Let a block go that another thread has closed while a batch was copied."""
        if self._ring is not None:
            self._ring.leave()

    def _refuse_sample(self, batch_size: Any, error: Exception) -> Any:
        self._opened("sample")
        _batch_size(batch_size)
        raise InputError(
            f"batch_size is {batch_size}, of {self._batch_bytes} bytes a row: {error}"
        ) from None

    def _flat_batch(self, batch_size: int | None, out: Any) -> tuple[npt.NDArray[Any], ...]:
        """Check the arrays that a batch is to be written into."""
        self._opened("sample")
        schema = self._batch_schema
        if not isinstance(out, tuple) or len(out) != len(schema.names) + 2:
            raise InputError(f"out is {type(out).__name__}, it must be a batch of this buffer")
        flat = (*schema.flatten_batch(out[:-2]), *out[-2:])
        rows = batch_size
        if rows is not None:
            _batch_size(rows)
        else:
            if not isinstance(flat[-1], np.ndarray) or flat[-1].ndim != 1:
                shape = getattr(flat[-1], "shape", None)
                raise InputError(f"out.ids has shape {shape}, it must be (n,)")
            rows = len(flat[-1])
        self._check_arrays(flat, rows)
        return flat

    def _check_arrays(self, flat: tuple[npt.NDArray[Any], ...], rows: int) -> None:
        """Refuse arrays that no batch of so many rows can be written into."""
        names = (*self._batch_schema.fields, "weights", "ids")
        for place, (name, array, dtype) in enumerate(zip(names, flat, self._dtypes, strict=True)):
            shape = self._shape(rows, place)
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise InputError(
                    f"out.{name} has shape {getattr(array, 'shape', None)}, it must be {shape}"
                )
            if array.dtype != dtype.base:
                raise InputError(f"out.{name} is {array.dtype}, it must be {dtype.base}")
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned and flags.writeable):
                raise InputError(f"out.{name} must be contiguous, aligned and writeable")

    def _shape(self, rows: int, place: int) -> tuple[int, ...]:
        """Say what shape the array at a place of a flat batch has."""
        shape: tuple[int, ...] = (rows, *self._dtypes[place].shape)
        if self._leads is not None and place < len(self._leads) and self._leads[place]:
            return (self._leads[place], *shape)
        return shape

    def _arrays(self, rows: Any) -> tuple[npt.NDArray[Any], ...]:
        """Make the arrays of a batch; some may have an axis before that of its rows."""
        if self._leads is None:
            # A shape of one size: of a tuple, or of nothing at all, NumPy would make a shape too.
            shape = (rows,)
            return tuple([np.empty(shape, dtype) for dtype in self._dtypes])
        return tuple(
            np.empty(self._shape(rows, place), dtype.base)
            for place, dtype in enumerate(self._dtypes)
        )

    def _sample_slowly(
        self,
        flat: tuple[npt.NDArray[Any], ...],
        drawn: float,
        missed: int,
        waiting: Waiting | None,
    ) -> None:
        """Draw by the plain path, wait and draw, draw again what was overwritten, or explain."""
        ring = self._opened("sample")
        assert self._sampler is not None
        *_, weights, ids = flat
        if ids.ndim != 1 or ids.size < 1:
            wanted = ids.size if ids.ndim == 1 else ids.shape
            raise InputError(f"batch_size is {wanted}, it must be an int, 1 or more")
        at_once = waiting is None
        while True:
            if drawn == MISMATCH:
                drawn = self._sampler.draw(ring, ids, weights, self._own_handle())
            try:
                if drawn == NOT_WHOLE and self._gatherer.need:
                    self._refuse_window(ring)
                self._sampler.check(drawn)
                if drawn != HELD_BACK:
                    self._finish(ring, flat, drawn, missed)
                    return
                why = "the rate limiter holds samples back"
            except EmptyError as error:
                # New rows may bring an end to it, but not while the limiter holds them back.
                if at_once and (ring.limiter is None or drawn == NO_PRIORITY):
                    raise
                why = str(error)
            waiting = waiting or Waiting(None)
            if not waiting.nap():
                limiter = f"; {ring.limiter_state()}" if ring.limiter is not None else ""
                raise WaitTimeoutError(
                    f"no batch could be drawn in {waiting.timeout:g} s: {why}{limiter}"
                )
            ring = self._opened("sample")
            ring.look_after(self._own_handle())
            drawn = self._object_draw(self._handle, flat)
            missed = self._gather(ring, flat) if drawn > 0 else -1

    def _refuse_window(self, ring: Ring) -> None:
        """Say what the view needs, and that no row has it."""
        above = ""
        if self._sampler is not None and self._sampler.prioritized:
            above = " with a priority above 0"
        raise EmptyError(
            f"no row can be drawn: none of {ring.size} has its whole window, which is "
            f"{self._gatherer.need}{above}"
        )

    def _own_handle(self) -> Handle:
        assert self._handle is not None
        return self._handle

    def _gather(self, ring: Ring, flat: tuple[npt.NDArray[Any], ...]) -> int:
        """Gather as `sample` does, which has it written out to save a call."""
        if len(flat[-1]) * self._batch_bytes > LONG:
            return int(ring.run(self._gatherer.entry_long, self._handle, flat))
        return self._object_gather(self._handle, flat)

    def _await_fields(self, waiting: Waiting | None, batch_size: Any) -> bool:
        """Wait until a first row has shown the fields, where waiting was asked for."""
        if waiting is None:
            if self._limiter is None:
                return False
            waiting = Waiting(None)
        _batch_size(batch_size)
        while self._ring is None and not self._closed:
            if not waiting.nap():
                raise WaitTimeoutError(
                    f"no batch could be drawn in {waiting.timeout:g} s: no row was added yet"
                ) from None
        return not self._closed

    def _finish(
        self, ring: Ring, flat: tuple[npt.NDArray[Any], ...], drawn: float, missed: int
    ) -> None:
        """Gather what was drawn if it is still to be, and draw again what was overwritten."""
        try:
            self._gather_whole(ring, flat, drawn, missed)
        except ReplayError:
            ring.give_back(ring.handle, 0, flat[-1].size)
            raise

    def _complete_batch(
        self,
        complete: Callable[[tuple[npt.NDArray[Any], ...]], None],
        flat: tuple[npt.NDArray[Any], ...],
    ) -> None:
        try:
            complete(flat)
        except BaseException:
            if self._ring is not None:
                self._ring.give_back(self._ring.handle, 0, flat[-1].size)
            raise

    def _gather_whole(
        self, ring: Ring, flat: tuple[npt.NDArray[Any], ...], drawn: float, missed: int
    ) -> None:
        assert self._sampler is not None
        handle = self._own_handle()
        *columns, weights, ids = flat
        if missed == NOTICE:
            missed = 0
        if missed < 0:
            self._sampler.check(missed)
            # Where it was the sampler that took the arrays, nobody has looked at all of them.
            self._check_arrays(flat, ids.size)
            missed = self._gatherer.gather(handle, ids, tuple(columns))
        again = missed != 0
        for _ in range(_TRIES):
            if handle[words.NOTICED]:
                ring.look_after(handle)
            if not missed:
                if again:
                    self._sampler.settle(weights)
                return
            places = np.flatnonzero(ids < 0)
            _refuse_damaged(ids)
            again_ids = np.empty(places.size, np.int64)
            again_weights = np.empty(places.size, np.float32)
            rows = self._arrays(places.size)[:-2]
            self._sampler.draw_again(ring, again_ids, again_weights, drawn, handle, ids)
            missed = self._gatherer.gather(handle, again_ids, rows)
            ids[places], weights[places] = again_ids, again_weights
            for place, (column, drawn_rows) in enumerate(zip(columns, rows, strict=True)):
                if self._leads is not None and self._leads[place]:
                    column[:, places] = drawn_rows
                else:
                    column[places] = drawn_rows
        raise EmptyError(
            f"no whole row was found in {_TRIES} tries: writers hold the slots that were drawn"
        )


def _refuse_damaged(ids: npt.NDArray[np.int64]) -> None:
    """Raise where a row is whole and its bytes in the heap are not those of a row."""
    damaged = DAMAGED - ids[ids <= DAMAGED]
    if damaged.size:
        slots = ", ".join(map(str, np.unique(damaged)[:8]))
        raise BlockFormatError(
            f"the block is damaged: what is stored for slots {slots} are not the bytes of a row"
        )


def _lacking(why: str) -> Callable[..., float]:
    """Stand in for a draw where no batch can be completed."""

    def refuse(*_: Any) -> NoReturn:
        raise InputError(why)

    return refuse


def _batch_size(batch_size: Any) -> None:
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not whole or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}, it must be an int, 1 or more")


def _fits(batch_size: Any, ids: Any) -> bool:
    """Say whether a batch size, if it was given at all, is that of the ids to be written."""
    if batch_size is None:
        return True
    return type(batch_size) is int and type(ids) is np.ndarray and ids.size == batch_size
