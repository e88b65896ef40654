"""The replay service's form: a config, observations of a given shape, batches as dicts."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from replay import buffers
from replay.compat.values import flag, integer, observed, td_errors_of
from replay.errors import FieldError, InputError
from replay.memory import Field
from replay.memory.fields import as_array
from replay.samplers import Linear, Proportional, Sampler, Uniform

STRATEGIES = ("uniform", "prioritized")


@dataclasses.dataclass(frozen=True)
class BufferConfig:  # numpydoc ignore=PR02
    """
    Says how a buffer stores and draws.

    Parameters
    ----------
    capacity : int
        Transitions that are kept; the oldest goes first.
    strategy : {"uniform", "prioritized"}
    alpha : float
        How much priorities count: 0 not at all, 1 in proportion. Prioritized alone, as all below
        it but the seed and the name.
    beta : float or replay.Linear
        How much of the bias the weights take back.
    epsilon : float
        Added to every |TD error|, so that no transition is lost for good.
    seed : int, optional
        Of the draws.
    name : str, optional
        Puts the buffer into shared memory, where `replay.attach(name)` joins it.

    Raises
    ------
    InputError
        A value is out of range; here for all but the capacity, the seed and the name, which the
        buffer checks.
    """

    capacity: int
    strategy: str = "uniform"
    alpha: float = 0.6
    beta: float | Linear = 0.4
    epsilon: float = 1e-6
    seed: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        integer("capacity", self.capacity, 1)
        if self.strategy not in STRATEGIES:
            raise InputError(
                f"strategy is {self.strategy!r}, it must be 'uniform' or 'prioritized'"
            )
        Proportional(self.alpha, self.beta, self.epsilon)

    @property
    def sampler(self) -> Sampler:
        """The sampler that the strategy stands for."""
        if self.strategy == "uniform":
            return Uniform()
        return Proportional(self.alpha, self.beta, self.epsilon)


class ReplayBuffer:
    """
    Stores transitions with discrete actions.

    Parameters
    ----------
    config : BufferConfig
    obs_shape : tuple of int
    action_dim : int
        The number of discrete actions; an action is one of 0 .. action_dim - 1, stored as int64.
    obs_dtype : dtype-like, optional
        Of the observations; None: the first one shows it (uint8 images stay uint8), and the
        memory is taken then.

    Raises
    ------
    InputError
        An argument cannot be.
    RoomError, BlockExistsError
        As `replay.ReplayBuffer`, whose sharing rules hold here too.
    """

    def __init__(
        self,
        config: BufferConfig,
        obs_shape: tuple[int, ...],
        action_dim: int,
        obs_dtype: npt.DTypeLike | None = None,
    ) -> None:
        if not isinstance(config, BufferConfig):
            raise InputError(f"config is {type(config).__name__}, it must be a BufferConfig")
        self.config = config
        self.action_dim = integer("action_dim", action_dim, 1)
        try:
            self.obs_shape = Field(np.uint8, obs_shape).shape
        except (TypeError, FieldError) as error:
            raise InputError(f"obs_shape is {obs_shape!r}: {error}") from None
        fields = None if obs_dtype is None else self._fields(obs_dtype)
        self._buffer = buffers.ReplayBuffer(
            config.capacity, fields, sampler=config.sampler, name=config.name, seed=config.seed
        )
        self._learned = fields is not None

    def _fields(self, obs_dtype: npt.DTypeLike) -> dict[str, Field]:
        seen = Field(obs_dtype, self.obs_shape)
        return {
            "obs": seen,
            "action": Field(np.int64),
            "reward": Field(np.float32),
            "next_obs": seen,
            "done": Field(bool),
        }

    def add(self, obs: Any, action: Any, reward: Any, next_obs: Any, done: Any) -> int:
        """
        Store one transition.

        Parameters
        ----------
        obs : (*obs_shape) array-like
        action : int
            0 <= action < action_dim; anything else is refused, for it would fail much later,
            inside a network's gather.
        reward : float
        next_obs : (*obs_shape) array-like
        done : bool, or 0 or 1 of any type

        Returns
        -------
        int
            The transition's index, as `sample` gives it.

        Raises
        ------
        FieldError
            A value does not fit; the buffer is as it was.
        """
        acted = self._action(action)
        ended = flag("done", done)
        if not self._learned:
            fields = self._fields(observed("obs", obs).dtype)
            values = (obs, acted, reward, next_obs, ended)
            # Converted before the buffer sees them: what it learns is our fields, and a row
            # that does not fit teaches it nothing.
            row = {
                name: field.convert(name, value)
                for (name, field), value in zip(fields.items(), values, strict=True)
            }
            index = self._buffer.add(**row)
            self._learned = True
            return index
        return self._buffer.add(obs, acted, reward, next_obs, ended)

    def _action(self, action: Any) -> int:
        array = as_array("action", action)
        if array.ndim or array.dtype.kind not in "iu" or not 0 <= array < self.action_dim:
            raise FieldError(
                f"field 'action' is {action!r}, action_dim is {self.action_dim}: it must be "
                f"an int from 0 to {self.action_dim - 1}"
            )
        return int(array)

    def sample(self, batch_size: int = 32) -> dict[str, npt.NDArray[Any]]:
        """
        Draw a batch, with replacement.

        Parameters
        ----------
        batch_size : int

        Returns
        -------
        dict of str to ndarray
            obs and next_obs (n, *obs_shape); action (n,) int64; reward (n,) float32; done (n,)
            bool; weights (n,) float32, largest 1, all 1 with the uniform strategy; indices (n,)
            int64, which go on growing: an index is of one transition, never of a place.

        Raises
        ------
        EmptyError
            Nothing is stored.
        InputError
            batch_size is below 1.
        """
        batch = self._buffer.sample(integer("batch_size", batch_size, 1))
        found = dict(zip(batch._fields, batch, strict=True))
        found["indices"] = found.pop("ids")
        return found

    def update_priorities(self, indices: Any, td_errors: Any) -> int:
        """
        Set priorities to |TD error| + epsilon.

        Parameters
        ----------
        indices : (n,) array of int64
            As `sample` and `add` gave them.
        td_errors : (n,) or (n, 1) array of float
            Of either sign.

        Returns
        -------
        int
            How many were applied; transitions overwritten since are skipped.

        Raises
        ------
        InputError
            An index was never given out, a TD error is not finite, the lengths differ, or the
            strategy is uniform; nothing was changed.
        """
        if self.config.strategy == "uniform":
            raise InputError(
                "strategy is 'uniform', which keeps no priorities: strategy='prioritized' does"
            )
        errors = td_errors_of("td_errors", td_errors)
        return self._buffer.update_priorities(indices, np.abs(errors))

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def size(self) -> int:
        """Transitions that are stored now."""
        return len(self._buffer)

    @property
    def capacity(self) -> int:
        """Transitions that are kept at most."""
        return self._buffer.capacity

    @property
    def is_full(self) -> bool:
        """Whether the next transition overwrites the oldest."""
        return self._buffer.is_full

    def close(self) -> None:
        """Let the memory go, and a name that this process created."""
        self._buffer.close()

    def __enter__(self) -> "ReplayBuffer":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
