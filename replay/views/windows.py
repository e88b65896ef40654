"""Windows of a log of steps: what is gathered where there is a view."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.view import LANES
from kernels.walk_notes import NOTES
from kernels.walk_view import MOST_ROWS
from replay.memory.handle import Handle, set_view
from replay.memory.ring import Ring
from replay.views.recipe import Recipe
from replay.views.rewards import Rewards


class Windows:
    """
    Gathers what a view makes of drawn rows.

    Parameters
    ----------
    ring : Ring
        Of a log of steps.
    recipe : Recipe
        What the view asks for.
    handle : Handle
        Written: who draws by it gets this view.

    Raises
    ------
    InputError
        The log has not the fields that the view needs, or no room for its windows.
    """

    def __init__(self, ring: Ring, recipe: Recipe, handle: Handle) -> None:
        layout = ring.layout
        recipe.check(layout.schema)
        recipe.window.check(layout.capacity, layout.streams)
        self._ring = ring
        #: What a row needs to be drawn, in words.
        self.need = recipe.window.need
        self.batch = recipe.batch(layout.schema)
        outputs = recipe.outputs(layout.schema).values()
        #: Sizes of the axes before that of the batch, 0 for none; None: no array has one.
        self.leads: tuple[int, ...] | None = None
        shapes = [output.field.shape for output in outputs]
        if recipe.major:
            leads = [output.field.shape[0] if output.timed else 0 for output in outputs]
            shapes = [
                shape[1:] if lead else shape for shape, lead in zip(shapes, leads, strict=True)
            ]
            self.leads = tuple(leads)
        self.dtypes = tuple(
            np.dtype((output.field.dtype, shape))
            for output, shape in zip(outputs, shapes, strict=True)
        )
        view = recipe.words(layout.schema)
        self._words = NOTES + int(view[LANES])
        set_view(handle, layout, view)
        #: Copies what the view makes of slots into a batch, and turns its slots into ids.
        self.entry: Callable[[Any, Any], int] = ring.calls.late("object_gather")
        #: What completes a batch whose rows are whole; None: nothing is left to do.
        self.complete: Rewards | None = None
        #: Why no batch can be drawn; "" where batches can.
        self.lacks = ""
        if recipe.relabel is not None:
            if recipe.relabel.reward is None:
                self.lacks = (
                    "a block keeps no functions, and relabelled goals have no rewards without: "
                    "draw by buffer.reader(view=replay.Hindsight(reward, ...)), with the function"
                )
            else:
                self.complete = Rewards(recipe.relabel.reward, recipe, layout.schema)

    @property
    def entry_long(self) -> Callable[[Any, Any], int]:
        """As `entry`, without the interpreter's lock."""
        return self._ring.calls.object_gather_long

    def gather(
        self, handle: Handle, slots: npt.NDArray[np.int64], columns: tuple[npt.NDArray[Any], ...]
    ) -> int:
        """
        Copy what the view makes of slots into columns, and turn the slots into ids.

        Parameters
        ----------
        handle : Handle
            Of the ring, with this view.
        slots : (n,) int64 ndarray, written
        columns : tuple of ndarray, written

        Returns
        -------
        int
            How many rows were not whole any more; their id is -1.
        """
        ring = self._ring
        ring.check_open(handle)
        targets = np.array([column.ctypes.data for column in columns], np.int64)
        scratch = np.empty(min(slots.size, MOST_ROWS) * self._words, np.int64)
        return int(ring.run(ring.calls.view_gather, handle, targets, slots, scratch))
