"""
Every view over compressed and ragged fields: as of plain ones, whose rows go when their bytes do.

The lists of tests/naive_steps.py say what each view makes of a row; here they are told which rows
have lost their bytes. Beside it, a buffer of plain fields is given the same steps: one seed must
give the same batches.
"""

import contextlib
import copy
import pathlib
import random
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import replay
from kernels.heap import BYTES
from kernels.jit import INTERPRETED
from replay import Field
from tests.heaped import assert_at_rest, claimed, entries_of
from tests.homes import HOMES, WALKS, fewer, fresh_name, walking
from tests.naive_steps import Log, major, timed
from tests.views.plays import ENDS, VIEWS, Play, rows_for

IMAGE = (9, 8)
NOTE, ACTION, TAG = 12, 4, 10

PLAIN = {
    "obs": {
        "image": (np.uint8, IMAGE),
        "speed": np.float32,
        "note": {"values": (np.uint8, (NOTE,)), "lengths": np.int64},
    },
    "action": {"values": (np.int16, (ACTION,)), "lengths": np.int64},
    "reward": np.float32,
    "state": (np.float64, (3,)),
    "tag": {"values": (np.uint8, (TAG,)), "lengths": np.int64},
}
#: By the names of columns, which those of a ragged field are as well.
FLAT = {
    "obs/image": (np.uint8, IMAGE),
    "obs/speed": (np.float32, ()),
    "obs/note/values": (np.uint8, (NOTE,)),
    "obs/note/lengths": (np.int64, ()),
    "action/values": (np.int16, (ACTION,)),
    "action/lengths": (np.int64, ()),
    "reward": (np.float32, ()),
    "state": (np.float64, (3,)),
    "tag/values": (np.uint8, (TAG,)),
    "tag/lengths": (np.int64, ()),
}


def heaped(room, flat=False):
    """Give fields whose rows together have room for so many of the largest."""
    image = Field(np.uint8, IMAGE, compression="lz4", room=int(room * (72 + 12 + 8 + 24 + 10)))
    return {
        "obs": {
            "image": image,
            "speed": np.float32,
            "note": Field(bytes, longest=NOTE, ratio=1e9),
        },
        "action": Field(np.int16, (None,), longest=ACTION, ratio=1e9, flat=flat),
        "reward": np.float32,
        "state": Field(np.float64, (3,), compression="lz4", ratio=1e9),
        "tag": Field(str, longest=TAG, compression="lz4", ratio=1e9, flat=flat),
    }


def padded(values, longest):
    made = np.zeros(longest, values.dtype)
    made[: len(values)] = values
    return made


def values(number):
    """Give what a step stores, by flat names: every part of it can be told from the number."""
    chance = random.Random(number)
    noise = np.frombuffer(chance.randbytes(72), np.uint8)
    image = noise.reshape(IMAGE).copy()
    if number % 3:
        image[chance.randrange(9) :] = number % 256
    made = {
        "obs/image": image,
        "obs/speed": np.float32(number + 0.5),
        "reward": np.float32(number * 37 % 101 / 8 - 5),
        "state": number + np.array([0.125, 0.25, 0.5]) * (number % 5 > 0),
    }
    tag = ("ab" * chance.randrange(6)).encode()
    for name, row, longest in (
        ("obs/note", noise[: chance.choice((0, NOTE, chance.randrange(NOTE)))], NOTE),
        ("action", noise[: chance.randrange(ACTION + 1)].astype(np.int16) - 128, ACTION),
        ("tag", np.frombuffer(tag, np.uint8), TAG),
    ):
        made[f"{name}/values"] = padded(row, longest)
        made[f"{name}/lengths"] = np.int64(len(row))
    return made


def row_of(made, name):
    """Give a row of a ragged field."""
    return made[f"{name}/values"][: int(made[f"{name}/lengths"])]


def obs_of(made):
    obs = {"image": made["obs/image"], "speed": made["obs/speed"]}
    return obs | {"note": row_of(made, "obs/note").tobytes()}


