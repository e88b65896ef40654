"""Bytes of a block beyond the bytes of its rows."""

from typing import Any

import numpy as np

import replay

from . import CAPACITIES, SAMPLERS
from .workload import FIELDS, sampler

ROWS: dict[str, dict[str, Any]] = {
    "77 bytes": FIELDS,
    "493 bytes": {
        "obs": (np.float32, (60,)),
        "action": np.int64,
        "reward": np.float32,
        "next_obs": (np.float32, (60,)),
        "terminated": bool,
    },
    "image": {"obs": (np.uint8, (84, 84)), "action": np.int64, "reward": np.float32},
}


class Memory:
    """A block of so many rows: header and counters are a fixed part, the tree grows with it."""

    # A million images would need their room, though nothing is written into it.
    params = (list(ROWS), SAMPLERS, CAPACITIES[:3])
    param_names = ("row", "sampler", "capacity")

    def setup(self, row: str, kind: str, capacity: int) -> None:
        self.buffer = replay.ReplayBuffer(capacity, ROWS[row], sampler=sampler(kind))
        self.raw = capacity * sum(field.nbytes for field in self.buffer.fields.values())

    def teardown(self, row: str, kind: str, capacity: int) -> None:
        self.buffer.close()

    def track_beyond_raw(self, row: str, kind: str, capacity: int) -> float:
        return (self.buffer.nbytes - self.raw) / capacity

    track_beyond_raw.unit = "bytes/row"  # type: ignore[attr-defined]

    def track_beyond_raw_share(self, row: str, kind: str, capacity: int) -> float:
        return 100 * (self.buffer.nbytes - self.raw) / self.raw

    track_beyond_raw_share.unit = "%"  # type: ignore[attr-defined]
