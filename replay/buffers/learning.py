"""A writer that learns the fields from the first row."""

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.codes import MISMATCH
from replay.buffers.writer import Writer
from replay.errors import ClosedError, FieldError
from replay.memory.fields import Schema, as_array
from replay.memory.parse import learn_schema
from replay.memory.ring import count_rows


class LearningWriter(Writer):
    """
    Adds rows to stream 0 of a buffer, which it creates with the first row if need be.

    The first row must come by name. Nothing is created before it has been found to fit.
    """

    _closed = False

    def __init__(self) -> None:
        self._learning = threading.Lock()
        _learners.add(self)
        self._close_writer(not_known)

    def _create(self, schema: Schema) -> None:
        """Create what takes rows of these fields, and `_open` it."""
        raise NotImplementedError

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

    def _extend_slowly(
        self, rows: tuple[Any, ...], code: int, ids: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.int64]:
        if self._ring is None:
            rows = self._learn(rows, _first)
        return super()._extend_slowly(rows, code, ids)

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


_learners: "weakref.WeakSet[LearningWriter]" = weakref.WeakSet()


def _after_fork() -> None:
    # Another thread may have held it, which the child does not have.
    for writer in list(_learners):
        writer._learning = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def not_known(*_: Any) -> int:
    """Stand in for the kernels while there are no fields: every call is one to explain."""
    return MISMATCH


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
