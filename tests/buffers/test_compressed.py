"""
Buffers with compressed and ragged fields, played against lists.

The model is told how many bytes each row takes in the ring of bytes, and knows by that which rows
are left: the newest ones that fit, and no more than there are slots.
"""

import contextlib
import copy
import functools
import pathlib
import random
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import replay
from kernels import walk_heap_put
from kernels.heap import LZ4, RAW
from kernels.jit import INTERPRETED
from kernels.rows import KINDS as DTYPES
from replay import Field
from tests.heaped import assert_at_rest, claimed, entries_of, heaped_of
from tests.homes import HOMES, SAMPLERS, WALKS, fewer, fresh_name, walking

FRAME = (9, 8)
LONG = 40

#: By kind the fields in the heap of a buffer, given its room.
KINDS = {
    "frames": lambda room: {"frame": Field(np.uint8, FRAME, compression="lz4", room=room)},
    "notes": lambda room: {"note": Field(bytes, longest=LONG, room=room)},
    "all": lambda room: {
        "frame": Field(np.uint8, FRAME, compression="lz4", room=room),
        "text": Field(str, compression="lz4", longest=LONG, ratio=1e6),
        "points": Field(np.float32, (None, 3), longest=5, flat=True, ratio=1e6),
        "note": Field(bytes, longest=LONG, ratio=1e6),
    },
}
PLAIN = {"number": np.int64, "wide": (np.uint8, (300,))}