def rest_of(made):
    tag = row_of(made, "tag").tobytes().decode()
    return {"state": made["state"], "tag": tag}


class HeapedPlay(Play):
    """A play of rows that go once their bytes are needed for newer ones."""

    def __init__(self, buffer, view, streams, rows):
        super().__init__(buffer, view, streams, rows)
        self.log = Log(streams, rows, FLAT)
        self.bytes = [0] * streams
        self.position = {}
        self.evicted = 0

    def values(self):
        self.numbers += 1
        return values(self.numbers)

    def reset(self, stream):
        made = self.values()
        got = self.writers[stream].reset(obs_of(made))
        assert got == self.log.reset(stream, made)
        self.place(stream, got)

    def step(self, stream, end=""):
        made = self.values()
        flags = ENDS[end]
        got = self.writers[stream].step(
            obs_of(made), row_of(made, "action"), made["reward"], *flags, **rest_of(made)
        )
        assert got == self.log.step(stream, made, *flags)
        self.place(stream, got)

    def place(self, stream, identity):
        """Let the rows go in whose place a new one has come."""
        entries = entries_of(self.buffer, self.log.slot_of(identity))
        assert entries[0][0] == self.bytes[stream]
        self.position[identity] = self.bytes[stream]
        self.bytes[stream] += sum(entry[3] for entry in entries)
        self.forget(stream)

    def forget(self, stream):
        """Take the rows out of the lists that have lost their bytes."""
        floor = self.bytes[stream] - self.buffer._ring.layout.room
        slots = self.log.slots[stream]
        for slot, row in enumerate(slots):
            if row is not None and self.position[self.log.id_of(stream, row.ticket)] < floor:
                slots[slot] = None
                self.evicted += 1
        self.follow()

    def check(self):
        super().check()
        assert len(self.buffer) == len(self.log.stored_ids())
        assert claimed(self.buffer) == self.bytes
        assert self.buffer.stats()["evicted"] == self.evicted
        assert_at_rest(self.buffer)

    def sample(self, count, reader=None, view=None):
        batch = (reader or self.buffer).sample(count)
        assert_batch(self.log, view or self.view, batch)
        return batch


@contextlib.contextmanager
def playing(view, rows, streams=1, *, room=4, flat=False, **options):
    """Begin a play in a buffer with bytes for so many of the largest rows a stream."""
    options = {"seed": 0, "view": view, "streams": streams} | options
    with replay.ReplayBuffer(rows * streams, heaped(room * streams, flat), **options) as buffer:
        yield HeapedPlay(buffer, view, streams, rows)


def arrays_of(batch, names):
    """Give the arrays of a batch by flat names; flat rows as lengths and elements."""
    found = {}
    for name in names:
        path, _, part = name.rpartition("/")
        if (
            path
            and part in ("values", "lengths")
            and "offsets" in getattr(batch[path], "_fields", ())
        ):
            rows = batch[path]
            found[name] = rows.values if part == "values" else np.diff(rows.offsets)
        else:
            found[name] = batch[name]
    return found


def assert_batch(log, view, batch):
    """Compare each row of a batch with what the lists say, in every field."""
    ids, places = np.unique(batch.ids, return_inverse=True)
    rows = [log.expected(view, identity) for identity in ids.tolist()]
    got = arrays_of(batch, rows[0])
    for name in rows[0]:
        wanted = np.array([row[name] for row in rows])[places]
        path, _, part = name.rpartition("/")
        whole = path if path and part in ("values", "lengths") else name
        if major(view) and timed(view, whole):
            wanted = np.swapaxes(wanted, 0, 1)
        mine = got[name]
        if mine.shape != wanted.shape:
            # One right behind the other, in the order of their lengths.
            lengths = np.array([row[f"{path}/lengths"] for row in rows])[places]
            if major(view) and timed(view, whole):
                lengths = np.swapaxes(lengths, 0, 1)
            if part == "values":
                wanted = wanted[np.arange(wanted.shape[-1]) < lengths[..., None]]
            wanted = wanted.reshape(mine.shape)
        assert mine.dtype == rows[0][name].dtype, name
        if name in ("reward", "discount"):
            close = np.abs(mine - wanted) <= 1e-6 * np.abs(wanted) + 1e-7
        else:
            close = mine == wanted
        assert close.all(), f"{name}: {mine[~close]} for {wanted[~close]}"


