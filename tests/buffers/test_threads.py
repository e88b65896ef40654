"""Threads at one buffer: no row torn, no id twice, nothing lost, and closed under their hands."""

import functools
import operator
import threading

import numpy as np
import pytest

import replay
from tests import naive
from tests.buffers.errands import FIELDS, checked, whole
from tests.homes import HOMES, SAMPLERS, fewer, opened

pytestmark = pytest.mark.compiled

ROWS = fewer(4000, 100)
KINDS = ("uniform", "buffer")


def adder(buffer, first, count):
    def add():
        added = {}
        for start in range(first, first + count, 100):
            numbers = range(start, start + 100)
            rows = checked(numbers)
            if start % 200:
                ids = buffer.extend(**rows).tolist()
            else:
                ids = [buffer.add(*(a[n] for a in rows.values())) for n in range(100)]
            added |= dict(zip(ids, numbers, strict=True))
        return added

    return add


def sampler_of(buffer, writers):
    def sample():
        batch = None
        drawn = 0
        while not writers.is_set():
            if len(buffer):
                batch = buffer.sample(64, out=batch)
                assert whole(batch)
                if buffer.sampler.prioritized:
                    buffer.update_priorities(batch.ids, 0.1 + batch.ids % 5)
                drawn += 1
        return drawn

    return sample


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("capacity", [37, 2 * ROWS])
def test_threads_add_and_sample_at_once(home, kind, capacity):
    done = threading.Event()
    with opened(home, capacity, FIELDS, sampler=SAMPLERS[kind], seed=0) as buffer:

        def writers():
            try:
                return naive.together(adder(buffer, 0, ROWS), adder(buffer, ROWS, ROWS))
            finally:
                done.set()

        (one, other), *_ = naive.together(
            writers, sampler_of(buffer, done), sampler_of(buffer, done)
        )
        added = one | other
        assert len(added) == 2 * ROWS, "an id was given out twice"
        assert len(buffer) == capacity
        batch = buffer.sample(1000)
        assert whole(batch)
        assert batch.number.tolist() == [added[identity] for identity in batch.ids.tolist()]
        assert buffer.stats()["added"] == 2 * ROWS
        if buffer.sampler.prioritized:
            assert buffer.priorities.verify() == 0


def test_a_buffer_closed_under_threads_ends_them_with_an_error_of_ours():
    for _ in range(5):
        with opened("named", 100, FIELDS, sampler=replay.Proportional(), seed=0) as buffer:
            buffer.extend(**checked(range(100)))
            rows = checked(range(50))
            begun = threading.Barrier(4)

            def until_closed(use, begun=begun):
                def for_ever():
                    while True:
                        use()

                def call():
                    use()
                    begun.wait()
                    with pytest.raises(replay.ClosedError):
                        for_ever()

                return call

            def close(buffer=buffer, begun=begun):
                begun.wait()
                buffer.close()

            naive.together(
                close,
                until_closed(lambda buffer=buffer: buffer.sample(50)),
                until_closed(lambda buffer=buffer, rows=rows: buffer.extend(**rows)),
                until_closed(
                    lambda buffer=buffer: buffer.update_priorities(np.arange(50), np.ones(50))
                ),
            )


def test_threads_that_all_bring_the_first_row_make_one_buffer():
    for _ in range(10):
        with replay.ReplayBuffer(1000, sampler=replay.Proportional()) as buffer:

            def first(number, buffer=buffer):
                names = ("a", "b") if number % 2 else ("b", "a")
                return lambda: [
                    buffer.add(**{name: float(number) for name in names}) for _ in range(20)
                ]

            ids = naive.together(*(first(number) for number in range(4)))
            assert sorted(functools.reduce(operator.iadd, ids, [])) == list(range(80))
            assert len(buffer) == 80
            assert (buffer.column("a") == buffer.column("b")).all()
            assert buffer.priorities.verify() == 0
            assert np.count_nonzero(buffer.priorities.priorities()) == 80
