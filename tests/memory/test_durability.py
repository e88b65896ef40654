"""What a file says of its bytes on the disk, after other starts of the machine."""

import mmap
import os
import signal

import numpy as np
import pytest

import replay
from kernels import handle as words
from replay.memory import durability
from replay.memory.durability import BOOT, FLUSHED, Durability
from tests.processes import python

FIELDS = {"number": np.int64}


@pytest.fixture
def boot(monkeypatch):
    """Start the machine anew, as far as a file can tell."""

    def start(number):
        monkeypatch.setattr(durability, "boot_id", lambda: number)

    start(11)
    return start


def line_of(buffer):
    return buffer._ring.block.part("control")[words.DURABILITY]


def test_a_start_of_the_machine_has_one_number():
    assert durability.boot_id() == durability.boot_id()
    assert durability.boot_id() >= 0


def test_a_file_that_was_closed_opens_after_another_start(boot, tmp_path):
    path = tmp_path / "block"
    with replay.ReplayBuffer(10, FIELDS, path=path) as buffer:
        buffer.add(number=7)
        assert line_of(buffer)[FLUSHED] == 0
    boot(12)
    with replay.attach(path=path) as buffer:
        assert buffer.sample(1).number.tolist() == [7]
        assert line_of(buffer)[[BOOT, FLUSHED]].tolist() == [12, 0]


def test_a_file_that_was_open_at_the_end_of_the_machine_is_refused(boot, tmp_path):
    path = tmp_path / "block"
    buffer = replay.ReplayBuffer(10, FIELDS, path=path)
    buffer.add(number=7)
    boot(12)
    before = path.read_bytes()
    with pytest.raises(replay.UnflushedError, match=r"machine went down.*force=True"):
        replay.attach(path=path)
    # But for the place that was taken and given back.
    part = buffer._ring.layout.parts["members"]
    after = path.read_bytes()
    assert after[part.offset + part.nbytes :] == before[part.offset + part.nbytes :]
    with replay.attach(path=path, force=True) as forced:
        assert forced.sample(1).number.tolist() == [7]
    buffer.close()


def test_a_file_of_processes_that_were_killed_opens_under_the_same_start(tmp_path):
    path = tmp_path / "block"
    code = (
        "import os, signal, sys, replay\n"
        "buffer = replay.ReplayBuffer(10, {'number': int}, path=sys.argv[1])\n"
        "buffer.add(number=7)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python(code, str(path)).returncode == -signal.SIGKILL
    with replay.attach(path=path) as buffer:
        assert buffer.sample(1).number.tolist() == [7]


def test_only_the_last_to_close_says_that_all_is_on_the_disk(boot, tmp_path):
    path = tmp_path / "block"
    first = replay.ReplayBuffer(10, FIELDS, path=path)
    second = replay.attach(path=path)
    first.close()
    assert line_of(second)[FLUSHED] == 0
    second.close()
    boot(12)
    replay.attach(path=path).close()


def test_who_comes_while_the_last_one_closes_is_not_called_flushed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    line = np.frombuffer(memory, np.int64)[:8]
    answers = iter([True, False])
    Durability(memory, line, "'it'").end(lambda: next(answers))
    assert line[FLUSHED] == 0
    Durability(memory, line, "'it'").end(lambda: True)
    assert line[FLUSHED] == 1


class Recorded:
    """A mapping that notes what of it is brought to the disk."""

    def __init__(self, memory):
        self.memory, self.flushed = memory, []

    def __len__(self):
        return len(self.memory)

    def __buffer__(self, flags):
        return memoryview(self.memory)

    def flush(self, start, nbytes):
        self.memory.flush(start, nbytes)
        self.flushed.append((start, nbytes))


def test_a_flush_brings_every_page_to_the_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(durability, "_STEP", 2 * mmap.PAGESIZE)
    with replay.ReplayBuffer(3000, FIELDS, path=tmp_path / "block") as buffer:
        held = buffer._ring._durability
        held._memory = Recorded(held._memory)
        buffer.flush()
        flushed = held._memory.flushed
        held._memory = held._memory.memory
        assert [start for start, _ in flushed] == list(range(0, buffer.nbytes, 2 * mmap.PAGESIZE))
        assert sum(nbytes for _, nbytes in flushed) == buffer.nbytes
    with pytest.raises(replay.ClosedError):
        buffer.flush()


@pytest.mark.parametrize("home", ["private", "named"])
def test_other_homes_have_nothing_to_flush(home):
    name = {"name": f"flush-{os.getpid()}-1"} if home == "named" else {}
    with replay.ReplayBuffer(10, FIELDS, **name) as buffer:
        buffer.flush()
        assert not line_of(buffer).any()


def test_a_system_that_tells_no_start_refuses_nothing(boot, tmp_path):
    path = tmp_path / "block"
    boot(0)
    buffer = replay.ReplayBuffer(10, FIELDS, path=path)
    boot(5)
    replay.attach(path=path).close()
    boot(0)
    replay.attach(path=path).close()
    buffer.close()
