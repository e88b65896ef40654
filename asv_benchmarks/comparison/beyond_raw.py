"""Bytes of a prioritized buffer beyond those of its rows."""

from collections.abc import Iterator

import numpy as np

import replay

from .options import Found, Options
from .progress import Progress
from .tables import Verdict

WORK = "bytes beyond raw, 493 a row, prioritized"
#: Percent.
TARGET = 10.0
FIELDS = {
    "obs": (np.float32, (60,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (60,)),
    "terminated": bool,
}
#: A million of them would need their room, though nothing is written.
MOST = 100_000


def works(options: Options) -> list[str]:
    """Name the works that were asked for."""
    return [WORK] if options.wanted(WORK) else []


def run(options: Options, progress: Progress) -> Iterator[Found]:
    """Count, of a buffer that is made and not filled: its block has all of its size at once."""
    if not works(options):
        return
    progress.begin(WORK)
    rows = min(options.rows, MOST)
    with replay.ReplayBuffer(rows, FIELDS, sampler=replay.Proportional()) as buffer:
        raw = rows * sum(field.nbytes for field in buffer.fields.values())
        share = 100 * (buffer.nbytes - raw) / raw
    yield Found(verdicts=[Verdict(WORK, "", share, 0.0, 0.0, "%", TARGET)])
