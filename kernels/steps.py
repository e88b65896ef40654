"""Writers of steps: one a stream at a time, whose token the stream's head says."""

import numpy as np

from kernels.atomics import compare_and_swap
from kernels.handle import handle_heads
from kernels.jit import kernel
from kernels.ring import LINE, STEPS


@kernel
def token_exchange(handle: np.ndarray, stream: int, before: int, token: int) -> bool:
    """
    Take a stream for a writer of steps, or give it back.

    Parameters
    ----------
    handle : (words,) int64
        The heads it points at are *written*.
    stream : int
    before : int
        The token that it is expected to say; 0: that of nobody.
    token : int
        0 gives it back.

    Returns
    -------
    bool
        False: it says another one by now, and stays.

    Notes
    -----
    Units: none.
    Cost: one compare-and-swap.
    Errors: as returned.
    Sharing: any number of writers. A writer looks after it has claimed its ticket, so no row of
    one that has lost the stream follows the rows of the next.
    Source: own.
    """
    return compare_and_swap(handle_heads(handle), stream * LINE + STEPS, before, token)
