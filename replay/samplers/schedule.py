"""Numbers that change as training goes on."""

import dataclasses

from replay.errors import InputError

#: More than a float64 can tell apart would not be a line.
MOST_STEPS = 1 << 53


@dataclasses.dataclass(frozen=True)
class Linear:
    """
    A straight line from one value to another, which then stays.

    Parameters
    ----------
    first : float
    last : float
    steps : int
        Batches drawn, by all processes together, until `last` is reached; 1 or more.

    Raises
    ------
    InputError
    """

    first: float
    last: float
    steps: int

    def __post_init__(self) -> None:
        known = isinstance(self.steps, int) and not isinstance(self.steps, bool)
        if not known or not 1 <= self.steps <= MOST_STEPS:
            raise InputError(
                f"steps is {self.steps!r}, it must be an int, 1 or more, at most {MOST_STEPS}"
            )

    def __call__(self, batches: int) -> float:
        """Give the value after so many batches."""
        return self.first + (self.last - self.first) * min(batches / self.steps, 1.0)
