"""What has happened so far in a run."""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """
    Counts and curves, kept by the training and shown by progress and report.

    Attributes
    ----------
    steps : int
        Environment steps played.
    updates : int
        Learner updates.
    samples : int
        Transitions sampled.
    stale : int
        Priority updates that were skipped because their transition had been overwritten.
    episodes : list of tuple
        (environment steps so far, return) of each finished episode.
    evaluations : list of tuple
        (environment steps so far, mean return) of each greedy evaluation.
    """

    steps: int = 0
    updates: int = 0
    samples: int = 0
    stale: int = 0
    episodes: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
