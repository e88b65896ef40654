"""Bytes beyond those of the rows: of a block, and of a process that has filled one."""

import os
from typing import Any

import numpy as np

import replay

from . import CAPACITIES, SAMPLERS, unless_quick
from .workload import FIELDS, digits, sampler

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
#: Rows that are written at a time.
CHUNK = 1_000


def raw_bytes(buffer: replay.ReplayBuffer) -> int:
    return buffer.capacity * sum(field.nbytes for field in buffer.fields.values())


class Memory:
    """A block of so many rows: header and counters are a fixed part, the tree grows with it."""

    # A million images would need their room, though nothing is written into it.
    params = (list(ROWS), SAMPLERS, CAPACITIES[:3])
    param_names = ("row", "sampler", "capacity")

    def setup(self, row: str, kind: str, capacity: int) -> None:
        self.buffer = replay.ReplayBuffer(capacity, ROWS[row], sampler=sampler(kind))
        self.raw = raw_bytes(self.buffer)

    def teardown(self, row: str, kind: str, capacity: int) -> None:
        self.buffer.close()

    def track_beyond_raw(self, row: str, kind: str, capacity: int) -> float:
        return digits((self.buffer.nbytes - self.raw) / capacity)

    def track_beyond_raw_share(self, row: str, kind: str, capacity: int) -> float:
        return digits(100 * (self.buffer.nbytes - self.raw) / self.raw)

    track_beyond_raw.unit = "bytes/row"  # type: ignore[attr-defined]
    track_beyond_raw_share.unit = "%"  # type: ignore[attr-defined]


class Million(Memory):
    """The same of a million small rows, and of ten where they are asked for."""

    params = (list(ROWS)[:2], SAMPLERS, CAPACITIES[3:] or CAPACITIES)


def resident() -> int:
    """Say how many bytes of memory this process has in use."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        raise NotImplementedError("only Linux tells what is in use") from None


def write(buffer: replay.ReplayBuffer) -> None:
    """Write every row, draw a batch and give its priorities back."""
    chunk = {
        name: np.zeros((CHUNK, *field.shape), field.dtype) for name, field in buffer.fields.items()
    }
    for _ in range(0, buffer.capacity, CHUNK):
        buffer.extend(**chunk)
    batch = buffer.sample(256)
    if buffer.sampler.prioritized:
        buffer.update_priorities(batch.ids, np.ones(256))


class Resident:
    """What a process grows by when it makes a buffer and fills it, beyond the rows."""

    params = (list(ROWS), SAMPLERS, unless_quick([100_000], [1_000]))
    param_names = ("row", "sampler", "capacity")

    def setup(self, row: str, kind: str, capacity: int) -> None:
        # Kernels are loaded by the first buffer of a kind.
        with replay.ReplayBuffer(CHUNK, ROWS[row], sampler=sampler(kind)) as small:
            write(small)

    def track_beyond_raw_share(self, row: str, kind: str, capacity: int) -> float:
        before = resident()
        with replay.ReplayBuffer(capacity, ROWS[row], sampler=sampler(kind)) as buffer:
            write(buffer)
            raw = raw_bytes(buffer)
            return digits(100 * (resident() - before - raw) / raw)

    track_beyond_raw_share.unit = "%"  # type: ignore[attr-defined]