PRIORITIZED = replay.Proportional(alpha=1.0, beta=0.5, normalise=None)
SAMPLERS = {"uniform": replay.Uniform(), "proportional": PRIORITIZED}


def draw_all(play):
    """Draw until every row that may be drawn was drawn, and compare them all."""
    drawable = play.drawable()
    if not drawable:
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(3)
        return
    # A row is missed by 40 draws for each of them in exp(-40) of the seeds.
    drawn = play.sample(fewer(40 * len(drawable), 8)).ids.tolist()
    assert set(drawn) <= set(drawable)
    assert INTERPRETED or len(set(drawn)) == len(drawable)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_gives_what_lists_give(name, kind):
    view = VIEWS[name]
    number = list(VIEWS).index(name)
    generator = random.Random(number)
    evicted = 0
    # Of bytes for as many rows as a window needs, for a few more, and of slots that run out first.
    for room, extra, streams in fewer(((0.5, 9, 1), (0.9, 20, 2), (9, 2, 3)), ((0.7, 5, 2),)):
        rows = rows_for(view) + extra
        room = max(room * rows_for(view), 2)
        with playing(
            view, rows, streams, room=room, flat=number % 2 == 1, sampler=SAMPLERS[kind]
        ) as play:
            for turn in range(fewer(60, 16)):
                play.random_step(generator)
                if turn % fewer(6, 12) == 0:
                    play.check()
                if turn % 20 == 10 and play.drawable():
                    play.sample(fewer(20, 3))
                if play.priority and kind == "proportional" and turn % 7 == 0:
                    ids = generator.choices(sorted(play.priority), k=3)
                    play.update(ids, generator.choices([0.5, 1.0, 2.0, 3.0], k=3))
            play.check()
            draw_all(play)
            evicted += play.evicted
    assert evicted or INTERPRETED


