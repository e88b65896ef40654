"""Each row once: against lists, by threads and processes at once, and where things go wrong."""

import contextlib
import json
import multiprocessing
import random
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import replay
from kernels import handle as words
from kernels.fifo import GAPS_END, RANGES
from kernels.ring import TAKEN_EMPTY, ring_claim, ring_commit, ring_filled, ring_take
from kernels.walk_draw_fifo import claims_return
from replay.memory.waiting import Waiting
from replay.samplers import from_json
from replay.views.rows import Rows
from tests import naive, naive_order
from tests.clock import ticking
from tests.homes import HOMES, WALKS, fewer, fresh_name, opened, refused, walking
from tests.views.plays import VIEWS, playing, rows_for

FIELDS = {"x": np.int64}
FIFO = replay.Fifo()
ROWS = fewer(3000, 60)


class FifoMachine(RuleBasedStateMachine):
    """A buffer, writers of it that are slow or die, and the lists of what should come out."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()

    @initialize(
        walk=st.sampled_from(WALKS),
        streams=st.sampled_from([1, 1, 2, 3]),
        rows=st.sampled_from([1, 2, 5, 8, 11, 12, 13]),
    )
    def open(self, walk, streams, rows):
        self.stack.enter_context(walking(walk))
        options = {"sampler": FIFO, "streams": streams}
        self.buffer = self.stack.enter_context(
            opened("private", streams * rows, FIELDS, **options)
        )
        self.twin = naive_order.Streams(streams, rows)
        self.slow = []
        self.held = []
        self.batches = self.lost = 0
        self.cleared = False

    def stream(self, data):
        return data.draw(st.integers(0, len(self.twin.heads) - 1))

    @rule(data=st.data(), count=st.sampled_from([1, 2, 3, 4, 13, 20]))
    def add(self, data, count):
        stream = self.stream(data)
        streams = len(self.twin.heads)
        head = self.twin.heads[stream]
        numbers = np.arange(head, head + count) * streams + stream
        ids = self.buffer.writer(stream).extend(numbers)
        assert ids.tolist() == numbers.tolist()
        for ticket in self.twin.claim(stream, count):
            assert self.twin.commit(stream, ticket)

    @rule(data=st.data(), count=st.integers(1, 6))
    def claim(self, data, count):
        """Let a writer take tickets and be slow to write."""
        stream = self.stream(data)
        count = min(count, self.twin.rows)
        first = int(ring_claim(self.buffer._ring.block.part("heads"), stream, count))
        tickets = self.twin.claim(stream, count)
        assert tickets[0] == first
        self.slow += [(stream, ticket) for ticket in tickets]

    @precondition(lambda self: self.slow)
    @rule(data=st.data(), dies=st.sampled_from([False, False, True]))
    def end(self, data, dies):
        """Let it write one, or die before it does."""
        stream, ticket = self.slow.pop(data.draw(st.integers(0, len(self.slow) - 1)))
        if dies:
            return
        block = self.buffer._ring.block
        records, rows = block.part("records"), self.twin.rows
        slot = stream * rows + ticket % rows
        taken = ring_take(records, slot, ticket, 0)
        if taken and ticket >= self.twin.bases[stream]:
            if taken == TAKEN_EMPTY:
                ring_filled(block.part("heads"), stream, 1)
            records[slot, 1] = ticket * len(self.twin.heads) + stream
            ring_commit(records, slot, ticket)
        elif taken:
            records[slot, 0] = 0
        assert bool(taken and ticket >= self.twin.bases[stream]) == self.twin.commit(
            stream, ticket
        )

    @rule(count=st.sampled_from([1, 2, 3, 5]), keep=st.booleans())
    def sample(self, count, keep):
        streams = len(self.twin.heads)
        unread = sum(len(self.twin.unread(stream)) for stream in range(streams))
        # What a range was left for may be needed for another one.
        left = np.count_nonzero(self.buffer._ring.block.part("cursors")[:, RANGES:], axis=1)
        gaps = np.array([self.twin.gaps(stream) for stream in range(streams)])
        room = bool((gaps + left <= GAPS_END - RANGES)[gaps > 0].all())
        if count > self.buffer.capacity:
            with pytest.raises(replay.InputError, match=f"above {self.buffer.capacity},"):
                self.buffer.sample(count)
            return
        if unread < count:
            with pytest.raises(replay.EmptyError, match=f"empty|{unread} rows are unread"):
                self.buffer.sample(count)
            return
        try:
            batch = self.buffer.sample(count)
        except replay.EmptyError:
            assert not room
            return
        got = [(int(i) % streams, int(i) // streams) for i in batch.ids]
        assert batch.x.tolist() == batch.ids.tolist()
        assert batch.weights.tolist() == [1.0] * count
        for stream, ticket in got:
            assert ticket in self.twin.unread(stream), "given out twice, or not there"
        if room:
            assert got == self.twin.take(count, self.batches)
        else:
            assert len(set(got)) == count
            self.twin.given.update(got)
        self.batches += 1
        if keep:
            self.held.append((batch, got))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data):
        """Let a consumer give back what it has claimed, as if it had not gathered it yet."""
        batch, got = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        left = claims_return(self.buffer._ring.handle, batch.ids, batch.weights)
        self.twin.given.difference_update(got[left:])
        self.lost += left

    @precondition(lambda self: self.batches % 8 == 7)
    @rule()
    def clear(self):
        self.buffer.clear()
        self.twin.clear()
        self.cleared = True

    @invariant()
    def it_counts_right(self):
        if not hasattr(self, "buffer"):
            return
        stats = self.buffer.stats()
        assert stats["unread"] == self.twin.left()
        assert self.cleared or stats["lost"] == self.twin.lost() + self.lost

    def teardown(self):
        self.stack.close()


FifoMachine.TestCase.settings = settings(
    max_examples=fewer(45, 40), stateful_step_count=50, deadline=None, derandomize=True
)
TestFifo = FifoMachine.TestCase


def reader(buffer, size, done, results):
    """Give a thread that takes batches until nothing is left."""

    def read():
        taken = []
        while True:
            over = done.is_set()
            try:
                taken += buffer.sample(size).x.tolist()
            except replay.EmptyError:
                if over:
                    results.append(taken)
                    return

    return read


def adder(buffer, stream, numbers):
    def add():
        writer = buffer.writer(stream)
        for start in range(0, len(numbers), 7):
            part = numbers[start : start + 7]
            if start % 2:
                writer.extend(part)
            else:
                for number in part:
                    writer.add(number)

    return add


@pytest.mark.compiled
@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("streams", [1, 3])
def test_threads_consume_every_row_once(home, streams):
    with opened(home, 3 * ROWS * streams, FIELDS, sampler=FIFO, streams=streams) as buffer:
        done, results = threading.Event(), []

        def writers():
            try:
                parts = np.split(np.arange(3 * ROWS), 3)
                naive.together(*(adder(buffer, k % streams, parts[k]) for k in range(3)))
            finally:
                done.set()

        readers = [reader(buffer, size, done, results) for size in (5, 16, 1)]
        naive.together(writers, *readers)
        taken = [x for rows in results for x in rows]
        # One that found too little gives it back, maybe after the others' last look.
        rest = buffer.stats()["unread"]
        assert rest < 5 + 16
        taken += buffer.sample(rest).x.tolist() if rest else []
        assert sorted(taken) == list(range(3 * ROWS))
        stats = buffer.stats()
        assert (stats["unread"], stats["lost"], stats["sampled"]) == (0, 0, 3 * ROWS)


@pytest.mark.compiled
@pytest.mark.parametrize("streams", [1, 2])
def test_a_limiter_keeps_writers_from_running_ahead(streams):
    size = 8
    limiter = replay.RateLimiter(1, min_size=size, tolerance=size)
    # A stream has room for all that may be unread, and for an extend of each writer more.
    capacity = streams * (2 * size + 3 * 7)
    with opened("private", capacity, FIELDS, sampler=FIFO, streams=streams, limiter=limiter) as b:
        taken = []

        def consume():
            while len(taken) < 3 * ROWS // size * size:
                taken.extend(b.sample(size).x.tolist())

        parts = np.split(np.arange(3 * ROWS), 3)
        naive.together(consume, *(adder(b, k % streams, parts[k]) for k in range(3)))
        assert len(set(taken)) == len(taken) == 3 * ROWS
        assert b.stats()["lost"] == 0
        assert b.stats()["balance"] == b.stats()["unread"] == 0


def test_rows_that_are_lost_do_not_hold_writers_back(tmp_path):
    # Room for fewer rows than the limiter lets writers be ahead: some are lost, for ever.
    limiter = replay.RateLimiter(1, min_size=4, tolerance=30, timeout=0)
    with opened("private", 8, FIELDS, sampler=FIFO, limiter=limiter) as buffer:
        for turn in range(20):
            buffer.extend(np.arange(12))
            assert buffer.sample(4).x.tolist() == [4, 5, 6, 7]
            assert buffer.sample(4).x.tolist() == [8, 9, 10, 11]
            assert (buffer.stats()["lost"], buffer.stats()["balance"]) == (4 * turn + 4, 0)


def consumes(name, size, results):
    """Take batches by a process of its own."""
    taken = []
    with replay.attach(name) as buffer:
        while buffer.stats()["added"] < 3 * ROWS or buffer.stats()["unread"] >= size:
            with contextlib.suppress(replay.WaitTimeoutError):
                taken += buffer.sample(size, timeout=0.05).x.tolist()
    results.put(taken)


@pytest.mark.processes
@pytest.mark.compiled
def test_processes_consume_every_row_once():
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    name = fresh_name()
    with replay.ReplayBuffer(6 * ROWS, FIELDS, sampler=FIFO, streams=2, name=name) as buffer:
        consumers = [
            context.Process(target=consumes, args=(name, size, results)) for size in (4, 9)
        ]
        for process in consumers:
            process.start()
        parts = np.split(np.arange(3 * ROWS), 3)
        buffer.extend(parts[0])
        # The others come while they take those.
        taken = buffer.sample(1).x.tolist()
        waiting = Waiting(60)
        while buffer.stats()["batches"] < 3 and waiting.nap():
            pass
        naive.together(adder(buffer, 0, parts[1]), adder(buffer, 1, parts[2]))
        taken += results.get() + results.get()
        for process in consumers:
            process.join()
        assert [process.exitcode for process in consumers] == [0, 0]
        rest = buffer.stats()["unread"]
        taken += buffer.sample(rest).x.tolist() if rest else []
        assert sorted(taken) == list(range(3 * ROWS))


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


@pytest.mark.parametrize("home", HOMES)
def test_a_batch_is_whole_or_refused(walk, home):
    with opened(home, 20, FIELDS, sampler=FIFO) as buffer:
        with refused(buffer, replay.EmptyError, "buffer is empty"):
            buffer.sample(1)
        buffer.extend(np.arange(5))
        with refused(buffer, replay.EmptyError, "5 rows are unread", "once"):
            buffer.sample(6)
        out = buffer.sample(3)
        assert out.x.tolist() == [0, 1, 2]
        with refused(buffer, replay.EmptyError, "2 rows are unread"):
            buffer.sample(out=out)
        buffer.add(5)
        assert buffer.sample(out=out).x.tolist() == [3, 4, 5]
        assert buffer.stats()["unread"] == 0
        for size in (0, -1, 2.5, None):
            with refused(buffer, replay.InputError, "batch_size"):
                buffer.sample(size)


@pytest.mark.parametrize("home", HOMES)
def test_a_batch_may_be_waited_for(walk, home):
    with ticking() as clock, opened(home, 20, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(3))
        clock.at(2.0, lambda: buffer.add(3))
        clock.at(3.0, lambda: buffer.add(4))
        assert buffer.sample(5, timeout=10).x.tolist() == [0, 1, 2, 3, 4]
        assert 3.0 <= clock.now < 3.1
        buffer.add(5)
        with pytest.raises(replay.WaitTimeoutError, match="in 4 s: 1 rows are unread"):
            buffer.sample(2, timeout=4)
        assert buffer.sample(1, timeout=0).x.tolist() == [5]


def test_who_attaches_goes_on_where_the_others_are(tmp_path):
    with replay.ReplayBuffer(20, FIELDS, sampler=FIFO, path=tmp_path / "block") as buffer:
        buffer.extend(np.arange(6))
        assert buffer.sample(2).x.tolist() == [0, 1]
        with replay.attach(path=tmp_path / "block") as other:
            assert other.sampler == FIFO
            assert other.sample(2).x.tolist() == [2, 3]
            assert buffer.sample(1).x.tolist() == [4]
    with replay.attach(path=tmp_path / "block") as buffer:
        assert buffer.sample(1).x.tolist() == [5]


def test_rows_of_a_consumer_that_is_killed_are_gone():
    with opened("private", 20, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(6))
        ring = buffer._ring
        slots, weights = np.zeros(2, np.int64), np.zeros(2, np.float32)
        # It has drawn, and never gathers.
        assert buffer.sampler.draw(ring, slots, weights, ring.handle) == 1
        assert buffer.sample(4).x.tolist() == [2, 3, 4, 5]


def test_a_row_that_another_has_overwritten_is_not_this_batchs(walk):
    with opened("private", 4, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(4))
        ring, sampler = buffer._ring, buffer.sampler
        slots, weights = np.zeros(3, np.int64), np.zeros(3, np.float32)
        assert sampler.draw(ring, slots, weights, buffer._handle) == 1
        buffer.add(4)
        x = np.zeros(3, np.int64)
        rows = sampler.watched(Rows(ring))
        assert rows.gather(ring.handle, slots, (x,)) == 1
        assert (slots.tolist(), x.tolist()) == ([-1, 1, 2], [4, 1, 2])
        again = np.zeros(1, np.int64)
        sampler.draw_again(ring, again, weights[:1], 1.0, buffer._handle, slots)
        assert rows.gather(ring.handle, again, (x[:1],)) == 0
        assert (again.tolist(), x.tolist()) == ([3], [3, 1, 2])
        assert buffer.stats()["lost"] == 1
        assert buffer.sample(1).x.tolist() == [4]


def test_where_a_place_cannot_be_filled_the_others_are_given_back(walk):
    with opened("private", 4, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(4))
        ring, sampler = buffer._ring, buffer.sampler
        slots, weights = np.zeros(4, np.int64), np.zeros(4, np.float32)
        assert sampler.draw(ring, slots, weights, buffer._handle) == 1
        with pytest.raises(replay.EmptyError, match="0 rows are unread"):
            sampler.draw_again(
                ring, slots[:1], weights[:1], 1.0, buffer._handle, np.array([0, -1, 2, 3])
            )
        assert buffer.stats()["lost"] == 1
        assert buffer.sample(3).x.tolist() == [0, 2, 3]


@pytest.mark.parametrize("home", HOMES)
def test_a_row_overwritten_while_it_is_gathered_is_lost_and_its_place_drawn_anew(walk, home):
    with opened(home, 4, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(4))
        watched = buffer._gatherer
        entry, gather = watched._gatherer.entry, watched._gatherer.gather
        # Whole, and in the slots of rows that were claimed.
        late = [[4], [5, 6, 7]]

        def after(call):
            def a_little_later(*given):
                buffer.extend(np.array(late.pop(0) if late else [], np.int64))
                return call(*given)

            return a_little_later

        watched._gatherer.entry, watched._gatherer.gather = after(entry), after(gather)
        assert buffer.sample(3).x.tolist() == [4, 1, 2]
        assert (buffer.stats()["lost"], buffer.stats()["unread"]) == (2, 3)
        assert buffer.sample(3).x.tolist() == [5, 6, 7]


@pytest.mark.compiled
@pytest.mark.parametrize("home", HOMES)
def test_writers_that_run_ahead_lose_rows_and_none_comes_twice(home):
    with opened(home, 16, FIELDS, sampler=FIFO) as buffer:
        done, results = threading.Event(), []

        def writers():
            try:
                parts = np.split(np.arange(3 * ROWS), 3)
                naive.together(*(adder(buffer, 0, part) for part in parts))
            finally:
                done.set()

        naive.together(writers, *(reader(buffer, size, done, results) for size in (5, 8, 1)))
        taken = [x for rows in results for x in rows]
        assert len(set(taken)) == len(taken)
        stats = buffer.stats()
        # Unread are those that were given back after the last look.
        assert len(taken) + stats["lost"] + stats["unread"] == 3 * ROWS + stats["burnt"]


@pytest.mark.parametrize("home", HOMES)
def test_a_snapshot_knows_what_was_given_out(home, tmp_path):
    path = tmp_path / "snapshot"
    options = {"sampler": FIFO, "streams": 2}
    with opened(home, 20, FIELDS, **options) as buffer:
        buffer.extend(np.arange(13))
        buffer.writer(1).extend(np.arange(100, 105))
        buffer.sample(6)
        # One row is not finished, another one behind it was given.
        block = buffer._ring.block
        first = int(ring_claim(block.part("heads"), 1, 1))
        buffer.writer(1).add(106)
        assert buffer.sample(6).x.tolist() == [103, 104, 106, 6, 7, 8]
        buffer.save(path)
        stats = buffer.stats()
        cursors = block.part("cursors").copy()
        assert (stats["unread"], stats["lost"]) == (5, 3)
        rest = buffer.sample(4).x.tolist()
        with replay.load(path, name=fresh_name() if home == "named" else None) as loaded:
            assert (loaded._ring.block.part("cursors") == cursors).all()
            assert loaded.stats() == stats
            assert loaded.sample(4).x.tolist() == rest == [9, 10, 11, 12]
        buffer.extend(np.arange(50))
        buffer.sample(3)
        buffer.restore(path)
        assert buffer.stats() == stats
        assert buffer.sample(4).x.tolist() == rest
        # Its writer writes on.
        slot = 10 + first % 10
        ring_take(block.part("records"), slot, first, 0)
        block.part("records")[slot, 1] = 105
        ring_commit(block.part("records"), slot, first)
        assert buffer.sample(1).x.tolist() == [105]


def test_a_snapshot_of_cursors_that_cannot_be_is_refused(tmp_path):
    path = tmp_path / "snapshot"
    with opened("private", 20, FIELDS, sampler=FIFO) as buffer:
        buffer.extend(np.arange(5))
        cursors = buffer._ring.block.part("cursors")
        for word, value in ((0, 6), (0, -1), (1, -1)):
            cursors[0, word] = value
            buffer.save(path)
            with pytest.raises(replay.BlockFormatError, match="cursors"):
                replay.load(path)
            cursors[:] = 0
        # A range that is in front of the cursor is in nobody's hands after a load.
        cursors[0, RANGES] = -(2 << 14 | 3)
        cursors[0, RANGES + 1] = 2 << 14 | 3
        buffer.save(path)
        with replay.load(path) as loaded:
            assert loaded.sample(5).x.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "name", ["transition", "stack of 4 of 3 steps", "recurrent", "episodes", "short episodes"]
)
def test_every_window_is_given_once(name):
    view = VIEWS[name]
    generator = random.Random(name)
    given = set()
    batches = 0
    with playing(view, rows_for(view) + 9, 2, sampler=FIFO) as play:
        for _ in range(fewer(600, 150)):
            play.random_step(generator)
            count = generator.choice((0, 0, 1, 2, 5))
            unread = [identity for identity in play.drawable() if identity not in given]
            if len(unread) < count:
                with pytest.raises(replay.EmptyError, match=f"{len(unread)} rows|empty"):
                    play.buffer.sample(count)
            elif count:
                ids = play.sample(count).ids.tolist()
                for stream in range(2):
                    got = [identity for identity in ids if identity % 2 == stream]
                    assert got == [i for i in sorted(unread) if i % 2 == stream][: len(got)]
                given.update(ids)
                batches += 1
    assert batches > 10


def test_a_sampler_is_read_back_and_nothing_else_is():
    assert from_json(json.loads(json.dumps(FIFO.to_json()))) == FIFO
    written = FIFO.to_json()
    for wrong in ({"cursors": 1}, {"cursors": False}, {"cursors": None}, {"more": 1}):
        with pytest.raises(replay.InputError, match="fifo"):
            from_json({**written, **wrong})
    with pytest.raises(replay.InputError, match="fifo"):
        from_json({"kind": "fifo"})


def test_other_samplers_keep_no_cursors():
    with opened("private", 4, FIELDS) as buffer:
        assert "cursors" not in buffer._ring.layout.parts
        buffer.add(1)
        assert "unread" not in buffer.stats()
        assert buffer._handle[words.CURSORS] == 0
