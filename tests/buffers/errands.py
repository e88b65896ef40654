"""What other processes of these tests do: they are started anew and know a buffer by its name."""

import os
import signal

import numpy as np

import replay
from tests.buffers.uneven import row_of, uneven, uneven_wrong

WIDE = 40
FIELDS = {"number": np.int64, "check": np.uint64, "wide": (np.uint64, (WIDE,))}


def checked(numbers, *, heaped=False):
    """Give rows whose every part can be told from the number."""
    numbers = np.asarray(numbers, np.int64)
    check = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    made = {
        "number": numbers,
        "check": check,
        "wide": check[:, None] + np.arange(WIDE, dtype=np.uint64),
    }
    return made | (uneven(numbers) if heaped else {})


def whole(batch):
    """Say whether every row of a batch is one that `checked` made."""
    wanted = checked(batch["number"])
    right = all((batch[name] == wanted[name]).all() for name in wanted)
    if "frame" in batch._fields:
        right &= not uneven_wrong(batch._asdict(), batch.number).any()
    return right


def add_rows(name, stream, first, count):
    """Add rows one by one and in small batches; give their ids with their numbers."""
    with replay.attach(name) as buffer:
        writer = buffer.writer(stream)
        added = {}
        heaped = "frame" in buffer.fields
        numbers = list(range(first, first + count))
        while numbers:
            size = 1 + len(numbers) % 7
            now, numbers = numbers[:size], numbers[size:]
            rows = checked(now, heaped=heaped)
            if len(now) == 1:
                ids = [writer.add(**row_of(rows))]
            else:
                ids = writer.extend(**rows).tolist()
            added |= dict(zip(ids, now, strict=True))
        return added


def use(buffer):
    """Use a buffer that came as an argument."""
    with buffer:
        buffer.extend(**checked([5, 6]))
        return buffer.sample(50).number.tolist()


def die(name):
    """Create a buffer and be killed."""
    buffer = replay.ReplayBuffer(10, FIELDS, name=name)
    buffer.extend(**checked([1, 2, 3]))
    os.kill(os.getpid(), signal.SIGKILL)
