"""Readers of every view beside writers at work: no window is torn, shifted or of two episodes."""

import itertools
import multiprocessing
import threading

import numpy as np
import pytest

import replay
from kernels import walk_leaf, walk_step_add, walk_update, walk_view
from kernels.jit import INTERPRETED
from kernels.ring import ring_claim, ring_commit
from kernels.window import slot_whole
from tests import naive
from tests.homes import fewer, opened
from tests.views.live import FIELDS, STREAMS, Book, write, write_by_name
from tests.views.plays import obs_of, playing, rest_of

SAMPLERS = {"uniform": replay.Uniform(), "proportional": replay.Proportional()}
#: A few rows more than a window needs, so that writers pass by all the time.
ROWS = 19
BATCHES = fewer(8, 3)
#: Rows of a batch: of so many bytes that it is copied without the interpreter's lock.
BATCH = fewer(128, 16)

VIEWS = {
    "transition": replay.Transition(),
    "steps": replay.NStep(3, 0.9),
    "stack": replay.FrameStack(4),
    "stack of steps": replay.FrameStack(3, replay.NStep(5, 0.9), pad="zeros"),
    "sequence": replay.Sequence(4, period=1, burn_in=2, state=("who",)),
    "stack of sequence": replay.FrameStack(2, replay.Sequence(3, period=2, time_major=True)),
    "episodes": replay.Episodes(8),
    "stack of episodes": replay.FrameStack(3, replay.Episodes(8, time_major=True)),
}


def draw(reader, book, batches):
    """Draw and compare; rows with nothing to draw among them are no fault."""
    batch = None
    for _ in range(batches):
        batch = reader.sample(BATCH, out=batch, timeout=60)
        book.check(batch)
        if isinstance(reader, replay.ReplayBuffer) and reader.sampler.prioritized:
            reader.update_priorities(batch.ids, 0.1 + batch.ids % 5)
    return batches


def log_of(view, kind, home="private", rows=ROWS):
    options = {"sampler": SAMPLERS[kind], "streams": STREAMS, "seed": 0}
    return opened(home, rows * STREAMS, FIELDS, view=view, **options)


def writing_and_drawing(buffer, readers):
    """Let two threads write until two others have drawn from each reader."""
    over = threading.Event()
    left = itertools.count(1)

    def writing(stream):
        writer = buffer.writer(stream)
        return lambda: write(writer, stream, itertools.count(), over.is_set)

    def reading():
        try:
            for reader, book in readers:
                draw(reader, book, BATCHES)
        finally:
            if next(left) == 2:
                over.set()

    naive.together(writing(0), writing(1), reading, reading)


@pytest.mark.compiled
def test_windows_are_whole_beside_writers():
    """Readers of all views of one log."""
    with log_of(VIEWS["stack of steps"], "uniform") as buffer:
        readers = [(buffer.reader(view=view), Book(view)) for view in VIEWS.values()]
        writing_and_drawing(buffer, readers)


@pytest.mark.compiled
@pytest.mark.parametrize("name", VIEWS)
def test_windows_are_whole_beside_writers_and_priorities_too(name):
    """Leaves come and go while readers draw by them, and set them."""
    view = VIEWS[name]
    with log_of(view, "proportional") as buffer:
        writing_and_drawing(buffer, [(buffer, Book(view))])
        # An update that comes late may leave a priority too many, and never one too few.
        for stream in range(STREAMS):
            write(buffer.writer(stream), stream, range(4))
        assert buffer.priorities.verify() == 0
        leaves = buffer.priorities.priorities() > 0
        whole = [slot_whole(buffer._handle, slot) for slot in range(buffer.capacity)]
        assert leaves.tolist() == whole


@pytest.mark.skipif(not INTERPRETED, reason="kernels cannot be halted in the middle")
@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_window_that_is_overwritten_while_it_is_copied_is_drawn_again(kind, monkeypatch):
    """A step comes between the copies and the look at the words: it takes a stack's last row."""
    for view in (replay.FrameStack(4, replay.NStep(2, 0.9)), replay.Transition()):
        with playing(view, 9, sampler=SAMPLERS[kind]) as play:
            play.episode(0, 14, "")
            check = walk_view.windows_ids
            steps = iter([0])

            def late(*arguments, play=play, check=check, steps=steps):
                if next(steps, None) is not None:
                    play.step(0)
                return check(*arguments)

            monkeypatch.setattr(walk_view, "windows_ids", late)
            play.sample(40)
            monkeypatch.undo()
            assert play.buffer.stats()["redrawn"] > 0
            play.check()


