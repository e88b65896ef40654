"""Adding rows to one stream of a buffer."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.codes import HELD_BACK, MISMATCH, NOTICE, NOTICED_ID
from replay.buffers.handled import Handled
from replay.buffers.methods import install
from replay.errors import FieldError
from replay.memory.calls import LONG
from replay.memory.fields import Schema
from replay.memory.handle import Handle
from replay.memory.ring import Ring, count_rows


class Writer(Handled):
    """
    Adds rows to one stream.

    Any number of writers, in threads and processes, may add to a buffer at once, also to one
    stream; a stream with a single writer keeps its rows in that writer's order.

    Parameters
    ----------
    ring : Ring
    stream : int

    Raises
    ------
    InputError
        There is no such stream.
    """

    _schema: Schema | None = None
    _ring: Ring | None = None

    def __init__(self, ring: Ring, stream: int) -> None:
        self._open(ring, ring.stream_handle(stream))

    def _close_writer(self, stub: Callable[..., int]) -> None:
        """Let every add end in `stub`, which gives a code."""
        self._object_add: Callable[..., int] = stub
        self._object_extend: Callable[..., int] = stub
        # No batch is a long one: each goes to the stub.
        self._row_bytes = 0
        self._fields = -1

    def _open(self, ring: Ring, handle: Handle) -> None:
        self._handle = handle
        self._schema = ring.layout.schema
        self._object_add = ring.calls.late("object_add")
        self._object_extend = ring.calls.late("object_extend")
        self._row_bytes = max(sum(field.nbytes for field in ring.fields.values()), 1)
        names = self._schema.names
        self._order: Callable[[dict[str, Any]], tuple[Any, ...]] = _order(names)
        self._fields = len(names)
        install(Writer, "add", "extend")
        # Last: another thread may be waiting for it.
        self._ring = ring

    def add(self, /, *row: Any, **fields: Any) -> int:
        """
        Store one row.

        Parameters
        ----------
        *row, **fields
            A value for each field, by name or in the schema's order. Of the field's shape, and of
            its dtype or one that converts to it safely: float64 to float32 does, 300 to uint8
            and a float to an integer do not. Of a ragged field an array of any length up to the
            longest, bytes or a str.

        Returns
        -------
        int
            The row's id. Ids grow, and none is used twice.

        Raises
        ------
        FieldError
            A field is missing or unknown, or a value does not fit; the buffer is as it was.
        WaitTimeoutError
            The rate limiter held the row back for longer than its timeout.
        ClosedError, JammedError
        """
        if fields:
            # As _in_order does, written out: the usual row must not cost a further call.
            if row or len(fields) != self._fields:
                row = self._explain_order(row, fields)
            else:
                try:
                    row = self._order(fields)
                except KeyError:
                    row = self._explain_order(row, fields)
        identity = self._object_add(self._handle, row)
        if identity >= 0:
            return identity
        return self._add_slowly(row, identity)

    def extend(self, /, *rows: Any, **fields: Any) -> npt.NDArray[np.int64]:
        """
        Store many rows, the first axis of each field's array.

        Parameters
        ----------
        *rows, **fields
            An (n, *shape) array for each field, by name or in the schema's order; as `add` takes
            them. Of a ragged field a list of n rows, or a `Padded` or `Flat` as batches have them.

        Returns
        -------
        (n,) int64 ndarray
            The rows' ids.

        Raises
        ------
        FieldError
            As `add`, or the fields differ in their number of rows; the buffer is as it was.
        WaitTimeoutError
            The rate limiter held the rows back for longer than its timeout.
        ClosedError, JammedError
        """
        if fields:
            rows = self._in_order(rows, fields)
        try:
            count = len(rows[0])
            ids = np.empty(count, np.int64)
        except (TypeError, IndexError):
            return self._extend_slowly(rows, MISMATCH, None)
        ring = self._ring
        if count * self._row_bytes > LONG and ring is not None:
            stored = ring.run(ring.calls.object_extend_long, self._handle, rows, ids)
        else:
            stored = self._object_extend(self._handle, rows, ids)
        if stored == count:
            return ids
        return self._extend_slowly(rows, stored, ids)

    # What compiled methods call, by these names.
    _plain_add = add
    _plain_extend = extend

    def _add_noticed(self, identity: int) -> int:
        """Look after the dead, a row having been added."""
        ring, handle = self._stored()
        ring.look_after(handle)
        return identity

    def _new_ids(self, count: int) -> npt.NDArray[np.int64]:
        """Make an array of ids, and keep it to be used anew."""
        ids = np.empty(count, np.int64)
        if self._handle is not None:
            self._handle.keep(self._handle.ids, ids)
        return ids

    def _extend_rest(
        self, ids: npt.NDArray[np.int64], stored: int, /, *rows: Any, **fields: Any
    ) -> npt.NDArray[np.int64]:
        """Store the rows behind the first ones, or look after the dead, all having been stored."""
        if fields:
            rows = self._in_order(rows, fields)
        return self._extend_slowly(rows, NOTICE if stored == ids.size else stored, ids)

    def _in_order(self, row: tuple[Any, ...], fields: dict[str, Any]) -> tuple[Any, ...]:
        """Order values that were given by name."""
        if not row and len(fields) == self._fields:
            try:
                return self._order(fields)
            except KeyError:
                pass
        return self._explain_order(row, fields)

    def _explain_order(self, row: tuple[Any, ...], fields: dict[str, Any]) -> tuple[Any, ...]:
        """Order values of which some were given by name, or say what is wrong with the names."""
        names = self._known().names
        left = names[len(row) :]
        missing = [name for name in left if name not in fields]
        unknown = [name for name in fields if name not in names]
        twice = [name for name in names[: len(row)] if name in fields]
        for what, wrong in (("lacks", missing), ("has unknown", unknown), ("has twice", twice)):
            if wrong:
                raise FieldError(
                    f"the row {what} field {', '.join(map(repr, wrong))}; the fields are "
                    f"{', '.join(names)}"
                )
        return row + tuple(fields[name] for name in left)

    def _flat(self, row: tuple[Any, ...], *, many: bool = False) -> tuple[Any, ...]:
        schema = self._known()
        if len(row) != len(schema.names):
            raise FieldError(
                f"{len(row)} values were given, a row has {len(schema.names)}: "
                f"{', '.join(schema.names)}"
            )
        return schema.flatten(row, many=many)

    def _known(self) -> Schema:
        if self._schema is None:
            raise FieldError(
                "the fields are not known yet: the first row names them, add(obs=..., ...)"
            )
        return self._schema

    def _add_slowly(self, row: tuple[Any, ...], code: int) -> int:
        """Take nested and odd values, look after the dead, or explain what is wrong."""
        ring, handle = self._stored()
        if code == HELD_BACK:
            code = ring.await_turn(handle, self._object_add, handle, row)
        if NOTICED_ID < code < 0:
            ring.check(code)
            flat = self._flat(row)
            code = MISMATCH
            if ring.layout.schema.nested:
                code = ring.await_turn(handle, self._object_add, handle, flat)
        if code >= 0:
            return code
        if code <= NOTICED_ID:
            ring.look_after(handle)
            return NOTICED_ID - code
        return ring.add(handle, flat)

    def _extend_slowly(
        self, rows: tuple[Any, ...], code: int, ids: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.int64]:
        ring, handle = self._stored()
        if code == HELD_BACK and ids is not None:
            code = self._extend_in_turn(ring, handle, rows, ids)
        if code < 0 and code != NOTICE:
            ring.check(code)
            flat = self._flat(rows, many=True)
            if ring.layout.schema.nested:
                ids = np.empty(count_rows(ring.fields, flat), np.int64)
                code = self._extend_in_turn(ring, handle, flat, ids)
        if ids is None or (code < 0 and code != NOTICE):
            return ring.extend(handle, flat)
        if code == NOTICE:
            ring.look_after(handle)
        elif code < ids.size:
            ring.store_rest(handle, self._flat(rows, many=True), ids, code)
        return ids

    def _extend_in_turn(
        self, ring: Ring, handle: Handle, rows: tuple[Any, ...], ids: npt.NDArray[np.int64]
    ) -> int:
        if ids.size * self._row_bytes > LONG:
            long = ring.calls.object_extend_long
            return ring.await_turn(handle, ring.run, long, handle, rows, ids)
        return ring.await_turn(handle, self._object_extend, handle, rows, ids)

    def _stored(self) -> tuple[Ring, Handle]:
        assert self._ring is not None
        assert self._handle is not None
        return self._ring, self._handle


def _order(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Make what takes the values of names out of a dict, in C."""
    getter: Any = operator.itemgetter(*names)
    if len(names) > 1:
        return getter  # type: ignore[no-any-return]
    return lambda fields: (getter(fields),)
