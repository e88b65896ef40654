"""Prioritized replay, in proportion to |TD error| ** alpha."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.priorities import HEADROOM
from kernels.walk_draw import draw_proportional
from kernels.walk_newest import newest_put_proportional
from kernels.walks import enter_proportional
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.samplers.sampler import Sampler
from replay.samplers.schedule import Linear
from replay.samplers.weighing import (
    check_weighing,
    describe_weighing,
    prepare_weighing,
    read_weighing,
    within,
)

#: How little of a priority is not passed back further.
_LEFT = 0.01


@dataclasses.dataclass(frozen=True)
class Proportional(Sampler):
    """
    Draw rows in proportion to priority ** alpha, and weigh them by (size * P(i)) ** -beta.

    New rows enter at the largest priority so far, 1 at first, or at one that is given. A row of
    priority 0 is never drawn.

    Parameters
    ----------
    alpha : float
        0 draws all rows of positive priority alike, 1 in proportion; from 0 to 4.
    beta : float or Linear
        0 corrects nothing, 1 all of the bias that drawing in proportion brings; from 0 to 1. A
        `Linear` grows with the batches drawn.
    epsilon : float
        Added to every priority that `update_priorities` is given; 0 or more.
    stratified : bool
        Draw one row from each of n equal parts of the total, as in the paper; else n plain draws.
    normalise : {"batch", "buffer", None}
        Divide the weights by the largest of the batch, by the largest of the whole buffer (which
        keeps a second tree of minima), or not.
    initial : float, optional
        The priority that every new row enters with; 0 or more, and `initial ** alpha` at most
        2 ** 14. `epsilon` is not added to it. With 0 a row is not drawn before
        `update_priorities` has given it a priority, as its actor may (Horgan et al., 2018,
        Distributed Prioritized Experience Replay, section 3); with a view once its window is
        whole, since before it nothing can be set. None: the largest so far, so that new rows are
        drawn soon.
    decay : float
        Of a log of steps: each priority that is set is passed back along its episode, to the step
        before it times `decay`, and so on until a hundredth is left of it, where that is more than
        what the step has; PSER's rho. From 0, which passes nothing back, to 0.99.
    keep : float
        With `decay`: a priority falls to this share of itself at most, at each update; PSER's eta.
        From 0 to 1.

    Raises
    ------
    InputError

    Notes
    -----
    Schaul, Quan, Antonoglou and Silver (2016), Prioritized Experience Replay, sections 3.3 and
    3.4. Decay: Brittain, Bertram, Yang and Wei (2019), Prioritized Sequence Experience Replay,
    section 3.
    """

    alpha: float = 0.6
    beta: float | Linear = 0.4
    epsilon: float = 0.0
    stratified: bool = True
    normalise: str | None = "batch"
    initial: float | None = None
    decay: float = 0.0
    keep: float = 0.0

    kind: ClassVar[str] = "proportional"

    def __post_init__(self) -> None:
        check_weighing(self)
        if self.initial is not None:
            within("initial", self.initial, 0.0, math.inf)
            if self.initial and self.alpha * math.log2(self.initial) > HEADROOM:
                most = 2 ** (HEADROOM / self.alpha)
                raise InputError(f"initial is {self.initial}, it must be from 0 to {most:g}")
        within("decay", self.decay, 0.0, 0.99)
        within("keep", self.keep, 0.0, 1.0)
        if self.keep and not self.decay:
            raise InputError(f"keep is {self.keep} and decay is 0: it goes with a decay")

    @property
    def prioritized(self) -> bool:
        """Whether it needs the priority tree: it does."""
        return True

    @property
    def needs_view(self) -> bool:
        """Whether it can only draw from a log of steps: where it passes priorities back."""
        return self.decay > 0

    def to_json(self) -> dict[str, Any]:
        """Describe the sampler in what JSON can hold."""
        # Buffers that were made before there was an initial priority are described without one.
        given = {} if self.initial is None else {"initial": float(self.initial)}
        if self.decay:
            given |= {"decay": float(self.decay), "keep": float(self.keep)}
        return {
            "kind": self.kind,
            "tree": True,
            "minima": self.normalise == "buffer",
            **describe_weighing(self),
            **given,
        }

    @classmethod
    def read(cls, described: dict[str, Any]) -> "Proportional":
        """
        Undo `to_json`.

        Raises
        ------
        InputError
        """
        try:
            sampler = cls(
                initial=described.get("initial"),
                decay=described.get("decay", 0.0),
                keep=described.get("keep", 0.0),
                **read_weighing(described),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"sampler {described!r} cannot be: {error}") from None
        if sampler.to_json() != described:
            raise InputError(f"sampler {described!r} contradicts itself")
        return sampler

    def prepare(self, handle: Handle) -> None:
        """Write into a handle what the kernels need to know of it."""
        prepare_weighing(handle, self)
        numbers = handle.view(np.float64)
        if self.decay:
            # Leaves are priorities to the power of alpha.
            numbers[words.DECAY] = self.decay**self.alpha
            numbers[words.KEEP] = self.keep**self.alpha if self.keep else 0.0
            handle[words.REACH] = max(math.floor(math.log(_LEFT) / math.log(self.decay)), 1)

    @property
    def kernel(self) -> Any:
        """The kernel that draws."""
        return draw_proportional

    @property
    def walk(self) -> Any:
        """The same as an entry."""
        return enter_proportional

    @property
    def newest_kernel(self) -> Any:
        """The kernel that puts the newest row behind a batch, weighed as the others."""
        return newest_put_proportional

    def settle(self, weights: npt.NDArray[np.float32]) -> None:
        """Make the largest weight of the batch 1 again, where the batch normalises."""
        if self.normalise == "batch":
            weights /= weights.max()
