"""Hostile files: no byte of one is trusted, and nothing in it ends the process or hangs it."""

import contextlib
import errno
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels.heap import BYTES, CLEAR
from kernels.members import MEMBERS
from kernels.ring import BASE, BURNT, FILLED, FLOOR, HEAD
from replay.memory import block_file
from replay.memory.home import named_path
from replay.memory.layout import read_header
from replay.memory.safetensors import PAGE
from tests.heaped import claimed
from tests.homes import fewer, fresh_name
from tests.memory import ordeal

MIB = 1 << 20


@pytest.fixture(params=list(ordeal.SAMPLERS))
def path(request, tmp_path):
    """Give a closed file with rows, and priorities."""
    ordeal.make(tmp_path / "block", request.param, 3)
    return tmp_path / "block"


def refused(path, *said):
    with pytest.raises(replay.BlockFormatError) as caught:
        replay.attach(path=path)
    for word in (str(path), *said):
        assert word in str(caught.value)


def test_a_file_that_is_cut_anywhere_is_refused(path):
    content = path.read_bytes()
    for size in {*range(0, len(content), PAGE), len(content) - 1, len(content) - 64}:
        os.truncate(path, size)
        refused(path)
        path.write_bytes(content)
    with open(path, "ab") as file:
        file.write(b"\0" * PAGE)
    refused(path, "its header says")


def test_a_header_is_refused_whichever_bit_of_it_is_wrong(path):
    content = path.read_bytes()
    size = len(content)
    header = bytearray(content[:PAGE])
    assert read_header(bytes(header), size).header == bytes(header)
    for place in range(0, PAGE, fewer(1, 7)):
        for bit in (place % 8, (place + 3) % 8):
            header[place] ^= 1 << bit
            with pytest.raises(replay.BlockFormatError):
                read_header(bytes(header), size)
            header[place] ^= 1 << bit


@pytest.mark.parametrize("place", [8, 100, PAGE - 1])
def test_a_file_whose_header_is_damaged_is_not_touched(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    refused(path, "is no block of ours")
    assert path.read_bytes() == content
    assert not block_file.in_use(path)


COUNTERS = {
    "more members than there is room for": ("control", words.READY, 1, MEMBERS + 1),
    "fewer than none": ("control", words.READY, 1, -1),
    "batches below none": ("control", words.SAMPLES, 1, -1),
    "a balance that overflows": ("control", words.LIMITER, 0, -(1 << 63)),
    "a head below 0": ("heads", 0, HEAD, -1),
    "a head in another stream": ("heads", 2, HEAD, -(1 << 62)),
    "a head beyond its sequence word": ("heads", 1, HEAD, 1 << 50),
    "a base below 0": ("heads", 0, BASE, -(1 << 63)),
    "a base beyond all tickets": ("heads", 2, BASE, (1 << 63) - 1),
    "burnt tickets below none": ("heads", 0, BURNT, -2),
    "slots filled below none": ("heads", 1, FILLED, -1),
    "slots filled beyond any capacity": ("heads", 1, FILLED, 1 << 62),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_that_no_buffer_can_hold_is_refused(path, name):
    part, line, word, value = COUNTERS[name]
    _set_word(path, part, line, word, value)
    content = path.read_bytes()
    refused(path, "is damaged", str(value), "possible are")
    assert path.read_bytes() == content
    assert not block_file.in_use(path)


def test_the_largest_leaf_must_fit_its_tree(tmp_path):
    path = tmp_path / "block"
    ordeal.make(path, "batch", 1)
    for value in (-1, 1 << 57):
        _set_word(path, "control", words.PRIORITY, 0, value)
        refused(path, "the largest leaf", str(value))
    _set_word(path, "control", words.PRIORITY, 0, 1 << 56)
    replay.attach(path=path).close()


def _set_word(path, part, line, word, value):
    with open(path, "r+b") as file:
        layout = read_header(file.read(PAGE), os.fstat(file.fileno()).st_size)
        file.seek(layout.parts[part].offset + line * 64 + word * 8)
        file.write(value.to_bytes(8, "little", signed=True))


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("kind", "streams"),
    [
        ("uniform", 1),
        ("batch", 3),
        ("buffer", 1),
        ("buffer", 3),
        ("heap uniform", 1),
        ("heap batch", 3),
    ],
)
def test_garbage_in_any_part_is_refused_or_does_no_harm(kind, streams, tmp_path):
    count = "50" if ordeal.is_heaped(kind) else "150"
    files = (str(tmp_path), kind, str(streams), "1", count)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-X",
            "faulthandler",
            "-m",
            "tests.memory.ordeal",
            *files,
        ],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, "\n".join((*done.stdout.splitlines()[-1:], done.stderr[-4000:]))
    seen = done.stdout.splitlines()[-1]
    assert "'opened'" in seen
    assert "'refused'" in seen


# compressed and ragged fields

HEAPED = {
    "frame": replay.Field(np.uint8, (6, 5), compression="lz4", room=800),
    "points": replay.Field(np.float32, (None, 3), longest=4, ratio=1e9),
    "number": np.int64,
}
ROWS = 12


