"""The newest rows."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels.codes import TOO_FEW
from kernels.lifo import draw_lifo
from kernels.walks import enter_lifo
from replay.errors import EmptyError, InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler
from replay.samplers.uniform import slots_of


@dataclasses.dataclass(frozen=True)
class Lifo(Sampler):
    """
    Draw the newest rows, newest first, without replacement; all weights are 1.

    With several streams, a batch has the newest row of each, then the second newest of each, and
    so on; a stream that has no more is left out. The rows stay: the next batch has them again,
    unless newer ones have come. A batch of more rows than are stored is refused with EmptyError,
    which says how many there are.
    """

    kind: ClassVar[str] = "lifo"

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {"kind": self.kind}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Lifo":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        if described != cls().to_json():
            raise InputError(f"sampler {described!r} contradicts itself")
        return cls()

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_lifo

    @property
    def walk(self) -> Any:
        """The same as an entry."""
        return enter_lifo

    @property
    def newest_kernel(self) -> Any:
        """None: the order of a batch is its rows' own."""
        return None

    def draw_again(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
        handle: Handle,
        ids: npt.NDArray[np.int64],
    ) -> None:
        """Draw as `Sampler.draw_again`: the newest rows that the batch does not have yet."""
        # Among so many of the newest are as many as are missing.
        newest = np.empty(ids.size, np.int64)
        super().draw_again(ring, newest, np.empty(ids.size, np.float32), divided, handle, ids)
        there = slots_of(ring, ids[ids >= 0])
        slots[:] = newest[~np.isin(newest, there)][: slots.size]
        weights[:] = 1

    def check(self, code: float) -> None:
        """
        Raise what a negative code stands for.

        Raises
        ------
        EmptyError, ClosedError
        """
        if code <= TOO_FEW:
            raise EmptyError(
                f"{int(TOO_FEW - code)} rows may be drawn, the batch takes more: Lifo gives each "
                "of the newest rows once"
            )
        super().check(code)
