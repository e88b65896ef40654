"""An environment whose every step goes into the log."""

from typing import Any

import numpy as np
import numpy.typing as npt

from replay.buffers.replay_buffer import ReplayBuffer
from replay.errors import ClosedError, InputError, StepError
from replay.gymnasium.autoreset import (
    Autoreset,
    autoreset_of,
    autoreset_of_vector,
    with_final_obs,
)
from replay.gymnasium.spaces import count_environments


class Recorder:
    """
    Plays an environment and writes every step of it into a log of steps.

    `reset` and `step` give exactly what the environment's own give.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Vector environments in every autoreset mode. Let it give single frames: a stack of frames
        would store each of them k times over, `FrameStack(k)` makes the same stacks of single
        ones.
    buffer : ReplayBuffer
        Made with a view, its fields for example by `replay.gymnasium.fields(env)`.
    stream : int
        The single environment's stream, or the first of the N streams of a vector environment
        of N.

    Attributes
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        As given.
    buffer : ReplayBuffer
    ids : int or (N,) int64 ndarray, or None
        Of the rows of the last `step` or `reset`, for `update_priorities`.

    Raises
    ------
    InputError
        `env` is no environment, the buffer has no view or too few streams, or another process
        writes to one of the streams.

    Notes
    -----
    Where an episode ends, the log has its true final observation, in every mode:

    - NEXT_STEP: the step after an end is the environment's reset. Its row begins the new
      episode; its action, reward and extras are not stored.
    - SAME_STEP: `infos["final_obs"]` goes into the log before the observation that the new
      episode begins with.
    - DISABLED, and single environments: `reset` is the caller's to call, with
      `options={"reset_mask": mask}` for some of a vector environment's.

    An environment and its recorder belong to one thread.
    """

    def __init__(self, env: Any, buffer: ReplayBuffer, stream: int = 0) -> None:
        if not isinstance(buffer, ReplayBuffer):
            raise InputError(f"buffer is {type(buffer).__name__}, it must be a ReplayBuffer")
        count = count_environments(env)
        if buffer.view is None:
            raise InputError("the buffer has no view: make it with view=replay.Transition()")
        _check_streams(buffer, stream, count)
        self.env = env
        self.buffer = buffer
        self.ids: Any = None
        self._count = count
        self._closed = False
        # Where episodes have ended; None where the log does not stand where the environment does.
        self._ended: Any = None
        # Whether the caller must reset some before the next step.
        self._due = False
        if count is None:
            self._autoreset = autoreset_of(env)
            self._writer: Any = buffer.writer(stream)
        else:
            self._autoreset = autoreset_of_vector(env)
            self._writer = buffer.vector_writer(count, first=stream)

    @property
    def envs(self) -> Any:
        """The environment, by the name that suits a vector environment."""
        return self.env

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """
        Reset the environment, and begin a new episode in the log.

        Parameters
        ----------
        seed : int, list of int, or None
            As the environment takes it.
        options : dict, optional
            As the environment takes it. "reset_mask", an (N,) array of bool, resets some of a
            vector environment's that does not reset by itself (DISABLED).

        Returns
        -------
        tuple
            obs and info, as the environment gave them.

        Raises
        ------
        InputError
            A reset_mask where the environment resets by itself, or of another shape or dtype.
        StepError
            A reset_mask before the first reset of all.
        FieldError
            The observation does not fit the buffer's field.
        ClosedError
        """
        if self._closed:
            raise self._not_ready()
        mask = None
        if options is not None and self._count is not None and "reset_mask" in options:
            mask = self._reset_mask(options["reset_mask"])
            # The environment takes the mask out of what it is given.
            options = dict(options)
        given = self.env.reset(seed=seed, options=options)
        ended, self._ended = self._ended, None
        if self._count is None:
            self.ids = self._writer.reset(given[0])
            ended = False
        elif mask is None:
            self.ids = self._writer.reset(given[0])
            ended = np.zeros(self._count, np.bool_)
        else:
            self.ids = self._writer.reset(given[0], mask)
            ended = ended & ~mask
        self._due = mask is not None and bool(ended.any())
        self._ended = ended
        return given  # type: ignore[no-any-return]

    def step(self, action: Any, /, **extras: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """
        Take a step, and write it into the log.

        Parameters
        ----------
        action : object
            As the environment takes it; the log has it as given.
        **extras
            What else the buffer's fields hold of a step: the policy's log-probability, its
            recurrent state. (N, ...) arrays of a vector environment.

        Returns
        -------
        tuple
            obs, reward, terminated, truncated and info, as the environment gave them.

        Raises
        ------
        StepError
            An episode has ended and is the caller's to reset, or there was no reset yet: the
            environment is as it was.
        FieldError
            A value does not fit its field, or one is missing. The environment has gone on, and
            the log has not: `reset` before the next step.
        ClosedError
        """
        ended = self._ended
        if ended is None or self._due:
            raise self._not_ready()
        given = self.env.step(action)
        # An error of the log's must not join this observation to one after the next.
        self._ended = None
        if self._count is None:
            ended = over = self._record_one(action, given, ended, extras)
        else:
            ended = self._record_all(action, given, ended, extras)
            over = bool(ended.any())
        self._due = over and self._autoreset is Autoreset.DISABLED
        self._ended = ended
        return given  # type: ignore[no-any-return]

    def _record_one(
        self, action: Any, given: tuple[Any, ...], ended: bool, extras: dict[str, Any]
    ) -> bool:
        obs, reward, terminated, truncated, _ = given
        terminated, truncated = bool(terminated), bool(truncated)
        if ended:
            self.ids = self._writer.reset(obs)
        else:
            self.ids = self._writer.step(obs, action, reward, terminated, truncated, **extras)
        return terminated or truncated

    def _record_all(
        self,
        action: Any,
        given: tuple[Any, ...],
        first: npt.NDArray[np.bool_],
        extras: dict[str, Any],
    ) -> npt.NDArray[np.bool_]:
        obs, reward, terminated, truncated, infos = given
        ended: npt.NDArray[np.bool_] = np.logical_or(terminated, truncated)
        if self._autoreset is Autoreset.SAME_STEP and ended.any():
            final = with_final_obs(obs, infos, ended)
            self.ids = self._writer.step(final, action, reward, terminated, truncated, **extras)
            self._writer.reset(obs, ended)
            return np.zeros_like(ended)
        self.ids = self._writer.step(
            obs, action, reward, terminated, truncated, first=first, **extras
        )
        return ended

    def _reset_mask(self, mask: Any) -> npt.NDArray[np.bool_]:
        if self._ended is None:
            raise self._not_ready()
        if self._autoreset is not Autoreset.DISABLED:
            raise InputError(
                f"options['reset_mask'] is given, the autoreset_mode is {self._autoreset.name}: "
                "only environments of mode DISABLED are reset in part"
            )
        if isinstance(mask, np.ndarray) and (mask.dtype, mask.shape) == (bool, (self._count,)):
            return np.array(mask, np.bool_)
        shown = getattr(mask, "dtype", type(mask).__name__)
        raise InputError(
            f"options['reset_mask'] is {shown} of shape {np.shape(mask)}, it must be a bool array "
            f"of shape ({self._count},)"
        )

    def _not_ready(self) -> Exception:
        if self._closed:
            return ClosedError("the recorder is closed")
        if self._ended is None and self.ids is None:
            return StepError("the environment was not reset yet: call the recorder's reset first")
        if self._ended is None:
            return StepError(
                "the last step or reset did not reach the log: call the recorder's reset first"
            )
        if self._count is None:
            return StepError("the episode has ended: call the recorder's reset first")
        return StepError(
            f"the episodes of environments {np.flatnonzero(self._ended).tolist()} have ended: "
            "call the recorder's reset with options={'reset_mask': terminated | truncated} first"
        )

    def close(self) -> None:
        """Close the environment, and give the streams back. The buffer stays open."""
        if not self._closed:
            self._closed = True
            self._ended = None
            # The last reference to it: with it go the streams.
            self._writer = None
            self.env.close()

    def __enter__(self) -> "Recorder":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Recorder({self.env!r}, {self.buffer!r})"


def _check_streams(buffer: ReplayBuffer, stream: Any, count: int | None) -> None:
    whole = isinstance(stream, (int, np.integer)) and not isinstance(stream, bool)
    if not whole or not 0 <= stream < buffer.streams:
        raise InputError(f"stream is {stream!r}, the buffer has streams 0 to {buffer.streams - 1}")
    if count is not None and stream + count > buffer.streams:
        raise InputError(
            f"env has {count} environments, which from stream {stream} on take {stream + count} "
            f"streams, the buffer has {buffer.streams}: make it with streams={stream + count}"
        )
