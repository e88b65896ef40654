"""One buffer and several processes: attached, written at once, killed, handed over."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest

import replay
from replay.memory.home import named_path
from tests.buffers import errands
from tests.buffers.errands import FIELDS, checked, whole
from tests.buffers.uneven import uneven_fields
from tests.homes import fewer, fresh_name
from tests.processes import python

pytestmark = pytest.mark.processes

ROWS = fewer(3000, 200)


@pytest.fixture(scope="module")
def pool():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        yield pool
        pool.close()
        pool.join()


@pytest.mark.parametrize("end", ["", "buffer.close()", "import os; os._exit(0)"])
def test_an_unrelated_process_that_attaches_and_ends_leaves_the_buffer(end):
    name = fresh_name()
    with replay.ReplayBuffer(10, FIELDS, name=name, sampler=replay.Proportional()) as buffer:
        buffer.extend(**checked([1, 2]))
        code = (
            "import sys, replay\n"
            "buffer = replay.attach(sys.argv[1])\n"
            "batch = buffer.sample(20)\n"
            "assert set(batch.number.tolist()) == {1, 2}, batch.number\n"
            "buffer.update_priorities([0, 1], [0.0, 2.0])\n"
            "buffer.add(3, 3, [3] * 40)\n" + end
        )
        done = python(code, name)
        assert (done.returncode, done.stderr) == (0, "")
        assert named_path(name).exists()
        assert len(buffer) == 3
        np.testing.assert_allclose(buffer.priorities.priorities()[:3], [0, 2, 2])
        assert set(buffer.sample(60).ids.tolist()) == {1, 2}
        with replay.attach(name) as other:
            assert len(other) == 3
    assert not named_path(name).exists()


def test_a_creator_that_ends_unlinks_its_buffer():
    name = fresh_name()
    for end in ("", "raise RuntimeError"):
        code = (
            "import sys, replay\n"
            "buffer = replay.ReplayBuffer(5, {'x': int}, name=sys.argv[1])\n"
            "buffer.add(1)\n" + end
        )
        done = python(code, name)
        assert (done.returncode == 0) == (end == "")
        assert "leaked" not in done.stderr
        assert not named_path(name).exists()


@pytest.mark.compiled
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("room", ["all rows", "a few rows", "a few bytes"])
def test_two_processes_add_at_once(pool, streams, room):
    name = fresh_name()
    capacity = 2 * ROWS if room == "all rows" else 50
    fields = FIELDS | (uneven_fields(35) if room == "a few bytes" else {})
    with replay.ReplayBuffer(capacity, fields, streams=streams, name=name, seed=0) as buffer:
        tasks = [(name, number % streams, number * ROWS, ROWS) for number in range(2)]
        running = [pool.apply_async(errands.add_rows, task) for task in tasks]
        while not all(task.ready() for task in running):
            if len(buffer):
                batch = buffer.sample(64)
                assert whole(batch)
        first, second = (task.get() for task in running)
        assert not first.keys() & second.keys(), "an id was given out twice"
        added = first | second
        assert sorted(added.values()) == list(range(2 * ROWS))
        if streams == 2:
            assert {identity % 2 for identity in first} == {0}
            assert {identity % 2 for identity in second} == {1}
        if room == "all rows":
            assert len(buffer) == 2 * ROWS
            assert sorted(buffer.column("number").tolist()) == list(range(2 * ROWS))
        batch = buffer.sample(500)
        assert whole(batch)
        assert batch.number.tolist() == [added[identity] for identity in batch.ids.tolist()]
        assert buffer.stats()["added"] == 2 * ROWS
        if room == "a few bytes":
            assert 0 < buffer.stats()["evicted"] < 2 * ROWS
            repaired = buffer.repair()
            assert (repaired.dead, repaired.slots, repaired.sums) == (0, 0, 0)
            # Every row that is counted has its bytes still.
            assert len(set(buffer.sample(3000).ids.tolist())) == len(buffer)


def test_a_named_buffer_is_handed_to_a_process_by_its_name(pool):
    with replay.ReplayBuffer(10, FIELDS, name=fresh_name()) as buffer:
        assert len(pickle.dumps(buffer)) < 500
        assert set(pool.apply(errands.use, (buffer,))) == {5, 6}
        assert len(buffer) == 2


def test_a_file_is_handed_to_a_process_by_its_path(pool, tmp_path):
    with replay.ReplayBuffer(10, FIELDS, path=tmp_path / "block") as buffer:
        assert set(pool.apply(errands.use, (buffer,))) == {5, 6}
        assert len(buffer) == 2


def test_a_private_buffer_cannot_be_handed_over():
    for buffer in (replay.ReplayBuffer(10, FIELDS), replay.ReplayBuffer(10, name="never-made")):
        with buffer, pytest.raises(replay.ReplayError, match="private one is memory of this"):
            pickle.dumps(buffer)


def test_a_name_left_behind_by_a_killed_creator_is_found():
    name = fresh_name()
    process = multiprocessing.get_context("spawn").Process(target=errands.die, args=(name,))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert named_path(name).exists()
    try:
        with pytest.raises(replay.BlockExistsError, match=r"left behind .*killed.*replay\.unlink"):
            replay.ReplayBuffer(10, FIELDS, name=name)
        with pytest.warns(replay.OwnerGoneWarning, match=f"{process.pid}.* died"):
            buffer = replay.attach(name)
        with buffer:
            assert set(buffer.sample(60).number.tolist()) == {1, 2, 3}
            with pytest.raises(replay.BlockError, match="is open"):
                replay.unlink(name)
    finally:
        replay.unlink(name)
    with replay.ReplayBuffer(10, FIELDS, name=name) as buffer:
        assert len(buffer) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_unlink_its_parents_buffer():
    name = fresh_name()
    code = (
        "import os, sys, replay\n"
        "buffer = replay.ReplayBuffer(10, {'x': int}, name=sys.argv[1])\n"
        "buffer.add(1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    buffer.add(2)\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert len(buffer) == 2\n"
        "with replay.attach(sys.argv[1]) as other:\n"
        "    assert len(other) == 2\n"
    )
    done = python(code, name)
    assert (done.returncode, done.stderr) == (0, "")
    assert not named_path(name).exists()
