"""Uniform replay."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels.walk_distinct import KEPT, draw_distinct
from kernels.walk_draw import draw_uniform
from kernels.walk_newest import newest_put
from kernels.walks import enter_distinct, enter_uniform
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler


@dataclasses.dataclass(frozen=True)
class Uniform(Sampler):
    """
    Draw every stored row with the same probability; all weights are 1.

    Parameters
    ----------
    replace : bool
        True: each draw is made from all rows, and a row may be in a batch several times. False:
        the rows of a batch all differ, every set of so many rows is as likely as any other, and
        so is every order of it. A batch of more rows than may be drawn is then an `EmptyError`,
        which a timeout waits for, and one of more rows than the capacity an `InputError`.

    Raises
    ------
    InputError

    Notes
    -----
    Lin (1992), Self-Improving Reactive Agents Based On Reinforcement Learning, Planning and
    Teaching, section 3.4.
    """

    replace: bool = True

    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        if not isinstance(self.replace, bool):
            raise InputError(f"replace is {self.replace!r}, it must be True or False")

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        # Buffers that were made before there was a choice are described without it.
        return {"kind": self.kind} if self.replace else {"kind": self.kind, "replace": False}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Uniform":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        sampler = cls(described.get("replace", True))
        if described != sampler.to_json():
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_uniform if self.replace else draw_distinct

    @property
    def walk(self) -> Any:
        """The same as an entry."""
        return enter_uniform if self.replace else enter_distinct

    @property
    def newest_kernel(self) -> Any:
        """The kernel that puts the newest row behind a batch."""
        return newest_put

    def draw_again(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
        handle: Handle,
        ids: npt.NDArray[np.int64],
    ) -> None:
        """Draw in place of rows that were overwritten, without replacement none of the others."""
        if self.replace:
            super().draw_again(ring, slots, weights, divided, handle, ids)
            return
        kept = slots_of(ring, ids[ids >= 0])
        drawn = np.concatenate([kept, slots])
        beside = handle.twin()
        beside[KEPT] = kept.size
        super().draw_again(ring, drawn, np.empty(drawn.size, np.float32), divided, beside, ids)
        slots[:] = drawn[kept.size :]
        weights[:] = 1.0


def slots_of(ring: Ring, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """
    Say in which slots rows were stored.

    Parameters
    ----------
    ring : Ring
    ids : (n,) int64 ndarray
        0 or more.

    Returns
    -------
    (n,) int64 ndarray
    """
    tickets, streams = np.divmod(ids, ring.layout.streams)
    return np.asarray(streams * ring.layout.rows + tickets % ring.layout.rows)
