"""Batches out of several buffers: offline and online data, demonstrations and play."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.buffers.batch import batch_type
from replay.buffers.reader import Reader
from replay.buffers.shares import Shares, named
from replay.errors import ClosedError, EmptyError, FieldError, InputError, ReplayError
from replay.memory.ring import Ring
from replay.memory.waiting import Waiting

#: What a batch of a mixture says of each row beside its fields.
SOURCE = "source"


class Mixture:
    """
    Draws batches of which each buffer gives a share.

    Parameters
    ----------
    buffers : mapping of str to ReplayBuffer or ViewReader, or a sequence of them
        All of the same fields: names, dtypes and shapes, however they are stored. They stay what
        they are, and may be added to and drawn from beside the mixture.
    shares : mapping of str to float, or a sequence of them
        Of each buffer, from 1e-6 to 1, together 1; named or ordered as the buffers are. Kept as
        fractions of integers up to 1e6. None: the same share for each.

    Raises
    ------
    FieldError
        The fields of two buffers differ, are not known yet, or one is called "source".
    InputError
        There are no buffers, one is none or has time-major batches, or the shares cannot be.

    Notes
    -----
    Where batch_size * share is no whole number, what a buffer got too little of a batch is owed to
    it, and what it got too much is held against it, see `Shares`: however many batches are drawn,
    each of two buffers is less than a row off its share of them all.

    Ball, Smith, Kostrikov and Levine (2023), Efficient Online Reinforcement Learning with Offline
    Data, section 4.1: half of each batch from either of two buffers.
    """

    def __init__(
        self,
        buffers: Mapping[str, Reader] | Sequence[Reader],
        shares: Mapping[str, float] | Sequence[float] | None = None,
    ) -> None:
        self._readers: dict[str, Reader] = named("buffers", buffers)
        if not self._readers:
            raise InputError("buffers is empty, a mixture is of one buffer at least")
        for name, reader in self._readers.items():
            _check_reader(name, reader)
        first, *others = self._readers
        for name in others:
            _check_same(first, self._readers[first], name, self._readers[name])
        schema = self._readers[first]._batch_schema
        if SOURCE in schema.names:
            raise FieldError(
                f"a field is called {SOURCE!r}, which in a mixture's batch says whose a row is"
            )
        self._schema = schema
        self._dtypes = self._readers[first]._dtypes
        self._batch_type = batch_type((*schema.names, SOURCE))
        self._columns = [
            [list(schema.fields).index(name) for name in reader._batch_schema.fields]
            for reader in self._readers.values()
        ]
        given = None if shares is None else named("shares", shares)
        if given is not None and isinstance(shares, Mapping) != isinstance(buffers, Mapping):
            raise InputError("shares must be named where the buffers are, and nowhere else")
        self._shares = Shares(tuple(self._readers), given)
        self._begun = [False] * len(self._readers)

    @property
    def buffers(self) -> dict[str, Any]:
        """The buffers by name; "0", "1" ... where they were given without names."""
        return dict(self._readers)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each buffer by name."""
        return self._shares.shares

    def sample(
        self, batch_size: int | None = None, *, out: Any = None, timeout: float | None = None
    ) -> Any:
        """
        Draw a batch, the rows of each buffer behind those of the buffer before it.

        Parameters
        ----------
        batch_size : int, optional
            Rows wanted, 1 or more; may be left out beside `out`.
        out : batch, optional
            An earlier batch of this mixture, whose arrays are written anew; of no use where an
            error is raised.
        timeout : float, optional
            Seconds to wait for rows and for the buffers' rate limiters, all of them together; as
            a buffer's own `sample` takes it.

        Returns
        -------
        Batch
            A named tuple: a contiguous (batch_size, *shape) array a field, a `Padded` or a `Flat`
            of a ragged one, then source
            (batch_size,) int64, the place of each row's buffer among the buffers, weights
            (batch_size,) float32 and ids (batch_size,) int64, both as that buffer gave them.

        Raises
        ------
        EmptyError, WaitTimeoutError, InputError, ClosedError
            As a buffer's own `sample`; the message names the buffer.
        """
        waiting = None if timeout is None else Waiting(timeout)
        if out is None:
            rows = _whole_number(batch_size)
            try:
                flat = tuple([np.empty((rows,), dtype) for dtype in self._dtypes])
            except (ValueError, MemoryError, OverflowError) as error:
                raise InputError(f"batch_size is {rows}: {error}") from None
            source = np.empty(rows, np.int64)
        else:
            flat, source = self._flat_batch(batch_size, out)
            rows = source.size
        counts, owed = self._shares.divide(rows)
        self._check_begun(counts, waiting)
        first = 0
        for place, (name, reader) in enumerate(self._readers.items()):
            after = first + counts[place]
            if after == first:
                continue
            part = self._part(place, reader, [array[first:after] for array in flat])
            try:
                reader.sample(out=part, timeout=None if waiting is None else waiting.left)
            except ReplayError as error:
                self._give_back(counts[:place])
                raise type(error)(f"buffer {name!r}: {error}") from None
            self._begun[place] = True
            source[first:after] = place
            first = after
        # Only now: of a batch that was refused nobody is owed anything.
        self._shares.settle(owed)
        if out is not None:
            return out
        *columns, weights, ids = flat
        return self._batch_type._make((*self._schema.nest(tuple(columns)), source, weights, ids))

    def _flat_batch(
        self, batch_size: int | None, out: Any
    ) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[np.int64]]:
        """Take the arrays that a batch is to be written into; each buffer checks its rows."""
        if type(out) is not self._batch_type:
            raise InputError(f"out is {type(out).__name__}, it must be a batch of this mixture")
        *nodes, source, weights, ids = out
        flat = (*self._schema.flatten_batch(tuple(nodes)), weights, ids)
        names = (*self._schema.fields, "weights", "ids", SOURCE)
        for name, array in zip(names, (*flat, source), strict=True):
            if not isinstance(array, np.ndarray) or not array.ndim:
                raise InputError(f"out.{name} is {type(array).__name__}, it must be an ndarray")
        rows = len(ids) if batch_size is None else _whole_number(batch_size)
        for name, array in zip(names, (*flat, source), strict=True):
            if len(array) != rows:
                raise InputError(f"out.{name} has {len(array)} rows, it must have {rows}")
        if source.dtype != np.int64 or source.shape != (rows,) or not source.flags.writeable:
            raise InputError(f"out.{SOURCE} must be a writeable array of int64, ({rows},)")
        return flat, source

    def _check_begun(self, counts: list[int], waiting: Waiting | None) -> None:
        """Refuse an empty buffer before another one is drawn from."""
        if waiting is not None:
            return
        for place, (name, reader) in enumerate(self._readers.items()):
            begun = not counts[place] or self._begun[place] or reader._limiter is not None
            if not begun and not _opened(name, reader).size:
                raise EmptyError(f"buffer {name!r} is empty: add rows before the first sample")

    def _part(self, place: int, reader: Reader, flat: list[npt.NDArray[Any]]) -> Any:
        """Make a batch of one buffer out of slices."""
        *columns, weights, ids = flat
        ordered = tuple([columns[column] for column in self._columns[place]])
        if reader._nested:
            ordered = reader._batch_schema.nest(ordered, padded=True)
        return reader._batch_type._make((*ordered, weights, ids))

    def _give_back(self, counts: list[int]) -> None:
        """Have the limiters of buffers forget what was drawn for a batch that is not to be."""
        for (name, reader), count in zip(self._readers.items(), counts, strict=False):
            if count and reader._limiter is not None:
                ring = _opened(name, reader)
                ring.give_back(ring.handle, 0, count)

    def update_priorities(self, batch: Any, priorities: Any, source: Any = None) -> int:
        """
        Set the priorities of rows, each in its own buffer; those without priorities are skipped.

        Parameters
        ----------
        batch : batch, or (n,) array of int64
            As `sample` gave it, or the ids of rows.
        priorities : (n,) array of float
            Finite, 0 or more.
        source : (n,) array of int64, optional
            The place of each row's buffer; only where ids were given.

        Returns
        -------
        int
            How many were applied; ids whose rows were overwritten since are skipped and counted.

        Raises
        ------
        InputError
            A priority is negative or not finite, a source is no buffer's, or the lengths differ:
            nothing was changed. Or an id was never given out by its buffer: those before it have
            their priorities.
        ClosedError
        """
        ids = batch
        if type(batch) is self._batch_type:
            ids, source = batch.ids, batch.source
        elif source is None:
            raise InputError("source is None: with ids it must say which buffer each row is of")
        ids = _array("ids", ids, "iu")
        source = _array("source", source, "iu")
        given = _array("priorities", priorities, "biuf")
        if not ids.size == source.size == given.size:
            raise InputError(
                f"{ids.size} ids were given, {source.size} sources and {given.size} priorities"
            )
        for place in np.flatnonzero((source < 0) | (source >= len(self._readers)))[:1]:
            last = len(self._readers) - 1
            raise InputError(f"source[{place}] is {source[place]}, it must be from 0 to {last}")
        for place in np.flatnonzero(~(np.isfinite(given) & (given >= 0)))[:1]:
            raise InputError(
                f"priorities[{place}] is {given[place]}, a priority is finite and 0 or more"
            )
        applied = 0
        for place, (name, reader) in enumerate(self._readers.items()):
            rows = np.flatnonzero(source == place)
            assert reader._sampler is not None
            if not rows.size or not reader._sampler.prioritized:
                continue
            # A reader of another view has its priorities from the buffer that it reads.
            buffer: Any = getattr(reader, "_buffer", reader)
            try:
                applied += buffer.update_priorities(ids[rows], given[rows])
            except ReplayError as error:
                raise type(error)(f"buffer {name!r}: {error}") from None
        return applied

    def __len__(self) -> int:
        return sum(_opened(name, reader).size for name, reader in self._readers.items())

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:g} of {name!r}" for name, share in self.shares.items())
        return f"<Mixture {shares}, fields {', '.join(self._schema.fields)}>"


