"""The shared-memory exercise: a circular buffer of float64 states, read as lists."""

import os
import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from replay import buffers
from replay.compat.values import action_of, flag, integer
from replay.errors import BlockFormatError, EmptyError, InputError
from replay.memory import Block, Field, Ring
from replay.memory.home import named_path

#: Draws of one batch; each fails only where a writer was in the middle of a row.
_TRIES = 1000


class SharedCircularBuffer:
    """
    Stores the last `capacity` transitions in shared memory.

    Parameters
    ----------
    capacity : int
    state_dim : int
    name : str, optional
        Of the block, by which `SharedCircularBuffer.attach` joins it; None: a unique one.

    Raises
    ------
    InputError
        An argument cannot be.
    RoomError, BlockExistsError
        Shared memory has too little room, or the name is taken.

    Notes
    -----
    Row number k, counted from 0, lies at index k % capacity of these arrays:

        states        (capacity, state_dim)  float64
        actions       (capacity,)            int64
        rewards       (capacity,)            float64
        next_states   (capacity, state_dim)  float64
        dones         (capacity,)            bool

    Any number of processes may push and read at once, without a lock; pickled, the buffer attaches
    where it arrives. The block is gone when its creator closes the buffer, drops it or ends.
    """

    def __init__(self, capacity: int, state_dim: int, name: str | None = None) -> None:
        dim = integer("state_dim", state_dim, 1)
        if name is None:
            # By the process for whoever lists the folder, by chance for uniqueness.
            name = f"circular-{os.getpid()}-{secrets.token_hex(8)}"
        integer("capacity", capacity, 1)
        self._open(buffers.ReplayBuffer(capacity, _fields(dim), name=name, seed=0), name)

    @classmethod
    def attach(cls, name: str) -> "SharedCircularBuffer":
        """
        Open a buffer that another process made.

        Parameters
        ----------
        name : str
            The other's `name`.

        Returns
        -------
        SharedCircularBuffer

        Raises
        ------
        BlockMissingError, BlockFormatError
            There is none of this name, or it is no circular buffer.
        """
        buffer = buffers.attach(name)
        fields = buffer.fields
        shape = fields.get("states", Field(np.float64)).shape
        # In order too: rows are pushed by it.
        ours = list(_fields(shape[0]).items()) if len(shape) == 1 else None
        if list(fields.items()) != ours or buffer.streams != 1:
            buffer.close()
            raise BlockFormatError(
                f"buffer {name!r} is no circular buffer: its fields are {', '.join(fields)}"
            )
        opened = cls.__new__(cls)
        opened._open(buffer, name)
        return opened

    def _open(self, buffer: buffers.ReplayBuffer, name: str) -> None:
        self.name = name
        self.capacity = buffer.capacity
        self._buffer = buffer
        try:
            # A second mapping: it reads rows at any index, each checked to be whole.
            self._ring = Ring(Block.attach(named_path(name), named=True))
        except BaseException:
            buffer.close()
            raise

    def push(self, state: Any, action: Any, reward: Any, next_state: Any, done: Any) -> None:
        """
        Store one transition, over the oldest one when the buffer is full.

        Parameters
        ----------
        state : (state_dim,) array-like
        action : int
        reward : float
        next_state : (state_dim,) array-like
        done : bool, or 0 or 1 of any type

        Raises
        ------
        FieldError
            A value does not fit; the buffer is as it was.
        ClosedError
        """
        self._buffer.add(state, action_of(action), reward, next_state, flag("done", done))

    def sample(self, batch_size: int, seed: int | None = None) -> dict[str, list[Any]]:
        """
        Draw transitions uniformly, with replacement.

        The indices are np.random.RandomState(seed).randint(0, len(buffer), batch_size), places in
        the arrays as the class describes them. One that a writer is filling at this moment is
        drawn again from the same generator.

        Parameters
        ----------
        batch_size : int
        seed : int, optional
            From 0 to 2**32 - 1; None takes one from the system.

        Returns
        -------
        dict of str to list
            states, actions, rewards, next_states, dones, each of `batch_size` Python values.

        Raises
        ------
        EmptyError
            Nothing is stored.
        InputError
            batch_size is below 1, or the seed is none.
        ClosedError
        """
        wanted = integer("batch_size", batch_size, 1)
        size = len(self)
        if not size:
            raise EmptyError("the buffer is empty: push transitions before the first sample")
        try:
            generator = np.random.RandomState(seed)
        except (ValueError, TypeError):
            raise InputError(
                f"seed is {seed!r}, it must be an int from 0 to {2**32 - 1}"
            ) from None
        indices = generator.randint(0, size, wanted)
        for _ in range(_TRIES):
            ids, columns = self._gather(indices)
            missed = np.flatnonzero(ids < 0)
            if not missed.size:
                return _lists(columns)
            indices[missed] = generator.randint(0, size, missed.size)
        raise EmptyError(
            f"no whole batch was found in {_TRIES} tries: writers hold the rows that were drawn"
        )

    def latest(self, n: int) -> dict[str, list[Any]]:
        """
        Read the most recent transitions, the oldest of them first.

        Parameters
        ----------
        n : int
            0 or more; all that is stored when there are no more than n.

        Returns
        -------
        dict of str to list
            As `sample`. Rows that other processes are writing at this moment are left out.

        Raises
        ------
        InputError
            n is below 0.
        ClosedError
        """
        wanted = min(integer("n", n, 0), len(self))
        head = self._ring.added
        most = min(head, self.capacity)
        window = wanted
        while True:
            rows = np.arange(head - window, head)
            ids, columns = self._gather(rows % self.capacity)
            # Another id: a row that is not there yet, was never to be, or has lapped us. Only
            # once all slots were read is it known which of those are the most recent.
            whole = np.flatnonzero(ids == rows if window < most else ids >= 0)
            if whole.size >= wanted or window >= most:
                break
            window = min(2 * window, most)
        newest = whole[np.argsort(ids[whole])][whole.size - min(wanted, whole.size) :]
        return _lists({name: column[newest] for name, column in columns.items()})

    def _gather(
        self, indices: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
        """Copy rows; their ids are -1 where a writer was at it."""
        ids = np.array(indices, np.int64)
        columns = {
            name: np.empty((ids.size, *field.shape), field.dtype)
            for name, field in self._ring.fields.items()
        }
        if ids.size:
            self._ring.gather(self._ring.handle, ids, tuple(columns.values()))
        return ids, columns

    def __len__(self) -> int:
        return self._ring.size

    def close(self) -> None:
        """Let the memory go, and the name if this process created it."""
        self._buffer.close()
        self._ring.close()

    def __enter__(self) -> "SharedCircularBuffer":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return SharedCircularBuffer.attach, (self.name,)


def _fields(state_dim: int) -> dict[str, Field]:
    return {
        "states": Field(np.float64, (state_dim,)),
        "actions": Field(np.int64),
        "rewards": Field(np.float64),
        "next_states": Field(np.float64, (state_dim,)),
        "dones": Field(bool),
    }


def _lists(columns: dict[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in columns.items()}
