"""
A process that saves in children and kills each of them at another step.

Run by `python -c` from test_checkpoint: the tests' own process has threads, and is not forked.
"""

import os
import pathlib
import resource
import signal
import sys

import numpy as np

import replay
from kernels import faults
from kernels import handle as words
from replay.memory import checkpoint, journal, snapshot_layout
from tests.homes import FIELDS, rows

CAPACITY = 40
LABELS = {
    "whole": ("SAVE_WRITTEN", "SAVE_SYNCED", "SAVE_RENAMED"),
    "changes": ("JOURNAL_WRITTEN", "JOURNAL_COMMITTED", "JOURNAL_APPLYING", "JOURNAL_APPLIED"),
}


def state(path):
    """Give all that a load brings."""
    with replay.load(path) as buffer:
        block = buffer._ring.block
        names = [
            name for name in block.layout.parts if name not in ("control", "members", "minima")
        ]
        assert buffer.priorities.verify() == 0
        control = block.part("control")[words.GENERATOR :].tobytes()
        return control, *(block.part(name).tobytes() for name in names)


def in_child(work):
    """Run something in a child; say whether it came to its end and was not killed."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert status == 0
    return True


def killed_at(label, visit):
    """Have this process die at a visit of a label."""
    left = [visit]

    def point(number):
        left[0] -= number == faults.POINTS[label]
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.fault_point = journal.fault_point = point


def change(buffer, way):
    """Change a buffer so that the next save goes one way or the other."""
    buffer.extend(**rows(range(100, 103 if way == "changes" else 100 + CAPACITY)))
    buffer.update_priorities(np.array([31]), np.array([5.0]))


def main(folder):
    snapshot_layout.CHUNK = 4
    snapshot_layout.ROOM_BYTES = snapshot_layout.PIECE_BYTES = 1
    path = pathlib.Path(folder, "snapshot")
    buffer = replay.ReplayBuffer(CAPACITY, FIELDS, sampler=replay.Proportional(), seed=1)
    buffer.extend(**rows(range(CAPACITY)))
    for way, labels in LABELS.items():
        path.unlink(missing_ok=True)
        buffer.save(path)
        content = path.read_bytes()
        old = state(path)

        def save(way=way):
            change(buffer, way)
            buffer.save(path)

        assert in_child(save)
        assert (path.stat().st_size, os.listdir(folder)) == (len(content), ["snapshot"])
        new = state(path)
        assert new != old
        for label in labels:
            visit = 0
            while True:
                visit += 1
                path.write_bytes(content)

                def die(save=save, label=label, visit=visit):
                    killed_at(label, visit)
                    save()

                if in_child(die):
                    break
                found = state(path)
                # From the commit on, and not before, it is the new state.
                before = label in ("SAVE_WRITTEN", "SAVE_SYNCED", "JOURNAL_WRITTEN")
                assert found == (old if before else new), (label, visit)
                assert len(os.listdir(folder)) <= 2
                # A later save, by another process, finds its way from there.
                if visit % 3 == 1:
                    # Of another layout: only what the killed one left says what to do.
                    with replay.ReplayBuffer(4, {"x": int}) as other:
                        other.add(1)
                        assert in_child(lambda other=other: other.save(path))
                    with replay.load(path) as other:
                        assert len(other) == 1
                else:
                    assert in_child(lambda: buffer.save(path))
                    assert state(path) == old
                assert os.listdir(folder) == ["snapshot"]
            assert visit > (3 if label == "JOURNAL_APPLYING" else 1), label
    full(path, buffer)
    print("done")


def full(path, buffer):
    """Save to a disk that takes no more than so much of a file."""
    path.unlink()
    buffer.save(path)
    content = path.read_bytes()

    def save(way, limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        change(buffer, way)
        try:
            buffer.save(path)
        except replay.BlockError as error:
            said = str(error)
        assert "File too large" in said

    for way in LABELS:
        for limit in (100, 4100, 6000, len(content) // 2):
            if way == "changes" and limit > 6000:
                continue
            assert in_child(lambda way=way, limit=limit: save(way, limit))
            assert path.read_bytes() == content
            assert os.listdir(path.parent) == [path.name]
