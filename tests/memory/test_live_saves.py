"""Saves while others go on: each row that a snapshot holds is whole, and none is missing."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import replay
from kernels.ring import FILLED, HEAD, ring_ticket
from tests.homes import fewer, fresh_name

pytestmark = pytest.mark.processes

ROWS = 3000
STREAMS = 2
FIELDS = {"x": np.int64, "y": np.int64, "wide": (np.int64, (40,))}

WRITER = """
import itertools, sys
import numpy as np, replay
buffer = replay.attach(sys.argv[1])
writer = buffer.writer(1)
print("begun", flush=True)
for first in itertools.count(0, 5):
    ids = np.arange(first, first + 5) * 2 + 1
    given = writer.extend(x=ids, y=-ids, wide=np.repeat(ids[:, None], 40, 1))
    assert (given == ids).all()
"""


def add_rows(writer, stream, first, count):
    ids = np.arange(first, first + count) * STREAMS + stream
    given = writer.extend(x=ids, y=-ids, wide=np.repeat(ids[:, None], 40, 1))
    assert (given == ids).all()


def save_and_look(buffer, path):
    """Save a buffer, load it, and hold each row against its id."""
    heads = buffer._ring.block.part("heads")
    before = heads[:, HEAD].copy()
    buffer.save(path)
    after = heads[:, HEAD].copy()
    with replay.load(path) as loaded:
        assert loaded.priorities.verify() == 0
        ring = loaded._ring.block
        words = ring.part("records")[:, 0]
        whole = np.flatnonzero(words)
        tickets = words[whole] // (1 << 13) - 1
        assert ring_ticket(int(words[whole[0]])) == tickets[0]
        streams = whole // ROWS
        ids = tickets * STREAMS + streams
        assert (tickets % ROWS == whole % ROWS).all()
        assert (loaded.column("x")[whole] == ids).all()
        assert (loaded.column("y")[whole] == -ids).all()
        assert (loaded.column("wide")[whole] == ids[:, None]).all()
        leaves = loaded.priorities.priorities()
        assert (leaves[whole] > 0).all()
        assert not np.delete(leaves, whole).any()
        assert len(loaded) == len(whole)
        saved = ring.part("heads")
        assert (saved[:, HEAD] >= before).all()
        assert saved[:, FILLED].sum() == len(whole)
        for stream in range(STREAMS):
            # Up to five at the end may have been in their writer's hands.
            due = np.arange(max(0, after[stream] - ROWS), max(0, before[stream] - 5))
            assert np.isin(due, tickets[streams == stream]).all()
        return int(after.sum() - before.sum())


@pytest.mark.compiled
def test_saves_beside_threads_that_add_and_sample(tmp_path):
    stop = threading.Event()
    with replay.ReplayBuffer(
        ROWS * STREAMS, FIELDS, streams=STREAMS, sampler=replay.Proportional(), seed=1
    ) as buffer:
        errors = []

        def write(stream):
            try:
                writer = buffer.writer(stream)
                first = 0
                while not stop.is_set():
                    add_rows(writer, stream, first, 5)
                    first += 5
            except BaseException as error:
                errors.append(error)

        def learn():
            try:
                while not stop.is_set():
                    batch = buffer.sample(32)
                    buffer.update_priorities(batch.ids, np.ones(32))
            except BaseException as error:
                errors.append(error)

        for stream in range(STREAMS):
            add_rows(buffer.writer(stream), stream, 0, 0)
        add_rows(buffer.writer(0), 0, 0, 5)
        threads = [threading.Thread(target=write, args=(1,)), threading.Thread(target=learn)]
        for thread in threads:
            thread.start()
        try:
            moved = 0
            for number in range(200):
                moved += save_and_look(buffer, tmp_path / f"snapshot {number % 2}")
                if moved and number > 8:
                    break
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert errors == []
        assert moved


def test_saves_beside_another_process_that_adds(tmp_path):
    name = fresh_name()
    with replay.ReplayBuffer(
        ROWS * STREAMS, FIELDS, streams=STREAMS, sampler=replay.Proportional(), name=name
    ) as buffer:
        add_rows(buffer.writer(0), 0, 0, 100)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, name],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
            moved = 0
            while moved < fewer(20_000, 20):
                moved += save_and_look(buffer, tmp_path / "snapshot")
                assert writer.poll() is None
        finally:
            writer.kill()
            writer.wait()
            writer.stdout.close()
