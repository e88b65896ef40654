"""
Plain-Python twin of the log of steps and of every view of it: lists of rows, and no cleverness.

The twin is told which episode a row belongs to, and never looks at step numbers to find out. What
a view makes of a row is walked anew each time, row by row, from the lists.
"""

import dataclasses
from typing import Any

import numpy as np

import replay

#: What comes by itself, of the last step of a window.
FLAGS = ("terminated", "truncated")


@dataclasses.dataclass
class Row:
    """What a reset or a step stored."""

    ticket: int
    episode: int
    step: int
    values: dict[str, Any]
    terminated: bool = False
    truncated: bool = False

    @property
    def ended(self):
        return self.terminated or self.truncated


class Log:
    """
    A log of steps.

    Parameters
    ----------
    streams : int
    rows : int
        Slots of a stream.
    fields : dict of str to (dtype, shape)
        Flat: "obs/image" is a part of a nested observation.
    """

    def __init__(self, streams, rows, fields):
        self.rows = rows
        self.fields = {
            name: (np.dtype(kind), tuple(shape)) for name, (kind, shape) in fields.items()
        }
        self.slots = [[None] * rows for _ in range(streams)]
        self.heads = [0] * streams
        self.open = [None] * streams
        self.episodes = 0

    # writing

    def reset(self, stream, values):
        """Begin an episode: all but the observation are zeros."""
        values = {
            name: values[name] if self.is_obs(name) else np.zeros(shape, kind)
            for name, (kind, shape) in self.fields.items()
        }
        self.episodes += 1
        return self._store(stream, self.episodes, 0, values)

    def step(self, stream, values, terminated=False, truncated=False):
        """Go on with the episode of the stream, which must be open."""
        last = self.open[stream]
        return self._store(stream, last.episode, last.step + 1, values, terminated, truncated)

    def _store(self, stream, episode, step, values, *flags):
        assert set(values) == set(self.fields)
        values = {name: np.array(values[name], self.fields[name][0]) for name in self.fields}
        row = Row(self.heads[stream], episode, step, values, *flags)
        self.slots[stream][row.ticket % self.rows] = row
        self.heads[stream] += 1
        self.open[stream] = None if row.ended else row
        return self.id_of(stream, row.ticket)

    def lose(self, stream):
        """Let a ticket be claimed by a writer that never came to its slot."""
        self.heads[stream] += 1
        self.open[stream] = None

    def take_over(self, stream):
        """Let a new writer come, which knows of no episode."""
        self.open[stream] = None

    def clear(self):
        self.slots = [[None] * self.rows for _ in self.slots]

    # looking

    def is_obs(self, name):
        return name.split("/")[0] == "obs"

    def id_of(self, stream, ticket):
        return ticket * len(self.heads) + stream

    def place_of(self, identity):
        ticket, stream = divmod(identity, len(self.heads))
        return stream, ticket

    def slot_of(self, identity):
        stream, ticket = self.place_of(identity)
        return stream * self.rows + ticket % self.rows

    def stored(self, stream, ticket):
        """Give the row of a ticket, None where it is not stored."""
        row = self.slots[stream][ticket % self.rows] if ticket >= 0 else None
        return row if row is not None and row.ticket == ticket else None

    def stored_ids(self):
        return sorted(
            self.id_of(stream, row.ticket)
            for stream, slots in enumerate(self.slots)
            for row in slots
            if row is not None
        )

    def steps_from(self, stream, ticket, most=None):
        """
        Walk an episode from a row on, at most so many rows.

        Returns
        -------
        (list of Row, bool)
            Whether the episode is known to have no row after these.
        """
        steps = [self.stored(stream, ticket)]
        while not steps[-1].ended:
            after = steps[-1].ticket + 1
            row = self.stored(stream, after)
            if row is None:
                # It may still be written, unless a later ticket was given out.
                return steps, self.heads[stream] > after + 1
            if row.episode != steps[-1].episode:
                return steps, True
            if len(steps) == most:
                return steps, False
            steps.append(row)
        return steps, True

    def frames_to(self, stream, ticket, depth):
        """
        Walk back from an observation to the first of its episode, at most so many.

        Returns
        -------
        list of Row or None
            Oldest first, without any padding; None where one of them is not stored.
        """
        frames = []
        episode = None
        while len(frames) < depth:
            row = self.stored(stream, ticket)
            if row is None or (episode is not None and row.episode != episode):
                return None
            episode = row.episode
            frames.insert(0, row)
            if row.step == 0:
                break
            ticket -= 1
        return frames

    # views

    def drawable(self, view):
        """List the ids that may be drawn."""
        return [identity for identity in self.stored_ids() if self.window(view, identity)]

    def window(self, view, identity):
        """List the rows of the steps that a drawn row stands for; none: it is not to be drawn."""
        depth = 1
        if isinstance(view, replay.FrameStack):
            depth, view = view.k, view.of
        stream, ticket = self.place_of(identity)
        row = self.stored(stream, ticket)
        if row is None or row.step == 0:
            return []
        frames = self.frames_to(stream, ticket - 1, depth)
        if frames is None or frames[-1].episode != row.episode:
            return []
        if isinstance(view, replay.Sequence):
            period = view.length if view.period is None else view.period
            length = view.burn_in + view.length
            steps, over = self.steps_from(stream, ticket, length)
            starts = (row.step - 1) % period == 0
            if not starts or len(steps) <= view.burn_in or (len(steps) < length and not over):
                return []
            return steps
        if isinstance(view, replay.Episodes):
            steps, over = self.steps_from(stream, ticket)
            return steps if row.step == 1 and over and len(steps) <= view.length else []
        if isinstance(view, replay.NStep):
            steps, over = self.steps_from(stream, ticket, view.n)
            return steps if len(steps) == view.n or over else []
        assert isinstance(view, replay.Transition)
        return [row]

    def expected(self, view, identity):
        """Give each array of a batch's row by its flat name, in the order of the batch."""
        steps = self.window(view, identity)
        assert steps, "not to be drawn"
        stream, ticket = self.place_of(identity)
        stack = None
        if isinstance(view, replay.FrameStack):
            stack, view = view, view.of

        def seen(name, row):
            """Give the observation of a row, stacked where it is to be."""
            stacked = stack is not None and (stack.fields is None or name in stack.fields)
            if not stacked:
                return row.values[name]
            frames = self.frames_to(stream, row.ticket, stack.k)
            images = [frame.values[name] for frame in frames]
            while len(images) < stack.k:
                first = images[0]
                images.insert(0, first if stack.pad == "first" else np.zeros_like(first))
            return np.stack(images)

        before = self.stored(stream, ticket - 1)
        if isinstance(view, (replay.Sequence, replay.Episodes)):
            return self._sequence(view, before, steps, seen)
        return self._step(view, before, steps, seen)

    def _step(self, view, before, steps, seen):
        first, last = steps[0], steps[-1]
        made = {name: seen(name, before) for name in self.fields if self.is_obs(name)}
        for name in ("action", "reward"):
            if name in self.fields:
                made[name] = first.values[name]
        if isinstance(view, replay.NStep):
            reward = 0.0
            for power, row in enumerate(steps):
                reward += view.discount**power * float(row.values["reward"])
            made["reward"] = np.array(reward, self.fields["reward"][0])
        for name in self.fields:
            if self.is_obs(name):
                made["next_" + name] = seen(name, last)
        for name in FLAGS:
            made[name] = np.array(getattr(last, name))
        if isinstance(view, replay.NStep):
            discount = 0.0 if last.terminated else view.discount ** len(steps)
            made["discount"] = np.array(discount, np.float32)
        for name in self._extras():
            made[name] = first.values[name]
        return made

    def _sequence(self, view, before, steps, seen):
        length = view.length
        if isinstance(view, replay.Sequence):
            length += view.burn_in

        def padded(rows, count):
            zeros = np.zeros_like(rows[0])
            return np.stack([rows[at] if at < len(rows) else zeros for at in range(count)])

        made = {
            name: padded([seen(name, row) for row in (before, *steps)], length + 1)
            for name in self.fields
            if self.is_obs(name)
        }

        def column(name):
            if name in view.state:
                return steps[0].values[name]
            return padded([row.values[name] for row in steps], length)

        for name in ("action", "reward"):
            if name in self.fields:
                made[name] = column(name)
        for name in FLAGS:
            made[name] = padded([np.array(getattr(row, name)) for row in steps], length)
        made["mask"] = padded([np.array(True) for _ in steps], length)
        if isinstance(view, replay.Episodes):
            made["lengths"] = np.array(len(steps), np.int64)
        for name in self._extras():
            made[name] = column(name)
        return made

    def _extras(self):
        return [n for n in self.fields if not self.is_obs(n) and n not in ("action", "reward")]


