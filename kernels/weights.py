"""
Importance-sampling weights: (size * P(i)) ** -beta, Schaul et al. (2016), section 3.4.

P(i) is a leaf over the tree's total, so a weight is (leaf / mean leaf) ** -beta. Three ways to
normalise: by nothing, by the largest weight of the batch, by the largest of the whole buffer (its
smallest leaf).
"""

import numpy as np

from kernels.jit import kernel
from kernels.power import exp2, log2

NOT_NORMALISED = 0
BATCH_LARGEST = 1
BUFFER_LARGEST = 2


@kernel
def weights_of(
    leaves: np.ndarray, reference: float, beta: float, weights: np.ndarray, count: int
) -> float:
    """
    Compute (leaf / reference) ** -beta.

    Parameters
    ----------
    leaves : (n,) int64
        Values of the leaves drawn, above zero.
    reference : float
        total / size for plain weights, the smallest leaf to normalise by the buffer's largest.
    beta : float
        0 for no correction, 1 for all of it.
    weights : (n,) float32, written
    count : int
        How many, at most n.

    Returns
    -------
    float
        The largest of them, for weights_scale.

    Notes
    -----
    Units: none.
    Cost: a logarithm and a power of 2 each.
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.4.
    """
    middle = log2(reference)
    largest = np.float32(0.0)
    for draw in range(count):
        weights[draw] = np.float32(exp2(-beta * (log2(np.float64(leaves[draw])) - middle)))
    for draw in range(count):
        largest = max(largest, weights[draw])
    return np.float64(largest)


@kernel
def weights_scale(weights: np.ndarray, largest: float) -> None:
    """
    Divide weights by the largest, so that they only ever scale an update down.

    Parameters
    ----------
    weights : (n,) float32, written
    largest : float
        Above zero.

    Notes
    -----
    Units: none.
    Cost: O(n).
    Errors: none.
    Sharing: the array is the caller's.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.4.
    """
    for draw in range(weights.size):
        weights[draw] = np.float32(np.float64(weights[draw]) / largest)