class HeapStepsMachine(RuleBasedStateMachine):
    """A log of steps that lie in a ring of bytes, its lists, and whoever else has it open."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.play = None
        self.saved = {}
        self.holders = []

    @initialize(
        name=st.sampled_from(["transition", "2 steps", "stack of 4", "sequence", "episodes"]),
        kind=st.sampled_from(sorted(SAMPLERS)),
        home=st.sampled_from(HOMES),
        walk=st.sampled_from(WALKS),
        extra=st.integers(0, 20),
        room=st.floats(2, 12),
        streams=st.integers(1, 3),
    )
    def open(self, name, kind, home, walk, extra, room, streams):
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack.enter_context(walking(walk))
        self.where = {
            "private": {},
            "named": {"name": fresh_name()},
            "path": {"path": self.folder / "block"},
        }[home]
        view = VIEWS[name]
        rows = rows_for(view) + extra
        options = {"view": view, "sampler": SAMPLERS[kind], "streams": streams, "seed": 0}
        buffer = replay.ReplayBuffer(
            rows * streams, heaped(room * streams), **options, **self.where
        )
        self.stack.callback(lambda: [buffer.close() for buffer in self.holders])
        self.holders.append(buffer)
        self.play = HeapedPlay(buffer, view, streams, rows)

    def teardown(self):
        self.stack.close()

    @rule(stream=st.integers(0, 2), count=st.integers(1, 12), end=st.sampled_from(sorted(ENDS)))
    def steps(self, stream, count, end):
        for left in reversed(range(count)):
            self.play.go_on(stream % len(self.play.writers), "" if left else end)

    @rule(stream=st.integers(0, 2), length=st.integers(0, 15), end=st.sampled_from(sorted(ENDS)))
    def episode(self, stream, length, end):
        self.play.episode(stream % len(self.play.writers), length, end)

    @rule(stream=st.integers(0, 2))
    def a_newer_writer(self, stream):
        self.play.take_over(stream % len(self.play.writers))

    @rule(count=st.integers(1, 40))
    def sample(self, count):
        if self.play.drawable():
            batch = self.play.sample(count)
            assert_batch(self.play.log, self.play.view, self.play.buffer.sample(out=batch))
        else:
            with pytest.raises(replay.EmptyError):
                self.play.buffer.sample(count)

    @precondition(lambda self: self.play.buffer.sampler.prioritized)
    @rule(data=st.data())
    def update(self, data):
        """Set priorities of what may be drawn, of what may not, and of what has lost its bytes."""
        known = sorted(self.play.position)[-4 * self.play.buffer.capacity :]
        if not known:
            return
        ids = data.draw(st.lists(st.sampled_from(known), max_size=12))
        some = st.sampled_from([0.25, 1.0, 2.0, 50.0])
        self.play.update(ids, data.draw(st.lists(some, min_size=len(ids), max_size=len(ids))))

    @rule()
    def clear(self):
        self.play.buffer.clear()
        self.play.log.clear()
        self.play.largest = 1.0
        self.play.follow()

    @rule(which=st.integers(0, 1))
    def save(self, which):
        self.play.buffer.save(self.folder / f"snapshot {which}")
        play = self.play
        lists = (play.log, play.priority, play.largest), (play.bytes, play.position, play.evicted)
        self.saved[which] = copy.deepcopy(lists)

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def restore(self, data):
        which = data.draw(st.sampled_from(sorted(self.saved)))
        self.play.buffer.restore(self.folder / f"snapshot {which}")
        lists, heap = copy.deepcopy(self.saved[which])
        self.play.restore(*lists)
        self.play.bytes, self.play.position, self.play.evicted = heap

    @precondition(lambda self: self.where)
    @rule()
    def attach(self):
        if len(self.holders) < 3:
            other = replay.attach(**self.where)
            self.holders.append(other)
            if self.play.drawable():
                self.play.sample(5, reader=other)

    @invariant()
    def the_same_may_be_drawn(self):
        if self.play is not None:
            self.play.check()


TestHeapSteps = HeapStepsMachine.TestCase
TestHeapSteps.settings = settings(max_examples=fewer(20, 5), stateful_step_count=fewer(25, 12))


def test_readers_of_other_views_share_one_log():
    with playing(replay.NStep(2, 0.9), 30, 2, room=14, sampler=PRIORITIZED) as play:
        readers = {name: play.buffer.reader(view=view) for name, view in VIEWS.items()}
        generator = random.Random(5)
        drawn = 0
        for turn in range(fewer(150, 50)):
            play.random_step(generator)
            if turn % fewer(30, 25) != 20:
                continue
            for name, reader in readers.items():
                drawable = play.log.drawable(VIEWS[name])
                if drawable:
                    drawn += len(play.sample(fewer(20, 3), reader, VIEWS[name]).ids)
        play.check()
        assert play.evicted
        assert drawn


@pytest.mark.parametrize("name", ["transition", "stack of 4 of 3 steps", "overlapping"])
def test_a_window_with_a_row_whose_bytes_are_written_over_is_not_drawn(name):
    """Also where nobody has emptied its slot yet, as of a writer that is stopped there."""
    view = VIEWS[name]
    with playing(view, 60, room=20) as play:
        generator = random.Random(3)
        while not play.evicted:
            play.random_step(generator)
        before = set(play.drawable())
        block, room = play.buffer._ring.block, play.buffer._ring.layout.room
        written = (play.bytes[0] + np.arange(900)) % room
        block.part("heads")[0, BYTES] += 900
        block.part("heap")[0, written] ^= 255
        play.bytes[0] += 900
        play.forget(0)
        assert set(play.drawable()) < before
        batch = play.sample(fewer(200, 20))
        assert set(batch.ids.tolist()) <= set(play.drawable())


# the same of plain fields

DRAWN_BY = {
    "uniform": replay.Uniform(),
    "distinct": replay.Uniform(replace=False),
    "batch": replay.Proportional(alpha=0.6, beta=0.4),
    "buffer": replay.Proportional(normalise="buffer"),
    "plain draws": replay.Proportional(normalise=None, stratified=False),
    "decay": replay.Proportional(decay=0.5),
    "ranked": replay.Ranked(refresh=3),
    "recent": replay.Recent(eta=0.99, updates=10, smallest=5),
    "lifo": replay.Lifo(),
    "fifo": replay.Fifo(),
    "combined": replay.Combined(of=replay.Proportional()),
}


def plain_of(made, name):
    return {part: made[f"{name}/{part}"] for part in ("values", "lengths")}


class Twins:
    """Two buffers that are given the same steps: of compressed and ragged fields, and of plain."""

    def __init__(self, heap, plain, streams):
        self.buffers = heap, plain
        self.writers = [
            [buffer.writer(stream) for stream in range(streams)] for buffer in (heap, plain)
        ]
        self.open = [False] * streams
        self.numbers = 0

    def step(self, generator):
        self.numbers += 1
        made = values(self.numbers)
        stream = generator.randrange(len(self.open))
        heap, plain = (writers[stream] for writers in self.writers)
        obs = made["obs/image"], made["obs/speed"], plain_of(made, "obs/note")
        obs = dict(zip(("image", "speed", "note"), obs, strict=True))
        if not self.open[stream] or generator.random() < 0.05:
            assert heap.reset(obs_of(made)) == plain.reset(obs)
            self.open[stream] = True
            return
        flags = ENDS[generator.choice(("", "", "", "", "", "terminated", "truncated"))]
        self.open[stream] = not any(flags)
        rest = {"state": made["state"], "tag": plain_of(made, "tag")}
        mine = heap.step(
            obs_of(made), row_of(made, "action"), made["reward"], *flags, **rest_of(made)
        )
        assert mine == plain.step(obs, plain_of(made, "action"), made["reward"], *flags, **rest)

    def sample(self, count, out=None):
        """Draw from both, and compare every array; give the two batches."""
        batches = []
        for buffer, into in zip(self.buffers, out or (None, None), strict=True):
            try:
                batches.append(buffer.sample(count, out=into))
            except replay.EmptyError:
                batches.append(None)
        heap, plain = batches
        if heap is None or plain is None:
            assert heap is plain
            return None
        assert heap.ids.tolist() == plain.ids.tolist()
        for name in flat_names(plain):
            assert heap[name].dtype == plain[name].dtype
            assert heap[name].shape == plain[name].shape
            assert heap[name].tobytes() == plain[name].tobytes(), name
        return batches


def flat_names(batch):
    def walk(name, value):
        if isinstance(value, np.ndarray):
            return [name]
        return [part for key in value for part in walk(f"{name}/{key}", value[key])]

    return [part for name in batch._fields for part in walk(name, getattr(batch, name))]


@pytest.mark.parametrize("kind", DRAWN_BY)
def test_batches_are_those_of_plain_fields(kind):
    """With one seed, of every view, also where they are written into an earlier batch."""
    drawn = 0
    for name in list(VIEWS)[:: fewer(1, 11)]:
        view = VIEWS[name]
        generator = random.Random(name)
        options = {"view": view, "sampler": DRAWN_BY[kind], "streams": 2, "seed": 4}
        rows = (rows_for(view) + 4) * 2
        with (
            replay.ReplayBuffer(rows, heaped(rows), **options) as heap,
            replay.ReplayBuffer(rows, PLAIN, **options) as plain,
        ):
            twins = Twins(heap, plain, 2)
            out = None
            for turn in range(45):
                twins.step(generator)
                if turn % 9 == 8:
                    out = twins.sample(6, out) or out
                    drawn += out is not None
                if turn % 9 == 4 and heap.sampler.prioritized and out is not None:
                    ids = out[0].ids
                    updated = [b.update_priorities(ids, np.arange(1.0, 7)) for b in (heap, plain)]
                    assert updated[0] == updated[1]
            assert heap.stats()["evicted"] == 0
    assert drawn >= fewer(20, 1)