def heaped_row(number):
    frame = np.full((6, 5), number, np.uint8)
    frame[: number % 4] += np.arange(5, dtype=np.uint8)
    return frame, np.full((number % 5, 3), number, np.float32), number


def add_heaped(buffer, first, count):
    for number in range(first, first + count):
        assert buffer.add(*heaped_row(number)) == number


def right_rows(batch):
    """Find that each row is the one of its number; give the numbers."""
    points = batch.points.tolist()
    for place, number in enumerate(batch.number.tolist()):
        frame, row, _ = heaped_row(number)
        assert (batch.frame[place] == frame).all()
        assert points[place].tolist() == row.tolist()
    return set(batch.number.tolist())


@pytest.fixture
def heaped(tmp_path):
    """Give a closed file whose bytes lie in the middle of the ring's fourth round."""
    path = tmp_path / "block"
    with replay.ReplayBuffer(ROWS, HEAPED, path=path, seed=0) as buffer:
        add_heaped(buffer, 0, 60)
    return path


#: What is made of the entry of one row: position, second word, and elements, given those that are
#: there, the next position and the room.
ENTRIES = {
    "a position below 0": lambda p, w, n, head, room: (-1, w, n),
    "the lowest position": lambda p, w, n, head, room: (-(1 << 63), w, n),
    "a position to come": lambda p, w, n, head, room: (head + 1, w, n),
    "the highest position": lambda p, w, n, head, room: ((1 << 63) - 1, w, n),
    "a position a round ago": lambda p, w, n, head, room: (p - room, w, n),
    "bytes that were written over": lambda p, w, n, head, room: (head - room - 1, w, n),
    "a larger row": lambda p, w, n, head, room: (p, w + (1 << 28), n),
    "a smaller row": lambda p, w, n, head, room: (p, w - (1 << 28), n),
    "the largest row of all": lambda p, w, n, head, room: (p, w | ((1 << 28) - 1) << 28, n),
    "more bytes than there are": lambda p, w, n, head, room: (p, w + 1, n),
    "the most bytes of all": lambda p, w, n, head, room: (p, w | (1 << 28) - 1, n),
    "no bytes": lambda p, w, n, head, room: (p, w >> 28 << 28, n),
    "another codec": lambda p, w, n, head, room: (p, w ^ 1 << 56, n),
    "a dictionary that is to come": lambda p, w, n, head, room: (p, w | 31 << 56, n),
    "a codec below 0": lambda p, w, n, head, room: (p, w | -(1 << 63), n),
    "all bits": lambda p, w, n, head, room: (p, -1, n),
    "no bits": lambda p, w, n, head, room: (p, 0, n),
    "fewer elements": lambda p, w, n, head, room: (p, w, n - 1),
    "more elements": lambda p, w, n, head, room: (p, w, n + 1),
    "elements below none": lambda p, w, n, head, room: (p, w, -n),
    "elements whose bytes come round": lambda p, w, n, head, room: (p, w, n + (1 << 62)),
    "the most elements": lambda p, w, n, head, room: (p, w, (1 << 63) - 1),
}


