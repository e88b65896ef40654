"""Shares: how many rows of each batch every buffer gives."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from replay.errors import InputError

#: The smallest share, and one over the largest denominator of the fraction that it is kept as.
_LEAST = 1e-6


class Shares:
    """
    Divides batches, so that the shares are right on average though rows are whole.

    What a part got too little of a batch is owed to it, and what it got too much is held against
    it: each gets the whole rows that it is owed, and the rows left over go to those that are owed
    the most, the first of equals. So the counts follow from the sizes of the batches alone.
    However many are divided, no part has a whole row more than its share of them all, and so of
    two parts neither has a whole row less; of b parts none has b - 1 less.

    Threads that divide at the same moment may get the same counts: that evens out as well.

    Parameters
    ----------
    names : tuple of str
    shares : dict of str to float, or None
        Of each name, from 1e-6 to 1, together 1; kept as fractions of integers up to 1e6. None:
        the same for each.

    Raises
    ------
    InputError

    Notes
    -----
    Largest remainders, as Hamilton divided seats, with what remains carried to the next batch.
    """

    def __init__(self, names: tuple[str, ...], shares: dict[str, Any] | None) -> None:
        self._names = names
        self._parts = (1,) * len(names) if shares is None else _parts(names, shares)
        self._whole = sum(self._parts)
        # In parts of a row, of which a whole one has `_whole`: exact, however many batches.
        self._owed = (0,) * len(names)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part by name."""
        return {
            name: part / self._whole for name, part in zip(self._names, self._parts, strict=True)
        }

    def divide(self, rows: int) -> tuple[list[int], tuple[int, ...]]:
        """
        Say how many rows each part gives.

        Parameters
        ----------
        rows : int
            Of the batch.

        Returns
        -------
        tuple
            The counts, and what `settle` is to be given where the batch comes about.
        """
        whole = self._whole
        owed = [before + rows * part for before, part in zip(self._owed, self._parts, strict=True)]
        counts = [max(amount // whole, 0) for amount in owed]
        left = [amount - count * whole for amount, count in zip(owed, counts, strict=True)]
        while sum(counts) < rows:
            place = left.index(max(left))
            counts[place] += 1
            left[place] -= whole
        while sum(counts) > rows:
            # What is held against others leaves less than the whole rows that these are owed.
            _, last = min((amount, -place) for place, amount in enumerate(left) if counts[place])
            place = -last
            counts[place] -= 1
            left[place] += whole
        return counts, tuple(left)

    def settle(self, owed: tuple[int, ...]) -> None:
        """
        Carry what a batch leaves owed to the next one.

        Parameters
        ----------
        owed : tuple of int
            As `divide` gave it.
        """
        self._owed = owed


def named(what: str, given: Any) -> dict[str, Any]:
    """
    Name what was given without names by its place.

    Parameters
    ----------
    what : str
        Is given, for messages.
    given : mapping of str or sequence

    Returns
    -------
    dict

    Raises
    ------
    InputError
    """
    if isinstance(given, Mapping):
        for name in given:
            if not isinstance(name, str):
                raise InputError(f"{what} has the name {name!r}, names are strings")
        return dict(given)
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise InputError(f"{what} is {given!r}, it must be a mapping or a sequence")
    return {str(place): one for place, one in enumerate(given)}


def _parts(names: tuple[str, ...], shares: dict[str, Any]) -> tuple[int, ...]:
    """Check shares, and give them as whole parts of their sum."""
    if shares.keys() != set(names):
        raise InputError(
            f"shares is of {', '.join(shares) or 'nothing'}, it must be of {', '.join(names)}"
        )
    for name in names:
        share = shares[name]
        known = isinstance(share, (int, float, np.integer, np.floating))
        if not known or isinstance(share, bool) or not _LEAST <= share <= 1:
            raise InputError(
                f"the share of {name!r} is {share!r}, it must be a number from {_LEAST:g} to 1"
            )
    total = math.fsum(shares.values())
    if abs(total - 1) > _LEAST:
        raise InputError(f"the shares add up to {total:g}, they must add up to 1")
    most = round(1 / _LEAST)
    fractions = [Fraction(float(shares[name])).limit_denominator(most) for name in names]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    return tuple(int(fraction * scale) for fraction in fractions)
