"""
Which slots a batch has drawn already: a hash table inside the batch's own arrays.

    slots       SLOT_BITS bits of slot; above them, one more than the place of the next draw in the
                same chain, 0 at its end
    weights     by their bits: one more than the place of the first draw of each chain, 0: none

There are as many chains as draws, so a chain has one of them on average. Nothing is allocated, and
whoever has drawn takes the slots out by distinct_slots and writes the weights anew.
"""

import numpy as np

from kernels.addresses import address_of, load_int32, store_int32
from kernels.jit import kernel
from kernels.random import GAMMA, multiply_high, multiply_low, unsigned

#: Bits of a slot's number; a block has no more slots.
SLOT_BITS = 40
#: Draws of a batch at most: their places share a word with a slot.
MOST = (1 << 22) - 1
_SLOT = (1 << SLOT_BITS) - 1


@kernel
def distinct_chain(slot: int, chains: int) -> int:
    """
    Say in which chain a slot is.

    Parameters
    ----------
    slot : int
    chains : int
        1 or more.

    Returns
    -------
    int
        0 or more, below `chains`.

    Notes
    -----
    Units: none.
    Cost: two multiplications.
    Errors: none.
    Sharing: a pure function.
    Source: Knuth (1998), The Art of Computer Programming, volume 3, section 6.4: multiplicative
    hashing, by the golden ratio.
    """
    return np.int64(multiply_high(multiply_low(unsigned(slot), unsigned(GAMMA)), unsigned(chains)))


@kernel
def distinct_begin(slots: np.ndarray, weights: np.ndarray, kept: int) -> None:
    """
    Begin a table that holds the first slots of a batch.

    Parameters
    ----------
    slots : (n,) int64, written
        The first of them with nothing else in their words.
    weights : (n,) float32, written
    kept : int
        How many slots are drawn already, all different; 0 <= kept <= n <= MOST.

    Notes
    -----
    Units: slots.
    Cost: O(n).
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: own.
    """
    for draw in range(weights.size):
        # All bits 0: an empty chain.
        weights[draw] = np.float32(0.0)
    for place in range(kept):
        distinct_add(slots, weights, place, slots[place])


@kernel
def distinct_has(slots: np.ndarray, weights: np.ndarray, slot: int) -> bool:
    """
    Say whether a slot was drawn already.

    Parameters
    ----------
    slots : (n,) int64
    weights : (n,) float32
        As distinct_begin and distinct_add left them.
    slot : int

    Returns
    -------
    bool

    Notes
    -----
    Units: slots.
    Cost: a look at one or two slots on average.
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: own.
    """
    chain = distinct_chain(slot, weights.size)
    # An int64: NumPy's scalars of fewer bits would lose what is shifted.
    after = np.int64(load_int32(address_of(weights) + chain * 4))
    while after != 0:
        held = slots[after - 1]
        if held & _SLOT == slot:
            return True
        after = held >> SLOT_BITS
    return False


@kernel
def distinct_add(slots: np.ndarray, weights: np.ndarray, place: int, slot: int) -> bool:
    """
    Draw a slot, unless it was drawn already.

    Parameters
    ----------
    slots : (n,) int64, written
    weights : (n,) float32, written
    place : int
        Of the batch, not drawn for yet; 0 <= place < n.
    slot : int
        0 <= slot < 2**40.

    Returns
    -------
    bool
        False: it was, and nothing was changed.

    Notes
    -----
    Units: slots.
    Cost: as distinct_has.
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: own.
    """
    if distinct_has(slots, weights, slot):
        return False
    head = address_of(weights) + distinct_chain(slot, weights.size) * 4
    slots[place] = np.int64(load_int32(head)) << SLOT_BITS | slot
    store_int32(head, place + 1)
    return True


@kernel
def distinct_slots(slots: np.ndarray) -> None:
    """
    Take the chains out of the slots.

    Parameters
    ----------
    slots : (n,) int64, written

    Notes
    -----
    Units: slots.
    Cost: O(n).
    Errors: none.
    Sharing: the array is the caller's.
    Source: own.
    """
    for place in range(slots.size):
        slots[place] &= _SLOT
