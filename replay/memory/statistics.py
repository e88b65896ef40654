"""The counters of a block, which all processes keep together."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.heap import BYTES
from replay.memory.ring import Ring


def read_statistics(ring: Ring) -> dict[str, Any]:
    """
    Read the counters of a block.

    Parameters
    ----------
    ring : Ring

    Returns
    -------
    dict of str to int or float
        As `ReplayBuffer.stats` says.
    """
    control = ring.block.part("control")
    heaped = _heaped(ring) if ring.layout.room else {}
    limited = {} if ring.limiter is None else {"balance": ring.limiter.balance(control)}
    return {
        "size": ring.size,
        "added": ring.added - ring.burnt,
        "sampled": int(control[words.SAMPLES, 0]),
        "batches": int(control[words.SAMPLES, 1]),
        "updated": int(control[words.UPDATES, 0]),
        "stale": int(control[words.STALE, 0]),
        "redrawn": int(control[words.REDRAWS, 0]),
        "burnt": ring.burnt,
        "saturated": int(control[words.SATURATED, 0]),
        "repairs": int(control[words.REPAIRS, 0]),
        "freed": int(control[words.REPAIRS, 1]),
        "mended": int(control[words.REPAIRS, 2]),
        "age_mean": _mean(control[words.SAMPLES, 2:4]),
        "age_median": _median(control[words.AGES : words.AGES + 4]),
        **heaped,
        **limited,
    }


def _heaped(ring: Ring) -> dict[str, Any]:
    """Read what is special to compressed and ragged fields."""
    layout, heads = ring.layout, ring.block.part("heads")
    added = max(ring.added - ring.burnt, 0)
    room = layout.room * layout.streams
    row_bytes = float(heads[:, BYTES].sum() / added) if added else float("nan")
    rows = int(room / row_bytes) if added and row_bytes else layout.capacity
    return {
        "evicted": int(ring.block.part("control")[words.REDRAWS, 1]),
        "room": room,
        "row_bytes": row_bytes,
        "room_rows": min(rows, layout.capacity),
    }


def _mean(sum_and_count: npt.NDArray[np.int64]) -> float:
    total, count = sum_and_count
    return float(total / count) if count else float("nan")


def _median(counts: npt.NDArray[np.int64]) -> float:
    """Find the middle of counts by bits: that of the numbers with so many bits."""
    summed = np.cumsum(counts)
    if not summed[-1]:
        return float("nan")
    bits = int(np.searchsorted(summed, (summed[-1] + 1) // 2))
    return 0.75 * 2**bits if bits > 1 else float(bits)
