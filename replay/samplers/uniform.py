"""Uniform replay."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from replay.errors import InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler


@dataclasses.dataclass(frozen=True)
class Uniform(Sampler):
    """Draw every stored row with the same probability, with replacement; all weights are 1."""

    kind: ClassVar[str] = "uniform"

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {"kind": self.kind}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Uniform":
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

    def draw(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        handle: Handle | None = None,
    ) -> float:
        """Draw slots and weights into arrays, see `Sampler.draw`."""
        drawn = ring.run(
            ring.calls.draw_uniform, ring.handle if handle is None else handle, slots, weights
        )
        return 1.0 if drawn > 0 else float(drawn)
