"""Windows: which rows around a drawn row belong to what a view makes of it."""

import numpy as np

from kernels.handle import VIEW
from kernels.jit import kernel


@kernel
def slot_whole(handle: np.ndarray, slot: int) -> bool:
    """
    Say whether a slot may be drawn: whether all that the view needs around its row is stored.

    Parameters
    ----------
    handle : (words,) int64
    slot : int

    Returns
    -------
    bool
        True where no view asks for more than the row itself: the gather finds out whether that
        one is whole.

    Notes
    -----
    Units: slots.
    Cost: a look at the handle; with a view a few loads.
    Errors: none.
    Sharing: any number of readers beside writers.
    Source: own.
    """
    return handle[VIEW] == 0
