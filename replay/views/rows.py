"""Rows as they were added: what is gathered where there is no view."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.memory.fields import Schema
from replay.memory.handle import Handle
from replay.memory.ring import Ring


class Rows:
    """
    Gathers rows as they were added.

    Parameters
    ----------
    ring : Ring
    """

    #: Sizes of the axes before that of the batch; None: there are none.
    leads: tuple[int, ...] | None = None
    #: What a row needs to be drawn, in words: nothing but itself.
    need = ""
    #: A batch is complete once its rows are whole, and can always be drawn.
    complete = None
    lacks = ""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.batch: Schema = ring.layout.schema
        fields = ring.fields.values()
        self.dtypes = tuple(np.dtype((field.dtype, field.shape)) for field in fields)
        self.entry: Callable[[Any, Any], int] = ring.calls.late("object_gather")

    @property
    def entry_long(self) -> Callable[[Any, Any], int]:
        """As `entry`, without the interpreter's lock."""
        return self._ring.calls.object_gather_long

    def gather(
        self, handle: Handle, slots: npt.NDArray[np.int64], columns: tuple[npt.NDArray[Any], ...]
    ) -> int:
        """
        Copy rows into columns, and turn their slots into ids.

        Parameters
        ----------
        handle : Handle
            Of the ring.
        slots : (n,) int64 ndarray, written
        columns : tuple of (n, *shape) ndarray, written

        Returns
        -------
        int
            How many rows were overwritten meanwhile; their id is -1.
        """
        return self._ring.gather(handle, slots, columns)
