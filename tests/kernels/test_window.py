"""
Windows against lists: what is of one episode, where it ends, and which rows can be drawn.

Logs are written at random, with ends, cuts and tickets that found no slot; then every question is
asked of every row, and answered by walking the rows one by one.
"""

import numpy as np
import pytest

import replay
from kernels.ring import HEAD, SHIFT
from kernels.view import ENDED_BITS, STEP_SHIFT
from kernels.window import (
    episode_rest,
    row_cut,
    row_follows,
    slot_beside,
    slot_whole,
    slots_whole,
    step_of,
    window_of,
)
from tests.homes import fewer, opened

FIELDS = {"obs": np.int64, "action": np.int64, "reward": np.float32}
VIEWS = {
    "one step": replay.Transition(),
    "steps": replay.NStep(3, 0.9),
    "stacks": replay.FrameStack(3, replay.NStep(2, 0.9)),
    "sequences": replay.Sequence(3, period=2, burn_in=2),
    "episodes": replay.Episodes(4),
}


class Rows:
    """What a stream's slots hold, read plainly."""

    def __init__(self, buffer, stream):
        ring = buffer._ring
        self.per = ring.layout.rows
        self.first = stream * self.per
        words = ring.block.part("records")[self.first : self.first + self.per, 0]
        numbers = ring.column("step")[self.first : self.first + self.per]
        self.head = int(ring.block.part("heads")[stream, HEAD])
        self.rows = {
            int(word >> SHIFT) - 1: int(number)
            for word, number in zip(words, numbers, strict=True)
            if word and not word & 1
        }

    def slot(self, ticket):
        return self.first + ticket % self.per

    def step(self, ticket):
        return self.rows[ticket] >> STEP_SHIFT

    def follows(self, ticket, distance):
        other = ticket + distance
        return other in self.rows and self.step(other) == self.step(ticket) + distance

    def rest(self, ticket, most):
        """Count the steps from a row on, and say whether the episode is over after them."""
        count = 1
        while count < most and self.follows(ticket, count):
            count += 1
        last = ticket + count - 1
        if self.rows[last] & ENDED_BITS:
            return count, True
        return count, self.cut(ticket, count)

    def cut(self, ticket, distance):
        after = ticket + distance
        if after in self.rows:
            return not self.follows(ticket, distance)
        return self.head > after + 1

    def window(self, ticket, window):
        """Say a row's step, and of how many steps the window is that begins with it."""
        step = self.step(ticket)
        if step < 1 or (step - 1) % window.period:
            return step, 0
        if not all(self.follows(ticket, -back) for back in range(min(step, window.stack) + 1)):
            return step, 0
        count, over = self.rest(ticket, window.ahead)
        whole = over if window.episode else over or count == window.ahead
        return step, count if whole and count > window.burn_in else 0


def play(buffer, generator, steps):
    """Write to all streams, and have some tickets find no slot."""
    writers = [buffer.writer(stream) for stream in range(buffer.streams)]
    words = buffer._ring.block.part("records")[:, 0]
    heads = buffer._ring.block.part("heads")[:, HEAD]
    rows = buffer._ring.layout.rows
    fresh = [True] * len(writers)
    for _ in range(steps):
        stream = int(generator.integers(len(writers)))
        if generator.random() < 0.04:
            # A writer died between its claim and its take: what was there stays for a lap more.
            heads[stream] += 1
        slot = stream * rows + int(heads[stream]) % rows
        held = generator.random() < 0.08
        if held:
            # As one leaves it that died in the middle of it.
            words[slot] |= 1
        if fresh[stream] or generator.random() < 0.08:
            writers[stream].reset(0)
            fresh[stream] = False
        else:
            ends = generator.random(2) < 0.1
            writers[stream].step(0, 0, 0.0, *ends.tolist())
            fresh[stream] = bool(ends.any())
        if held:
            # Repair has emptied it: its older row never comes back.
            words[slot] = 0


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("name", VIEWS)
def test_every_row_is_asked_every_question(name, streams):
    view = VIEWS[name]
    for seed in range(fewer(12, 2)):
        generator = np.random.default_rng(seed)
        with opened("private", 15 * streams, FIELDS, view=view, streams=streams) as buffer:
            for _ in range(3):
                play(buffer, generator, int(generator.integers(5, 30)) * streams)
                for stream in range(streams):
                    ask(buffer, Rows(buffer, stream), view.recipe.window)
            # A row that is still to come: nobody can say that it will not.
            buffer._ring.block.part("heads")[:, HEAD] += 1
            for stream in range(streams):
                ask(buffer, Rows(buffer, stream), view.recipe.window)


def ask(buffer, rows, window):
    handle = buffer.handle
    drawable = {}
    for ticket in rows.rows:
        slot, step = rows.slot(ticket), rows.step(ticket)
        row = (handle, slot, ticket, step)
        for distance in range(1 - rows.per, rows.per):
            assert row_follows(*row, distance) == rows.follows(ticket, distance)
        # Whose neighbours may be gone is asked no more than whether a window begins with it.
        for distance in range(1, rows.per if ticket >= rows.head - rows.per else 0):
            assert row_cut(*row, distance) == rows.cut(ticket, distance)
            assert episode_rest(*row, distance) == rows.rest(ticket, distance)
        word = (ticket + 1) << SHIFT
        wanted = rows.window(ticket, window)
        assert window_of(handle, slot, word) == wanted
        drawable[slot] = wanted[1] > 0
    for slot in range(rows.first, rows.first + rows.per):
        assert slot_whole(handle, slot) == drawable.get(slot, False)
    # Asked of all at once, it is where each one stands that may not be drawn.
    slots = np.arange(rows.first, rows.first + rows.per)
    refused = []
    place = slots_whole(handle, slots, 0)
    while place < slots.size:
        refused.append(int(slots[place]))
        place = slots_whole(handle, slots, place + 1)
    assert refused == [slot for slot in slots.tolist() if not drawable.get(slot, False)]


def test_slots_lie_around_the_stream():
    for rows in (1, 2, 7):
        for first in (0, 3 * rows):
            for place in range(rows):
                for distance in range(1 - rows, rows):
                    wanted = first + (place + distance) % rows
                    assert slot_beside(first, rows, first + place, distance) == wanted


def test_a_number_says_the_step_and_the_end():
    with opened("private", 8, FIELDS, view=replay.Transition()) as buffer:
        writer = buffer.writer()
        writer.reset(0)
        writer.step(0, 0, 0.0, False, False)
        writer.step(0, 0, 0.0, True, True)
        view = buffer._ring.handle.kept[-1][:64]
        assert [int(step_of(view, slot)) for slot in range(3)] == [0, 1 << 2, 2 << 2 | 3]


def test_without_a_view_every_slot_may_be_drawn():
    with opened("private", 3, {"x": float}) as buffer:
        assert all(slot_whole(buffer._ring.handle, slot) for slot in range(3))
