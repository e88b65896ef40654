"""Writing steps, as an agent makes them, to one stream."""

import copy
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.codes import NOTICED_ID
from kernels.view import STEP_SHIFT, TERMINATED_BIT, TRUNCATED_BIT
from replay.buffers.writer import Writer
from replay.errors import FieldError, InputError, JammedError, StepError
from replay.memory.fields import Field, Schema
from replay.memory.ring import Ring
from replay.memory.streams import holds_stream, release_streams, take_streams
from replay.memory.window import STEP

if TYPE_CHECKING:
    from replay.buffers.replay_buffer import ReplayBuffer

_BOOL = Field(bool)
#: What needs no second look.
_BOOLS = (bool, np.bool_)
#: Steps that a number has room for; the log is cut after so many, as a writer's death cuts it.
MOST_STEPS = (1 << (31 - STEP_SHIFT)) - 1


class StepWriter:
    """
    Writes the steps of one environment.

    A stream has one writer of steps at a time. Of one opened buffer the newest has it, and the one
    before raises at its next call; the stream of another opening's writer, in whichever process,
    cannot be had while that one lives. A writer is for one thread.

    Parameters
    ----------
    buffer : ReplayBuffer
        With a view.
    stream : int

    Raises
    ------
    InputError
        There is no such stream, or a writer of another process has it.
    """

    def __init__(self, buffer: "ReplayBuffer", stream: int) -> None:
        self._buffer = buffer
        self._stream = stream
        self._step = 0
        self._first: Any = None
        self._writer: Writer | None = None
        if buffer._ring is not None:
            self._begin(buffer._ring)
        elif isinstance(stream, bool) or not isinstance(stream, (int, np.integer)):
            raise InputError(f"stream is {stream!r}, it must be an int")
        elif not 0 <= stream < buffer.streams:
            last = buffer.streams - 1
            raise InputError(f"stream is {stream}, this buffer has streams 0 to {last}")

    def _begin(self, ring: Ring) -> None:
        writer = Writer(ring, self._stream)
        handle = writer._handle
        assert handle is not None
        take_streams(ring, handle, range(self._stream, self._stream + 1))
        # No reference to the writer itself, which would live for ever.
        weakref.finalize(self, _release, weakref.ref(ring), handle, self._stream).atexit = False
        self._handle = handle
        self._writer = writer
        writer._object_add = self._object_add = ring.calls.object_step
        schema = ring.layout.schema
        self._names = schema.names
        self._plain = schema.names == ("obs", "action", "reward", STEP)
        self._zeros = zeros_of(schema)

    def reset(self, obs: Any) -> int:
        """
        Begin an episode.

        Parameters
        ----------
        obs : value of the field "obs"
            The first observation. An episode that has not ended is cut: its last transitions
            bootstrap, as after a truncation.

        Returns
        -------
        int
            The row's id; no transition has it. -1 while the fields are not known: the row is
            stored with the first step.

        Raises
        ------
        FieldError
            The observation does not fit; nothing was stored.
        StepError
            Another writer has the stream by now.
        ClosedError, JammedError, WaitTimeoutError
        """
        if self._writer is None:
            self._first = copy.deepcopy(obs)
            self._step = 1
            return -1
        row = tuple(obs if name == "obs" else self._zeros[name] for name in self._names)
        return self._store(row, 1)

    def step(
        self,
        obs: Any,
        action: Any = None,
        reward: Any = None,
        terminated: Any = False,
        truncated: Any = False,
        **extras: Any,
    ) -> int:
        """
        Store a step.

        Parameters
        ----------
        obs : value of the field "obs"
            The observation that the step led to: at an episode's end the last one.
        action, reward : value of the field of that name
            Left out where the log has no such field.
        terminated, truncated : bool
            How the episode ended with this step, if it did: `reset` follows.
        **extras
            The further fields.

        Returns
        -------
        int
            The id of the transition.

        Raises
        ------
        FieldError
            A field is missing or unknown, or a value does not fit; nothing was stored.
        StepError
            There was no reset, or another writer has the stream by now.
        ClosedError, JammedError, WaitTimeoutError
        """
        if not self._step:
            raise StepError(
                f"stream {self._stream} has no episode: call reset(obs) before the first step, "
                "and after each that terminated or was truncated"
            )
        if type(terminated) not in _BOOLS:
            terminated = _BOOL.convert("terminated", terminated)
        if type(truncated) not in _BOOLS:
            truncated = _BOOL.convert("truncated", truncated)
        ended = (TERMINATED_BIT if terminated else 0) | (TRUNCATED_BIT if truncated else 0)
        number = self._step << STEP_SHIFT | ended
        if self._writer is None:
            self._learn({"obs": obs, "action": action, "reward": reward, **extras})
        if self._plain and not extras and action is not None and reward is not None:
            row: tuple[Any, ...] = (obs, action, reward, number)
        else:
            values = {"obs": obs, "action": action, "reward": reward, **extras}
            row = order(self._names, values, number)
        return self._store(row, 0 if ended else self._step % MOST_STEPS + 1)

    def _store(self, row: tuple[Any, ...], after: int) -> int:
        """Store a row, and say which step comes after it."""
        identity = self._object_add(self._handle, row)
        if NOTICED_ID < identity < 0:
            identity = self._store_slowly(row, identity)
        self._step = after
        if identity >= 0:
            return identity
        # Stored, whatever comes of looking after the dead.
        assert self._writer is not None
        assert self._writer._ring is not None
        self._writer._ring.look_after(self._handle)
        return NOTICED_ID - identity

    def _store_slowly(self, row: tuple[Any, ...], code: int) -> int:
        writer = self._writer
        assert writer is not None
        ring = writer._ring
        assert ring is not None
        ring.check_open(self._handle)
        try:
            if holds_stream(ring, self._handle, self._stream):
                return writer._add_slowly(row, code)
        except JammedError:
            if holds_stream(ring, self._handle, self._stream):
                raise
        raise StepError(
            f"stream {self._stream} has another writer by now, or was restored: this one has lost "
            "it, and stored nothing"
        )

    def _learn(self, values: dict[str, Any]) -> None:
        """Learn the fields from the first step, and store the reset before it."""
        named = {name: value for name, value in values.items() if value is not None}
        ring = self._buffer._learn_steps(named)
        if self._writer is None:
            self._begin(ring)
            first, step = self._first, self._step
            # Until it is stored there is no episode.
            self._first, self._step = None, 0
            self.reset(first)
            self._step = step