def timed(view, name):
    """Say whether a field of a batch has an axis of time, the one that time_major moves."""
    if isinstance(view, replay.FrameStack):
        view = view.of
    if not isinstance(view, (replay.Sequence, replay.Episodes)):
        return False
    return name != "lengths" and name not in view.state


def major(view):
    """Say whether time comes first in the batches of a view."""
    if isinstance(view, replay.FrameStack):
        view = view.of
    return getattr(view, "time_major", False)


def flat_names(batch):
    """List the flat names of a batch in its order, without weights and ids."""

    def walk(name, value):
        if isinstance(value, np.ndarray):
            return [name]
        return [part for key in value for part in walk(f"{name}/{key}", value[key])]

    return [part for name in batch._fields[:-2] for part in walk(name, getattr(batch, name))]


def assert_batch(log, view, batch):
    """Compare each row of a batch with what the lists say, in every field."""
    ids, places = np.unique(batch.ids, return_inverse=True)
    rows = [log.expected(view, identity) for identity in ids.tolist()]
    assert flat_names(batch) == list(rows[0])
    for name in rows[0]:
        wanted = np.array([row[name] for row in rows])[places]
        got = batch[name]
        assert got.dtype == rows[0][name].dtype, name
        assert got.flags.c_contiguous, name
        if major(view) and timed(view, name):
            got = np.swapaxes(got, 0, 1)
        assert got.shape == wanted.shape, name
        if name in ("reward", "discount"):
            # Summed in float64 by both, but perhaps with other powers of the discount.
            close = np.abs(got - wanted) <= 1e-6 * np.abs(wanted) + 1e-7
        else:
            close = got == wanted
        assert close.all(), f"{name}: {got[~close]} for {wanted[~close]}"
