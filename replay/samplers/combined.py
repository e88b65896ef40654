"""Combined experience replay: the newest row is in every batch."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.walk_distinct import KEPT
from kernels.walk_newest import newest_find
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler, from_json
from replay.samplers.uniform import Uniform, slots_of


@dataclasses.dataclass(frozen=True)
class Combined(Sampler):
    """
    Have the newest row in every batch, in the last place, and draw the others by another sampler.

    The newest row is the newest that may be drawn: a whole one, whose window is stored where there
    is a view, and with a priority above 0 where there are priorities. With several streams it is
    the newest of the stream whose turn it is, the batches drawn so far modulo the streams, or of
    the next one that has any. A batch of one row is the newest row alone.

    Parameters
    ----------
    of : Sampler
        Draws the other rows, as if they were a batch of their own, so that the newest may be among
        them as well; where it draws without replacement, all rows of the batch differ. The newest
        row's weight is what `of` would give it: with `Proportional` (size * P(i)) ** -beta, on the
        scale of the others, which are divided anew where it is the largest of the batch.

    Raises
    ------
    InputError
        `of` is no sampler, combined already, gives rows in an order, as `Fifo` and `Lifo` do, or
        weighs rows by what is known of drawn ones alone, as `Ranked` does.

    Notes
    -----
    Zhang and Sutton (2017), A Deeper Look at Experience Replay, section 4.
    """

    of: Sampler = dataclasses.field(default_factory=Uniform)

    kind: ClassVar[str] = "combined"

    def __post_init__(self) -> None:
        if not isinstance(self.of, Sampler) or isinstance(self.of, Combined):
            raise InputError(f"of is {self.of!r}, it must be another replay.Sampler")
        if self.of.newest_kernel is None:
            raise InputError(
                f"of is {self.of!r}, beside whose rows the newest cannot be put: it has an order "
                "of its own, or no weight for a row that it did not draw"
            )

    @property
    def prioritized(self) -> bool:
        """Whether it needs the priority tree: as the sampler of the other rows."""
        return self.of.prioritized

    @property
    def needs_view(self) -> bool:
        """Whether it can only draw from a log of steps: as the sampler of the other rows."""
        return self.of.needs_view

    @property
    def leaf_alpha(self) -> float:
        """The exponent that makes leaves of the priority tree of priorities."""
        return self.of.leaf_alpha

    @property
    def initial(self) -> float | None:
        """The priority that new rows enter with; None: the largest so far."""
        initial: float | None = getattr(self.of, "initial", None)
        return initial

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        of = self.of.to_json()
        # What the other one needs of the block stands where the layout looks for it.
        parts: dict[str, Any] = {part: of[part] for part in ("tree", "minima") if part in of}
        return {"kind": self.kind, **parts, "of": of}

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Combined":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        of = described.get("of")
        if isinstance(of, dict) and of.get("kind") == cls.kind:
            # Before it is read: nobody knows how deep it goes.
            raise InputError(f"sampler {cls.kind!r} is of another one of its kind")
        sampler = cls(from_json(of))
        written = sampler.to_json()
        # A 1 in place of True is equal to it, and would be another header.
        kinds = {name: type(value) for name, value in described.items()}
        if written != described or kinds != {name: type(written[name]) for name in written}:
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""
        self.of.prepare(handle)
        if self._distinct:
            # The newest row is there already.
            handle[KEPT] = 1

    @property
    def _distinct(self) -> bool:
        return isinstance(self.of, Uniform) and not self.of.replace

    @property
    def kernel(self) -> Any:
        """The kernel that draws the other rows."""
        return self.of.kernel

    def plain(self, ring: Ring) -> Callable[[Any, Any, Any], float]:
        """Give what draws into arrays that were checked: of a handle, slots and weights."""
        find, put = ring.calls.draw(newest_find), ring.calls.draw(self.of.newest_kernel)
        others, distinct, passes = self.of.plain(ring), self._distinct, self.prioritized

        def draw(handle: Any, slots: Any, weights: Any) -> float:
            slots[-1] = passes
            drawn = find(handle, slots, weights)
            if drawn > 0 and slots.size > 1:
                if distinct:
                    # Those that are kept come first.
                    slots[0] = slots[-1]
                    drawn = others(handle, slots, weights)
                    slots[0], slots[-1] = slots[-1], slots[0]
                else:
                    drawn = others(handle, slots[:-1], weights[:-1])
                weights[-1] = drawn
            return put(handle, slots, weights) if drawn > 0 else drawn

        return draw

    def draw_again(
        self,
        ring: Ring,
        slots: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float32],
        divided: float,
        handle: Handle,
        ids: npt.NDArray[np.int64],
    ) -> None:
        """Draw in place of rows that were overwritten: the newest by then, if it was that one."""
        if ids[-1] >= 0:
            self.of.draw_again(ring, slots, weights, divided, handle, ids)
            return
        again = handle.twin()
        again[words.AGAIN] = 1
        slots[-1] = self.prioritized
        self.check(ring.run(ring.calls.draw(newest_find), again, slots, weights))
        newest = int(slots[-1])
        if self._distinct and newest in slots_of(ring, ids[ids >= 0]):
            # Writers have lapped the batch: the newest row is in it, in another place.
            self.of.draw_again(ring, slots, weights, divided, handle, ids)
            return
        # Any id of its slot will do: the others must not be of the slot.
        stream, place = divmod(newest, ring.layout.rows)
        ids = ids.copy()
        ids[-1] = place * ring.layout.streams + stream
        if slots.size > 1:
            self.of.draw_again(ring, slots[:-1], weights[:-1], divided, handle, ids)
        slots[-1], weights[-1] = newest, divided
        ring.run(ring.calls.draw(self.of.newest_kernel), again, slots, weights)

    def settle(self, weights: npt.NDArray[np.float32]) -> None:
        """Mend the weights of a batch of which some rows were drawn again."""
        self.of.settle(weights)

    def check(self, code: float) -> None:
        """Raise what a negative code stands for."""
        self.of.check(code)
