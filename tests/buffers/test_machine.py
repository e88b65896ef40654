"""
Every kind of buffer played against lists.

The model knows each row by its id, in lists of the newest rows of each stream, and what was done
to its priority. The machine adds, extends, samples, updates, clears, saves, restores, and hands
the buffer from one holder to another, in any order.
"""

import contextlib
import copy
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import replay
from replay.samplers.weighing import beta_line
from tests.homes import HOMES, SAMPLERS, WALKS, fewer, fresh_name, walking

FIELDS = {
    "obs": {"vector": (np.float32, (3,)), "image": (np.uint8, (17, 16))},
    "action": np.int64,
    "done": bool,
}


def rows(numbers):
    numbers = np.asarray(numbers, np.int64)
    image = (numbers[:, None, None] * 7 + np.arange(272).reshape(17, 16)) % 256
    vector = numbers[:, None] + np.array([0, 0.25, 0.5])
    obs = {"image": image.astype(np.uint8), "vector": vector.astype(np.float32)}
    return {"obs": obs, "action": numbers, "done": numbers % 3 == 0}


def row(number):
    made = rows([number])
    obs = {name: array[0] for name, array in made["obs"].items()}
    return {"obs": obs, "action": number, "done": bool(made["done"][0])}


class Model:
    """What a buffer should hold: plain lists and dicts."""

    def __init__(self, streams, length, sampler):
        self.sampler = sampler
        self.length = length
        self.tickets = [0] * streams
        self.rows = [[] for _ in range(streams)]
        self.number = {}
        self.priority = {}
        self.largest = 1.0
        self.stale = self.updated = self.batches = 0

    def add(self, stream, number):
        identity = self.tickets[stream] * len(self.rows) + stream
        self.tickets[stream] += 1
        self.rows[stream] = [*self.rows[stream], identity][-self.length :]
        self.number[identity] = number
        self.priority[identity] = self.largest
        return identity

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
    def given_out(self):
        return [
            ticket * len(self.rows) + stream
            for stream, count in enumerate(self.tickets)
            for ticket in range(count)
        ]

    def slot(self, identity):
        ticket, stream = divmod(identity, len(self.rows))
        return stream * self.length + ticket % self.length

    def leaves(self):
        alpha = self.sampler.alpha
        return {i: self.priority[i] ** alpha if self.priority[i] else 0.0 for i in self.live}

    def weights(self, ids):
        if not self.sampler.prioritized:
            return np.ones(len(ids))
        leaves = self.leaves()
        beta = beta_line(self.sampler.beta)(self.batches)
        mean = sum(leaves.values()) / len(leaves)
        weights = np.array([(leaves[identity] / mean) ** -beta for identity in ids])
        if self.sampler.normalise == "batch":
            weights /= weights.max()
        elif self.sampler.normalise == "buffer":
            weights /= (min(leaf for leaf in leaves.values() if leaf) / mean) ** -beta
        return weights


