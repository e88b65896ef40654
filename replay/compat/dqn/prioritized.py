"""Push transitions, draw them by priority."""

from typing import Any

import numpy as np
import numpy.typing as npt

from replay.compat.dqn.sum_tree import SumTree
from replay.compat.dqn.uniform import ReplayBuffer
from replay.compat.values import integer, stored_rows, td_errors_of
from replay.errors import InputError
from replay.samplers import Linear, Proportional


class PrioritizedReplayBuffer(ReplayBuffer):
    """
    Stores transitions and draws them in proportion to priority ** alpha.

    New transitions enter at the largest priority so far, 1 at first.

    Parameters
    ----------
    capacity : int
        Transitions that are kept; the oldest goes first.
    alpha : float
        0 draws uniformly, 1 in proportion.
    beta_start, beta_end : float
        How much of the bias the weights take back, from 0 to 1: at the first sample, and from
        sample `beta_frames` on.
    beta_frames : int
        Calls of `sample` that beta's way takes.
    epsilon : float
        Added to every priority given, so that no transition is lost for good; with 0, one of
        priority 0 is never drawn.
    seed : int, optional
        One seed and one sequence of calls give the same batches.

    Raises
    ------
    InputError
        An argument cannot be.

    Notes
    -----
    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay.
    """

    def __init__(
        self,
        capacity: int,
        alpha: float = 0.6,
        beta_start: float = 0.4,
        beta_end: float = 1.0,
        beta_frames: int = 100_000,
        epsilon: float = 1e-6,
        seed: int | None = None,
    ) -> None:
        frames = integer("beta_frames", beta_frames, 1)
        for name, beta in (("beta_start", beta_start), ("beta_end", beta_end)):
            try:
                Proportional(beta=beta)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        self._beta = Linear(beta_start, beta_end, frames)
        self._begin(capacity, Proportional(alpha, self._beta, epsilon), seed)

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
        Store one transition, as `ReplayBuffer.push` does.

        Parameters
        ----------
        state, action, reward, next_state, done : array-like
        priority : float, optional
            Its absolute value counts, plus epsilon. None: the largest priority so far.

        Raises
        ------
        FieldError
            A value does not fit the first transition's; nothing was changed.
        InputError
            The priority is not finite; nothing was changed.
        """
        if priority is None:
            self._push(state, action, reward, next_state, done)
            return
        # Before the row is stored: a priority that cannot be must change nothing.
        wanted = np.abs(td_errors_of("priority", [priority]))
        pushed = self._push(state, action, reward, next_state, done)
        self._buffer.update_priorities(np.array([pushed]), wanted)

    def sample(self, batch_size: int) -> tuple[npt.NDArray[Any], ...]:
        """
        Draw a batch; beta goes one step on.

        Parameters
        ----------
        batch_size : int
            At most as many as are stored.

        Returns
        -------
        tuple of ndarray
            As `ReplayBuffer.sample`, and then weights (n,) float32, the largest 1, and indices
            (n,) int64 for `update_priorities`. Indices go on growing: an index is of one
            transition, never of a place that another one takes over.

        Raises
        ------
        InputError
            batch_size is below 1, or above what is stored.
        EmptyError
            Every transition has priority 0, which only epsilon=0 allows.
        """
        return tuple(self._buffer.sample(stored_rows(batch_size, len(self))))

    def update_priorities(self, indices: Any, priorities: Any) -> int:
        """
        Set priorities to |priority| + epsilon.

        Parameters
        ----------
        indices : (n,) array of int64
            As `sample` gave them.
        priorities : (n,) or (n, 1) array of float
            TD errors do, of either sign.

        Returns
        -------
        int
            How many were applied; transitions overwritten since are skipped.

        Raises
        ------
        InputError
            An index was never given out, a priority is not finite, or the lengths differ; nothing
            was changed.
        """
        wanted = np.abs(td_errors_of("priorities", priorities))
        return self._buffer.update_priorities(indices, wanted)

    @property
    def beta(self) -> float:
        """Beta of the next sample."""
        return self._beta(self._buffer.stats()["batches"] if self._learned else 0)

    @property
    def tree(self) -> SumTree:
        """The priorities: `total`, `max` and `min`."""
        return SumTree(self._buffer)
