"""Prioritized replay, by the rank of |TD error|."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels import walk_order as order
from kernels.ranks import CELLS, STARTS
from kernels.walk_draw_ranked import draw_ranked
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.samplers.sampler import Sampler
from replay.samplers.schedule import Linear
from replay.samplers.weighing import (
    check_weighing,
    describe_weighing,
    prepare_weighing,
    read_weighing,
)

#: Batches between two sorts that a word of the handle holds.
_MOST = 1 << 40


@dataclasses.dataclass(frozen=True)
class Ranked(Sampler):
    """
    Draw rows in proportion to rank ** -alpha, and weigh them by (size * P(i)) ** -beta.

    Rank 1 is the row of the largest priority. How large it is changes nothing, so a few errors
    that are far too large do no harm. Priorities within 1/1024 of each other count as equal, and
    rows of equal priority share the probability of their ranks. New rows enter at the largest
    priority so far, 1 at first. A row of priority 0 is never drawn and has no rank; priorities
    above 16384 count as 16384.

    Rows are sorted now and then, as `refresh` says. What happens in between counts at once as far
    as it takes something away: a row whose priority fell is drawn by the rank that it would have
    fallen to, and a new row takes one of the first ranks from the older ones. A row whose priority
    rose keeps its rank until the next sort; one whose priority was 0 waits for it. Where C of N
    rows changed since the last sort (priorities set, rows added, rows gone), the probabilities are
    those of the ranks of now to within a total variation of H(C) / H(N), H(n) being the sum of
    k ** -alpha for k from 1 to n.

    Parameters
    ----------
    alpha : float
        0 draws all rows of positive priority alike, 1 in inverse proportion to rank; from 0 to 4.
    beta : float or Linear
        0 corrects nothing, 1 all of the bias that drawing by rank brings; from 0 to 1. A `Linear`
        grows with the batches drawn.
    epsilon : float
        Added to every priority that `update_priorities` is given; 0 or more. It moves no rank, but
        keeps rows of priority 0 among those that are drawn.
    refresh : int, optional
        Batches drawn between two sorts, 1 or more; 1 draws by the ranks of now. None sorts when
        one in 32 rows changed, which bounds the error above by about 32 ** (alpha - 1), whatever
        the size. Both also sort when one in 8 rows is new.
    stratified : bool
        Draw one row from each of n segments of equal probability, as in the paper; else n plain
        draws.
    normalise : {"batch", "buffer", None}
        Divide the weights by the largest of the batch, by the largest that any row can have (that
        of the last rank), or not.

    Raises
    ------
    InputError

    Notes
    -----
    Every process that draws sorts for itself, in memory of its own: about 33 bytes a slot and 1
    MB, touched at its first draw. It is gone when the buffer is closed.

    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay, sections 3.3 and
    3.4.
    """

    alpha: float = 0.7
    beta: float | Linear = 0.5
    epsilon: float = 0.0
    refresh: int | None = None
    stratified: bool = True
    normalise: str | None = "batch"

    kind: ClassVar[str] = "ranked"

    def __post_init__(self) -> None:
        check_weighing(self)
        if self.refresh is not None:
            whole = isinstance(self.refresh, (int, np.integer))
            if not whole or isinstance(self.refresh, bool) or not 1 <= self.refresh <= _MOST:
                raise InputError(
                    f"refresh is {self.refresh!r}, it must be None or an int, 1 or more, "
                    f"at most {_MOST}"
                )

    @property
    def prioritized(self) -> bool:
        """Whether it needs the priority tree: it does."""
        return True

    @property
    def leaf_alpha(self) -> float:
        """The exponent of the leaves: 1, any other keeps the same ranks."""
        return 1.0

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {
            "kind": self.kind,
            "tree": True,
            "minima": False,
            "refresh": None if self.refresh is None else int(self.refresh),
            **describe_weighing(self),
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Ranked":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        try:
            sampler = cls(refresh=described["refresh"], **read_weighing(described))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"sampler {described!r} cannot be: {error}") from None
        if sampler.to_json() != described:
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it, and give it room to sort in."""
        prepare_weighing(handle, self)
        numbers = handle.view(np.float64)
        numbers[order.RANK_ALPHA] = self.alpha
        handle[order.REFRESH] = 0 if self.refresh is None else self.refresh
        streams = int(handle[words.STREAMS])
        slots = streams * int(handle[words.ROWS])
        ranks = slots + slots // order.MORE
        # Zeros that nobody has written take no memory: a process that never draws pays nothing.
        for word, shape in (
            (order.RANKS, (3, 8)),
            (order.MARKS, (2, streams)),
            (order.STARTS_OF, (2, STARTS)),
            (order.ORDERS, (2, slots)),
            (order.ENTRIES, (slots,)),
            (order.MASSES, (ranks + 2 + CELLS + 1,)),
        ):
            array = np.zeros(shape, np.int64)
            handle[word] = array.ctypes.data
            handle.kept = (*handle.kept, array)

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_ranked

    def settle(self, weights: npt.NDArray[np.float32]) -> None:
        """Make the largest weight of the batch 1 again, where the batch normalises."""
        if self.normalise == "batch":
            weights /= weights.max()
