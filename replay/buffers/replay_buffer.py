"""The buffer: a schema, a ring, a sampler and a view, put together."""

import os
import pathlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import CLOSED, MISMATCH
from replay import samplers
from replay.buffers.batch import batch_type
from replay.buffers.writer import Writer
from replay.errors import (
    BlockFormatError,
    ClosedError,
    EmptyError,
    FieldError,
    InputError,
    ReplayError,
)
from replay.memory.block import READY_WORD, Block
from replay.memory.calls import LONG
from replay.memory.checkpoint import read_snapshot, write_snapshot
from replay.memory.fields import Schema, as_array
from replay.memory.home import named_path
from replay.memory.layout import Layout
from replay.memory.parse import learn_schema, parse_schema
from replay.memory.priority_tree import PriorityTree
from replay.memory.ring import Ring, count_rows
from replay.samplers.sampler import Sampler
from replay.samplers.uniform import Uniform
from replay.views.transition import Transition

#: Tries of a batch whose rows are overwritten while they are copied.
_TRIES = 1000


def _not_open(*_: Any) -> int:
    return MISMATCH


class ReplayBuffer(Writer):
    """
    Stores the last `capacity` transitions and draws batches out of them.

    Parameters
    ----------
    capacity : int
        Transitions that are kept; the oldest goes first.
    fields : mapping, Gymnasium spaces, or None
        What a transition is made of: names and dtypes, (dtype, shape) pairs or spaces; nested
        mappings for nested observations. None: the first transition shows it.
    sampler : Sampler
        `Uniform()` or `Proportional(...)`.
    streams : int
        Rings that the capacity is divided among, one an environment or writer.
    name : str, optional
        Puts the buffer into shared memory: `replay.attach(name)` in another process joins it.
    path : str or path, optional
        Puts the buffer into a file, which stays: `replay.attach(path=...)` opens it again.
    seed : int, optional
        Of the draws; with one seed and one sequence of calls come the same batches, in every home
        and from whichever process. None takes one from the system.

    Raises
    ------
    InputError
        An argument cannot be.
    RoomError
        Memory, shared memory or the disk has too little room.
    BlockExistsError
        The name or the path is taken.

    Notes
    -----
    Any number of threads and processes may add, sample and update at once, without a lock. The
    process that creates a named buffer unlinks it when it closes it or ends.
    """

    def __init__(
        self,
        capacity: int,
        fields: Any = None,
        *,
        sampler: Sampler | None = None,
        streams: int = 1,
        name: str | None = None,
        path: str | os.PathLike[str] | None = None,
        seed: int | None = None,
    ) -> None:
        if sampler is not None and not isinstance(sampler, Sampler):
            raise InputError(f"sampler is {sampler!r}, it must be a replay.Sampler")
        if name is not None and path is not None:
            raise InputError(f"name is {name!r} and path is {path!r}: a buffer has one home")
        self._start(name, None if path is None else pathlib.Path(path))
        self._wanted = (sampler or Uniform(), streams, _seed(seed))
        # Refuses bad numbers now, also where the fields are to be learned.
        checked = Layout(parse_schema({"any": bool}), capacity, streams, self._wanted[0].to_json())
        self._capacity = checked.capacity
        if name is not None:
            named_path(name)
        if fields is not None:
            self._create(parse_schema(fields))

    def _start(self, name: str | None, path: pathlib.Path | None) -> None:
        self.name = name
        self.path = path
        self._tree: PriorityTree | None = None
        self._sampler: Sampler | None = None
        self._view = Transition()
        self._closed = False
        self._object_add = _not_open
        self._object_extend = _not_open
        self._object_draw: Callable[..., float] = _not_open
        self._object_gather: Callable[..., int] = _not_open
        self._object_update: Callable[..., int] = _not_open
        self._row_bytes = 1
        self._fields = -1
        self._nested = True
        self._learning = threading.Lock()

    def _create(self, schema: Schema, snapshot: pathlib.Path | None = None) -> None:
        sampler, streams, seed = self._wanted
        layout = Layout(schema, self._capacity, streams, sampler.to_json())
        if self.name is not None:
            block = Block.create(layout, named_path(self.name), named=True)
        elif self.path is not None:
            block = Block.create(layout, self.path, named=False)
        else:
            block = Block.private(layout)
        try:
            control = block.part("control")
            control[words.GENERATOR, 0] = seed
            if snapshot is not None:
                read_snapshot(snapshot, block)
            self._join(block, sampler, begin=snapshot is None)
        except BaseException:
            block.discard()
            raise
        # Last: who attaches before it refuses the block as unfinished.
        control[words.READY, 0] = READY_WORD

    def _join(self, block: Block, sampler: Sampler, *, begin: bool = False) -> None:
        """Work on a block, new or attached."""
        ring = Ring(block)
        sampler.prepare(ring.handle)
        if sampler.prioritized:
            alpha = getattr(sampler, "alpha", 1.0)
            self._tree = PriorityTree(ring, alpha)
            if begin:
                self._tree.begin()
        self._sampler = sampler
        self._capacity = block.layout.capacity
        self._object_draw = ring.calls.object_draw
        self._object_gather = ring.calls.object_gather
        self._object_update = ring.calls.object_update
        self._dtypes = (*self._view.dtypes(ring), np.dtype(np.float32), np.dtype(np.int64))
        self._batch_type = batch_type(block.layout.schema.names)
        self._nested = block.layout.schema.nested
        self._open(ring, ring.handle)

    def _explain_order(self, row: tuple[Any, ...], fields: dict[str, Any]) -> tuple[Any, ...]:
        if self._ring is None and not row:
            # The first row has arrived by name: `_learn` looks at its values.
            first = _FirstRow(fields.values())
            first.names = tuple(fields)
            return first
        return super()._explain_order(row, fields)

    def _add_slowly(self, row: tuple[Any, ...], code: int) -> int:
        if self._ring is None:
            row = self._learn(row, None)
        return super()._add_slowly(row, code)

    def _extend_slowly(self, rows: tuple[Any, ...], code: int) -> npt.NDArray[np.int64]:
        if self._ring is None:
            rows = self._learn(rows, _first)
        return super()._extend_slowly(rows, code)

    def _learn(
        self, rows: tuple[Any, ...], first: Callable[[str, Any], Any] | None
    ) -> tuple[Any, ...]:
        """
        Learn the fields from a first row, or the `first` of rows, and order it by them.

        Nothing is created before the rows have been found to fit.
        """
        if self._closed:
            raise ClosedError("the buffer is closed")
        if not isinstance(rows, _FirstRow):
            self._known()
        named = dict(zip(rows.names, rows, strict=True))  # type: ignore[attr-defined]
        with self._learning:
            if self._ring is None:
                if first is None:
                    schema, count = learn_schema(named), None
                else:
                    schema = learn_schema({name: first(name, named[name]) for name in named})
                    count = count_rows(schema.fields, schema.flatten(rows))
                for (name, field), value in zip(
                    schema.fields.items(), schema.flatten(rows), strict=True
                ):
                    field.convert(name, value, count)
                self._create(schema)
        return super()._explain_order((), named)

    def writer(self, stream: int) -> Writer:
        """
        Make a writer of one stream; `add` and `extend` of the buffer itself are stream 0's.

        Parameters
        ----------
        stream : int
            0 <= stream < streams.

        Raises
        ------
        InputError
            There is no such stream, or the fields are not known yet.
        """
        return Writer(self._opened("writer"), stream)

    def sample(self, batch_size: int | None = None, *, out: Any = None) -> Any:
        """
        Draw a batch.

        Parameters
        ----------
        batch_size : int, optional
            Rows wanted, 1 or more; may be left out beside `out`.
        out : batch, optional
            An earlier batch of this buffer, whose arrays are written anew.

        Returns
        -------
        Batch
            A named tuple: a contiguous (batch_size, *shape) array a field, then weights
            (batch_size,) float32 and ids (batch_size,) int64.

        Raises
        ------
        EmptyError
            Nothing is stored, or every row has priority 0.
        InputError
            batch_size is below 1, or `out` is no batch of this size and buffer.
        ClosedError
        """
        if out is None:
            rows: Any = batch_size
            try:
                flat = tuple([np.empty(rows, dtype) for dtype in self._dtypes])
            except (AttributeError, TypeError, ValueError, MemoryError, OverflowError) as error:
                return self._refuse_sample(batch_size, error)
        elif batch_size is None and not self._nested and type(out) is self._batch_type:
            # The kernel checks the arrays, and finds what is wrong with one in no time.
            flat = out
        else:
            flat = self._flat_batch(batch_size, out)
        drawn = self._object_draw(self._handle, flat)
        if drawn == MISMATCH and out is not None:
            flat = self._flat_batch(batch_size, out)
        missed = -1
        if drawn > 0:
            if len(flat[-1]) * self._row_bytes > LONG and self._ring is not None:
                missed = self._ring.calls.object_gather_long(self._handle, flat)
            else:
                missed = self._object_gather(self._handle, flat)
        if missed != 0:
            self._sample_slowly(flat, drawn, missed)
        if out is not None:
            return out
        if self._nested:
            return self._batch_type._make((*self._schema.nest(flat[:-2]), *flat[-2:]))  # type: ignore[union-attr]
        return tuple.__new__(self._batch_type, flat)

    def _refuse_sample(self, batch_size: Any, error: Exception) -> Any:
        ring = self._opened("sample")
        _batch_size(batch_size)
        row = sum(field.nbytes for field in ring.fields.values())
        raise InputError(f"batch_size is {batch_size}, of {row} bytes a row: {error}") from None

    def _flat_batch(self, batch_size: int | None, out: Any) -> tuple[npt.NDArray[Any], ...]:
        """Check the arrays that a batch is to be written into."""
        ring = self._opened("sample")
        assert self._schema is not None
        names = (*ring.fields, "weights", "ids")
        if not isinstance(out, tuple) or len(out) != len(self._schema.names) + 2:
            raise InputError(f"out is {type(out).__name__}, it must be a batch of this buffer")
        flat = (*self._schema.flatten(out[:-2]), *out[-2:])
        rows = batch_size
        if rows is not None:
            _batch_size(rows)
        else:
            if not isinstance(flat[-1], np.ndarray) or flat[-1].ndim != 1:
                shape = getattr(flat[-1], "shape", None)
                raise InputError(f"out.ids has shape {shape}, it must be (n,)")
            rows = len(flat[-1])
        for name, array, dtype in zip(names, flat, self._dtypes, strict=True):
            shape = (rows, *dtype.shape)
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise InputError(
                    f"out.{name} has shape {getattr(array, 'shape', None)}, it must be {shape}"
                )
            if array.dtype != dtype.base:
                raise InputError(f"out.{name} is {array.dtype}, it must be {dtype.base}")
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned and flags.writeable):
                raise InputError(f"out.{name} must be contiguous, aligned and writeable")
        return flat

    def _sample_slowly(
        self, flat: tuple[npt.NDArray[Any], ...], drawn: float, missed: int
    ) -> None:
        """Draw by the plain path, or draw again what was overwritten, or explain."""
        ring = self._opened("sample")
        assert self._sampler is not None
        *columns, weights, ids = flat
        if ids.ndim != 1 or ids.size < 1:
            wanted = ids.size if ids.ndim == 1 else ids.shape
            raise InputError(f"batch_size is {wanted}, it must be an int, 1 or more")
        if drawn == MISMATCH:
            drawn = self._sampler.draw(ring, ids, weights)
        self._sampler.check(drawn)
        if missed < 0:
            self._sampler.check(missed)
            missed = self._view.gather(ring, ids, tuple(columns))
        for _ in range(_TRIES):
            if not missed:
                return
            places = np.flatnonzero(ids < 0)
            again_ids = np.empty(places.size, np.int64)
            again_weights = np.empty(places.size, np.float32)
            again = tuple(np.empty(places.size, dtype) for dtype in self._dtypes[:-2])
            self._sampler.replace(ring, again_ids, again_weights, drawn)
            missed = self._view.gather(ring, again_ids, again)
            ids[places], weights[places] = again_ids, again_weights
            for column, rows in zip(columns, again, strict=True):
                column[places] = rows
        raise EmptyError(
            f"no whole row was found in {_TRIES} tries: writers hold the slots that were drawn"
        )

    def update_priorities(self, ids: Any, priorities: Any) -> int:
        """
        Set the priorities of rows by id.

        Parameters
        ----------
        ids : (n,) array of int64
            As `sample` and `add` gave them. Where one stands twice, its last priority wins.
        priorities : (n,) array of float
            Finite, 0 or more: np.abs of TD errors.

        Returns
        -------
        int
            How many were applied; ids whose rows were overwritten since are skipped and counted.

        Raises
        ------
        InputError
            An id was never given out, a priority is negative or not finite, the lengths differ,
            or the buffer keeps no priorities; nothing was changed.
        ClosedError
        """
        applied = self._object_update(self._handle, ids, priorities)
        if applied >= 0:
            return applied
        ring = self._opened("update_priorities")
        if self._tree is None:
            raise InputError(
                "this buffer samples uniformly and keeps no priorities: give it "
                "sampler=replay.Proportional()"
            )
        return self._tree.update(ring.handle, ids, priorities)

    def __len__(self) -> int:
        if self._closed:
            raise ClosedError("the buffer is closed")
        return 0 if self._ring is None else self._ring.size

    @property
    def size(self) -> int:
        """Rows that are stored now."""
        return len(self)

    @property
    def capacity(self) -> int:
        """Rows that are kept at most."""
        return self._capacity

    @property
    def is_full(self) -> bool:
        """Whether the next row overwrites the oldest."""
        return len(self) == self._capacity

    def is_ready(self, batch_size: int) -> bool:
        """Say whether `batch_size` rows are stored."""
        return len(self) >= batch_size

    @property
    def fields(self) -> dict[str, Any]:
        """The fields by name; nested observations as "obs/image". Empty until they are known."""
        return {} if self._schema is None else dict(self._schema.fields)

    @property
    def streams(self) -> int:
        """Rings that the capacity is divided among."""
        return self._wanted[1] if self._ring is None else self._ring.layout.streams

    @property
    def sampler(self) -> Sampler:
        """How batches are drawn."""
        return self._wanted[0] if self._sampler is None else self._sampler

    @property
    def nbytes(self) -> int:
        """Bytes of the whole block; 0 until the fields are known."""
        return 0 if self._ring is None else self._ring.layout.nbytes

    @property
    def priorities(self) -> PriorityTree:
        """
        The priority tree: its total, largest and smallest priority, `verify`, `rebuild`.

        Raises
        ------
        InputError
            The buffer keeps no priorities.
        """
        self._opened("priorities")
        if self._tree is None:
            raise InputError("this buffer samples uniformly and keeps no priorities")
        return self._tree

    def column(self, name: str) -> npt.NDArray[Any]:
        """
        View the whole storage of a field, without a copy.

        Parameters
        ----------
        name : str
            As in `fields`.

        Returns
        -------
        (capacity, *shape) ndarray
            Read-only. A slot that was never filled holds zeros.

        Raises
        ------
        FieldError
            There is no such field.
        """
        return self._opened("column").column(name)

    def stats(self) -> dict[str, int]:
        """
        Read the counters of the block, kept by all processes together.

        Returns
        -------
        dict of str to int
            added: rows ever added. sampled, batches: rows and batches drawn. updated, stale:
            priorities applied, and skipped because their row was overwritten. redrawn: rows drawn
            again because a writer passed by. burnt: tickets that found their slot taken.
            saturated: priorities above the largest that fits.
        """
        ring = self._opened("stats")
        control = ring.block.part("control")
        return {
            "size": ring.size,
            "added": ring.added - ring.burnt,
            "sampled": int(control[words.SAMPLES, 0]),
            "batches": int(control[words.SAMPLES, 1]),
            "updated": int(control[words.UPDATES, 0]),
            "stale": int(control[words.STALE, 0]),
            "redrawn": int(control[words.REDRAWS, 0]),
            "burnt": ring.burnt,
            "saturated": int(control[words.SATURATED, 0]),
        }

    def clear(self) -> None:
        """Forget every row and priority. Ids go on growing, so old ones stay harmless."""
        if self._ring is None and not self._closed:
            return
        self._opened("clear").clear()
        if self._tree is not None:
            self._tree.begin()

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write all rows, priorities and counters to a file; `replay.load` reads it.

        The file appears whole or not at all. It is the block itself behind a checksum, and also a
        valid safetensors file. Rows added meanwhile may or may not be in it.

        Parameters
        ----------
        path : str or path
            An earlier file is replaced.

        Raises
        ------
        BlockError
            The file cannot be written.
        """
        write_snapshot(self._opened("save").block, pathlib.Path(path))

    def restore(self, path: str | os.PathLike[str]) -> None:
        """
        Take over what `save` wrote, in place of all that is stored.

        Parameters
        ----------
        path : str or path
            Of a buffer of the same fields, capacity, streams and sampler.

        Raises
        ------
        BlockMissingError, BlockFormatError
            There is no such file, it is damaged, or it is of another buffer; nothing was changed.
        """
        path = pathlib.Path(path)
        with self._learning:
            if self._ring is None and not self._closed:
                self._create(Block.layout_of(path).schema, path)
                return
        read_snapshot(path, self._opened("restore").block)

    def flush(self) -> None:
        """Hand the pages of a `path=` buffer to the disk; nothing to do for the other homes."""
        self._opened("flush").block.flush()

    def close(self) -> None:
        """Let the buffer go. The creator of a named one unlinks it; a file on disk stays."""
        if self._closed:
            return
        self._closed = True
        if self._ring is not None:
            self._object_draw = self._object_gather = self._object_update = _closed
            self._object_add = self._object_extend = _closed
            if self._tree is not None:
                self._tree.close()
            self._ring.close()
            self._handle = self._ring.handle

    def _opened(self, method: str) -> Ring:
        if self._closed:
            raise ClosedError("the buffer is closed")
        if self._ring is None:
            if method in ("sample", "update_priorities"):
                raise EmptyError("the buffer is empty: add rows before the first sample")
            raise FieldError(f"the fields are not known yet: add a row before {method}")
        return self._ring

    def __enter__(self) -> "ReplayBuffer":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        home = f", name={self.name!r}" if self.name else ""
        home += f", path={str(self.path)!r}" if self.path else ""
        if self._closed:
            return f"<ReplayBuffer closed{home}>"
        return (
            f"<ReplayBuffer {len(self)} of {self._capacity} rows, {self.sampler!r}, fields "
            f"{', '.join(self.fields) or 'not known yet'}{home}>"
        )

    def __reduce__(self) -> Any:
        if self._closed or self._ring is None or (self.name is None and self.path is None):
            raise ReplayError(
                "only an open buffer with a name or a path can be pickled: other processes attach "
                "to it, and a private one is memory of this process alone"
            )
        return _attach, (self.name, None if self.path is None else str(self.path))


def attach(name: str | None = None, *, path: str | os.PathLike[str] | None = None) -> ReplayBuffer:
    """
    Open a buffer that another process made, or that a file holds.

    Parameters
    ----------
    name : str, optional
        Of a named buffer on this machine.
    path : str or path, optional
        Of a file.

    Returns
    -------
    ReplayBuffer
        The same rows, priorities, generator and counters as all others who have it open.

    Raises
    ------
    BlockMissingError
        There is none.
    BlockFormatError
        It is no block, of another format version, cut short, or damaged.
    """
    if (name is None) == (path is None):
        raise InputError(f"name is {name!r} and path is {path!r}: one of them says what to attach")
    return _attach(name, path)


def _attach(name: str | None, path: str | os.PathLike[str] | None) -> ReplayBuffer:
    where = named_path(name) if name is not None else pathlib.Path(path or "")
    block = Block.attach(where, named=name is not None)
    try:
        buffer = ReplayBuffer.__new__(ReplayBuffer)
        buffer._start(name, None if name is not None else where)
        sampler = samplers.from_json(block.layout.sampler)
        buffer._wanted = (sampler, block.layout.streams, 0)
        buffer._join(block, sampler)
    except InputError as error:
        block.close()
        raise _foreign(where, error) from None
    except BaseException:
        block.close()
        raise
    return buffer


def load(path: str | os.PathLike[str], *, name: str | None = None) -> ReplayBuffer:
    """
    Make a buffer of what `ReplayBuffer.save` wrote; the file stays as it is.

    Parameters
    ----------
    path : str or path
    name : str, optional
        Put the new buffer into shared memory under this name.

    Returns
    -------
    ReplayBuffer

    Raises
    ------
    BlockMissingError
        There is no such file.
    BlockFormatError
        It is no snapshot, cut short, or damaged.
    """
    layout = Block.layout_of(pathlib.Path(path))
    try:
        sampler = samplers.from_json(layout.sampler)
    except InputError as error:
        raise _foreign(pathlib.Path(path), error) from None
    buffer = ReplayBuffer(
        layout.capacity,
        sampler=sampler,
        streams=layout.streams,
        name=name,
        seed=0,
    )
    try:
        buffer.restore(path)
    except BaseException:
        buffer.close()
        raise
    return buffer


def _foreign(path: pathlib.Path, error: Exception) -> Exception:
    return BlockFormatError(f"{str(path)!r} is no block of ours: {error}")


def _closed(*_: Any) -> int:
    return CLOSED


def _batch_size(batch_size: Any) -> None:
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not whole or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}, it must be an int, 1 or more")


class _FirstRow(tuple):  # type: ignore[type-arg]
    """Values that came by name before the fields were known, in the order they came in."""

    names: tuple[str, ...] = ()


def _first(name: str, value: Any) -> Any:
    """Take the first row of rows, nested or not."""
    if isinstance(value, Mapping):
        return {part: _first(f"{name}/{part}", below) for part, below in value.items()}
    if isinstance(value, tuple):
        return tuple(_first(f"{name}/{number}", below) for number, below in enumerate(value))
    array = as_array(name, value)
    if not array.shape or not array.shape[0]:
        raise FieldError(f"field {name!r} has no first row: it shows nothing")
    if isinstance(value, np.ndarray) or isinstance(value[0], (np.ndarray, np.generic)):
        return array[0]
    # Plain Python numbers, which have no width of their own.
    return array[0].tolist()


def _seed(seed: Any) -> int:
    if seed is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 63:
        raise InputError(f"seed is {seed!r}, it must be an int from 0 to {(1 << 63) - 1}")
    return int(seed)
