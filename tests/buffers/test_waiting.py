"""
Waiting for rows and for the rate limiter: in every home, by both walks, to the very timeout.

Naps are taken by a clock of the tests, so that nothing here depends on how fast the machine is.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels.codes import HELD_BACK
from kernels.ring import ring_commit, ring_take
from replay.buffers import reader
from replay.memory.calls import LONG
from replay.memory.waiting import Waiting
from tests import naive
from tests.buffers.errands import FIELDS as NUMBERS
from tests.buffers.errands import checked
from tests.clock import ticking
from tests.homes import (
    FIELDS,
    HOMES,
    SAMPLERS,
    WALKS,
    assert_rows,
    fewer,
    home_of,
    opened,
    refused,
    row,
    rows,
    walking,
)

KINDS = ("uniform", "batch")


@pytest.fixture
def clock():
    with ticking() as clock:
        yield clock


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


@pytest.fixture(params=HOMES)
def home(request):
    return request.param


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def buffer(walk, home, kind, clock):
    with opened(home, 10, FIELDS, sampler=SAMPLERS[kind], seed=1) as buffer:
        yield buffer


@pytest.fixture
def limited(walk, home, kind, clock):
    """Hold a buffer that takes 4 rows before the first sample, and then one row for two drawn."""
    limiter = replay.RateLimiter(2, min_size=4, tolerance=3, timeout=1)
    with opened(home, 10, FIELDS, sampler=SAMPLERS[kind], limiter=limiter, seed=1) as buffer:
        yield buffer


def balance(buffer):
    return buffer.stats()["balance"]


# without a limiter


def test_sampling_an_empty_buffer_without_a_timeout_is_an_error_at_once(buffer, clock):
    with refused(buffer, replay.EmptyError, "empty"):
        buffer.sample(3)
    assert clock.naps == []


def test_a_timeout_is_an_error_that_says_what_was_waited_for(buffer, clock):
    with refused(buffer, replay.WaitTimeoutError, "2.5 s", "empty") as _:
        buffer.sample(3, timeout=2.5)
    assert clock.now == pytest.approx(2.5)
    with pytest.raises(TimeoutError):
        buffer.sample(3, timeout=0)
    with pytest.raises(replay.EmptyError, match="add rows before the first sample"):
        buffer.sample(3)


def test_a_sample_waits_for_the_first_row(buffer, clock):
    clock.at(1.0, lambda: buffer.add(**row(7)))
    batch = buffer.sample(3, timeout=5)
    assert 1.0 <= clock.now < 1.2
    assert batch.ids.tolist() == [0] * 3
    assert_rows(batch, [7] * 3)
    buffer.clear()
    clock.at(clock.now + 1.0, lambda: buffer.add(**row(8)))
    assert buffer.sample(out=batch, timeout=math.inf) is batch
    assert_rows(batch, [8] * 3)
    assert buffer.stats()["batches"] == 2


def test_what_is_there_is_given_without_a_nap(buffer, clock):
    buffer.add(**row(7))
    for timeout in (0, 3, np.float32(1.5), math.inf, None):
        assert_rows(buffer.sample(3, timeout=timeout), [7] * 3)
    assert clock.naps == []


def test_a_timeout_changes_no_draw(walk, clock):
    for kind in SAMPLERS:
        drawn = []
        for timeout in (None, 5):
            with opened("private", 10, FIELDS, sampler=SAMPLERS[kind], seed=3) as buffer:
                for _ in range(2):
                    with pytest.raises((replay.EmptyError, replay.WaitTimeoutError)):
                        buffer.sample(5, timeout=timeout)
                buffer.extend(**rows(range(10)))
                drawn.append([buffer.sample(5, timeout=timeout).ids.tolist() for _ in range(4)])
        assert drawn[0] == drawn[1]


def test_a_long_batch_waits_too(walk, clock):
    with opened("private", 10, NUMBERS, seed=0) as buffer:
        count = LONG // buffer._row_bytes + 2
        clock.at(1.0, lambda: buffer.extend(**checked(range(5))))
        assert set(buffer.sample(count, timeout=5).number.tolist()) == set(range(5))


def test_rows_of_priority_zero_are_an_error_at_once_or_waited_for(walk, home, clock):
    with opened(home, 10, FIELDS, sampler=replay.Proportional(), seed=1) as buffer:
        buffer.extend(**rows(range(3)))
        buffer.update_priorities([0, 1, 2], [0, 0, 0])
        with pytest.raises(replay.EmptyError, match="priority 0"):
            buffer.sample(2)
        with pytest.raises(replay.WaitTimeoutError, match=r"1 s: every stored row has priority 0"):
            buffer.sample(2, timeout=1)
        clock.at(2.0, lambda: buffer.update_priorities([1], [0.5]))
        assert buffer.sample(2, timeout=5).ids.tolist() == [1, 1]


def test_a_row_that_a_stopped_writer_holds_is_waited_for(walk, home, kind, clock, monkeypatch):
    monkeypatch.setattr(reader, "_TRIES", 3)
    with opened(home, 1, FIELDS, sampler=SAMPLERS[kind], seed=1) as buffer:
        buffer.add(**row(7))
        records = buffer._ring.block.part("records")
        word = int(records[0, 0])
        assert ring_take(records, 0, 1, buffer._ring.members.number)
        with pytest.raises(replay.EmptyError, match="no whole row"):
            buffer.sample(2)
        with pytest.raises(replay.WaitTimeoutError, match=r"2 s: no whole row"):
            buffer.sample(2, timeout=2)
        clock.at(3.0, lambda: ring_commit(records, 0, 1))
        assert buffer.sample(2, timeout=5).ids.tolist() == [1, 1]
        records[0, 0] = word


WRONG = [-1, -1e-9, math.nan, True, "1", [1]]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_bad_timeout_is_refused_also_where_there_are_rows(wrong, walk):
    limiter = replay.RateLimiter(1)
    for options in ({}, {"limiter": limiter}):
        for fields in (FIELDS, None):
            with opened("private", 10, fields, **options) as buffer:
                for _ in range(2):
                    with pytest.raises(replay.InputError, match="timeout is"):
                        buffer.sample(1, timeout=wrong)
                    with pytest.raises(replay.InputError, match="timeout is"):
                        buffer.wait(1, timeout=wrong)
                    buffer.add(**row(1))


@pytest.mark.parametrize("size", [0, -3, 2.0, "2", None, True, [2]], ids=repr)
def test_a_bad_batch_size_is_refused_and_not_waited_for(size, limited, clock):
    limited.extend(**rows(range(4)))
    with refused(limited, replay.InputError, "batch_size"):
        limited.sample(size, timeout=5)
    with (
        replay.ReplayBuffer(10, limiter=replay.RateLimiter(1)) as buffer,
        pytest.raises(replay.InputError, match="batch_size"),
    ):
        buffer.sample(size)
    assert clock.naps == []


# wait


def test_wait_says_whether_the_rows_came(buffer, clock):
    assert buffer.wait(timeout=0) is False
    assert clock.naps == []
    assert buffer.wait(2, timeout=1.5) is False
    assert clock.now == pytest.approx(1.5)
    clock.at(2.0, lambda: buffer.add(**row(0)))
    clock.at(3.0, lambda: buffer.extend(**rows(range(5))))
    assert buffer.wait() is True
    assert 2.0 <= clock.now < 2.1
    assert buffer.wait(size=np.int8(6), timeout=5) is True
    assert 3.0 <= clock.now < 3.2
    clock.naps.clear()
    assert all(buffer.wait(size, timeout=0) for size in range(1, 7))
    assert clock.naps == []


@pytest.mark.parametrize("size", [0, -1, 11, 1.0, "1", None, True], ids=repr)
def test_wait_refuses_what_can_never_be(size, clock):
    for fields in (FIELDS, None):
        with opened("private", 10, fields) as buffer:
            with pytest.raises(replay.InputError, match="size is"):
                buffer.wait(size)
            assert clock.naps == []


def test_a_buffer_whose_fields_are_not_known_is_waited_for(walk, home, kind, clock):
    for limiter in (None, replay.RateLimiter(2, min_size=2)):
        clock.now = 0.0
        with opened(home, 10, sampler=SAMPLERS[kind], limiter=limiter, seed=1) as buffer:
            assert buffer.wait(timeout=1) is False
            with pytest.raises(replay.WaitTimeoutError, match=r"1 s: no row was added yet"):
                buffer.sample(3, timeout=1)
            with pytest.raises(replay.WaitTimeoutError, match="no row was added yet"):
                buffer.sample(3, out=(np.zeros(3),), timeout=0)
            if limiter is None:
                with pytest.raises(replay.EmptyError):
                    buffer.sample(3)
                with pytest.raises(replay.EmptyError):
                    buffer.sample(3, out=(np.zeros(3),))
            clock.at(3.0, lambda buffer=buffer: buffer.add(**row(5)))
            timeout = 10
            if limiter is not None:
                clock.at(4.0, lambda buffer=buffer: buffer.add(**row(5)))
                timeout = None
            batch = buffer.sample(3, timeout=timeout)
            assert (4 if limiter else 3) <= clock.now < 5
            assert_rows(batch, [5] * 3)
            assert buffer.wait(1)


# ends


def uses(buffer, writer):
    """Name what waits in a buffer whose limiter holds back both an add and a sample."""
    return {
        "sample": lambda: buffer.sample(2, timeout=9),
        "add": lambda: buffer.add(**row(1)),
        "extend": lambda: buffer.extend(**rows([1, 2])),
        "odd row": lambda: buffer.add(**{**row(1), "obs": [1, 2, 3]}),
        "writer": lambda: writer.add(**row(1)),
        "writer's rows": lambda: writer.extend(**rows([1, 2])),
        "wait": lambda: buffer.wait(10),
    }


@pytest.mark.parametrize("use", uses(None, None))
def test_closing_ends_every_wait(use, walk, home, kind, clock):
    limiter = replay.RateLimiter(2, min_size=4, tolerance=3)
    with opened(home, 10, FIELDS, sampler=SAMPLERS[kind], limiter=limiter) as buffer:
        writer = buffer.writer(0)
        if use != "sample":
            buffer.extend(**rows(range(6)))
        clock.at(2.0, buffer.close)
        with pytest.raises(replay.ClosedError):
            uses(buffer, writer)[use]()
        assert 2.0 <= clock.now < 2.3


def test_closing_ends_a_wait_for_the_fields(clock):
    for use in (lambda b: b.wait(), lambda b: b.sample(1, timeout=9)):
        buffer = replay.ReplayBuffer(10)
        clock.at(clock.now + 2.0, buffer.close)
        with pytest.raises(replay.ClosedError):
            use(buffer)


@pytest.mark.parametrize("use", uses(None, None))
def test_an_interrupt_ends_every_wait_and_changes_nothing(use, walk, clock):
    def interrupt():
        raise KeyboardInterrupt

    limiter = replay.RateLimiter(2, min_size=4, tolerance=3)
    with opened("private", 10, FIELDS, limiter=limiter) as buffer:
        writer = buffer.writer(0)
        if use != "sample":
            buffer.extend(**rows(range(6)))
        before = buffer.stats()
        clock.at(2.0, interrupt)
        with pytest.raises(KeyboardInterrupt):
            uses(buffer, writer)[use]()
        assert buffer.stats()["balance"] == before["balance"]
        assert len(buffer) == before["size"]


# with a limiter


def test_a_limiter_holds_samples_back_until_there_are_rows(limited, clock):
    limited.extend(**rows(range(3)))
    with refused(limited, replay.WaitTimeoutError, "0.5 s", "3 rows are stored, samples need 4"):
        limited.sample(2, timeout=0.5)
    clock.at(1.0, lambda: limited.add(**row(3)))
    batch = limited.sample(2)
    assert 1.0 <= clock.now < 1.2
    assert_rows(batch, batch.ids)
    assert balance(limited) == 4 * 2 - 2


def test_a_limiter_holds_samples_back_that_get_ahead(limited, clock):
    limited.extend(**rows(range(4)))
    # 8 rows in the middle, 3 below it at most: from 6 on a sample may begin.
    for left in (7, 6, 5):
        assert_rows(batch := limited.sample(1), batch.ids)
        assert balance(limited) == left
    with refused(limited, replay.WaitTimeoutError, "balance is 5", "a sample from 6 on"):
        limited.sample(1, timeout=1)
    clock.at(5.0, lambda: limited.add(**row(4)))
    limited.sample(64)
    assert clock.now >= 5.0
    assert balance(limited) == 5 + 2 - 64
    # The whole batch was taken at once: so many adds may now begin.
    limited.extend(**rows(range(30)))
    assert balance(limited) == 3
    assert limited.stats()["sampled"] == 67


def test_a_limiter_holds_adds_back_that_get_ahead(limited, clock):
    limited.extend(**rows(range(4)))
    # 11 at most: up to 9 an add may begin.
    limited.add(**row(4))
    with refused(
        limited, replay.WaitTimeoutError, "held back for 1 s", "an add may begin up to 9"
    ):
        limited.add(**row(5))
    with refused(limited, replay.WaitTimeoutError, "balance is 10"):
        limited.extend(**rows([5, 6, 7]))
    with refused(limited, replay.WaitTimeoutError, "5 rows are stored"):
        limited.writer(0).add(*row(5).values())
    clock.at(clock.now + 0.5, lambda: limited.sample(1))
    began = clock.now
    assert limited.add(**row(5)) == 5
    assert 0.5 <= clock.now - began < 0.6
    clock.at(clock.now + 0.5, lambda: limited.sample(2))
    assert limited.extend(**rows(range(6, 10))).tolist() == [6, 7, 8, 9]
    assert balance(limited) == 10 - 1 + 2 - 2 + 8


def test_rows_that_want_converting_are_held_back_as_others_are(limited, clock):
    limited.extend(**rows(range(5)))
    odd = {**row(5), "obs": [5, 5.25, 5.5]}
    with refused(limited, replay.WaitTimeoutError, "held back"):
        limited.add(**odd)
    clock.at(clock.now + 0.5, lambda: limited.sample(1))
    assert limited.add(**odd) == 5
    many = {name: array.tolist() for name, array in rows([6, 7]).items()}
    with refused(limited, replay.WaitTimeoutError, "held back"):
        limited.extend(**many)
    clock.at(clock.now + 0.5, lambda: limited.sample(2))
    assert limited.extend(**many).tolist() == [6, 7]
    assert_rows(batch := limited.sample(1), batch.ids)


def test_nested_rows_are_held_back_as_others_are(walk, home, clock):
    fields = {"obs": {"a": np.float32, "b": (np.int64, (2,))}}
    limiter = replay.RateLimiter(1, timeout=1)
    with opened(home, 10, fields, limiter=limiter) as buffer:
        one = {"a": np.float32(1), "b": np.array([1, 2])}
        several = {"a": np.ones(3, np.float32), "b": np.ones((3, 2), np.int64)}
        assert buffer.add(obs=one) == 0
        assert buffer.extend(obs=several).tolist() == [1, 2, 3]
        for add in (lambda: buffer.add(obs=one), lambda: buffer.extend(obs=several)):
            with refused(buffer, replay.WaitTimeoutError, "balance is 4"):
                add()
        clock.at(clock.now + 0.5, lambda: buffer.sample(3))
        assert buffer.extend(obs=several).tolist() == [4, 5, 6]
        assert balance(buffer) == 4


def test_long_batches_are_held_back_as_others_are(walk, clock):
    limiter = replay.RateLimiter(1, timeout=1)
    with opened("private", 10, NUMBERS, limiter=limiter, seed=0) as buffer:
        count = LONG // buffer._row_bytes + 2
        assert buffer.extend(**checked(range(count))).size == count
        with refused(buffer, replay.WaitTimeoutError, "held back"):
            buffer.extend(**checked(range(count)))
        clock.at(clock.now + 0.5, lambda: buffer.sample(count))
        assert buffer.extend(**checked(range(count))).size == count
        buffer.sample(count)
        assert balance(buffer) == 0
        clock.at(clock.now + 0.5, lambda: buffer.add(**{k: v[0] for k, v in checked([1]).items()}))
        buffer.sample(count)
        assert balance(buffer) == 1 - count


def test_what_does_not_fit_is_refused_and_not_counted(limited, clock):
    limited.extend(**rows(range(5)))
    for wrong in ({"action": 0.5}, {"obs": np.zeros(4)}, {"done": "yes"}):
        with refused(limited, replay.FieldError):
            limited.add(**{**row(1), **wrong})
    with refused(limited, replay.FieldError):
        limited.extend(**{**rows([1, 2]), "action": [1]})
    assert limited.extend(**rows([])).tolist() == []
    assert clock.naps == []


def test_rows_that_find_no_slot_are_not_counted(walk, home, monkeypatch):
    from kernels import walk_add

    limiter = replay.RateLimiter(2, min_size=1, tolerance=100)
    with opened(home, 2, FIELDS, limiter=limiter) as buffer:
        records = buffer._ring.block.part("records")
        for slot in range(2):
            # A writer of this process, which lives: nobody frees its slots.
            assert ring_take(records, slot, slot, buffer._ring.members.number)
        monkeypatch.setattr(walk_add, "PATIENCE", 1 << 10)
        for add in (lambda: buffer.add(**row(1)), lambda: buffer.extend(**rows([1, 2, 3]))):
            with pytest.raises(replay.JammedError):
                add()
            assert balance(buffer) == 0
        records[1, 0] = 0
        buffer.add(**row(1))
        assert balance(buffer) == 2


def test_a_batch_that_cannot_be_drawn_is_not_counted(walk, home, clock, monkeypatch):
    monkeypatch.setattr(reader, "_TRIES", 3)
    limiter = replay.RateLimiter(2, min_size=1, tolerance=100)
    for kind in KINDS:
        with opened(home, 2, FIELDS, sampler=SAMPLERS[kind], limiter=limiter, seed=1) as buffer:
            buffer.extend(**rows([0, 1]))
            if kind != "uniform":
                buffer.update_priorities([0, 1], [0, 0])
                # Adds may be held back for as long as nothing is drawn: to wait could be for ever.
                with pytest.raises(replay.EmptyError, match="priority 0"):
                    buffer.sample(8)
                with pytest.raises(replay.WaitTimeoutError, match=r"priority 0: .*balance is 4"):
                    buffer.sample(8, timeout=1)
                assert balance(buffer) == 4
                buffer.update_priorities([0, 1], [1, 1])
            records = buffer._ring.block.part("records")
            for slot in range(2):
                assert ring_take(records, slot, 2 + slot, buffer._ring.members.number)
            with pytest.raises(replay.WaitTimeoutError, match="no whole row"):
                buffer.sample(8, timeout=1)
            assert balance(buffer) == 4
            for slot in range(2):
                clock.at(
                    clock.now + 1,
                    lambda slot=slot, records=records: ring_commit(records, slot, 2 + slot),
                )
            buffer.sample(8)
            assert balance(buffer) == 4 - 8


def test_a_draw_that_finds_no_leaf_is_not_counted(walk, clock):
    sampler = SAMPLERS["batch"]
    limiter = replay.RateLimiter(2)
    with opened("private", 10, FIELDS, sampler=sampler, limiter=limiter, seed=1) as buffer:
        buffer.add(**row(0))
        # As if another learner zeroed every leaf between a look at the root and the draw.
        buffer._ring.block.part("tree")[1:] = 0
        with pytest.raises(replay.EmptyError, match="priority 0"):
            buffer.sample(1)
        assert balance(buffer) == 2


def test_rows_that_are_drawn_again_count_once(walk, kind, clock):
    limiter = replay.RateLimiter(2, min_size=1, tolerance=1000)
    with opened("private", 8, FIELDS, sampler=SAMPLERS[kind], limiter=limiter, seed=1) as buffer:
        buffer.extend(**rows(range(8)))
        records = buffer._ring.block.part("records")
        assert ring_take(records, 3, 11, buffer._ring.members.number)
        batch = buffer.sample(100)
        assert 3 not in batch.ids.tolist()
        assert buffer.stats()["redrawn"]
        assert balance(buffer) == 16 - 100
        ring_commit(records, 3, 11)


def test_a_limiter_changes_no_draw(walk, kind, clock):
    drawn = []
    for limiter in (None, replay.RateLimiter(2, min_size=4, tolerance=3)):
        sampler = SAMPLERS[kind]
        with opened("private", 10, FIELDS, sampler=sampler, limiter=limiter, seed=5) as buffer:
            buffer.extend(**rows(range(4)))
            ids = []
            for number in range(4, 12):
                ids.append(buffer.sample(4).ids.tolist())
                if limiter:
                    with pytest.raises(replay.WaitTimeoutError):
                        buffer.sample(4, timeout=0)
                buffer.add(**row(number))
                buffer.add(**row(number))
            drawn.append(ids)
    assert drawn[0] == drawn[1]


@settings(deadline=None, max_examples=fewer(60, 15), derandomize=True)
@given(
    st.sampled_from(WALKS),
    st.sampled_from(KINDS),
    st.sampled_from([(4, 1), (1, 1), (1, 3), (3, 2)]),
    st.integers(0, 20),
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("aaeesscr"), st.integers(1, 9)), max_size=50),
)
def test_a_limited_buffer_does_what_the_rules_say(walk, kind, ratio, more, least, steps):
    ratio = naive.Fraction(*ratio)
    tolerance = max(ratio, 1) + more
    twin = naive.Limiter(ratio, least, tolerance)
    limiter = replay.RateLimiter(float(ratio), least, float(tolerance), timeout=0)
    sampler = SAMPLERS[kind]
    fields = {"a": np.int64}
    with (
        walking(walk),
        home_of("path") as place,
        opened("private", 6, fields, sampler=sampler, limiter=limiter, seed=0) as buffer,
    ):
        for step, count in steps:
            stored = len(buffer)
            try:
                if step == "a":
                    wanted = twin.add(stored, 1)
                    buffer.add(count)
                elif step == "e":
                    wanted = twin.add(stored, count)
                    buffer.extend(np.arange(count))
                elif step == "s":
                    wanted = twin.sample(stored, count)
                    buffer.sample(count, timeout=0)
                elif step == "c":
                    wanted = True
                    twin.begin(0)
                    buffer.clear()
                else:
                    wanted = True
                    twin.begin(stored)
                    buffer.save(place["path"])
                    buffer.restore(place["path"])
            except replay.WaitTimeoutError:
                assert not wanted
            else:
                assert wanted
            assert balance(buffer) == pytest.approx(float(twin.balance), abs=1e-9)
            assert twin.may_add(len(buffer)) or twin.may_sample(len(buffer))


# attaching, saving, clearing


def test_a_limiter_is_part_of_the_buffer(limited, home, clock, tmp_path):
    assert limited.limiter == replay.RateLimiter(2, 4, 3, 1)
    limited.extend(**rows(range(5)))
    limited.save(tmp_path / "saved")
    if home != "private":
        place = {"name": limited.name} if home == "named" else {"path": limited.path}
        with replay.attach(**place) as other:
            assert other.limiter == limited.limiter
            with refused(other, replay.WaitTimeoutError, "held back"):
                other.add(**row(5))
            other.sample(1)
        assert limited.add(**row(5)) == 5
    with replay.load(tmp_path / "saved") as loaded:
        assert loaded.limiter == limited.limiter
    with replay.ReplayBuffer(10, FIELDS) as free, pytest.raises(replay.BlockFormatError):
        free.restore(tmp_path / "saved")


def test_a_buffer_without_a_limiter_has_none(buffer):
    assert buffer.limiter is None
    assert "balance" not in buffer.stats()


@pytest.mark.parametrize("wrong", [4, "4", {"samples_per_insert": 4}, replay.RateLimiter])
def test_a_limiter_must_be_one(wrong):
    with pytest.raises(replay.InputError, match=r"must be a replay\.RateLimiter"):
        replay.ReplayBuffer(10, FIELDS, limiter=wrong)


def test_a_limiter_that_can_never_be_satisfied_is_refused():
    for fields in (FIELDS, None):
        with pytest.raises(replay.InputError, match="min_size is 11, the buffer keeps 10 rows"):
            replay.ReplayBuffer(10, fields, limiter=replay.RateLimiter(1, min_size=11))


def test_a_hostile_limiter_in_a_header_is_refused(monkeypatch, tmp_path):
    limiter = replay.RateLimiter(2, min_size=4)
    hostile = {**limiter.to_json(), "min_size": 5}
    monkeypatch.setattr(replay.RateLimiter, "check", lambda self, capacity: None)
    with replay.ReplayBuffer(4, FIELDS, path=tmp_path / "block", limiter=limiter):
        pass
    monkeypatch.setattr(replay.RateLimiter, "to_json", lambda self: hostile)
    limiter = replay.RateLimiter(2, min_size=5)
    with replay.ReplayBuffer(4, FIELDS, path=tmp_path / "hostile", limiter=limiter) as buffer:
        buffer.save(tmp_path / "saved")
    monkeypatch.undo()
    replay.attach(path=tmp_path / "block").close()
    with pytest.raises(replay.BlockFormatError, match="min_size is 5"):
        replay.attach(path=tmp_path / "hostile")
    with pytest.raises(replay.BlockFormatError, match="min_size is 5"):
        replay.load(tmp_path / "saved")


@pytest.mark.parametrize("ahead", ["actors", "learners"])
def test_restoring_does_not_restore_what_held_back(ahead, limited, clock, tmp_path):
    limited.extend(**rows(range(4)))
    if ahead == "actors":
        limited.extend(**rows(range(4, 60)))
    else:
        limited.sample(1000)
    limited.save(tmp_path / "saved")
    limited.restore(tmp_path / "saved")
    with replay.load(tmp_path / "saved") as loaded:
        for buffer in (limited, loaded):
            assert balance(buffer) == 8
            buffer.sample(1, timeout=0)
            buffer.add(**row(3))
            buffer.sample(1, timeout=0)
    assert clock.naps == []


def test_a_snapshot_of_few_rows_waits_for_the_others(limited, clock, tmp_path):
    limited.extend(**rows(range(3)))
    limited.save(tmp_path / "saved")
    limited.extend(**rows(range(30)))
    limited.restore(tmp_path / "saved")
    assert balance(limited) == 6
    with pytest.raises(replay.WaitTimeoutError):
        limited.sample(1, timeout=1)
    limited.add(**row(3))
    limited.sample(1, timeout=0)
    assert balance(limited) == 7


def test_clearing_begins_anew(limited, clock):
    limited.extend(**rows(range(4)))
    for ahead in (lambda: limited.sample(1000), lambda: limited.extend(**rows(range(1000)))):
        ahead()
        limited.clear()
        assert balance(limited) == 0
        with pytest.raises(replay.WaitTimeoutError):
            limited.sample(1, timeout=1)
        for number in range(4):
            limited.add(**row(number))
        assert balance(limited) == 8
        limited.sample(2, timeout=0)
        limited.add(**row(1))


def test_a_kernel_that_is_held_back_says_so():
    limiter = replay.RateLimiter(2, min_size=4)
    with opened("private", 10, {"a": np.int64}, limiter=limiter) as buffer:
        buffer.extend(np.arange(50))
        ring = buffer._ring
        assert ring.calls.insert_claim(ring.handle, 1) == HELD_BACK
        assert ring.calls.claims_back(ring.handle, 50, 0) == 0
        assert ring.calls.insert_claim(ring.handle, 3) == 3


# threads


@pytest.mark.compiled
@pytest.mark.parametrize("ratio", [4, 0.25])
def test_an_actor_and_a_learner_that_run_free_keep_the_ratio(home, kind, ratio):
    added, tolerance, batch = 600, max(8, ratio), 3
    limiter = replay.RateLimiter(ratio, min_size=50, tolerance=tolerance)
    with opened(home, 100, FIELDS, sampler=SAMPLERS[kind], limiter=limiter, seed=0) as buffer:
        done = threading.Event()

        def act():
            for number in range(added):
                buffer.add(**row(number))
            done.set()

        def learn():
            drawn = 0
            while not done.is_set():
                try:
                    assert_rows(got := buffer.sample(batch, timeout=0.01), got.action)
                except replay.WaitTimeoutError:
                    continue
                drawn += batch
            return drawn

        _, drawn = naive.together(act, learn)
        assert buffer.stats()["sampled"] == drawn
        middle = 50 * ratio
        assert middle - tolerance - batch < added * ratio - drawn <= middle + tolerance
        assert balance(buffer) == added * ratio - drawn


@pytest.mark.compiled
def test_closing_in_another_thread_ends_a_wait():
    limiter = replay.RateLimiter(2, min_size=4)
    for held in ("sample", "add", "wait"):
        with opened("named", 10, FIELDS, limiter=limiter) as buffer:
            if held == "add":
                buffer.extend(**rows(range(50)))
            begun = threading.Event()

            held_back = uses(buffer, buffer.writer(0))[held]

            def use(held_back=held_back, begun=begun):
                begun.set()
                with pytest.raises(replay.ClosedError):
                    held_back()

            def close(buffer=buffer, begun=begun):
                begun.wait()
                buffer.close()

            naive.together(use, close)


# processes

PROCESS = """
import os, sys
import numpy as np
import replay
from kernels import faults
from tests.homes import row, rows, walking