def _check_reader(name: str, reader: Any) -> None:
    if not isinstance(reader, Reader):
        raise InputError(f"buffer {name!r} is {reader!r}, it must be a replay.ReplayBuffer")
    if reader._batch_type is None:
        raise FieldError(
            f"the fields of buffer {name!r} are not known yet: add a row first, or make it with "
            "fields"
        )
    if reader._leads is not None:
        raise InputError(
            f"the batches of buffer {name!r} are time-major: those of a mixture have rows first"
        )


def _check_same(name: str, reader: Reader, other_name: str, other: Reader) -> None:
    """Refuse two buffers whose batches could not be one."""
    schema, other_schema = reader._batch_schema.bare, other._batch_schema.bare
    fields, others = schema.fields, other_schema.fields
    for here, there, lacking in ((fields, others, other_name), (others, fields, name)):
        for field in here:
            if field not in there:
                owner = name if lacking == other_name else other_name
                raise FieldError(f"buffer {owner!r} has a field {field!r}, {lacking!r} has not")
    for field, one in fields.items():
        if one != others[field]:
            raise FieldError(
                f"field {field!r} is {_shown(one)} in buffer {name!r} and "
                f"{_shown(others[field])} in buffer {other_name!r}"
            )
    if schema.nodes != other_schema.nodes:
        raise FieldError(f"the fields of buffers {name!r} and {other_name!r} are nested otherwise")


def _shown(field: Any) -> str:
    return f"{field.dtype}{list(field.shape)}"


def _opened(name: str, reader: Reader) -> Ring:
    try:
        return reader._opened("sample")
    except ClosedError as error:
        raise ClosedError(f"buffer {name!r}: {error}") from None


def _whole_number(batch_size: Any) -> int:
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not whole or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}, it must be an int, 1 or more")
    return int(batch_size)


def _array(name: str, given: Any, kinds: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is no array: {error}") from None
    if array.ndim != 1 or (array.size and array.dtype.kind not in kinds):
        raise InputError(
            f"{name} is of {array.dtype} and shape {array.shape}, it must be (n,) numbers"
        )
    return array
