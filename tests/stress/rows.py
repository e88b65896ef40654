"""Rows that say whose they are: every byte follows from the writer and the row's number."""

import numpy as np

_SIDE = 40
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFTS = np.arange(0, 48, 8, dtype=np.uint64)


def fields(*, wide):
    """Describe a row; a wide one has a column of its own, which a reader copies for longer."""
    small = {
        "writer": np.uint8,
        "number": np.int64,
        "check": np.uint64,
        "obs": (np.float32, (len(_SHIFTS),)),
        "flag": bool,
    }
    return small | ({"image": (np.uint8, (_SIDE, _SIDE))} if wide else {})


def rows(writers, numbers, *, wide):
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
    if wide:
        image = check[:, None] + np.arange(_SIDE * _SIDE // 8, dtype=np.uint64)
        made["image"] = image.view(np.uint8).reshape(-1, _SIDE, _SIDE)
    return made


def torn(batch, *, wide):
    """Say of each row whether a byte of it is not the one that its writer wrote."""
    wanted = rows(batch["writer"], batch["number"], wide=wide)
    wrong = np.zeros(len(batch["number"]), bool)
    for name, column in wanted.items():
        differs = batch[name] != column
        wrong |= differs.reshape(len(wrong), -1).any(axis=1)
    return wrong


def _mixed(words):
    words = (words + np.uint64(1)) * _GAMMA
    words = (words ^ words >> np.uint64(30)) * _FIRST
    words = (words ^ words >> np.uint64(27)) * _SECOND
    return words ^ words >> np.uint64(31)