@pytest.mark.parametrize("name", ["frame", "points/values"])
@pytest.mark.parametrize("what", ENTRIES)
def test_a_damaged_entry_is_named_or_never_drawn(heaped, name, what):
    with replay.attach(path=heaped) as buffer:
        layout, records = buffer._ring.layout, buffer._ring.block.part("records")
        slot = 59 % ROWS
        at, lengths = (layout.places[n].offset // 8 for n in (name, "points/lengths"))
        there = records[slot, [at, at + 1, lengths]].tolist()
        written = ENTRIES[what](*there, claimed(buffer)[0], layout.room)
        # As bits: numbers beyond what a word holds come round.
        bits = np.array([value % (1 << 64) for value in written], np.uint64).view(np.int64)
        records[slot, [at, at + 1, lengths]] = bits
        elsewhere = "position" in what or "over" in what
        said = []
        for _ in range(fewer(12, 8)):
            try:
                batch = buffer.sample(fewer(4, 2))
            except replay.BlockFormatError as error:
                said.append(str(error))
                continue
            if elsewhere and name != "frame":
                # Of the first field's place the row's life depends; what others point at is
                # what somebody wrote there.
                continue
            assert 59 not in right_rows(batch)
        assert said or elsewhere
        assert all(f"slots {slot} " in one for one in said)
        add_heaped(buffer, 60, ROWS)
        right_rows(buffer.sample(40))
    with replay.attach(path=heaped) as buffer:
        assert right_rows(buffer.sample(fewer(400, 20))) <= set(range(60, 60 + ROWS))


WORDS = (-(1 << 63), -(1 << 62), -1, 0, 1, 63, 1 << 40, 1 << 60, 1 << 61, 1 << 62, (1 << 63) - 1)


@pytest.mark.parametrize("word", [BYTES, CLEAR, FLOOR])
def test_a_counter_of_bytes_that_no_heap_can_hold_is_refused_or_does_no_harm(
    heaped, word, monkeypatch
):
    monkeypatch.setattr("replay.buffers.reader._TRIES", 10)
    content = heaped.read_bytes()
    said = {}
    opened = set()
    for value in WORDS:
        heaped.write_bytes(content)
        _set_word(heaped, "heads", 0, word, value)
        try:
            buffer = replay.attach(path=heaped)
        except replay.BlockFormatError as error:
            said[value] = str(error)
            continue
        with buffer:
            opened.add(value)
            for _ in range(3):
                with contextlib.suppress(replay.EmptyError):
                    right_rows(buffer.sample(4))
                for number in range(60, 70):
                    buffer.add(*heaped_row(number))
    assert all(str(value) in error for value, error in said.items())
    assert said
    assert opened


@pytest.mark.parametrize("seed", range(fewer(12, 3)))
def test_claims_that_nobody_made_do_no_harm(heaped, seed):
    """Lines of others, never finished: rows still come and go, or an error says so."""
    chance = random.Random(seed)
    with replay.attach(path=heaped) as buffer:
        writing = buffer._ring.block.part("writing")
        head, room = claimed(buffer)[0], buffer._ring.layout.room
        for line in chance.sample(range(256), chance.choice((1, 5, 100))):
            position = chance.choice((head - chance.randrange(3 * room), *WORDS))
            nbytes = chance.choice((1, 30, room // 4, room, *WORDS))
            writing[line, :4] = chance.choice((0, 900, -3)), 0, position, nbytes
        stored = set()
        for number in range(60, 100):
            try:
                stored.add(buffer.add(*heaped_row(number)))
            except replay.JammedError:
                break
            numbers = right_rows(buffer.sample(3))
            assert numbers <= set(range(100))
        writing[:] = 0
        for number in range(100, 100 + ROWS):
            buffer.add(*heaped_row(number))
        right_rows(buffer.sample(20))


def test_all_lines_of_claims_held_is_an_error_and_no_endless_wait(heaped):
    with replay.attach(path=heaped) as buffer:
        buffer._ring.block.part("writing")[:, 0] = 900
        with pytest.raises(replay.JammedError):
            buffer.add(*heaped_row(60))
        # The slots that it found are empty.
        assert len(buffer) < ROWS
        with contextlib.suppress(replay.EmptyError):
            right_rows(buffer.sample(20))
        buffer._ring.block.part("writing")[:, 0] = 0
        buffer.add(*heaped_row(60))
        right_rows(buffer.sample(20))


# a full file system


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def can_mount():
    """Say whether this process may mount a file system of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


FILL_IT = """
import os, sys, pathlib
import replay
from replay.memory import block, home
home.SHARED_MEMORY = folder = pathlib.Path(sys.argv[1])
if sys.argv[2] == "blind":
    # Somebody else takes the room after the look at it.
    block.check_folder = lambda *_: None
said = []
fields = {"x": ("u1", (4096,))}
for home in ({"name": "full"}, {"path": folder / "full"}):
    try:
        replay.ReplayBuffer(1000, fields, **home)
    except replay.RoomError as error:
        said.append(str(error))
    assert list(folder.iterdir()) == [], list(folder.iterdir())
with replay.ReplayBuffer(100, fields, name="fits") as buffer:
    for _ in range(150):
        buffer.add(bytes_ := __import__("numpy").ones(4096, "u1"))
    assert (buffer.sample(50).x == 1).all()
print("\\n".join(said))
"""


@pytest.mark.parametrize("look", ["looking", "blind"])
def test_a_full_file_system_is_an_error_that_says_how_much_is_needed(look, tmp_path, monkeypatch):
    if can_mount():
        # A real one of 1 MiB, which goes away with the namespace of the process that has it.
        script = f'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1" {look}'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", tmp_path, sys.executable, FILL_IT],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
    else:
        monkeypatch.setattr(os, "posix_fallocate", full)
        said = []
        name = fresh_name()
        for home in ({"name": name}, {"path": tmp_path / "full"}):
            with pytest.raises(replay.RoomError) as caught:
                replay.ReplayBuffer(1000, {"x": (np.uint8, (4096,))}, **home)
            said.append(str(caught.value))
        assert not named_path(name).exists()
        assert list(tmp_path.iterdir()) == []
    assert len(said) == 2
    for line in said:
        assert "needs 4.1" in line or "needs 4.2" in line
        assert " MB (4" in line
        assert "free there" in line or "No space left" in line


def test_a_room_that_runs_out_while_it_is_reserved_leaves_nothing(tmp_path, monkeypatch):
    given = []

    def second_time_full(descriptor, start, nbytes):
        given.append(nbytes)
        if len(given) > 1:
            full()

    monkeypatch.setattr(block_file, "_STEP", MIB)
    monkeypatch.setattr(os, "posix_fallocate", second_time_full)
    with pytest.raises(
        replay.RoomError, match=r"needs 4\.\d+ MB .* room ran out after .*: No space left"
    ):
        replay.ReplayBuffer(1000, {"x": (np.uint8, (4096,))}, path=tmp_path / "full")
    assert len(given) == 2
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.glob(".*"))
