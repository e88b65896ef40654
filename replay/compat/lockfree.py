"""The high-performance library's form: a buffer by its type's name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from replay import buffers
from replay.compat.fifo import Fifo
from replay.compat.values import action_of, first_row, flag, integer, observed, td_errors_of
from replay.errors import InputError
from replay.samplers import Linear, Proportional, Uniform

TYPES = ("lockfree", "fifo", "uniform", "prioritized")


class ReplayBuffer:
    """
    Stores transitions whose shapes and types the first one shows.

    Parameters
    ----------
    capacity : int
        Transitions that are kept; the oldest goes first.
    buffer_type : {"lockfree", "uniform", "prioritized", "fifo"}
        "lockfree" and "uniform" are two words for one thing here, because every buffer but the
        last is lock-free: uniform draws. "prioritized" draws in proportion to priorities.
        "fifo" hands rows out oldest first, each once, to the threads of one process.
    priority : callable, optional
        Of prioritized buffers: takes (n,) float64 TD errors, of either sign, and gives (n,)
        priorities, finite and 0 or more. None: their absolute values.
    alpha : float
        Of prioritized buffers: how much priorities count.
    beta : float or replay.Linear
        Of prioritized buffers: how much of the bias the weights take back.
    epsilon : float
        Of prioritized buffers: added to every priority.
    name : str, optional
        Puts the buffer into shared memory, where `replay.attach(name)` joins it once the first
        transition was added; not with "fifo".
    seed : int, optional
        Of the draws.

    Raises
    ------
    InputError
        An argument cannot be.
    """

    def __init__(
        self,
        capacity: int = 1_000_000,
        buffer_type: str = "lockfree",
        *,
        priority: Callable[[Any], Any] | None = None,
        alpha: float = 0.6,
        beta: float | Linear = 0.4,
        epsilon: float = 1e-6,
        name: str | None = None,
        seed: int | None = None,
    ) -> None:
        if buffer_type not in TYPES:
            raise InputError(
                f"buffer_type is {buffer_type!r}, it must be one of {', '.join(TYPES)}"
            )
        if priority is not None and (not callable(priority) or buffer_type != "prioritized"):
            raise InputError(
                f"priority is {priority!r}, it must be a function, and buffer_type 'prioritized'; "
                f"it is {buffer_type!r}"
            )
        if name is not None and buffer_type == "fifo":
            raise InputError(f"name is {name!r}, a 'fifo' buffer is of one process and has none")
        proportional = Proportional(alpha, beta, epsilon)
        self.buffer_type = buffer_type
        self._priority = priority
        self._buffer = buffers.ReplayBuffer(
            capacity,
            sampler=proportional if buffer_type == "prioritized" else Uniform(),
            name=name,
            seed=seed,
        )
        self._fifo = Fifo(self._buffer) if buffer_type == "fifo" else None
        self._add = self._buffer.add if self._fifo is None else self._fifo.add
        self._learned = False

    def add(self, state: Any, action: Any, reward: Any, next_state: Any, done: Any) -> int:
        """
        Store one transition; a new one enters at the largest priority.

        Parameters
        ----------
        state : (*shape) array-like
            Arrays keep the dtype of the first; lists of numbers are float32.
        action : int or array-like
            A number is int64; of arrays, whole numbers are int64 and floats float32.
        reward : float
            Stored as float32.
        next_state : (*shape) array-like
            As `state`.
        done : bool, or 0 or 1 of any type

        Returns
        -------
        int
            The transition's id.

        Raises
        ------
        FieldError
            A value does not fit the first transition's; the buffer is as it was.
        """
        ended = flag("done", done)
        if self._learned:
            return self._add(state, action_of(action), reward, next_state, ended)
        row = first_row(observed("state", state), action, reward, next_state, ended, bool)
        identity = self._add(**row)
        self._learned = True
        return identity

    def sample(self, batch_size: int) -> Any:
        """
        Draw a batch with replacement; of a "fifo" buffer, take the oldest rows out.

        Parameters
        ----------
        batch_size : int

        Returns
        -------
        Batch
            A named tuple, indexable by name too: state, action, reward, next_state, done, weights
            (n,) float32, ids (n,) int64.

        Raises
        ------
        EmptyError
            Nothing is stored.
        InputError
            batch_size is below 1, or above what a "fifo" buffer has left.
        """
        wanted = integer("batch_size", batch_size, 1)
        return self._buffer.sample(wanted) if self._fifo is None else self._fifo.take(wanted)

    def update_priorities(self, ids: Any, td_errors: Any) -> int:
        """
        Set priorities to the priority function of TD errors.

        Parameters
        ----------
        ids : (n,) array of int64
        td_errors : (n,) or (n, 1) array of float

        Returns
        -------
        int
            How many were applied; rows overwritten since are skipped.

        Raises
        ------
        InputError
            An id was never given out, a TD error is not finite, the function gave anything but n
            finite numbers of 0 or more, or the buffer is not prioritized; nothing was changed.
        """
        if self.buffer_type != "prioritized":
            raise InputError(
                f"buffer_type is {self.buffer_type!r}, only a 'prioritized' one has priorities"
            )
        errors = td_errors_of("td_errors", td_errors)
        found = np.abs(errors) if self._priority is None else self._priority(errors)
        return self._buffer.update_priorities(ids, found)

    def stats(self) -> dict[str, int]:
        """Read the counters, see `replay.ReplayBuffer.stats`; FIFO rows lost unread are `lost`."""
        counted = self._buffer.stats()
        return counted if self._fifo is None else {**counted, "lost": self._fifo.lost}

    def clear(self) -> None:
        """Forget every row; shapes and types stay."""
        (self._buffer if self._fifo is None else self._fifo).clear()

    def __len__(self) -> int:
        return len(self._buffer if self._fifo is None else self._fifo)

    @property
    def size(self) -> int:
        """Rows that can be drawn now."""
        return len(self)

    @property
    def capacity(self) -> int:
        """Rows that are kept at most."""
        return self._buffer.capacity

    @property
    def is_full(self) -> bool:
        """Whether the next row overwrites the oldest that can be drawn."""
        return len(self) == self.capacity

    def close(self) -> None:
        """Let the memory go, and a name that this process created."""
        self._buffer.close()

    def __enter__(self) -> "ReplayBuffer":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