@pytest.mark.skipif(not INTERPRETED, reason="kernels cannot be halted in the middle")
def test_a_late_update_of_a_row_that_is_gone_does_not_hide_the_new_one(monkeypatch):
    """The writer is halted before its commit, while the learner finds that its row has changed."""
    with playing(replay.Transition(), 5, sampler=replay.Proportional(alpha=1.0)) as play:
        play.episode(0, 4, "")
        looked, at_commit, go_on = (threading.Event() for _ in range(3))

        def commit(*arguments):
            at_commit.set()
            assert go_on.wait(60)
            ring_commit(*arguments)

        def learner():
            def whole(*arguments):
                found = slot_whole(*arguments)
                if not looked.is_set():
                    looked.set()
                    assert at_commit.wait(60)
                return found

            monkeypatch.setattr(walk_update, "slot_whole", whole)
            assert play.buffer.update_priorities([1], [7.0]) == 0
            monkeypatch.undo()
            go_on.set()

        def writer():
            assert looked.wait(60)
            # What the row reaches back to goes first, and then the row.
            play.step(0)
            monkeypatch.setattr(walk_step_add, "ring_commit", commit)
            play.step(0)

        naive.together(learner, writer)
        play.check()


@pytest.mark.skipif(not INTERPRETED, reason="kernels cannot be halted in the middle")
def test_a_late_priority_for_a_stack_that_is_broken_is_taken_back(monkeypatch):
    """A step overwrites what the stack reaches back to, between the look and the exchange."""
    view = replay.FrameStack(3)
    with playing(view, 8, sampler=replay.Proportional(alpha=1.0)) as play:
        play.episode(0, 7, "")
        swap, steps = walk_update.leaf_swap, iter([0])

        def late(*arguments):
            if next(steps, None) is not None:
                play.step(0)
            return swap(*arguments)

        monkeypatch.setattr(walk_update, "leaf_swap", late)
        play.buffer.update_priorities([3], [50.0])
        monkeypatch.undo()
        play.check()


@pytest.mark.skipif(not INTERPRETED, reason="kernels cannot be halted in the middle")
def test_a_late_look_at_an_open_window_does_not_hide_its_row(monkeypatch):
    """A learner sets the leaf of what is no row of its own any more, before a window's commit."""
    with playing(replay.NStep(3, 0.5), 8, sampler=replay.Proportional(alpha=1.0)) as play:
        play.episode(0, 9, "")

        def commit(*arguments):
            # Ticket 8's window becomes whole by this very row.
            slot = 8 % 8
            walk_leaf.leaf_settle(play.buffer.handle, slot)
            ring_commit(*arguments)

        monkeypatch.setattr(walk_step_add, "ring_commit", commit)
        play.step(0)
        monkeypatch.undo()
        play.check()


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_row_in_its_writers_hands_cuts_nothing(kind):
    """It may be the next of its episode; once a later one is claimed, it never comes."""
    view = replay.FrameStack(2, replay.NStep(3, 0.5))
    with playing(view, 16, sampler=SAMPLERS[kind]) as play:
        play.episode(0, 4, "")
        heads = play.buffer._ring.block.part("heads")
        assert ring_claim(heads, 0, 1) == 5
        # It is known to be there, and may still go on with the episode.
        assert play.drawable() == [1, 2]
        play.check()
        play.log.lose(0)
        play.log.open[0] = play.log.slots[0][4]
        play.follow()
        assert play.drawable() == [1, 2]
        play.check()
        # Its writer goes on behind it: what was before it has ended there.
        for _ in range(6):
            made = play.values()
            rest = rest_of(made)
            assert play.writers[0].step(obs_of(made), **rest) == play.log.heads[0]
            play.log.step(0, made)
            play.follow()
            play.check()
        # No stack reaches over the gap.
        assert play.drawable() == [1, 2, 3, 4, 8, 9]
        play.sample(30)


@pytest.mark.compiled
@pytest.mark.processes
def test_windows_are_whole_beside_writers_of_other_processes():
    """Of a prioritized buffer, and readers of every view."""
    view = VIEWS["stack of steps"]
    episodes = fewer(400, 50)
    with (
        log_of(view, "proportional", "named") as buffer,
        multiprocessing.get_context("spawn").Pool(STREAMS) as pool,
    ):
        readers = [(buffer, Book(view))]
        readers += [(buffer.reader(view=other), Book(other)) for other in VIEWS.values()]
        tasks = [(buffer.name, stream, episodes) for stream in range(STREAMS)]
        running = [pool.apply_async(write_by_name, task) for task in tasks]
        drawn = 0
        while not all(task.ready() for task in running):
            for reader, book in readers:
                if len(buffer) == buffer.capacity:
                    drawn += draw(reader, book, 1)
        assert [task.get() for task in running] == [episodes] * STREAMS
        for reader, book in readers:
            drawn += draw(reader, book, 1)
        assert drawn > len(readers)
        assert buffer.priorities.verify() == 0
        pool.close()
        pool.join()


@pytest.mark.parametrize("kind", SAMPLERS)
def test_windows_are_whole_between_the_steps_of_a_writer(kind):
    """The same without threads: a batch after each episode."""
    for name, view in VIEWS.items():
        book = Book(view)
        # Of the last two episodes one is short enough for each view, and stored whole.
        with log_of(view, kind, rows=2 * ROWS) as buffer:
            writers = [buffer.writer(stream) for stream in range(STREAMS)]
            for episode in range(fewer(24, 6)):
                for stream, writer in enumerate(writers):
                    write(writer, stream, [episode + stream])
                    if episode > 2:
                        book.check(buffer.sample(8))
            ids = buffer.sample(fewer(200, 20)).ids
            assert len(np.unique(ids)) > 1, name
