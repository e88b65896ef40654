"""What a run was asked for, and what it found."""

import dataclasses

from .tables import Row, Verdict


@dataclasses.dataclass(frozen=True)
class Options:
    """
    What a run was asked for.

    Attributes
    ----------
    rows : int
        Stored, of 77 bytes.
    frames : int
        Stored, of 84 x 84.
    rounds : int
        Timings of each work.
    seconds : float
        Of a turn of two processes.
    peers : tuple of str
        Names in `peers.NAMES`, without replay.
    only : tuple of str
        Works whose names hold one of these; all where there are none.
    cores : tuple of int
        That two processes may use; this one is pinned to the last.
    large : bool
        Also sample and update of ten times as many rows.
    """

    rows: int
    frames: int
    rounds: int
    seconds: float
    peers: tuple[str, ...]
    only: tuple[str, ...]
    cores: tuple[int, ...]
    large: bool

    def wanted(self, work: str) -> bool:
        """Say whether a work was asked for."""
        return not self.only or any(part in work for part in self.only)


@dataclasses.dataclass
class Found:
    """
    What a part of the run found.

    Attributes
    ----------
    rows : list of Row
        For the table of peers, and the picture.
    verdicts : list of Verdict
    notes : list of str
        What was left out, and what else is to be said.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    verdicts: list[Verdict] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def take(self, other: "Found") -> None:
        """Add what another part has found."""
        self.rows += other.rows
        self.verdicts += other.verdicts
        self.notes += other.notes