name, role, point, visit, walk = sys.argv[1:]
with walking(walk), replay.attach(name) as buffer:
    if point:
        faults.arm(point, int(visit))
    number = 0
    while True:
        try:
            if role == "actor":
                buffer.add(**row(number))
            elif role == "actor of many":
                buffer.extend(**rows(range(number, number + 3)))
            else:
                buffer.sample(3, timeout=20)
        except (replay.ClosedError, replay.WaitTimeoutError, replay.OwnerGoneWarning):
            break
        number += 1
"""


def started(name, role, point="", visit=0, walk="object"):
    """Start an actor or a learner, which goes on for ever, or until it is killed at a point."""
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, name, role, point, str(visit), walk],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "REPLAY_FAULTS": "1"},
    )


def ended(child):
    try:
        return child.wait(timeout=100)
    finally:
        child.kill()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("role", "point", "visit", "most"),
    [
        ("actor", "ADMITTED", 3, 4),
        ("actor", "CLAIMED", 3, 4),
        ("actor", "TAKEN", 3, 4),
        ("actor", "COPIED", 4, 4),
        ("actor", "COMMITTED", 2, 4),
        ("actor of many", "ADMITTED", 1, 12),
        ("actor of many", "COPIED", 2, 12),
        ("learner", "ADMITTED", 1, 3),
    ],
)
@pytest.mark.parametrize("walk", WALKS)
def test_nobody_waits_for_the_dead(role, point, visit, most, walk):
    ratio, least, tolerance = 4, 5, 6
    limiter = replay.RateLimiter(ratio, least, tolerance, timeout=60)
    with opened("named", 12, FIELDS, limiter=limiter, seed=0) as buffer:
        if role == "learner":
            buffer.extend(**rows(range(least)))
        child = started(buffer.name, role, point, visit, walk)
        assert ended(child) == -signal.SIGKILL
        # The one that died has moved the balance by the operation that it was in, at most: the
        # rest is true of what is stored, added and drawn.
        buffer.repair()
        stats = buffer.stats()
        assert abs(stats["balance"] - (stats["added"] * ratio - stats["sampled"])) <= most
        added = drawn = 0
        while min(added, drawn / ratio) < 60:
            before = added, drawn
            with contextlib.suppress(replay.WaitTimeoutError):
                buffer.sample(2, timeout=0)
                drawn += 2
            if buffer._object_add(buffer._handle, tuple(row(added).values())) != HELD_BACK:
                added += 1
            assert (added, drawn) != before, "an add and a sample are both held back"
        # From then on the ratio holds as if nobody had died.
        middle = ratio * least
        assert middle - tolerance - 2 <= balance(buffer) <= middle + tolerance


@pytest.mark.compiled
@pytest.mark.processes
def test_processes_that_run_free_keep_the_ratio_though_one_is_killed():
    limiter = replay.RateLimiter(4, min_size=20, tolerance=10)
    with opened("named", 50, FIELDS, limiter=limiter, seed=0) as buffer:
        living = [started(buffer.name, role) for role in ("actor", "actor", "learner")]
        try:
            for role, point in (("actor", "COPIED"), ("learner", "ADMITTED")):
                assert ended(started(buffer.name, role, point, 20)) == -signal.SIGKILL
            # Those that live go on: so many rows more, and each of them drawn four times.
            goal = buffer.stats()["added"] + 300
            patience = Waiting(60)
            while buffer.stats()["added"] < goal:
                assert patience.nap(), "the others wait for the dead"
        finally:
            for child in living:
                child.kill()
                child.wait()
        stats = buffer.stats()
        # Five were in the middle of an operation when they were killed, at most.
        counted = stats["added"] * 4 - stats["sampled"]
        assert abs(stats["balance"] - counted) <= 3 * 4 + 2 * 3
        assert 80 - 10 - 3 <= stats["balance"] <= 80 + 10


@pytest.mark.parametrize(
    ("held", "point", "freed"),
    [("wait", "TAKEN", 1), ("sample", "ADMITTED", 0), ("add", "TAKEN", 1)],
)
def test_a_wait_looks_after_the_dead(held, point, freed, clock):
    limiter = None if held == "wait" else replay.RateLimiter(1, timeout=1)
    with opened("named", 10, FIELDS, limiter=limiter, seed=0) as buffer:
        child = started(buffer.name, "actor", point, 1)
        assert ended(child) == -signal.SIGKILL
        if held == "add":
            buffer.extend(**rows(range(3)))
        assert buffer.stats()["repairs"] == 0
        if held == "wait":
            assert not buffer.wait(4, timeout=1)
        else:
            with pytest.raises(replay.WaitTimeoutError):
                uses(buffer, buffer)[held]()
        assert buffer.stats()["repairs"] == 1
        assert buffer.stats()["freed"] == freed
