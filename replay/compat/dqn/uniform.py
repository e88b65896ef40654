"""Push transitions, draw them uniformly."""

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from replay import buffers
from replay.compat.values import action_of, first_row, integer, stored_rows
from replay.errors import BlockFormatError, InputError
from replay.memory import Field
from replay.memory.fields import as_array
from replay.samplers import Sampler, Uniform


class Experience(NamedTuple):
    """One transition: `buffer.push(*experience)`."""

    state: Any
    action: Any
    reward: Any
    next_state: Any
    done: Any


class ReplayBuffer:
    """
    Stores transitions and draws them uniformly, with replacement.

    Parameters
    ----------
    capacity : int
        Transitions that are kept; the oldest goes first.
    seed : int, optional
        One seed and one sequence of calls give the same batches.

    Raises
    ------
    InputError
        An argument cannot be.
    """

    def __init__(self, capacity: int, seed: int | None = None) -> None:
        self._begin(capacity, Uniform(), seed)

    def _begin(self, capacity: int, sampler: Sampler, seed: int | None) -> None:
        integer("capacity", capacity, 1)
        self._buffer = buffers.ReplayBuffer(capacity, sampler=sampler, seed=seed)
        self._learned = False

    def push(
        self,
        state: Any,
        action: Any,
        reward: Any,
        next_state: Any,
        done: Any,
        priority: float | None = None,
    ) -> None:
        """
        Store one transition; the first one shows the shapes of all.

        Parameters
        ----------
        state : (*shape) array-like
            Stored as float32.
        action : int or array-like
            A number is a discrete action, int64. Of arrays, whole numbers are int64 and floats
            float32: continuous actions.
        reward : float
            Stored as float32.
        next_state : (*shape) array-like
            As `state`.
        done : bool or float
            Stored as float32.
        priority : None
            For prioritized buffers alone.

        Raises
        ------
        FieldError
            A value does not fit the first transition's; nothing was changed.
        InputError
            A priority is given, which this buffer would not keep; nothing was changed.
        """
        if priority is not None:
            raise InputError(
                f"priority is {priority!r}, this buffer draws uniformly: PrioritizedReplayBuffer "
                "takes priorities"
            )
        self._push(state, action, reward, next_state, done)

    def _push(self, state: Any, action: Any, reward: Any, next_state: Any, done: Any) -> int:
        if self._learned:
            return self._buffer.add(state, action_of(action), reward, next_state, done)
        seen = as_array("state", state)
        seen = Field(np.float32, seen.shape).convert("state", seen)
        row = first_row(seen, action, reward, next_state, done, np.float32)
        identity = self._buffer.add(**row)
        self._learned = True
        return identity

    def sample(self, batch_size: int) -> tuple[npt.NDArray[Any], ...]:
        """
        Draw a batch.

        Parameters
        ----------
        batch_size : int
            At most as many as are stored.

        Returns
        -------
        tuple of ndarray
            states (n, *shape) float32, actions (n,) int64, rewards (n,) float32, next_states
            (n, *shape) float32, dones (n,) float32.

        Raises
        ------
        InputError
            batch_size is below 1, or above what is stored.
        """
        return tuple(self._buffer.sample(stored_rows(batch_size, len(self)))[:5])

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def capacity(self) -> int:
        """Transitions that are kept at most."""
        return self._buffer.capacity

    def is_ready(self, batch_size: int) -> bool:
        """Say whether `batch_size` transitions are stored."""
        return self._buffer.is_ready(batch_size)

    def clear(self) -> None:
        """Forget every transition and priority; shapes, the draws' sequence and beta stay."""
        self._buffer.clear()

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write all transitions, priorities, beta's place and the draws' to a file.

        Parameters
        ----------
        path : str or path
            An earlier file is replaced, whole or not at all.

        Raises
        ------
        InputError
            Nothing was ever pushed: there are no shapes to write.
        BlockError
            The file cannot be written.
        """
        if not self._learned:
            raise InputError(f"nothing was pushed yet, so {str(path)!r} would hold nothing")
        self._buffer.save(path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """
        Take over what `save` wrote, in place of all that is stored.

        Parameters
        ----------
        path : str or path
            Of a buffer of the same class and parameters, the seed aside, and of the same shapes
            where this one has seen some.

        Raises
        ------
        BlockMissingError, BlockFormatError
            There is no such file, it is damaged, or it is of another buffer; nothing was changed.
        """
        if self._learned:
            self._buffer.restore(path)
            return
        loaded = buffers.load(path)
        try:
            self._check(loaded, str(path))
        except BaseException:
            loaded.close()
            raise
        self._buffer = loaded
        self._learned = True

    def _check(self, loaded: buffers.ReplayBuffer, path: str) -> None:
        """Refuse another buffer's file."""
        if loaded.capacity != self.capacity:
            raise BlockFormatError(
                f"{path!r} is of a buffer of capacity {loaded.capacity}, this one's is "
                f"{self.capacity}"
            )
        if loaded.sampler.to_json() != self._buffer.sampler.to_json():
            raise BlockFormatError(
                f"{path!r} is of a buffer with {loaded.sampler!r}, this one has "
                f"{self._buffer.sampler!r}"
            )
        fields = loaded.fields
        states = fields.get("state", Field(np.float32))
        actions = fields.get("action", Field(np.int64))
        number = Field(np.float32)
        ours = {
            "state": Field(np.float32, states.shape),
            "action": Field(np.float32 if actions.dtype.kind == "f" else np.int64, actions.shape),
            "reward": number,
            "next_state": Field(np.float32, states.shape),
            "done": number,
        }
        if list(fields.items()) != list(ours.items()) or loaded.streams != 1:
            raise BlockFormatError(
                f"{path!r} is of a buffer with the fields {', '.join(fields)}, this one's are "
                f"{', '.join(ours)}, float32 and int64"
            )
