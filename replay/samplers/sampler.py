"""What every sampler offers a buffer."""

import abc
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import CLOSED, EMPTY, NO_PRIORITY
from replay.errors import ClosedError, EmptyError, InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring


class Sampler(abc.ABC):
    """
    Says which rows a batch is made of.

    A sampler is a description: frozen, comparable, and written into the block, so that whoever
    attaches draws in the same way. What it draws from belongs to the block.
    """

    kind: ClassVar[str]

    @property
    def prioritized(self) -> bool:
        """Whether it needs the priority tree."""
        return False

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""

    @abc.abstractmethod
    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""

    @abc.abstractmethod
    def draw(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        handle: Handle | None = None,
    ) -> float:
        """
        Draw slots and weights into arrays.

        Parameters
        ----------
        ring : Ring
        slots : (n,) int64 ndarray, written
        weights : (n,) float32 ndarray, written
        handle : Handle, optional
            In place of the ring's own.

        Returns
        -------
        float
            By what the weights were divided, or a negative code of `kernels.codes`.
        """

    def replace(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
    ) -> None:
        """
        Draw in place of rows that were overwritten while they were copied.

        Parameters
        ----------
        ring : Ring
        slots : (k,) int64 ndarray, written
        weights : (k,) float32 ndarray, written
            On the scale of the batch's others.
        divided : float
            By what those were divided.

        Raises
        ------
        EmptyError
        """
        # Not a batch of its own: counted as one it would bring beta forward.
        handle = ring.handle.copy()
        handle.memory = ring.handle.memory
        handle[words.AGAIN] = 1
        now = self.draw(ring, slots, weights, handle)
        self.check(now)
        if now != divided:
            weights *= np.float32(now / divided)

    def settle(self, weights: npt.NDArray[np.float32]) -> None:
        """
        Mend the weights of a batch of which some rows were drawn again.

        Parameters
        ----------
        weights : (n,) float32 ndarray, written
        """
        # Weights that nothing of the batch normalises need no mending.
        return

    def check(self, code: float) -> None:
        """
        Raise what a negative code stands for.

        Raises
        ------
        EmptyError, ClosedError
        """
        if code == EMPTY:
            raise EmptyError("the buffer is empty: add rows before the first sample")
        if code == NO_PRIORITY:
            raise EmptyError("every stored row has priority 0: none of them may be drawn")
        if code == CLOSED:
            raise ClosedError("the buffer is closed")


def from_json(described: Any) -> Sampler:
    """
    Read what `Sampler.to_json` wrote, from anywhere: nothing of it is trusted.

    Parameters
    ----------
    described : object

    Returns
    -------
    Sampler

    Raises
    ------
    InputError
        It describes no sampler that this release knows.
    """
    kinds = {kind.kind: kind for kind in Sampler.__subclasses__()}
    if not isinstance(described, dict) or described.get("kind") not in tuple(kinds):
        raise InputError(f"sampler {described!r} is none of {', '.join(kinds)}")
    reader: Any = kinds[described["kind"]]
    return reader.read(described)  # type: ignore[no-any-return]
