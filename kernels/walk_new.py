"""The leaf of new rows: what a row is drawn by before anybody sets its priority."""

import numpy as np

from kernels.atomics import load
from kernels.handle import PRIORITY, handle_line
from kernels.jit import kernel

#: Word of the line PRIORITY: one more than the leaf that all new rows get; 0: the largest so far.
GIVEN = 1


@kernel
def leaf_new(handle: np.ndarray) -> int:
    """
    Say which leaf a new row gets.

    Parameters
    ----------
    handle : (words,) int64

    Returns
    -------
    int
        The largest so far, or the one that was given when the buffer was made.

    Notes
    -----
    Units: leaf units.
    Cost: two loads, of one line.
    Errors: none.
    Sharing: any number of writers, learners and repairers.
    Source: the largest: Schaul et al. (2016), Prioritized Experience Replay, algorithm 1, line 6.
    """
    line = handle_line(handle, PRIORITY)
    given = load(line, GIVEN)
    return load(line, 0) if given == 0 else given - 1
