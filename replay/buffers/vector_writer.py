"""Writing the steps of many environments at once, each to a stream of its own."""

import copy
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernels.codes import CLOSED, HELD_BACK, MISMATCH, NOTICE
from kernels.handle import NOTICED
from kernels.view import STEP_SHIFT, TERMINATED_BIT, TRUNCATED_BIT
from replay.buffers.step_writer import MOST_STEPS, order, zeros_of
from replay.errors import FieldError, InputError, JammedError, StepError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.memory.streams import holds_stream, release_streams, take_streams
from replay.memory.window import STEP

if TYPE_CHECKING:
    from replay.buffers.replay_buffer import ReplayBuffer


class VectorWriter:
    """
    Writes the steps of n environments, environment i to stream `first` + i.

    Parameters
    ----------
    buffer : ReplayBuffer
        With a view.
    streams : int, optional
        How many, n; None: all from `first` on.
    first : int
        The stream of environment 0.

    Raises
    ------
    InputError
        There are no such streams, or a writer of another process has one of them.
    """

    def __init__(self, buffer: "ReplayBuffer", streams: int | None, first: int = 0) -> None:
        if streams is None and isinstance(first, int) and 0 <= first < buffer.streams:
            streams = buffer.streams - first
        elif streams is None:
            raise InputError(
                f"first is {first!r}, this buffer has streams 0 to {buffer.streams - 1}"
            )
        for name, value, low in (("streams", streams, 1), ("first", first, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise InputError(f"{name} is {value!r}, it must be an int, {low} or more")
        if first + streams > buffer.streams:
            raise InputError(
                f"streams {first} to {first + streams - 1} are wanted, this buffer has streams 0 "
                f"to {buffer.streams - 1}"
            )
        self._buffer = buffer
        self._streams = np.arange(first, first + streams, dtype=np.int64)
        self._steps = np.zeros(streams, np.int32)
        self._first: Any = None
        self._ring: Ring | None = None
        if buffer._ring is not None:
            self._begin(buffer._ring)

    @property
    def streams(self) -> range:
        """The streams that it writes to."""
        return range(int(self._streams[0]), int(self._streams[-1]) + 1)

    def _begin(self, ring: Ring) -> None:
        handle = ring.stream_handle(int(self._streams[0]))
        take_streams(ring, handle, self.streams)
        weakref.finalize(self, _release, weakref.ref(ring), handle, self.streams).atexit = False
        self._handle: Handle = handle
        self._object_spread = ring.calls.object_spread
        self._schema = ring.layout.schema
        self._zeros = zeros_of(self._schema, len(self._streams))
        names = self._schema.names
        self._plain = names == ("obs", "action", "reward", STEP)
        self._singles = {
            place: (name, self._schema.fields[name])
            for place, name in enumerate(names)
            if name in self._schema.fields and name != STEP
        }
        self._ring = ring

    def reset(self, obs: Any, mask: Any = None) -> npt.NDArray[np.int64]:
        """
        Begin an episode in every environment, or in some.

        Parameters
        ----------
        obs : (n, ...) value of the field "obs"
        mask : (n,) array of bool, optional
            Which environments; the observations of the others are not looked at.

        Returns
        -------
        (n,) int64 ndarray
            The ids of the rows, -1 where there is none; no transition has them.

        Raises
        ------
        FieldError
            The observations do not fit; nothing was stored.
        StepError
            Another writer has one of the streams by now.
        ClosedError, JammedError, WaitTimeoutError
        """
        chosen = np.ones(len(self._streams), bool)
        if mask is not None:
            chosen = self._mask("mask", mask)
        if self._ring is None:
            if not chosen.all():
                raise StepError("the first reset begins an episode in every environment")
            self._first = copy.deepcopy(obs)
            self._steps[:] = 1
            return np.full(len(self._streams), -1, np.int64)
        values = {**self._zeros, "obs": obs}
        row = tuple(values[name] for name in self._schema.names)
        ids = np.where(chosen, self._streams, -1)
        return self._store(row, ids, np.where(chosen, np.int32(1), self._steps))

    def step(
        self,
        obs: Any,
        action: Any = None,
        reward: Any = None,
        terminated: Any = False,
        truncated: Any = False,
        *,
        first: Any = None,
        **extras: Any,
    ) -> npt.NDArray[np.int64]:
        """
        Store a step of every environment.

        Parameters
        ----------
        obs : (n, ...) value of the field "obs"
            The observations that the steps led to.
        action, reward : (n, ...) value of the field of that name
            Left out where the log has no such field.
        terminated, truncated : (n,) array of bool
        first : (n,) array of bool, optional
            Environments that were reset instead of making a step: their observations begin
            episodes, and all else of them is not looked at.
        **extras
            The further fields.

        Returns
        -------
        (n,) int64 ndarray
            The ids of the transitions, and of the rows that begin episodes.

        Raises
        ------
        FieldError
            A field is missing or unknown, or a value does not fit; nothing was stored.
        StepError
            An environment's episode is over and was not reset, or another writer has its stream
            by now.
        ClosedError, JammedError, WaitTimeoutError
        """
        begun = None if first is None else self._mask("first", first)
        self._check_begun(begun)
        terminates = self._mask("terminated", terminated)
        truncates = self._mask("truncated", truncated)
        number = self._steps << STEP_SHIFT
        after = self._steps + 1
        ends = terminates | truncates
        if ends.any():
            number += terminates * np.int32(TERMINATED_BIT) + truncates * np.int32(TRUNCATED_BIT)
            after[ends] = 0
        if begun is not None:
            number[begun] = 0
            after[begun] = 1
        # A number has room for so many steps; the log is cut there.
        after[after > MOST_STEPS] = 1
        if self._ring is None:
            self._learn({"obs": obs, "action": action, "reward": reward, **extras})
        if self._plain and not extras and action is not None and reward is not None:
            row: tuple[Any, ...] = (obs, action, reward, number)
        else:
            values = {"obs": obs, "action": action, "reward": reward, **extras}
            row = order(self._schema.names, values, number)
        if begun is not None and begun.any():
            row = self._blank(row, begun)
        return self._store(self._converted(row), self._streams.copy(), after)

    def _check_begun(self, begun: npt.NDArray[np.bool_] | None) -> None:
        """Refuse a step of an environment whose episode is over."""
        if self._steps.all():
            return
        over = np.flatnonzero((self._steps == 0) if begun is None else (self._steps == 0) & ~begun)
        if over.size:
            shown = ", ".join(map(str, over[:8].tolist())) + (", ..." if over.size > 8 else "")
            raise StepError(
                f"no episode in environment {shown}: reset first, or name it in `first`"
            )

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Convert the arrays that the kernel would not take, and leave the others."""
        for place, (name, field) in self._singles.items():
            value = row[place]
            if type(value) is not np.ndarray or value.dtype is not field.dtype:
                array = field.convert(name, value, len(self._streams))
                row = (*row[:place], array, *row[place + 1 :])
        return row

    def _mask(self, name: str, value: Any) -> npt.NDArray[np.bool_]:
        """Check a mask, (n,) bool; False stands for one of nothing else."""
        mask = np.asarray(value)
        if mask.dtype != bool:
            raise FieldError(f"{name} is of {mask.dtype}, it must be of bool")
        if mask.shape != self._streams.shape:
            if value is False:
                return np.zeros(len(self._streams), bool)
            raise FieldError(f"{name} has shape {mask.shape}, it must be {self._streams.shape}")
        return mask

    def _blank(self, row: tuple[Any, ...], begun: npt.NDArray[Any]) -> tuple[Any, ...]:
        """Put zeros for all but the observation where an episode begins."""
        blanked = []
        flat = self._schema.flatten(row, many=True)
        for (path, field), value in zip(self._schema.fields.items(), flat, strict=True):
            # Of a row of length 0 no value is looked at.
            if path.split("/")[0] == "obs" or field.ragged:
                blanked.append(value)
                continue
            # Checked whole: also what is not looked at must have the shape.
            array = field.convert(path, value, len(begun)).copy()
            array[begun] = 0
            blanked.append(array)
        return self._schema.nest(tuple(blanked), padded=True)

    def _store(
        self, row: tuple[Any, ...], ids: npt.NDArray[np.int64], after: npt.NDArray[Any]
    ) -> npt.NDArray[np.int64]:
        """Store rows in the streams that `ids` names, and say what step comes `after` each."""
        stored = ids.size
        if ids.max() >= 0:
            stored = self._object_spread(self._handle, row, ids)
        if stored not in (ids.size, NOTICE):
            ids = self._store_slowly(row, ids, after, stored)
        self._steps[ids >= 0] = after[ids >= 0]
        if stored == NOTICE and self._ring is not None:
            # They are stored, whatever comes of looking after the dead.
            self._ring.look_after(self._handle)
        return ids

    def _store_slowly(
        self,
        row: tuple[Any, ...],
        ids: npt.NDArray[np.int64],
        after: npt.NDArray[Any],
        code: int,
    ) -> npt.NDArray[np.int64]:
        """Convert what must be, wait for the limiter, look after the dead, or explain."""
        ring = self._ring
        assert ring is not None
        arrays: tuple[npt.NDArray[Any], ...] = ()
        if code in (MISMATCH, CLOSED, HELD_BACK):
            ring.check_open(self._handle)
            flat = self._schema.flatten(row, many=True)
            arrays = tuple(
                field.convert(path, value, ids.size)
                for (path, field), value in zip(self._schema.fields.items(), flat, strict=True)
            )
            code = ring.spread(self._handle, arrays, ids)
        if code == NOTICE or self._handle[NOTICED]:
            ring.look_after(self._handle, now=code != NOTICE)
        if code in (NOTICE, ids.size):
            return ids
        done = code
        for place in range(code):
            if ids[place] >= 0:
                self._steps[place] = after[place]
        ring.give_back(self._handle, int((ids[done:] >= 0).sum()), 0)
        stream = int(ids[done])
        stored = int((ids[:done] >= 0).sum())
        said = f"; the rows of {stored} environments before it were stored"
        if not holds_stream(ring, self._handle, stream):
            raise StepError(f"stream {stream} has another writer by now, or was restored{said}")
        raise JammedError(
            f"stream {stream} has no free slot: writers that live hold all of them{said}"
        )

    def _learn(self, values: dict[str, Any]) -> None:
        """Learn the fields from the first steps, and store the resets before them."""
        named = {
            name: _first_of(name, value) for name, value in values.items() if value is not None
        }
        self._begin(self._buffer._learn_steps(named))
        first, self._first = self._first, None
        # Until it is stored there is no episode.
        steps = self._steps.copy()
        self._steps[:] = 0
        self.reset(first)
        self._steps[:] = steps


def _first_of(name: str, value: Any) -> Any:
    """Take the first environment's part of a value."""
    if isinstance(value, dict):
        return {part: _first_of(f"{name}/{part}", below) for part, below in value.items()}
    if isinstance(value, tuple):
        return tuple(_first_of(f"{name}/{number}", part) for number, part in enumerate(value))
    array = np.asarray(value)
    if not array.shape or not array.shape[0]:
        raise FieldError(f"field {name!r} has no first row: it shows nothing")
    return array[0]


def _release(ring: "weakref.ref[Ring]", handle: Any, streams: range) -> None:
    found = ring()
    if found is not None:
        release_streams(found, handle, streams)
