"""kernels.members: a thread announces that it changes the tree; repair asks whether any does."""

import numpy as np

from kernels.jit import kernel
from kernels.members import (
    INSIDE,
    MEMBERS,
    member_counted,
    member_enter,
    member_leave,
    members_quiet,
)

from . import OPERATIONS, Timed


@kernel
def enter_many(member: np.ndarray, count: int) -> None:
    for _ in range(count):
        member_enter(member, INSIDE)
        member_leave(member, INSIDE)


@kernel
def quiet_many(members: np.ndarray, ready: np.ndarray, count: int) -> int:
    total = 0
    for _ in range(0, count, ready[1]):
        total ^= members_quiet(members, ready, INSIDE)
    return total


class Enter(Timed):
    """A million times in and out."""

    def setup(self) -> None:
        self.member = np.zeros(8, np.int64)
        enter_many(self.member, 1)

    def time_enter_and_leave(self) -> None:
        enter_many(self.member, OPERATIONS)


class Quiet(Timed):
    """A million members looked at, so many at a time."""

    params = ([1, MEMBERS],)
    param_names = ("members",)

    def setup(self, members: int) -> None:
        self.members = np.zeros((MEMBERS, 8), np.int64)
        self.ready = np.zeros(8, np.int64)
        member_counted(self.ready, members - 1)
        quiet_many(self.members, self.ready, 1)

    def time_quiet(self, members: int) -> None:
        quiet_many(self.members, self.ready, OPERATIONS)
