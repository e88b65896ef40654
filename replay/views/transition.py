"""The plainest view: a drawn row is the transition that was stored in it."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.memory.ring import Ring


@dataclasses.dataclass(frozen=True)
class Transition:
    """Copy each field of a row as it was added."""

    def dtypes(self, ring: Ring) -> tuple[np.dtype[Any], ...]:
        """
        Say what one row of each column is.

        Parameters
        ----------
        ring : Ring

        Returns
        -------
        tuple of numpy.dtype
            With the row's shape inside: `np.empty(n, dtype)` is n rows.
        """
        return tuple(np.dtype((field.dtype, field.shape)) for field in ring.fields.values())

    def gather(
        self, ring: Ring, slots: npt.NDArray[np.int64], columns: tuple[npt.NDArray[Any], ...]
    ) -> int:
        """
        Copy rows into columns, and turn their slots into ids.

        Parameters
        ----------
        ring : Ring
        slots : (n,) int64 ndarray, written
        columns : tuple of (n, *shape) ndarray, written

        Returns
        -------
        int
            How many rows were overwritten meanwhile; their id is -1.
        """
        return ring.gather(slots, columns)
