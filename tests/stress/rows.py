"""Rows that say whose they are: every byte follows from the writer and the row's number."""

import numpy as np

import replay
from replay.memory.ragged import Padded

_SIDE = 40
#: Of a compressed and a ragged field: bytes, and how many of them a row takes more or less.
_FRAME = 320
_LONGEST = 80
_USUAL = {"compressed": 50, "ragged": 70}
#: A writer's rows take turns, so many at a time: large ones, whose bytes are used up before the
#: slots, and small ones, whose slots are used up before the bytes.
_TURN = 128
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFTS = np.arange(0, 48, 8, dtype=np.uint64)


def fields(capacity, *, wide, heaped):
    """Describe a row; a wide one has a column of its own, which a reader copies for longer."""
    small = {
        "writer": np.uint8,
        "number": np.int64,
        "check": np.uint64,
        "obs": (np.float32, (len(_SHIFTS),)),
        "flag": bool,
    }
    if heaped in ("compressed", "both"):
        room = capacity * _USUAL["compressed"]
        small["frame"] = replay.Field(np.uint8, (_FRAME,), compression="lz4", room=room)
    if heaped in ("ragged", "both"):
        room = capacity * _USUAL["ragged"]
        small["path"] = replay.Field(np.uint16, (None, 2), longest=_LONGEST, room=room)
    return small | ({"image": (np.uint8, (_SIDE, _SIDE))} if wide else {})


def rows(writers, numbers, *, wide, heaped):
    """Make the rows of some writers, of these numbers."""
    writers = np.asarray(writers, np.uint8)
    numbers = np.asarray(numbers, np.int64)
    check = _mixed(numbers.astype(np.uint64) ^ writers.astype(np.uint64) << np.uint64(48))
    made = {
        "writer": writers,
        "number": numbers,
        "check": check,
        "obs": (check[:, None] >> _SHIFTS & np.uint64(0xFFFF)).astype(np.float32),
        "flag": check >> np.uint64(63) == 1,
    }
    if heaped in ("compressed", "both"):
        made["frame"] = _frames(numbers, check)
    if heaped in ("ragged", "both"):
        made["path"] = _paths(numbers, check)
    if wide:
        image = check[:, None] + np.arange(_SIDE * _SIDE // 8, dtype=np.uint64)
        made["image"] = image.view(np.uint8).reshape(-1, _SIDE, _SIDE)
    return made


def part(made, place):
    """Take the values of one row, given its number, or of some, given a slice."""
    values = []
    for column in made.values():
        if not isinstance(column, Padded):
            values.append(column[place])
        elif isinstance(place, slice):
            values.append(Padded(*(array[place] for array in column)))
        else:
            values.append(column.values[place, : column.lengths[place]])
    return values


def torn(batch, *, wide, heaped):
    """Say of each row whether a byte of it is not the one that its writer wrote."""
    wanted = rows(batch["writer"], batch["number"], wide=wide, heaped=heaped)
    wrong = np.zeros(len(batch["number"]), bool)
    for name, column in wanted.items():
        ragged = isinstance(column, Padded)
        pairs = zip(batch[name], column, strict=True) if ragged else [(batch[name], column)]
        for given, right in pairs:
            wrong |= (given != right).reshape(len(wrong), -1).any(axis=1)
    return wrong


def _frames(numbers, check):
    """Make frames of one number, of a few, or of noise."""
    places = np.arange(_FRAME, dtype=np.uint64)
    own = check[:, None] & np.uint64(0x3F)
    frames = np.repeat(own, _FRAME, axis=1)
    kinds = np.where(numbers // _TURN % 2 == 0, check % np.uint64(3), 0)
    frames[kinds == 1] += places % np.uint64(7)
    frames[kinds == 2] = _mixed(check[kinds == 2][:, None] + places) >> np.uint64(56)
    return frames.astype(np.uint8)


def _paths(numbers, check):
    """Make lists of points, some empty, with zeros behind their ends."""
    most = np.where(numbers // _TURN % 2 == 0, _LONGEST, 3).astype(np.uint64)
    lengths = (check >> np.uint64(20)) % (most + np.uint64(1))
    points = np.arange(2 * _LONGEST, dtype=np.uint64).reshape(1, _LONGEST, 2)
    values = check[:, None, None] + points
    values[points[0, :, 0] // 2 >= lengths[:, None]] = 0
    return Padded(values.astype(np.uint16), lengths.astype(np.int64))


def _mixed(words):
    words = (words + np.uint64(1)) * _GAMMA
    words = (words ^ words >> np.uint64(30)) * _FIRST
    words = (words ^ words >> np.uint64(27)) * _SECOND
    return words ^ words >> np.uint64(31)
