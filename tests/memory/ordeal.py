"""
Files of a block whose bytes were changed at random, opened and used.

In a process of its own, which may crash or hang: the last line that it wrote names the file.
"""

import collections
import faulthandler
import pathlib
import random
import sys

import numpy as np

import replay
from replay.memory.layout import Layout

FIELDS = {"obs": (np.float32, (3,)), "image": (np.uint8, (300,)), "done": bool}
#: Of the kinds that begin with "heap", whose bytes run out before their slots do.
HEAPED = {
    "frame": replay.Field(np.uint8, (6, 5), compression="lz4", room=1500),
    "points": replay.Field(np.float32, (None, 3), longest=4, ratio=1e9),
    "text": replay.Field(str, compression="lz4", longest=20, ratio=1e9),
}
CAPACITY = 36
SAMPLERS = {
    "uniform": replay.Uniform(),
    "batch": replay.Proportional(beta=replay.Linear(0.4, 1.0, steps=10)),
    "buffer": replay.Proportional(normalise="buffer", stratified=False),
}
#: Seconds that one file may take; a thousand times what it does.
_HANG = 60
_WORDS = (0, 1, 2, 3, 7, 1023, 1024, 1 << 13, 1 << 31, 1 << 40, 1 << 49, 1 << 50, 1 << 61, 1 << 62)


def is_heaped(kind):
    """Say whether a kind of file has compressed and ragged fields."""
    return kind.startswith("heap")


def rows(count, heaped=False):
    """Make rows that fit FIELDS, or HEAPED."""
    if heaped:
        return {
            "frame": np.arange(count * 30, dtype=np.uint8).reshape(count, 6, 5) // 7,
            "points": [np.ones((number % 5, 3), np.float32) for number in range(count)],
            "text": ["ab" * (number % 11) for number in range(count)],
        }
    return {
        "obs": np.ones((count, 3), np.float32),
        "image": np.ones((count, 300), np.uint8),
        "done": np.zeros(count, bool),
    }


def make(path, kind, streams):
    """Make a file with a history; give its layout."""
    heaped = is_heaped(kind)
    fields, sampler = (HEAPED if heaped else FIELDS), SAMPLERS[kind.removeprefix("heap ")]
    with replay.ReplayBuffer(
        CAPACITY, fields, sampler=sampler, streams=streams, path=path, seed=0
    ) as buffer:
        buffer.extend(**rows(20, heaped))
        buffer.writer(streams - 1).extend(**rows(30 if heaped else 5, heaped))
        if buffer.sampler.prioritized:
            buffer.update_priorities(buffer.sample(9).ids, np.arange(9.0))
        return buffer._ring.layout


def any_word(chance):
    """Give a word that a damaged file may well hold."""
    word = chance.choice((*_WORDS, chance.getrandbits(63), chance.getrandbits(20)))
    word += chance.choice((0, 0, -1, 1))
    return np.int64(max(word, -1) if chance.random() < 0.6 else -word)


def damage(content: bytearray, layout: Layout, chance: random.Random):
    """Change some words of one part, or of all; say of which."""
    parts = [name for name in layout.parts if not name.startswith("column/")]
    # What another test damages often enough is left to it.
    often = ("control",) if "heap" not in parts else ("heap", "records", "records", "writing")
    name = chance.choice((*parts, *often, "heads", "all"))
    if name == "all":
        first, last = layout.parts["control"].offset, len(content)
    else:
        first = layout.parts[name].offset
        last = first + layout.parts[name].nbytes
    words = np.frombuffer(content, np.int64)[first // 8 : last // 8]
    ready = words[0] if name in ("control", "all") else None
    hit = words
    if name == "members":
        # The others were never used; most are left so, as all of them are refused.
        hit = words[: chance.choice((8, 16, 8 * 40, len(words)))]
    elif name == "records" and chance.random() < 0.7:
        hit = words[:: layout.parts["records"].shape[1]]
    elif name in ("heads", "control") and chance.random() < 0.5:
        hit = words[chance.randrange(8) :: 8]
    how_many = max(chance.choice((1, 2, 5, len(hit) // 2, len(hit))), 1)
    same = any_word(chance) if chance.random() < 0.3 else None
    for place in chance.sample(range(len(hit)), min(how_many, len(hit))):
        hit[place] = any_word(chance) if same is None else same
    if ready is not None:
        # Else every such file would be refused as unfinished.
        words[0] = ready
    return name


def batch_of(buffer, count):
    """Draw, and look at what no batch may hold whatever the file does."""
    batch = buffer.sample(count)
    if "frame" in buffer.fields:
        assert batch.points.values.shape == (count, 4, 3)
        for rows_ in (batch.points, batch.text):
            longest = rows_.values.shape[1]
            assert ((rows_.lengths >= 0) & (rows_.lengths <= longest)).all()
            assert not rows_.values[np.arange(longest) >= rows_.lengths[:, None]].any()
    return batch


def use(buffer, folder):
    """Do all that can be done with a buffer; errors of ours are what one may get."""
    prioritized = buffer.sampler.prioritized
    heaped = "frame" in buffer.fields
    ids = np.arange(-1, 40)

    def priorities():
        tree = buffer.priorities
        tree.verify()
        with np.errstate(all="ignore"):
            return tree.total, tree.largest, tree.smallest, tree.priorities()

    uses = [
        lambda: len(buffer),
        lambda: buffer.is_full,
        buffer.stats,
        lambda: repr(buffer),
        lambda: batch_of(buffer, 1),
        lambda: batch_of(buffer, 200),
        lambda: buffer.add(**{name: column[0] for name, column in rows(1, heaped).items()}),
        lambda: buffer.writer(buffer.streams - 1).extend(**rows(3, heaped)),
        lambda: buffer.extend(**rows(300, heaped)),
        lambda: batch_of(buffer, 16),
        lambda: buffer._ring.repair(),
        lambda: batch_of(buffer, 16),
        lambda: buffer.column("image").sum(),
        buffer.stats,
        lambda: buffer.save(folder / "snapshot"),
        buffer.clear,
        lambda: buffer.extend(**rows(30, heaped)),
        lambda: batch_of(buffer, 16),
    ]
    if prioritized:
        at_ids = [
            lambda: buffer.update_priorities(ids[1:], np.ones(40)),
            lambda: buffer.update_priorities([0, 1, 2], [0.0, 1e300, 1.0]),
            lambda: buffer.update_priorities(buffer.sample(100).ids, np.linspace(0, 9, 100)),
            priorities,
        ]
        uses[6:6] = at_ids
        uses += at_ids
        uses += [lambda: buffer.priorities.rebuild(), priorities, lambda: buffer.sample(64)]
    refused = 0
    for step in uses:
        try:
            step()
        except replay.ReplayError:
            refused += 1
    return refused


def main(folder, kind, streams, seed, count):
    """Try some files; the last line says how many were refused."""
    folder = pathlib.Path(folder)
    path = folder / "block"
    layout = make(path, kind, streams)
    whole = path.read_bytes()
    seen = collections.Counter()
    for number in range(count):
        chance = random.Random(f"{kind} {streams} {seed} {number}")
        content = bytearray(whole)
        part = damage(content, layout, chance)
        print(f"file {number}: {part}", flush=True)
        faulthandler.dump_traceback_later(_HANG, exit=True)
        path.write_bytes(content)
        try:
            with replay.attach(path=path, force=True) as buffer:
                seen["errors in use"] += use(buffer, folder)
                seen["opened"] += 1
        except replay.BlockError:
            seen["refused"] += 1
        faulthandler.cancel_dump_traceback_later()
    print(dict(seen))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
