"""kernels.lanes: one field out of the slots that a view's windows are made of."""

import numpy as np

from kernels.addresses import address_of
from kernels.jit import kernel
from kernels.lanes import lanes_copy
from kernels.rows import PLAN_WIDTH, rows_plan

from . import OPERATIONS, Timed, unless_quick

#: Slots whose fields together are larger than a second-level cache.
SLOTS = unless_quick(100_000, 1_000)
LANES = 256


@kernel
def copy_many(plan: np.ndarray, to: np.ndarray, lanes: np.ndarray, count: int) -> None:
    turn = 0
    for _ in range(0, count, lanes.shape[1]):
        lanes_copy(plan, 0, address_of(to), lanes[turn])
        turn = (turn + 1) % lanes.shape[0]


class Lanes(Timed):
    """A million lanes at random, 256 at a time; every fourth is of zeros, as before an episode."""

    params = ([4, 8, 32, 100],)
    param_names = ("bytes",)

    def setup(self, size: int) -> None:
        self.column = np.ones((SLOTS, size), np.uint8)
        self.plan = np.zeros((1, PLAN_WIDTH), np.int64)
        rows_plan(self.plan, 0, self.column)
        self.lanes = np.random.default_rng(1).integers(0, SLOTS, (64, LANES))
        self.lanes[:, ::4] = -1
        self.to = np.zeros((LANES, size), np.uint8)
        copy_many(self.plan, self.to, self.lanes, 1)

    def time_copy(self, size: int) -> None:
        copy_many(self.plan, self.to, self.lanes, OPERATIONS)