def order(names: tuple[str, ...], values: dict[str, Any], number: Any) -> tuple[Any, ...]:
    """
    Order the values of a step by the fields of the log.

    Parameters
    ----------
    names : tuple of str
        Of the log's fields, its number among them.
    values : dict of str to value
        None where action or reward were left out.
    number : int or array
        The steps' own.

    Raises
    ------
    FieldError
        A field is missing or unknown.
    """
    given = {name: value for name, value in values.items() if value is not None}
    missing = [name for name in names if name not in given and name != STEP]
    unknown = [name for name in given if name not in names or name == STEP]
    for what, wrong in (("lacks", missing), ("has unknown", unknown)):
        if wrong:
            known = ", ".join(name for name in names if name != STEP)
            shown = ", ".join(map(repr, wrong))
            raise FieldError(f"the step {what} field {shown}; the fields are {known}")
    given[STEP] = number
    return tuple(given[name] for name in names)


def zeros_of(schema: Schema, rows: int | None = None) -> dict[str, Any]:
    """
    Make zeros for every field, nested as the schema is; of a ragged one rows of length 0.

    Parameters
    ----------
    schema : Schema
    rows : int, optional
        None: of one row.
    """
    lead = () if rows is None else (rows,)
    shapes = [(0, *f.shape[1:]) if f.ragged else f.shape for f in schema.fields.values()]
    flat = tuple(
        np.zeros((*lead, *shape), field.dtype)
        for shape, field in zip(shapes, schema.fields.values(), strict=True)
    )
    if rows is None:
        flat = tuple(zero if zero.shape else zero[()] for zero in flat)
    return dict(zip(schema.names, schema.nest(flat, padded=True), strict=True))


def _release(ring: "weakref.ref[Ring]", handle: Any, stream: int) -> None:
    found = ring()
    if found is not None:
        release_streams(found, handle, range(stream, stream + 1))
