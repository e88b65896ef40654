"""Plays: steps that are written into a buffer and, beside it, into plain lists."""

import contextlib
import functools

import numpy as np

import replay
from kernels.window import slot_whole
from tests.homes import opened
from tests.naive_steps import Log, assert_batch

#: An observation of two parts, one of them wide enough for a column of its own, and one extra.
FIELDS = {
    "obs": {"image": (np.uint8, (17, 17)), "speed": np.float32},
    "action": (np.int16, (2,)),
    "reward": np.float32,
    "state": (np.float64, (3,)),
}
FLAT = {
    "obs/image": (np.uint8, (17, 17)),
    "obs/speed": (np.float32, ()),
    "action": (np.int16, (2,)),
    "reward": (np.float32, ()),
    "state": (np.float64, (3,)),
}

ENDS = {
    "": (False, False),
    "terminated": (True, False),
    "truncated": (False, True),
    "both": (True, True),
}

#: Every view, and every way that views go together.
VIEWS = {
    "transition": replay.Transition(),
    "1 step": replay.NStep(1, 0.9),
    "2 steps": replay.NStep(2, 0.5),
    "3 steps": replay.NStep(3, 0.99),
    "5 steps": replay.NStep(5, 1.0),
    "no discount": replay.NStep(3, 0.0),
    "stack of 1": replay.FrameStack(1),
    "stack of 2": replay.FrameStack(2, pad="zeros"),
    "stack of 4": replay.FrameStack(4),
    "stack of 4 of 3 steps": replay.FrameStack(4, replay.NStep(3, 0.99), pad="zeros"),
    "stack of 2 of 5 steps": replay.FrameStack(2, replay.NStep(5, 0.9), fields=("obs/image",)),
    "sequence": replay.Sequence(4),
    "sequence of 1": replay.Sequence(1),
    "overlapping": replay.Sequence(3, period=1, burn_in=2),
    "apart": replay.Sequence(2, period=5, time_major=True),
    "recurrent": replay.Sequence(4, period=2, burn_in=1, state=("state",), time_major=True),
    "stack of 3 of sequence": replay.FrameStack(
        3, replay.Sequence(3, period=2, burn_in=1, state=("state",)), fields=("obs/image",)
    ),
    "stack of 2 of sequence": replay.FrameStack(
        2, replay.Sequence(2, period=1, time_major=True), pad="zeros"
    ),
    "episodes": replay.Episodes(6),
    "short episodes": replay.Episodes(2, state=("state",), time_major=True),
    "stack of 2 of episodes": replay.FrameStack(
        2, replay.Episodes(4), fields=("obs/speed",), pad="zeros"
    ),
}


def values(number):
    """Give what a step stores, by flat names: every part of it can be told from the number."""
    return {
        "obs/image": ((number * 7 + np.arange(289)) % 256).astype(np.uint8).reshape(17, 17),
        "obs/speed": np.float32(number + 0.5),
        "action": np.array([number % 10_000, -1 - number % 100], np.int16),
        "reward": np.float32(number * 37 % 101 / 8 - 5),
        "state": number + np.array([0.125, 0.25, 0.5]),
    }


def obs_of(made):
    """Give the observation of flat values, nested."""
    return {"image": made["obs/image"], "speed": made["obs/speed"]}


def rest_of(made):
    """Give what else belongs to a step, by name."""
    return {name: made[name] for name in ("action", "reward", "state")}


