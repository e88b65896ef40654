"""The rate limiter: how many rows are drawn for each row that is added."""

import dataclasses
import fractions
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.limit import BALANCE, HIGH, LOW, PER_INSERT, PER_SAMPLE
from replay.errors import InputError
from replay.memory.waiting import seconds

#: The ratio is from one over this to this; numerator and denominator of its fraction are no
#: larger. With tolerance and min_size below theirs, every balance fits its word.
_MOST_RATIO = 10**6
_MOST_TOLERANCE = 1e12
_MOST_SIZE = 1 << 40


@dataclasses.dataclass(frozen=True)
class RateLimiter:
    """
    Holds learners or actors back, so that each added row is drawn so many times on average.

    The balance is rows added * samples_per_insert - rows drawn, of all processes together. It is
    kept around min_size * samples_per_insert, which is where it stands when the first sample
    may begin: an add may begin while one row more would leave it at most `tolerance` above that, a
    sample while one row less would leave it at most `tolerance` below. An operation that begins
    takes its whole size at once, so the balance passes its limits by the size of one add or one
    sample at most. While fewer than `min_size` rows are stored, every add may begin and no sample.

    Parameters
    ----------
    samples_per_insert : float
        Rows drawn for each row added, not batches; from 1e-6 to 1e6. Kept as a fraction of
        integers up to 1e6, which 4, 0.25, 0.3 and 1 / 3 are exactly and any other number is
        within one part in a million.
    min_size : int
        Rows to be stored before the first sample; 1 or more, at most the buffer's capacity.
    tolerance : float, optional
        How far actors and learners may get ahead of each other, in rows drawn; at least 1 and
        samples_per_insert, or both could be held back at once. Where it is small they take
        turns. By default a tenth of min_size * samples_per_insert, and at least that.
    timeout : float, optional
        Seconds that an add may be held back; it then raises WaitTimeoutError, with nothing
        stored. None: for as long as it takes. Samples take a timeout of their own.

    Raises
    ------
    InputError

    Notes
    -----
    `clear` begins anew from 0: adds go on, samples wait for min_size rows. So does loading or
    restoring a snapshot, from its rows: where it has min_size of them, the balance begins in the
    middle, and both sides may go on at once.

    A process that dies inside an add or a sample has moved the balance by that operation, which
    the others make up for; nobody waits for it.

    Cassirer et al. (2021), Reverb: A Framework for Experience Replay; its SampleToInsertRatio.
    """

    samples_per_insert: float
    min_size: int = 1
    tolerance: float | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        ratio = _number("samples_per_insert", self.samples_per_insert)
        _within("samples_per_insert", ratio, 1 / _MOST_RATIO, float(_MOST_RATIO))
        size = self.min_size
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise InputError(f"min_size is {size!r}, it must be an int")
        if not 1 <= size <= _MOST_SIZE:
            raise InputError(f"min_size is {size}, it must be from 1 to {_MOST_SIZE}")
        least = max(1.0, ratio)
        if self.tolerance is None:
            tolerance = max(least, min(ratio * int(size) / 10, _MOST_TOLERANCE))
        else:
            tolerance = _number("tolerance", self.tolerance)
            if tolerance < least:
                raise InputError(
                    f"tolerance is {tolerance:g}, it must be {least:g} or more, the larger of 1 "
                    "and samples_per_insert: adds and samples could be held back at once"
                )
            _within("tolerance", tolerance, least, _MOST_TOLERANCE)
        object.__setattr__(self, "samples_per_insert", ratio)
        object.__setattr__(self, "min_size", int(size))
        object.__setattr__(self, "tolerance", tolerance)
        object.__setattr__(self, "timeout", seconds("timeout", self.timeout))

    @property
    def limits(self) -> tuple[int, int, int, int, int]:
        """The words that `kernels.limit` goes by."""
        ratio = self.samples_per_insert
        # The denominator's limit keeps the numerator below the same.
        most = int(_MOST_RATIO / max(1.0, ratio))
        fraction = fractions.Fraction(ratio).limit_denominator(max(most, 1))
        insert, sample = fraction.numerator, fraction.denominator
        assert self.tolerance is not None
        tolerance = fractions.Fraction(self.tolerance).limit_denominator(_MOST_RATIO)
        # At least: rounding must not let both sides be held back.
        width = max(math.floor(tolerance * sample), insert, sample)
        middle = self.min_size * insert
        return insert, sample, middle - width, middle + width, self.min_size

    def to_json(self) -> dict[str, Any]:
        """Describe the limiter in what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, described: Any, capacity: int) -> "RateLimiter | None":
        """
        Undo `to_json`, from anywhere: nothing of it is trusted.

        Parameters
        ----------
        described : object
            An empty dict where there is no limiter.
        capacity : int
            Of its buffer.

        Returns
        -------
        RateLimiter or None

        Raises
        ------
        InputError
            It describes no limiter, or one that would hold back for ever.
        """
        if described == {}:
            return None
        try:
            limiter = cls(**described)
            same = limiter.to_json() == described
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"limiter {described!r} cannot be: {error}") from None
        if not same:
            raise InputError(f"limiter {described!r} contradicts itself")
        limiter.check(capacity)
        return limiter

    def check(self, capacity: int) -> None:
        """
        Refuse a buffer that can never hold `min_size` rows.

        Raises
        ------
        InputError
        """
        if self.min_size > capacity:
            raise InputError(
                f"min_size is {self.min_size}, the buffer keeps {capacity} rows: no sample could "
                "ever begin"
            )

    def prepare(self, handle: npt.NDArray[np.int64]) -> None:
        """Write into a handle what the kernels need to know of it."""
        limits = self.limits
        handle[words.LIMITS : words.LIMITS + len(limits)] = limits

    def begin(self, control: npt.NDArray[np.int64], stored: int) -> None:
        """
        Count from now on.

        Parameters
        ----------
        control : (lines, 8) int64 ndarray, written
            Of the block.
        stored : int
            Rows that it holds. From min_size on the balance is in the middle.
        """
        # One store: of two, a process that is killed would leave the first.
        control[words.LIMITER, BALANCE] = self.limits[PER_INSERT] * min(stored, self.min_size)

    def balance(self, control: npt.NDArray[np.int64]) -> float:
        """Read the balance, in rows drawn."""
        return int(control[words.LIMITER, BALANCE]) / self.limits[PER_SAMPLE]

    def explain(self, control: npt.NDArray[np.int64], stored: int) -> str:
        """Say how things stand, for whoever is held back."""
        limits = self.limits
        sample = (limits[LOW] + limits[PER_SAMPLE]) / limits[PER_SAMPLE]
        add = (limits[HIGH] - limits[PER_INSERT]) / limits[PER_SAMPLE]
        return (
            f"the limiter's balance is {self.balance(control):g}, an add may begin up to {add:g} "
            f"and a sample from {sample:g} on; {stored} rows are stored, samples need "
            f"{self.min_size}"
        )


def _number(name: str, value: Any) -> float:
    known = isinstance(value, (int, float, np.integer, np.floating))
    if not known or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}, it must be a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _within(name: str, value: float, low: float, high: float) -> None:
    # Not "below low or above high": nan is neither.
    if not low <= value <= high:
        raise InputError(f"{name} is {value}, it must be from {low:g} to {high:g}")
