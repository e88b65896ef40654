"""
Damage: words of a block that kernels trust, looked at before the first kernel does.

A file is whatever somebody wrote into it. Kernels compute places from the words below, and one
that no buffer can hold would lead them out of the block, or have them look for ever. Everything
else may be garbage and costs no more than wrong rows: a sequence word, a leaf, a sum or a
member's line is compared and clamped wherever it is read.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.heap import BYTES, CLEAR
from kernels.jit import interpreted
from kernels.members import MEMBERS
from kernels.priorities import priority_ceiling
from kernels.ring import BASE, BURNT, FILLED, FLOOR, HEAD, SHIFT
from kernels.walk_new import GIVEN
from replay.errors import BlockFormatError
from replay.memory.layout import MOST_SLOTS, Layout

#: A limiter's balance stays in its word by far.
_MOST_BALANCE = 1 << 62


def check_words(
    layout: Layout, control: npt.NDArray[np.int64], heads: npt.NDArray[np.int64], where: str
) -> None:
    """
    Refuse a block, or a snapshot of one, whose counters cannot be.

    Parameters
    ----------
    layout : Layout
    control : (24, 8) int64 ndarray
    heads : (streams, 8) int64 ndarray
    where : str
        Of whom they are, for the message.

    Raises
    ------
    BlockFormatError
        Says which one, and from where to where it may go.
    """
    # Half of what a sequence word and an id can hold: the other half is room to grow.
    tickets = min(1 << (62 - SHIFT), (1 << 62) // layout.streams)
    ranges: list[tuple[str, npt.NDArray[Any], int, int]] = [
        ("members", control[words.READY, 1], 0, MEMBERS),
        ("batches drawn", control[words.SAMPLES, 1], 0, _MOST_BALANCE),
        ("the limiter's balance", control[words.LIMITER, 0], -_MOST_BALANCE, _MOST_BALANCE),
        ("a head", heads[:, HEAD], 0, tickets),
        ("a base", heads[:, BASE], 0, tickets),
        ("a floor", heads[:, FLOOR], 0, tickets),
        ("bytes claimed", heads[:, BYTES], 0, 1 << 61),
        ("bytes that are clear", heads[:, CLEAR], 0, 1 << 62),
        ("burnt tickets", heads[:, BURNT], 0, tickets),
        # Deaths can leave more than there are slots, until they are repaired.
        ("slots filled", heads[:, FILLED], 0, MOST_SLOTS),
    ]
    if "tree" in layout.parts:
        most = int(interpreted(priority_ceiling)(layout.capacity))
        ranges.append(("the largest leaf", control[words.PRIORITY, 0], 0, most))
        ranges.append(("the leaf of new rows", control[words.PRIORITY, GIVEN], 0, most + 1))
    for what, found, least, most in ranges:
        smallest, largest = int(np.min(found)), int(np.max(found))
        if least <= smallest and largest <= most:
            continue
        raise BlockFormatError(
            f"{where} is damaged: {what} {smallest if smallest < least else largest}, possible "
            f"are {least} to {most}"
        )
