"""
Goals in hindsight: which row of its episode a drawn row takes a new goal from.

What an agent reached is a goal that it could have had. Of each row the draw has two counters: one
says whether it is relabelled, the other by which row.
"""

import numpy as np

from kernels.handle import ROWS, handle_view
from kernels.jit import kernel
from kernels.power import bits_float
from kernels.random import random_below, random_unit
from kernels.view import FINAL, FUTURE, SHARE, STRATEGY
from kernels.window import row_follows

#: Counters that the goal of a row takes.
DRAWS = 2


@kernel
def episode_past(handle: np.ndarray, slot: int, ticket: int, step: int) -> int:
    """
    Count the steps of an episode before a row that are stored.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a whole row.
    ticket : int
        The row's.
    step : int
        The row's, 1 or more.

    Returns
    -------
    int
        Without the row's own; the reset is no step.

    Notes
    -----
    Units: steps.
    Cost: one look where all are stored, else O(log rows).
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream: rows are overwritten in
    order, the oldest first.
    Source: own; as episode_rest.
    """
    most = min(step - 1, handle[ROWS] - 1)
    if most < 1 or row_follows(handle, slot, ticket, step, -most):
        return max(most, 0)
    # The row at `low` is stored, the one at `high` is not.
    low = 0
    reach = 1
    while reach < most and row_follows(handle, slot, ticket, step, -reach):
        low = reach
        reach <<= 1
    high = min(reach, most)
    while high - low > 1:
        middle = (low + high) >> 1
        if row_follows(handle, slot, ticket, step, -middle):
            low = middle
        else:
            high = middle
    return low


@kernel
def goal_relabels(view: np.ndarray, seed: int, counter: int) -> bool:
    """
    Say whether a row gets another goal.

    Parameters
    ----------
    view : (64,) int64
    seed : int
    counter : int
        The first of the row's DRAWS.

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: one draw.
    Errors: none; a share of 1 relabels every row, one of 0 none.
    Sharing: a pure function.
    Source: Andrychowicz et al. (2017), Hindsight Experience Replay, section 4.5: k relabelled
    transitions for each one as it was.
    """
    return random_unit(seed, counter) < bits_float(view[SHARE])


@kernel
def goal_distance(
    handle: np.ndarray, slot: int, ticket: int, step: int, rest: int, seed: int, counter: int
) -> int:
    """
    Say how many tickets behind a row the row lies that it takes its goal from.

    Parameters
    ----------
    handle : (words,) int64
    slot : int
        Of a whole row.
    ticket : int
        The row's.
    step : int
        The row's, 1 or more.
    rest : int
        Steps of its episode from the row on, the row's own among them.
    seed : int
    counter : int
        The first of the row's DRAWS.

    Returns
    -------
    int
        0 for the row itself, below 0 for a row before it.

    Notes
    -----
    Units: tickets.
    Cost: a draw or none; for any step of the episode, episode_past.
    Errors: none.
    Sharing: any number of readers beside the one writer of the stream; the goal's word is looked
    at again after the copy.
    Source: Andrychowicz et al. (2017), Hindsight Experience Replay, section 4.5: the strategies
    future, final and episode.
    """
    strategy = handle_view(handle)[STRATEGY]
    if strategy == FINAL:
        return rest - 1
    if strategy == FUTURE:
        return random_below(seed, counter + 1, rest)
    past = episode_past(handle, slot, ticket, step)
    return random_below(seed, counter + 1, past + rest) - past
