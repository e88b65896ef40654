"""Uniform replay."""

import dataclasses
from typing import Any, ClassVar

from kernels.object_calls import object_draw_uniform
from kernels.walk_draw import draw_uniform
from replay.errors import InputError
from replay.memory.handle import Handle
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

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_uniform

    @property
    def object_kernel(self) -> Any:
        """The kernel that draws into a batch's objects."""
        return object_draw_uniform
