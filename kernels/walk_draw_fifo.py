"""The walk of draws that give each row once: from cursors to ids, and from ids to slots."""

import numpy as np

from kernels.atomics import load
from kernels.codes import EMPTY, HELD_BACK, TOO_FEW, TOO_LARGE
from kernels.fifo import CURSOR, fifo_lose, range_next
from kernels.handle import (
    AGAIN,
    ROWS,
    SAMPLES,
    STREAMS,
    handle_cursors,
    handle_heads,
    handle_line,
)
from kernels.jit import INTERPRETED, kernel
from kernels.ring import ring_locate
from kernels.uniform import uniform_size
from kernels.walk_claim_fifo import fifo_claim, fifo_ready, fifo_return
from kernels.walk_draw import draw_begun, draw_counted, draw_undone

#: Rounds of one draw before it is given up, about a second of them: each fails only while another
#: consumer is in between, whose processor may be another's for some milliseconds.
TRIES = 1000 if INTERPRETED else 1 << 20


@kernel
def fifo_deal(handle: np.ndarray, ids: np.ndarray, given: int, share: int) -> int:
    """
    Claim rows of each stream in turn.

    Parameters
    ----------
    handle : (words,) int64
        The cursors of its block are *written*.
    ids : (n,) int64, written
        From place `given` on.
    given : int
    share : int
        Rows of one stream at most.

    Returns
    -------
    int
        Rows that are claimed now, `given` of them before; n at most.

    Notes
    -----
    Units: rows.
    Cost: fifo_claim, for each stream until there are enough.
    Errors: none.
    Sharing: any number of consumers beside writers.
    Source: own.
    """
    cursors = handle_cursors(handle)
    streams = handle[STREAMS]
    # Each batch begins at another stream: else the first ones would be served before the others.
    start = load(handle_line(handle, SAMPLES), 1)
    for turn in range(streams):
        if given == ids.size:
            break
        stream = (start + turn) % streams
        until = min(given + share, ids.size)
        tried = 0
        while given < until:
            # What was left behind is older than what the cursor stands at.
            word, held = range_next(cursors, stream, tried)
            claimed = fifo_claim(handle, stream, word, ids, given, until - given)
            given += claimed
            if claimed == 0:
                if word == CURSOR:
                    break
                tried = held
    return given


@kernel
def claim_fifo(handle: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> int:
    """
    Claim the oldest rows that no consumer has been given; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        The cursors and counters of its block are *written*. Where it says that rows are drawn in
        place of others, those others are lost.
    ids : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    int
        1, by which the weights were divided. EMPTY, TOO_FEW less the number of rows that could be
        given out, TOO_LARGE less the slots, or HELD_BACK: nothing was claimed.

    Notes
    -----
    Units: ids are ticket * streams + stream.
    Cost: two looks at each row, and a compare-and-swap a stream.
    Errors: as returned.
    Sharing: any number of consumers beside writers. Consumers that meet where there are too few
    rows for all of them give back what they have, or go on until they have all.
    Source: own.
    """
    wanted = ids.size
    if wanted > handle[STREAMS] * handle[ROWS]:
        return TOO_LARGE - handle[STREAMS] * handle[ROWS]
    if handle[AGAIN] != 0:
        fifo_lose(handle, 0, wanted)
    if uniform_size(handle_heads(handle), handle[ROWS]) == 0:
        return EMPTY
    ready = 0
    for stream in range(handle[STREAMS]):
        if ready < wanted:
            ready += fifo_ready(handle, stream, wanted - ready)
    if ready < wanted:
        return TOO_FEW - ready
    if not draw_begun(handle, wanted):
        return HELD_BACK
    share = (wanted + handle[STREAMS] - 1) // handle[STREAMS]
    given = 0
    for _ in range(TRIES):
        before = given
        given = fifo_deal(handle, ids, given, share)
        if given == wanted:
            for row in range(wanted):
                weights[row] = np.float32(1.0)
            draw_counted(handle, wanted)
            return 1
        share = wanted
        if given == before:
            ready = given
            given = fifo_return(handle, ids, given)
            if given == 0:
                break
    # Others are in between for ever, as one that is stopped: so many rows are gone.
    fifo_lose(handle, 0, given)
    draw_undone(handle, wanted)
    return TOO_FEW - min(ready, wanted - 1)


@kernel
def claims_place(handle: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> int:
    """
    Turn ids into slots.

    Parameters
    ----------
    handle : (words,) int64
    ids : (n,) int64, written
    weights : (any,) float32
        Not looked at: it has the arguments of a draw.

    Returns
    -------
    int
        n.

    Notes
    -----
    Units: slots.
    Cost: a comparison each, and a few divisions for each run of tickets.
    Errors: none.
    Sharing: any number of callers.
    Source: own.
    """
    streams = handle[STREAMS]
    expected = -1
    slot = 0
    last = 0
    for row in range(ids.size):
        identity = ids[row]
        # Most rows follow the one before: a division costs more than a look.
        if identity == expected and slot != last:
            slot += 1
        else:
            slot, ticket = ring_locate(identity, streams, handle[ROWS])
            last = slot - ticket % handle[ROWS] + handle[ROWS] - 1
        ids[row] = slot
        expected = identity + streams
    return ids.size


@kernel
def claims_return(handle: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> int:
    """
    Give back claimed rows that nobody was given.

    Parameters
    ----------
    handle : (words,) int64
        The cursors of its block are *written*.
    ids : (n,) int64
    weights : (any,) float32
        Not looked at: it has the arguments of a draw.

    Returns
    -------
    int
        How many could not be given back, and are lost.

    Notes
    -----
    Units: rows.
    Cost: as fifo_return.
    Errors: as returned.
    Sharing: any number of consumers.
    Source: own.
    """
    left = fifo_return(handle, ids, ids.size)
    fifo_lose(handle, 0, left)
    return left


@kernel
def draw_fifo(handle: np.ndarray, slots: np.ndarray, weights: np.ndarray) -> int:
    """
    Draw the slots of the oldest rows that no consumer has been given; every weight is 1.

    Parameters
    ----------
    handle : (words,) int64
        As claim_fifo.
    slots : (n,) int64, written
    weights : (n,) float32, written

    Returns
    -------
    int
        As claim_fifo.

    Notes
    -----
    Units: slots.
    Cost: claim_fifo and claims_place.
    Errors: as returned.
    Sharing: as claim_fifo. What a slot holds later may be a newer row, which is another's to be
    given.
    Source: own.
    """
    drawn = claim_fifo(handle, slots, weights)
    if drawn > 0:
        claims_place(handle, slots, weights)
    return drawn