@functools.cache
def row(kind, number):
    """Give a row that says its number in every field, of which some take few bytes."""
    chance = random.Random(number)
    noise = np.frombuffer(chance.randbytes(72), np.uint8).reshape(FRAME)
    turn = chance.randrange(4)
    frame = noise.copy()
    if turn < 2:
        # Constant, or a pattern that comes again and again.
        frame[:] = noise[0, 0] if turn == 0 else noise[0]
    elif turn == 2:
        frame[: chance.randrange(9)] = 0
    length = chance.choice((0, 0, 1, LONG, chance.randrange(LONG)))
    text = "".join(chance.choice(("a", "b", "ab" * 4, "é", "丁")) for _ in range(length // 8))
    made = {
        "frame": frame,
        "text": text,
        "points": np.float32(number) + noise[: chance.randrange(6), :3].astype(np.float32),
        "note": noise.tobytes()[:length],
        "number": number,
        "wide": np.full(300, number % 251, np.uint8),
    }
    wanted = (*KINDS[kind](10_000), *PLAIN)
    return {name: value for name, value in made.items() if name in wanted}


def columns(rows):
    """Put rows beside each other, as extend takes them."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def assert_batch(kind, batch, numbers):
    """Compare a batch with the rows of these numbers."""
    assert batch.number.tolist() == numbers
    for name in row(kind, 0):
        wanted = [row(kind, number)[name] for number in numbers]
        got = batch[name]
        if isinstance(got, tuple):
            if "lengths" in got._fields:
                behind = np.arange(got.values.shape[1]) >= got.lengths[:, None]
                assert not got.values[behind].any(), name
            got = got.tolist()
        for mine, theirs in zip(got, wanted, strict=True):
            if isinstance(theirs, np.ndarray):
                assert mine.dtype == theirs.dtype
                assert mine.shape == theirs.shape
                assert (mine == theirs).all(), name
            else:
                assert mine == theirs, name


class Model:
    """What a buffer should hold: plain lists and dicts."""

    def __init__(self, streams, length, sampler, room):
        self.sampler = sampler
        self.length = length
        self.room = room
        self.tickets = [0] * streams
        self.bytes = [0] * streams
        self.rows = [[] for _ in range(streams)]
        self.number = {}
        self.position = {}
        self.priority = {}
        self.largest = 1.0
        self.stale = self.updated = self.evicted = 0

    def add(self, stream, number):
        identity = self.tickets[stream] * len(self.rows) + stream
        self.tickets[stream] += 1
        overwritten = identity - self.length * len(self.rows)
        self.rows[stream] = [i for i in (*self.rows[stream], identity) if i > overwritten]
        self.number[identity] = number
        self.priority[identity] = self.largest
        return identity

    def place(self, identity, position, nbytes):
        """Take note of where a row's bytes lie, and let those go that had lain there."""
        stream = identity % len(self.rows)
        self.position[identity] = position
        self.bytes[stream] = position + nbytes
        floor = self.bytes[stream] - self.room
        kept = [other for other in self.rows[stream] if self.position.get(other, floor) >= floor]
        self.evicted += len(self.rows[stream]) - len(kept)
        self.rows[stream] = kept

    def update(self, ids, priorities):
        live = set(self.live)
        applied = [pair for pair in zip(ids, priorities, strict=True) if pair[0] in live]
        for identity, priority in applied:
            self.priority[identity] = priority
            self.largest = max(self.largest, priority)
        self.updated += len(applied)
        self.stale += len(ids) - len(applied)
        return len(applied)

    def clear(self):
        self.rows = [[] for _ in self.rows]
        self.largest = 1.0

    @property
    def live(self):
        return [identity for stream in self.rows for identity in stream]

    @property
    def drawable(self):
        if not self.sampler.prioritized:
            return set(self.live)
        return {identity for identity in self.live if self.priority[identity] > 0}

    def slot(self, identity):
        ticket, stream = divmod(identity, len(self.rows))
        return stream * self.length + ticket % self.length


class HeapMachine(RuleBasedStateMachine):
    """A buffer whose bytes may run out before its slots do, its model, and who has it open."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.numbers = 0
        self.saved = {}
        self.holders = []

    @initialize(
        kind=st.sampled_from(sorted(KINDS)),
        home=st.sampled_from(HOMES),
        sampler=st.sampled_from(sorted(SAMPLERS)),
        walk=st.sampled_from(WALKS),
        length=st.integers(1, 14),
        streams=st.integers(1, 3),
        rows=st.floats(2, 6),
        begun=st.sampled_from([0, 0, fewer(150, 70)]),
    )
    def open(self, kind, home, sampler, walk, length, streams, rows, begun):
        self.kind = kind
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack.enter_context(walking(walk))
        self.where = {
            "private": {},
            "named": {"name": fresh_name()},
            "path": {"path": self.folder / "block"},
        }[home]
        largest = sum(field.nbytes for field in KINDS[kind](10_000).values())
        buffer = replay.ReplayBuffer(
            length * streams,
            KINDS[kind](int(rows * largest) * streams) | PLAIN,
            sampler=SAMPLERS[sampler],
            streams=streams,
            seed=0,
            **self.where,
        )
        self.holders.append(buffer)
        self.stack.callback(lambda: [buffer.close() for buffer in self.holders])
        self.buffer = buffer
        self.model = Model(streams, length, SAMPLERS[sampler], buffer._ring.layout.room)
        # So many that a dictionary has several rows, and gets another one now and then.
        self.extend(begun, 0, True)

    def teardown(self):
        try:
            if self.holders:
                self.repair()
        finally:
            self.stack.close()

    def added(self, stream, ids, numbers):
        """Tell the model of rows that were added, and where each lies."""
        model, buffer = self.model, self.buffer
        # The entries of a row that was evicted stay until its slot is taken again.
        lost = max(len(numbers) - model.length, 0)
        for place, (identity, number) in enumerate(zip(ids, numbers, strict=True)):
            assert identity == model.add(stream, number)
            if place < lost:
                continue
            entries = entries_of(buffer, model.slot(identity))
            first = entries[0][0]
            if place > lost or not lost:
                assert first == model.bytes[stream]
            total = 0
            for (name, _), (position, codec, size, stored) in zip(
                heaped_of(buffer), entries, strict=True
            ):
                field = buffer.fields[name]
                value = row(self.kind, number)[name.split("/")[0]]
                value = value.encode() if isinstance(value, str) else value
                assert position == first + total
                assert size == (value.nbytes if isinstance(value, np.ndarray) else len(value))
                if codec >= LZ4:
                    assert field.compression == "lz4"
                    assert 0 < stored < size
                else:
                    assert codec == RAW
                    assert stored == size
                total += stored
            model.place(identity, first, total)
        if len(numbers) > 1:
            # Claimed together: some of those that went for their slots would have for their bytes.
            evicted = buffer.stats()["evicted"]
            assert lost or evicted <= model.evicted
            model.evicted = evicted

    def take(self, count):
        self.numbers += count
        return list(range(self.numbers - count, self.numbers))

    @rule(stream=st.integers(0, 2), by_name=st.booleans())
    def add(self, stream, by_name):
        stream %= len(self.model.rows)
        numbers = self.take(1)
        made = row(self.kind, numbers[0])
        writer = self.buffer if stream == 0 else self.buffer.writer(stream)
        got = writer.add(**made) if by_name else writer.add(*made.values())
        self.added(stream, [got], numbers)

    @rule(count=st.integers(0, 20), stream=st.integers(0, 2), by_name=st.booleans())
    def extend(self, count, stream, by_name):
        stream %= len(self.model.rows)
        writer = self.buffer.writer(stream)
        numbers = self.take(count)
        made = columns([row(self.kind, number) for number in numbers or [0]])
        if not count:
            made = {name: [] for name in made} | {
                name: np.array(made[name])[:0]
                for name in ("number", "wide", "frame")
                if name in made
            }
        got = writer.extend(**made) if by_name else writer.extend(*made.values())
        self.added(stream, got.tolist(), numbers)

    @rule(stream=st.integers(0, 2))
    def go_round(self, stream):
        """Go over the whole ring of bytes several times."""
        for _ in range(4):
            self.extend(min(self.model.length, 20), stream, True)

    @rule(count=st.integers(1, 70), again=st.booleans())
    def sample(self, count, again):
        model = self.model
        drawable = model.drawable
        if not drawable:
            with pytest.raises(replay.EmptyError):
                self.buffer.sample(count)
            return
        batch = None
        for _ in range(1 + again):
            flat = self.kind == "all"
            batch = self.buffer.sample(count, out=None if flat else batch)
            ids = batch.ids.tolist()
            assert set(ids) <= drawable
            assert_batch(self.kind, batch, [model.number[identity] for identity in ids])

    @precondition(lambda self: not self.model.sampler.prioritized and not INTERPRETED)
    @rule()
    def draw_all(self):
        drawable = self.model.drawable
        if drawable:
            # A row is missed by 40 draws for each of them in exp(-40) of the seeds.
            assert set(self.buffer.sample(40 * len(drawable)).ids.tolist()) == drawable

    @precondition(lambda self: self.model.sampler.prioritized)
    @rule(data=st.data())
    def update(self, data):
        known = sorted(self.model.number)[-3 * self.model.length * len(self.model.rows) :]
        if not known:
            return
        ids = data.draw(st.lists(st.sampled_from(known), max_size=30))
        some = st.lists(st.sampled_from([0.0, 0.001, 0.5, 1.0, 2.0, 50.0]), min_size=len(ids))
        priorities = data.draw(some)[: len(ids)]
        applied = self.buffer.update_priorities(np.array(ids, np.int64), np.array(priorities))
        assert applied == self.model.update(ids, priorities)

    @rule()
    def add_what_does_not_fit(self):
        made = row(self.kind, 0)
        for name, wrong in {
            "frame": np.zeros((9, 9), np.uint8),
            "note": bytes(LONG + 1),
            "text": "é" * LONG,
            "points": np.zeros((6, 3)),
        }.items():
            if name not in made:
                continue
            with pytest.raises(replay.FieldError, match=name):
                self.buffer.add(**{**made, name: wrong})
            with pytest.raises(replay.FieldError, match=name):
                self.buffer.extend(
                    **{**columns([made, made]), name: [made[name], wrong]},
                )

    @rule()
    def clear(self):
        self.buffer.clear()
        self.model.clear()

    @rule(which=st.integers(0, 1))
    def save(self, which):
        """Save to a file that is new, or that has an older state: by a journal."""
        self.buffer.save(self.folder / f"snapshot {which}")
        self.saved[which] = copy.deepcopy(self.model)

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def restore(self, data):
        which = data.draw(st.sampled_from(sorted(self.saved)))
        self.buffer.restore(self.folder / f"snapshot {which}")
        self.model = copy.deepcopy(self.saved[which])

    @precondition(lambda self: self.saved)
    @rule(data=st.data(), count=st.integers(0, 20))
    def load(self, data, count):
        """Go on with what was saved in a buffer of its own, beside."""
        which = data.draw(st.sampled_from(sorted(self.saved)))
        mine = self.buffer, self.model
        self.model = copy.deepcopy(self.saved[which])
        try:
            with replay.load(self.folder / f"snapshot {which}") as self.buffer:
                assert len(self.buffer) == len(self.model.live)
                self.sample(5, False)
                self.extend(count, 0, True)
                self.sample(5, False)
                self.repair()
        finally:
            self.buffer, self.model = mine

    @precondition(lambda self: self.where)
    @rule()
    def attach(self):
        if len(self.holders) < 3:
            self.holders.append(replay.attach(**self.where))

    @rule(which=st.integers(0, 2))
    def hand_over(self, which):
        self.buffer = self.holders[which % len(self.holders)]

    @rule()
    def repair(self):
        """Nothing is left to be corrected by those who are alive."""
        assert_at_rest(self.buffer)

    @invariant()
    def all_holders_see_what_the_model_says(self):
        if not self.holders:
            return
        model, live, buffer = self.model, self.model.live, self.buffer
        for holder in self.holders:
            assert len(holder) == len(live)
            assert holder.is_full == (len(live) == holder.capacity)
        slots = [model.slot(identity) for identity in live]
        words = buffer._ring.block.part("records")[:, 0]
        assert set(np.flatnonzero(words).tolist()) == set(slots)
        wanted = [model.number[identity] for identity in live]
        assert buffer.column("number")[slots].tolist() == wanted
        assert claimed(buffer) == model.bytes
        stats = buffer.stats()
        assert stats["evicted"] == model.evicted
        assert stats["room"] == model.room * len(model.rows)
        if model.sampler.prioritized:
            tree = buffer.priorities
            assert tree.verify() == 0
            priorities = np.zeros(buffer.capacity)
            priorities[slots] = [model.priority[identity] for identity in live]
            np.testing.assert_allclose(tree.priorities(), priorities, rtol=1e-9)
            assert (stats["updated"], stats["stale"]) == (model.updated, model.stale)


TestHeaps = HeapMachine.TestCase
TestHeaps.settings = settings(
    deadline=None, derandomize=True, max_examples=fewer(25, 8), stateful_step_count=fewer(40, 20)
)


# round trips

SHAPES = [(1,), (7,), (2, 3), (4, 1, 5)]


def bits(kind, size, chance):
    """Give so many elements of any bits that compress to nothing, to a little, or not at all."""
    width = np.dtype(kind).itemsize * size
    noise = chance.randbytes(width)
    period = chance.randrange(1, 30)
    made = chance.choice((bytes(width), noise, (noise[:period] * width)[:width]))
    array = np.frombuffer(made, np.uint8)
    if kind == "|b1":
        array = array & 1
    return array.view(kind)


def same_bits(mine, theirs):
    """Compare arrays in which not-a-numbers may be."""
    assert mine.dtype == theirs.dtype
    assert mine.shape == theirs.shape
    assert mine.tobytes() == theirs.tobytes()


@settings(max_examples=fewer(100, 30))
@given(
    kind=st.sampled_from(DTYPES),
    shape=st.sampled_from(SHAPES),
    ragged=st.booleans(),
    compression=st.sampled_from([None, "lz4"]),
    seed=st.integers(0, 1 << 30),
)
def test_rows_of_every_type_come_back_bit_by_bit(kind, shape, ragged, compression, seed):
    chance = random.Random(seed)
    longest = chance.randrange(1, 9)
    if ragged:
        field = Field(kind, (None, *shape[1:]), longest=longest, compression=compression)
    else:
        field = Field(kind, shape, compression="lz4")
    with replay.ReplayBuffer(20, {"x": field, "n": np.int64}, seed=0) as buffer:
        rows = []
        for _ in range(30):
            lengths = (0, longest, chance.randrange(longest + 1))
            lead = chance.choice(lengths) if ragged else shape[0]
            size = int(np.prod((lead, *shape[1:])))
            rows.append(bits(kind, size, chance).reshape(lead, *shape[1:]))
        for number in range(20):
            buffer.add(rows[number], number)
        buffer.extend(rows[20:] if ragged else np.array(rows[20:]), np.arange(20, 30))
        batch = buffer.sample(60)
        for got, number in zip(batch.x.tolist() if ragged else batch.x, batch.n, strict=True):
            same_bits(got, rows[number])
        if ragged:
            behind = np.arange(longest) >= batch.x.lengths[:, None]
            assert not batch.x.values[behind].tobytes().strip(b"\0")


@settings(max_examples=fewer(60, 20))
@given(
    texts=st.lists(st.text(max_size=12), min_size=1, max_size=8),
    compression=st.sampled_from([None, "lz4"]),
    flat=st.booleans(),
)
def test_text_comes_back(texts, compression, flat):
    field = Field(str, longest=48, compression=compression, flat=flat)
    with replay.ReplayBuffer(8, {"x": field}, seed=0) as buffer:
        buffer.add(texts[0])
        buffer.extend(texts[1:])
        batch = buffer.sample(50)
        assert batch.x.tolist() == [texts[number] for number in batch.ids]
        assert set(batch.x.tolist()) <= set(texts)


def test_each_field_of_a_row_may_be_the_one_that_reaches_over_the_rings_end():
    """It lies in one piece behind the end; those after it begin in front again."""
    fields = {name: Field(bytes, longest=30) for name in "abc"} | {"room": Field(bytes, room=1024)}
    over = set()
    with replay.ReplayBuffer(64, fields, seed=0) as buffer:
        room = buffer._ring.layout.room
        chance = random.Random(1)
        for _ in range(400):
            row = [chance.randbytes(chance.randrange(31)) for _ in "abc"]
            buffer.add(*row, chance.randbytes(chance.randrange(1024)))
            newest = len(buffer) and buffer.stats()["added"] - 1
            entries = entries_of(buffer, newest % 64)
            for name, (position, _, _, stored) in zip("abcd", entries, strict=True):
                if position % room + stored > room:
                    over.add(name)
            batch = buffer.sample(8)
            for place in np.flatnonzero(batch.ids == newest):
                assert [batch[name].tolist()[place] for name in "abc"] == row
    assert over >= set("ad")


def test_a_row_may_have_31_fields_in_the_heap_and_no_more():
    kinds = [Field(bytes, longest=9), Field(np.int16, (3, 4), compression="lz4")]
    fields = {f"f{number}": kinds[number % 2] for number in range(31)}
    with replay.ReplayBuffer(40, fields, seed=0) as buffer:
        rows = [
            {
                name: bytes([number]) * (number % 10)
                if n % 2 == 0
                else np.full((3, 4), number - n)
                for n, name in enumerate(fields)
            }
            for number in range(60)
        ]
        for made in rows[:30]:
            buffer.add(**made)
        buffer.extend(**columns(rows[30:]))
        batch = buffer.sample(50)
        for place, number in enumerate(batch.ids.tolist()):
            assert batch.f0.tolist()[place] == rows[number]["f0"]
            assert (batch.f1[place] == number - 1).all()
            assert (batch.f29[place] == number - 29).all()
            assert batch.f30.tolist()[place] == rows[number]["f30"]
    with pytest.raises(replay.InputError, match=r"32 compressed or ragged .* limits are 31"):
        replay.ReplayBuffer(40, fields | {"f31": bytes})


# every sampler

DRAWN_BY = {
    "uniform": replay.Uniform(),
    "distinct": replay.Uniform(replace=False),
    "batch": replay.Proportional(alpha=0.6, beta=0.4),
    "buffer": replay.Proportional(normalise="buffer"),
    "plain draws": replay.Proportional(normalise=None, stratified=False),
    "ranked": replay.Ranked(refresh=2),
    "recent": replay.Recent(eta=0.99, updates=10, smallest=5),
    "lifo": replay.Lifo(),
    "fifo": replay.Fifo(),
    "combined": replay.Combined(),
}


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("name", DRAWN_BY)
def test_no_sampler_draws_a_row_that_has_lost_its_bytes(name, streams):
    sampler = DRAWN_BY[name]
    chance = random.Random(name)
    given = []
    with replay.ReplayBuffer(
        20 * streams,
        KINDS["all"](1000 * streams) | PLAIN,
        sampler=sampler,
        streams=streams,
        seed=1,
    ) as buffer:
        ids = {}
        for turn in range(fewer(60, 25)):
            stream = chance.randrange(streams)
            numbers = range(1000 * turn, 1000 * turn + chance.randrange(1, 12))
            made = columns([row("all", number) for number in numbers])
            ids |= dict(zip(buffer.writer(stream).extend(**made).tolist(), numbers, strict=True))
            words = buffer._ring.block.part("records")[:, 0]
            slots = np.flatnonzero(words)
            live = set(((words[slots] >> 13) - 1) * streams + slots // 20)
            assert len(live) == len(buffer)
            left = live - set(given) if name == "fifo" else live
            count = len(live) if name in ("distinct", "lifo") else min(len(left), 4)
            if count == 0:
                continue
            batch = buffer.sample(count)
            drawn = batch.ids.tolist()
            assert set(drawn) <= left
            assert_batch("all", batch, [ids[identity] for identity in drawn])
            if name in ("distinct", "lifo", "fifo"):
                assert len(set(drawn)) == count
            if name == "lifo" and streams == 1:
                assert drawn == sorted(live, reverse=True)
            if name == "combined" and streams == 1:
                assert drawn[-1] == max(live)
            if name == "fifo":
                given += drawn
                assert streams > 1 or drawn == sorted(left)[:count]
            if sampler.prioritized:
                buffer.update_priorities(batch.ids, np.arange(1.0, count + 1))
                gone = sorted(set(ids) - live)
                assert buffer.update_priorities(gone, [9.0] * len(gone)) == 0
        stats = buffer.stats()
        assert stats["evicted"] > 10
        if name == "fifo":
            assert stats["unread"] == len(live - set(given))
            assert stats["lost"] == len(set(ids) - live - set(given))
        assert_at_rest(buffer)


@pytest.mark.skipif(not INTERPRETED, reason="kernels cannot be halted in the middle")
@pytest.mark.parametrize(("stored", "beside", "at"), [(1, 100, 1), (90, 70, 4)])
def test_a_writer_that_was_late_loses_no_rows(monkeypatch, stored, beside, at):
    """Its bytes would be younger than those of newer rows, and so would those of a batch."""
    enter, seen = walk_heap_put.writing_enter, []
    noise = np.random.default_rng(0).integers(0, 256, (240, 20), np.uint8)
    fields = {"x": Field(np.uint8, (20,), compression="lz4", room=20 * 60)}
    with replay.ReplayBuffer(1000, fields, seed=1) as buffer:

        def late(writing, writer):
            seen.append(writer)
            if len(seen) == at:
                # Another thread's, in the same stream.
                for row in noise[90 : 90 + beside]:
                    buffer.add(x=row)
            return enter(writing, writer)

        monkeypatch.setattr(walk_heap_put, "writing_enter", late)
        ids = buffer.extend(x=noise[:stored])
        assert set(ids[-59:].tolist()) <= draw_ids(buffer)
        for row in noise[200:]:
            newest = buffer.add(x=row)
        # 60 rows fit.
        assert 59 <= len(buffer) <= 60
        assert set(range(newest - 39, newest + 1)) <= draw_ids(buffer)
        assert buffer.repair().slots == 0
        buffer._ring.calls.rows_forget(buffer._ring.handle)
        assert 59 <= len(buffer) <= 60


def draw_ids(buffer):
    """Draw so often that each row comes."""
    return {identity for _ in range(40) for identity in buffer.sample(200).ids.tolist()}
