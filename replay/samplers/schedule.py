"""Numbers that change as training goes on."""

import dataclasses

from replay.errors import InputError


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
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"steps is {self.steps!r}, it must be an int, 1 or more")

    def __call__(self, batches: int) -> float:
        """Give the value after so many batches."""
        return self.first + (self.last - self.first) * min(batches / self.steps, 1.0)
