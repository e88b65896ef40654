"""Each row once, oldest first."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels.codes import NOTICE, TOO_FEW, TOO_LARGE
from kernels.fifo import COUNT_BITS, CURSOR, LOST, MOST, RANGES
from kernels.ring import BASE, FLOOR, HEAD, LINE
from kernels.walk_draw_fifo import claim_fifo, claims_place, claims_return, draw_fifo
from replay.errors import EmptyError, InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler

#: The ids that each thread has claimed last.
_claimed = threading.local()


@dataclasses.dataclass(frozen=True)
class Fifo(Sampler):
    """
    Give each row once, to one consumer, oldest first within its stream; all weights are 1.

    Any number of threads and processes consume at once. A batch is whole or is refused: with fewer
    unread rows than it takes, `sample(n)` raises EmptyError and takes none, and
    `sample(n, timeout=seconds)` waits for the rest. With several streams, each gives an equal
    share of a batch where it has so many, and every batch begins at another stream.

    Writers do not wait for consumers. Rows that are overwritten, or cleared, before they were read
    are never given out; `stats()` counts the overwritten ones as "lost", and those that are still
    to be read as "unread". `RateLimiter(1, min_size=n, tolerance=n)`, with batches of n rows,
    keeps writers from running ahead, where each stream has room for 2 * n rows and those of one
    `extend`.

    A row that its writer has not finished is passed by and given out as soon as it is there: it
    may come after newer rows of other writers of its stream. Where the writer was killed it never
    comes, and nobody waits for it, up to four gaps of 16383 rows each in a stream at a time; for
    more, until the ring has run over the first. Of a consumer that is killed, the rows that it
    had claimed are gone: each row is given out once at most.
    """

    kind: ClassVar[str] = "fifo"

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        return {"kind": self.kind, "cursors": True}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Fifo":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        # A 1 in place of True is equal to it, and would be another header.
        if described != cls().to_json() or described["cursors"] is not True:
            raise InputError(f"sampler {described!r} contradicts itself")
        return cls()

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_fifo

    @property
    def newest_kernel(self) -> Any:
        """None: the order of a batch is its rows' own."""
        return None

    def plain(self, ring: Ring) -> Callable[[Any, Any, Any], float]:
        """
        Give what draws into arrays that were checked: of a handle, slots and weights.

        Parameters
        ----------
        ring : Ring
        """
        claim, place = ring.calls.draw(claim_fifo), ring.calls.draw(claims_place)

        def draw(handle: Any, slots: Any, weights: Any) -> float:
            drawn = claim(handle, slots, weights)
            if drawn > 0:
                _claimed.ids = slots.copy()
                place(handle, slots, weights)
            return drawn

        return draw

    def watched(self, gatherer: Any) -> Any:
        """
        Give a gatherer that misses the rows which a thread did not claim.

        Parameters
        ----------
        gatherer : Rows or Windows
        """
        return Claimed(gatherer)

    def draw_again(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
        handle: Handle,
        ids: npt.NDArray[np.int64],
    ) -> None:
        """Draw as `Sampler.draw_again`; with too few rows unread, the batch's others are again."""
        try:
            super().draw_again(ring, slots, weights, divided, handle, ids)
        except EmptyError:
            ring.run(ring.calls.draw(claims_return), handle, ids[ids >= 0], weights)
            raise

    def check(self, code: float) -> None:
        """
        Raise what a negative code stands for.

        Raises
        ------
        EmptyError, ClosedError
        """
        if TOO_LARGE < code <= TOO_FEW:
            raise EmptyError(
                f"{TOO_FEW - code:.0f} rows are unread, fewer than the batch takes: Fifo gives "
                "each row once; sample(n, timeout=seconds) waits for more"
            )
        super().check(code)


class Claimed:
    """
    Gathers what was claimed: a newer row that a slot has by then is another batch's.

    Parameters
    ----------
    gatherer : Rows or Windows
        That copies what slots hold; all else is asked of it.
    """

    def __init__(self, gatherer: Any) -> None:
        self._gatherer = gatherer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gatherer, name)

    def entry(self, handle: Any, batch: Any) -> int:
        """Copy rows into a batch, and turn its slots into ids."""
        return _missed(self._gatherer.entry(handle, batch), batch[-1])

    def entry_long(self, handle: Any, batch: Any) -> int:
        """As `entry`, without the interpreter's lock."""
        return _missed(self._gatherer.entry_long(handle, batch), batch[-1])

    def gather(self, handle: Any, slots: Any, columns: Any) -> int:
        """Copy rows into columns, and turn their slots into ids."""
        return _missed(self._gatherer.gather(handle, slots, columns), slots)


def _missed(missed: int, ids: npt.NDArray[np.int64]) -> int:
    """Count the rows that are not those which this thread has claimed last; -1 is their id."""
    if missed < 0 and missed != NOTICE:
        return missed
    others = ids != _claimed.ids
    ids[others] = -1
    return int(np.count_nonzero(others)) or missed


def read_counts(ring: Ring) -> dict[str, int]:
    """
    Count what is still to be given out, and what never will be.

    Parameters
    ----------
    ring : Ring

    Returns
    -------
    dict of str to int
        unread: tickets that no consumer was given, those of rows that are being written among
        them. lost: tickets that were overwritten before, and those that never got a row. Empty
        where rows may be given out again.
    """
    if "cursors" not in ring.layout.parts:
        return {}
    cursors, heads = ring.block.part("cursors").copy(), ring.block.part("heads").copy()
    head, base, rows = heads[:, HEAD], heads[:, BASE], ring.layout.rows
    held = cursors[:, RANGES:LINE]
    first = np.concatenate([cursors[:, CURSOR : CURSOR + 1], held >> COUNT_BITS], axis=1)
    end = np.concatenate([head[:, None], first[:, 1:] + (held & MOST)], axis=1)
    # A range below 0 is not behind the cursor yet.
    end[:, 1:][held <= 0] = 0
    first = np.maximum(first, base[:, None])
    gone = np.maximum(head - rows, heads[:, FLOOR])[:, None]
    unread = np.maximum(end - np.maximum(first, gone), 0).sum()
    lost = np.maximum(np.minimum(end, gone) - first, 0).sum()
    return {"unread": int(unread), "lost": int(cursors[:, LOST].sum() + lost)}