class BufferMachine(RuleBasedStateMachine):
    """A buffer, its model, and whoever else has it open."""

    snapshots = Bundle("snapshots")

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.numbers = 0

    @initialize(
        home=st.sampled_from(HOMES),
        kind=st.sampled_from(sorted(SAMPLERS)),
        walk=st.sampled_from(WALKS),
        length=st.integers(1, 9),
        streams=st.integers(1, 3),
    )
    def open(self, home, kind, walk, length, streams):
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.stack.enter_context(walking(walk))
        self.model = Model(streams, length, SAMPLERS[kind])
        self.where = {
            "private": {},
            "named": {"name": fresh_name()},
            "path": {"path": self.folder / "block"},
        }[home]
        self.holders = [
            replay.ReplayBuffer(
                length * streams,
                FIELDS,
                sampler=self.model.sampler,
                streams=streams,
                seed=0,
                **self.where,
            )
        ]
        self.stack.callback(lambda: [buffer.close() for buffer in self.holders])
        self.buffer = self.holders[0]
        self.spare = self.buffer if not self.where else None

    def teardown(self):
        self.stack.close()

    def take(self, count):
        self.numbers += count
        return list(range(self.numbers - count, self.numbers))

    @rule(by_name=st.booleans())
    def add(self, by_name):
        (number,) = self.take(1)
        made = row(number)
        got = self.buffer.add(**made) if by_name else self.buffer.add(*made.values())
        assert got == self.model.add(0, number)

    @rule(count=st.integers(0, 23), stream=st.integers(0, 2), by_name=st.booleans())
    def extend(self, count, stream, by_name):
        stream %= len(self.model.rows)
        writer = self.buffer.writer(stream)
        numbers = self.take(count)
        made = rows(numbers)
        got = writer.extend(**made) if by_name else writer.extend(*made.values())
        assert got.tolist() == [self.model.add(stream, number) for number in numbers]

    @rule(stream=st.integers(0, 2))
    def add_to_a_stream(self, stream):
        stream %= len(self.model.rows)
        (number,) = self.take(1)
        assert self.buffer.writer(stream).add(**row(number)) == self.model.add(stream, number)

    @rule(count=st.integers(1, 70), again=st.booleans())
    def sample(self, count, again):
        model = self.model
        drawable = set(model.live)
        if model.sampler.prioritized:
            drawable = {identity for identity in drawable if model.priority[identity] > 0}
        if not drawable:
            with pytest.raises(replay.EmptyError):
                self.buffer.sample(count)
            return
        batch = None
        for _ in range(1 + again):
            batch = self.buffer.sample(count, out=batch)
            ids = batch.ids.tolist()
            assert set(ids) <= drawable
            wanted = rows([model.number[identity] for identity in ids])
            for name in ("image", "vector"):
                assert (batch.obs[name] == wanted["obs"][name]).all()
            assert (batch.action == wanted["action"]).all()
            assert (batch.done == wanted["done"]).all()
            np.testing.assert_allclose(batch.weights, model.weights(ids), rtol=1e-5)
            model.batches += 1

    @precondition(lambda self: self.model.sampler.prioritized)
    @rule(data=st.data())
    def update(self, data):
        known = self.model.given_out
        if not known:
            return
        # The newest and the oldest alike, the same one several times, and the long overwritten.
        recent = known[-2 * self.model.length * len(self.model.rows) :]
        ids = data.draw(st.lists(st.sampled_from(recent), max_size=30))
        priorities = data.draw(
            st.lists(
                st.sampled_from([0.0, 0.001, 0.5, 1.0, 2.0, 50.0]),
                min_size=len(ids),
                max_size=len(ids),
            )
        )
        if data.draw(st.booleans()):
            applied = self.buffer.update_priorities(np.array(ids, np.int64), np.array(priorities))
        else:
            applied = self.buffer.update_priorities(ids, priorities)
        assert applied == self.model.update(ids, priorities)

    @precondition(lambda self: self.model.sampler.prioritized)
    @rule(ahead=st.integers(0, 3))
    def update_what_was_never_given_out(self, ahead):
        stream = ahead % len(self.model.rows)
        future = (self.model.tickets[stream] + ahead) * len(self.model.rows) + stream
        with pytest.raises(replay.InputError, match=str(future)):
            self.buffer.update_priorities(
                [*self.model.live, future], [9.0] * (len(self.model.live) + 1)
            )

    @rule()
    def add_what_does_not_fit(self):
        made = row(0)
        with pytest.raises(replay.FieldError):
            self.buffer.add(**{**made, "action": 1.5})
        with pytest.raises(replay.FieldError):
            self.buffer.extend(**{**rows([1, 2]), "done": [True]})

    @rule()
    def clear(self):
        self.buffer.clear()
        self.model.clear()

    @rule(target=snapshots)
    def save(self):
        path = self.folder / f"snapshot {self.numbers} {len(list(self.folder.iterdir()))}"
        self.buffer.save(path)
        return path, copy.deepcopy(self.model)

    @rule(snapshot=snapshots)
    def restore(self, snapshot):
        path, model = snapshot
        self.buffer.restore(path)
        self.model = copy.deepcopy(model)

    @precondition(lambda self: self.where)
    @rule()
    def attach(self):
        if len(self.holders) < 4:
            self.holders.append(replay.attach(**self.where))

    @precondition(lambda self: len(self.holders) > 1)
    @rule()
    def detach(self):
        holder = self.holders.pop()
        if self.buffer is holder:
            self.buffer = self.holders[0]
        holder.close()

    @rule(which=st.integers(0, 3))
    def hand_over(self, which):
        self.buffer = self.holders[which % len(self.holders)]

    @invariant()
    def all_holders_see_what_the_model_says(self):
        if not hasattr(self, "model"):
            return
        model, live = self.model, self.model.live
        for buffer in self.holders:
            assert len(buffer) == len(live)
            assert buffer.is_full == (len(live) == buffer.capacity)
        slots = [model.slot(identity) for identity in live]
        assert len(set(slots)) == len(slots)
        wanted = [model.number[identity] for identity in live]
        assert self.buffer.column("action")[slots].tolist() == wanted
        image = self.buffer.column("obs/image")[slots]
        assert (image == rows(wanted)["obs"]["image"]).all()
        if model.sampler.prioritized:
            tree = self.buffer.priorities
            assert tree.verify() == 0
            priorities = np.zeros(self.buffer.capacity)
            priorities[slots] = [model.priority[identity] for identity in live]
            np.testing.assert_allclose(tree.priorities(), priorities, rtol=1e-9)
            stats = self.buffer.stats()
            assert (stats["updated"], stats["stale"]) == (model.updated, model.stale)


TestBuffers = BufferMachine.TestCase
TestBuffers.settings = settings(
    deadline=None, derandomize=True, max_examples=fewer(120, 25), stateful_step_count=fewer(40, 25)
)
