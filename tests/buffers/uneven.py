"""Rows whose bytes differ in number, compressed and ragged: each follows from one word."""

import numpy as np

import replay
from replay.memory.ragged import Padded

SIDES = (6, 5)
LONGEST = 9
#: Bytes of the largest row, and of one on average; both fields together.
LARGEST = 30 + 2 * 2 * LONGEST
USUAL = 36

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def uneven_fields(rows):
    """Describe them, with room for so many usual rows."""
    room = rows * USUAL // 2
    return {
        "frame": replay.Field(np.uint8, SIDES, compression="lz4", room=room),
        "path": replay.Field(np.uint16, (None, 2), longest=LONGEST, room=room),
    }


def uneven(words):
    """Make rows: of one number, of a few, or of noise, and up to LONGEST points."""
    words = np.asarray(words).astype(np.uint64)
    mixed = (words + np.uint64(1)) * _GAMMA
    mixed ^= mixed >> np.uint64(29)
    places = np.arange(SIDES[0] * SIDES[1], dtype=np.uint64)
    noise = (mixed[:, None] + places) * _GAMMA >> np.uint64(56)
    kind = (mixed >> np.uint64(40)) % np.uint64(3)
    # A few bits of the row's own in each kind.
    plain = np.where(kind[:, None] == 1, places % np.uint64(3), 0) + (
        mixed[:, None] & np.uint64(127)
    )
    frame = np.where(kind[:, None] == 2, noise, plain).astype(np.uint8)
    lengths = (mixed >> np.uint64(50)) % np.uint64(LONGEST + 1)
    points = np.arange(2 * LONGEST, dtype=np.uint64).reshape(1, LONGEST, 2)
    values = (mixed[:, None, None] >> np.uint64(16)) + points
    values = values * (points[:, :, :1] // 2 < lengths[:, None, None])
    return {
        "frame": frame.reshape(-1, *SIDES),
        "path": Padded(values.astype(np.uint16), lengths.astype(np.int64)),
    }


def row_of(rows, place=0):
    """Take one row, as `add` wants it."""
    return {
        name: value.values[place, : value.lengths[place]]
        if isinstance(value, Padded)
        else value[place]
        for name, value in rows.items()
    }


def uneven_wrong(columns, words):
    """Say of each row whether a byte of it is not what its word says."""
    wanted = uneven(words)
    frame, (values, lengths) = columns["frame"], columns["path"]
    wrong = (frame != wanted["frame"]).any(axis=(1, 2))
    wrong |= (values != wanted["path"].values).any(axis=(1, 2))
    return wrong | (lengths != wanted["path"].lengths)
