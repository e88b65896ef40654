"""The priority tree of a block."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import REFUSED
from kernels.jit import interpreted
from kernels.minimum import minimum_rebuild
from kernels.priorities import HEADROOM, leaf_priority, priority_leaf
from kernels.tree import tree_leaf_bits, tree_levels, tree_rebuild, tree_verify
from kernels.walk_new import GIVEN
from replay.errors import InputError
from replay.memory.handle import Handle
from replay.memory.ring import Ring


class PriorityTree:
    """
    Owns the prefix-sum tree of a block, and its minima where there are any.

    Shared as the ring is: any number of learners and writers at once.

    Parameters
    ----------
    ring : Ring
        Of a layout with a tree.
    alpha : float
    """

    def __init__(self, ring: Ring, alpha: float) -> None:
        self._ring = ring
        self._alpha = alpha
        self._tree = ring.block.part("tree")
        self._levels = interpreted(tree_levels)(ring.layout.capacity)
        self._minima = (
            ring.block.part("minima") if "minima" in ring.layout.parts else self._tree[:0]
        )

    def begin(self, initial: float | None = None) -> None:
        """
        Set the priority that the first rows enter with: 1, the unit of TD errors.

        Parameters
        ----------
        initial : float, optional
            The priority of all new rows, first or not.
        """
        capacity = self._ring.layout.capacity
        bits = interpreted(tree_leaf_bits)(capacity)
        line = self._ring.block.part("control")[words.PRIORITY]
        line[0] = 1 << (bits - HEADROOM)
        if initial is not None:
            line[GIVEN] = 1 + priority_leaf(float(initial), float(self._alpha), capacity)

    def update(self, handle: Handle, ids: Any, priorities: Any) -> int:
        """
        Set priorities by id, from any array-likes that fit, or explain why they do not.

        Parameters
        ----------
        handle : Handle
        ids : (n,) array-like of int
        priorities : (n,) array-like of float
            Finite, 0 or more.

        Returns
        -------
        int
            How many were applied.

        Raises
        ------
        InputError, ClosedError
        """
        ring = self._ring
        ring.check_open(handle)
        wanted = _integers(ids)
        given = _floats(priorities)
        if wanted.size != given.size:
            raise InputError(f"{wanted.size} ids were given and {given.size} priorities")
        if not wanted.size:
            return 0
        applied = ring.run(ring.calls.priorities_update, handle, wanted, given.ctypes.data, 8)
        if applied == REFUSED:
            self._explain(wanted, given)
        return int(applied)

    def pass_back(self, handle: Handle, ids: Any) -> None:
        """
        Pass priorities that were set back to the steps before them.

        Parameters
        ----------
        handle : Handle
        ids : (n,) array-like of int
            As `update` took them.
        """
        wanted = _integers(ids)
        if wanted.size:
            self._ring.run(self._ring.calls.priorities_decay, handle, wanted)

    def _explain(self, ids: npt.NDArray[np.int64], given: npt.NDArray[np.float64]) -> None:
        for place in np.flatnonzero(~np.isfinite(given))[:1]:
            raise InputError(f"priorities[{place}] is {given[place]}, a priority is finite")
        for place in np.flatnonzero(given < 0)[:1]:
            raise InputError(
                f"priorities[{place}] is {given[place]}, a priority is 0 or more: "
                "take np.abs of TD errors"
            )
        streams = self._ring.layout.streams
        heads = self._ring.block.part("heads")[:, 0]
        for place in np.flatnonzero((ids < 0) | (ids // streams >= heads[ids % streams]))[:1]:
            newest = int((heads * streams + np.arange(streams) - streams).max())
            given_out = f"ids go from 0 to {newest}" if heads.any() else "no row was added yet"
            raise InputError(
                f"ids[{place}] is {ids[place]}, which was never given out: {given_out}"
            )
        raise InputError("the ids and priorities were refused")

    @property
    def total(self) -> float:
        """The sum of all p ** alpha; one cache line is read."""
        return float(self._tree[0].sum()) / self._scale

    @property
    def largest(self) -> float:
        """The largest priority among the rows stored, 0 if there are none; every leaf is read."""
        leaves = self._leaves()
        return self._priority(int(leaves.max(initial=0)))

    @property
    def smallest(self) -> float:
        """The smallest priority above 0, 0 if there is none; every leaf is read."""
        leaves = self._leaves()
        leaves = leaves[leaves > 0]
        return self._priority(int(leaves.min(initial=leaves.max(initial=0))))

    def priorities(self) -> npt.NDArray[np.float64]:
        """Read the priority of every slot, (capacity,) float64."""
        leaves = self._leaves().astype(np.float64) / self._scale
        if self._alpha == 0:
            return np.asarray(leaves)
        return np.asarray(leaves ** (1 / self._alpha))

    @property
    def _scale(self) -> int:
        bits = int(interpreted(tree_leaf_bits)(self._ring.layout.capacity))
        return 1 << (bits - HEADROOM)

    def _leaves(self) -> npt.NDArray[np.int64]:
        leaves = self._tree[self._levels[-2] :].reshape(-1)
        return np.asarray(leaves[: self._ring.layout.capacity])

    def _priority(self, leaf: int) -> float:
        if self._alpha == 0:
            return leaf / self._scale
        return float(leaf_priority(leaf, float(self._alpha), self._ring.layout.capacity))

    def verify(self) -> int:
        """Count the sums that differ from what is below them; 0 in a whole tree."""
        return int(tree_verify(self._tree, self._levels))

    def rebuild(self) -> None:
        """Compute every sum anew from the leaves; nobody may update meanwhile."""
        tree_rebuild(self._tree, self._levels)
        if self._minima.size:
            minimum_rebuild(self._minima, self._tree, self._levels)

    def close(self) -> None:
        """Let the block's memory go."""
        self._tree = self._tree[:0].copy()
        self._minima = self._minima[:0].copy()


def _integers(ids: Any) -> npt.NDArray[np.int64]:
    try:
        array = np.asarray(ids)
    except ValueError as error:
        raise InputError(f"ids is no array of integers: {error}") from None
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"ids is of {array.dtype}, ids are integers")
    if array.ndim != 1:
        raise InputError(f"ids has shape {array.shape}, it must be (n,)")
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"ids holds {array.max()}, which was never given out")
    return np.ascontiguousarray(array, np.int64)


def _floats(priorities: Any) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(priorities)
    except ValueError as error:
        raise InputError(f"priorities is no array of numbers: {error}") from None
    if array.dtype.kind not in "biuf" and array.size:
        raise InputError(f"priorities is of {array.dtype}, priorities are real numbers")
    if array.ndim != 1:
        raise InputError(f"priorities has shape {array.shape}, it must be (n,)")
    return np.ascontiguousarray(array, np.float64)