class Play:
    """
    A buffer, the lists that say what is in it, and what each row's priority should be.

    Rows enter with the largest priority so far once they may be drawn.
    """

    def __init__(self, buffer, view, streams, rows):
        self.buffer = buffer
        self.view = view
        self.log = Log(streams, rows, FLAT)
        self.writers = [buffer.writer(stream) for stream in range(streams)]
        self.numbers = 0
        self.largest = 1.0
        self._drawable = []
        self._priority = {}
        self._changed = False

    def values(self):
        self.numbers += 1
        return values(self.numbers)

    def reset(self, stream):
        made = self.values()
        got = self.writers[stream].reset(obs_of(made))
        assert got == self.log.reset(stream, made)
        self.follow()

    def step(self, stream, end=""):
        made = self.values()
        flags = ENDS[end]
        rest = rest_of(made)
        action, reward = rest.pop("action"), rest.pop("reward")
        got = self.writers[stream].step(obs_of(made), action, reward, *flags, **rest)
        assert got == self.log.step(stream, made, *flags)
        self.follow()

    def go_on(self, stream, end=""):
        """Step, or begin an episode where there is none."""
        if self.log.open[stream] is None:
            self.reset(stream)
        else:
            self.step(stream, end)

    def episode(self, stream, length, end):
        self.reset(stream)
        for left in reversed(range(length)):
            self.step(stream, "" if left else end)

    def take_over(self, stream):
        """Let a newer writer come."""
        self.writers[stream] = self.buffer.writer(stream)
        self.log.take_over(stream)

    def follow(self):
        """Take note that the lists have changed."""
        self._changed = True

    def drawable(self):
        """List what may be drawn: rows that are new to it have the largest priority so far."""
        if self._changed:
            self._drawable = self.log.drawable(self.view)
            known = self._priority
            self._priority = {i: known.get(i, self.largest) for i in self._drawable}
            self._changed = False
        return self._drawable

    @property
    def priority(self):
        self.drawable()
        return self._priority

    def restore(self, log, priority, largest):
        """Take over lists that were kept, beside writers that know of no episode."""
        self.log, self._priority, self.largest = log, priority, largest
        self.follow()
        for stream in range(len(self.writers)):
            self.take_over(stream)

    def update(self, ids, priorities):
        applied = self.buffer.update_priorities(np.array(ids), np.array(priorities))
        known = self.priority
        wanted = 0
        for identity, priority in zip(ids, priorities, strict=True):
            if identity in known:
                known[identity] = priority
                self.largest = max(self.largest, priority)
                wanted += 1
        assert applied == wanted

    def random_step(self, generator):
        """Do what an agent may do next."""
        stream = generator.randrange(len(self.writers))
        kind = generator.random()
        # Some streams have long episodes, longer than they have room for.
        often = (0.72, 0.97)[(self.numbers // 60 + stream) % 2]
        if kind < 0.04:
            self.take_over(stream)
        elif kind < 0.12:
            self.reset(stream)
        elif kind < 0.16:
            # An episode of no step at all, before the next one.
            self.reset(stream)
            self.reset(stream)
        elif generator.random() < often:
            self.go_on(stream)
        else:
            self.go_on(stream, generator.choice(("terminated", "truncated", "both")))

    # comparing

    def check(self):
        """Compare which slots may be drawn, and the leaves of them all."""
        drawable = self.drawable()
        slots = {self.log.slot_of(identity): identity for identity in drawable}
        handle = self.buffer._handle
        whole = {s for s in range(self.buffer.capacity) if slot_whole(handle, s)}
        assert whole == set(slots)
        if self.buffer.sampler.prioritized:
            wanted = np.zeros(self.buffer.capacity)
            for slot, identity in slots.items():
                wanted[slot] = self.priority[identity]
            got = self.buffer.priorities.priorities()
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=0)
            assert self.buffer.priorities.verify() == 0

    def check_columns(self):
        """Compare what is stored, row by row."""
        for name in FLAT:
            column = self.buffer.column(name)
            for identity in self.log.stored_ids():
                row = self.log.stored(*self.log.place_of(identity))
                assert (column[self.log.slot_of(identity)] == row.values[name]).all(), name

    def sample(self, count, reader=None, view=None):
        """Draw a batch and compare all of it; give its ids."""
        batch = (reader or self.buffer).sample(count)
        assert_batch(self.log, view or self.view, batch)
        return batch


@contextlib.contextmanager
def playing(view, rows, streams=1, *, home="private", **options):
    """Begin a play."""
    options = {"seed": 0, "view": view, "streams": streams} | options
    # Without a folder where no home needs one.
    made = replay.ReplayBuffer if home == "private" else functools.partial(opened, home)
    with made(rows * streams, FIELDS, **options) as buffer:
        yield Play(buffer, view, streams, rows)


def depth_of(view):
    """Say how many frames a stack of a view has."""
    return view.k if isinstance(view, replay.FrameStack) else 1


def ahead_of(view):
    """Say how many steps a window of a view has at most."""
    inner = view.of if isinstance(view, replay.FrameStack) else view
    if isinstance(inner, replay.NStep):
        return inner.n
    if isinstance(inner, replay.Sequence):
        return inner.length + inner.burn_in
    return inner.length if isinstance(inner, replay.Episodes) else 1


def rows_for(view):
    """Say the fewest rows that a stream must have for a view."""
    return depth_of(view) + ahead_of(view)
