"""Rows handed out oldest first, each once."""

import threading
from typing import Any

import numpy as np

from replay.buffers import ReplayBuffer
from replay.buffers.batch import batch_type
from replay.compat.values import stored_rows
from replay.errors import EmptyError


class Fifo:
    """
    Owns the place in a buffer up to which rows were handed out.

    Shared by the threads of one process, under a lock: each row goes to one of them. Every row of
    the buffer must be added through here.

    Parameters
    ----------
    buffer : replay.ReplayBuffer
        Private and of one stream, so that an id says the slot: id % capacity.
    """

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer
        # Held by writers too: a row that is copied out must not be overwritten meanwhile.
        self._lock = threading.Lock()
        self._next = 0
        self._end = 0
        self.lost = 0

    def add(self, *row: Any, **fields: Any) -> int:
        """
        Store a row; in a full buffer, the oldest that nobody took is lost, and counted.

        Raises
        ------
        FieldError
            The row does not fit; the buffer is as it was.
        """
        with self._lock:
            identity = self._buffer.add(*row, **fields)
            self._end = identity + 1
            oldest = self._end - self._buffer.capacity
            if self._next < oldest:
                self.lost += oldest - self._next
                self._next = oldest
            return identity

    def __len__(self) -> int:
        return self._end - self._next

    def take(self, count: int) -> Any:
        """
        Hand out the oldest rows that were not handed out yet.

        Parameters
        ----------
        count : int

        Returns
        -------
        Batch
            As `replay.ReplayBuffer.sample` gives it; all weights are 1, ids grow by one.

        Raises
        ------
        EmptyError
            All rows were handed out.
        InputError
            `count` is below 1, or above the rows that are left.
        """
        with self._lock:
            if self._next == self._end:
                raise EmptyError("the buffer is empty: every row was handed out already")
            wanted = stored_rows(count, self._end - self._next)
            ids = np.arange(self._next, self._next + wanted, dtype=np.int64)
            slots = ids % self._buffer.capacity
            names = tuple(self._buffer.fields)
            columns = [np.take(self._buffer.column(name), slots, axis=0) for name in names]
            self._next += wanted
        return batch_type(names)(*columns, np.ones(wanted, np.float32), ids)

    def clear(self) -> None:
        """Forget every row."""
        with self._lock:
            self._buffer.clear()
            self._next = self._end
