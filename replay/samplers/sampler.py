"""What every sampler offers a buffer."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import CLOSED, EMPTY, NO_PRIORITY, NOT_WHOLE, TOO_FEW, TOO_LARGE
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

    @property
    def needs_view(self) -> bool:
        """Whether it can only draw from a log of steps."""
        return False

    @property
    def leaf_alpha(self) -> float:
        """The exponent that makes leaves of the priority tree of priorities."""
        return float(getattr(self, "alpha", 1.0))

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""

    @abc.abstractmethod
    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""

    @property
    @abc.abstractmethod
    def kernel(self) -> Any:
        """The kernel that draws: of a handle, slots and weights, the latter two written."""

    @property
    def walk(self) -> Any:
        """The same as an entry of `kernels.walks`; None where there is none."""
        return None

    @property
    def newest_kernel(self) -> Any:
        """The kernel that puts the newest row behind a batch; None: see `Combined`, not of it."""
        return None

    def entry(self, ring: Ring) -> Callable[[Any, Any], float]:
        """
        Give what draws into a batch: of a handle and a tuple whose last two are weights and ids.

        Parameters
        ----------
        ring : Ring
        """
        if self.walk is not None:
            return ring.calls.late("object_draw")
        check, draw = ring.calls.object_check, self.plain(ring)

        def draw_checked(handle: Any, batch: Any) -> float:
            # Before anything is drawn: what is refused must not shift later draws.
            rows = check(handle, batch)
            return draw(handle, batch[-1], batch[-2]) if rows > 0 else rows

        return draw_checked

    def plain(self, ring: Ring) -> Callable[[Any, Any, Any], float]:
        """
        Give what draws into arrays that were checked: of a handle, slots and weights.

        Parameters
        ----------
        ring : Ring
        """
        return ring.calls.draw(self.kernel)

    def draw(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        handle: Handle,
    ) -> float:
        """
        Draw slots and weights into arrays.

        Parameters
        ----------
        ring : Ring
        slots : (n,) int64 ndarray, written
        weights : (n,) float32 ndarray, written
        handle : Handle
            Of this ring, prepared by this sampler.

        Returns
        -------
        float
            By what the weights were divided, above zero, or a negative code of `kernels.codes`.
        """
        return float(ring.run(self.plain(ring), handle, slots, weights))

    def draw_again(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
        handle: Handle,
        ids: npt.NDArray[np.int64],
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
        handle : Handle
            As `draw` takes it.
        ids : (n,) int64 ndarray
            Of the whole batch, below 0 at the k places to draw for.

        Raises
        ------
        EmptyError
        """
        # Not a batch of its own: counted as one it would bring beta forward.
        again = handle.twin()
        again[words.AGAIN] = 1
        now = self.draw(ring, slots, weights, again)
        self.check(now)
        if now != divided:
            weights *= np.float32(now / divided)

    def watched(self, gatherer: Any) -> Any:
        """
        Give what gathers the rows that were drawn: a gatherer, or one that looks after it.

        Parameters
        ----------
        gatherer : Rows or Windows
        """
        return gatherer

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
        EmptyError, InputError, ClosedError
        """
        if code <= TOO_LARGE:
            raise InputError(
                f"batch_size is above {TOO_LARGE - code:.0f}, the most rows that a batch of this "
                "buffer can have where no row comes twice"
            )
        if code <= TOO_FEW:
            raise EmptyError(
                f"only {TOO_FEW - code:.0f} rows may be drawn, fewer than a batch without "
                "replacement was to have"
            )
        if code == EMPTY:
            raise EmptyError("the buffer is empty: add rows before the first sample")
        if code == NO_PRIORITY:
            raise EmptyError("every stored row has priority 0: none of them may be drawn")
        if code == NOT_WHOLE:
            raise EmptyError(
                "no stored row can be drawn: the window that the view needs around it is not "
                "stored yet, or not any more, or it has priority 0"
            )
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
    try:
        return reader.read(described)  # type: ignore[no-any-return]
    except (OverflowError, RecursionError) as error:
        raise InputError(f"sampler cannot be: {error}") from None
