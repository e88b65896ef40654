"""
The host of the kills: children of one process die, or stop, at every step of what they do.

A fork of a process whose kernels are compiled and whose buffer is open costs some milliseconds, a
process started anew a second. So one process, started with REPLAY_FAULTS=1, plays all scenes. It
reads requests from its standard input and answers each with a line of JSON:

    {"do": "kill", "scene": ..., "sampler": ..., "home": ...}     how many died, what was wrong
    {"do": "stop", ...}                                           the same for SIGSTOP
    {"do": "create", "home": ...}                                 of the making of a buffer
    {"do": "jam", "heaped": ...}                                  of the dead holding every slot
    {"do": "age"}                                                 of many deaths in one ring
    {"do": "visits"}                                              the labels that any scene passes

A scene begins with the same bytes each time. The child does what the scene says and ends at one
visit of one label. The host then sees to it that others go on at once, beside what the dead one
left; and, from the same bytes again, that repair leaves a buffer of which everything is true.
"""

import contextlib
import dataclasses
import json
import mmap
import os
import pathlib
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import replay
from kernels import faults, walk_add
from kernels import members as lines
from kernels.faults import POINTS
from kernels.handle import NOTICED
from kernels.heap import BYTES, BYTES_OF, OWNER_OF
from kernels.jit import INTERPRETED, interpreted
from kernels.members import member_enter, member_leave
from kernels.minimum import NONE, minimum_rebuild
from kernels.ring import BASE, FILLED, FLOOR, HEAD, WRITERS, ring_ticket
from kernels.tree import tree_levels
from replay.memory.home import SHARED_MEMORY, named_path
from replay.memory.ragged import Padded
from tests.buffers.uneven import LARGEST, row_of, uneven, uneven_fields, uneven_wrong

SAMPLERS = {
    "uniform": replay.Uniform(),
    "batch": replay.Proportional(alpha=0.6, beta=0.4, normalise="batch"),
    "buffer": replay.Proportional(alpha=0.7, beta=0.5, normalise="buffer"),
}
PRIORITIZED = ("batch", "buffer")
#: Where fewer show as much: the one with the most steps, or with the fewest too.
LAST = ("buffer",)
ENDS = ("uniform", "buffer")

#: A row of each way of copying; every part of it follows from its number.
FIELDS = {
    "number": np.int64,
    "check": np.uint64,
    "flag": np.uint8,
    "obs": (np.float32, (3,)),
    "wide": (np.uint64, (40,)),
}


def rows(numbers, *, heaped=False):
    """Give rows that can be told whole by themselves."""
    numbers = np.asarray(numbers, np.int64)
    check = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    made = {
        "number": numbers,
        "check": check,
        "flag": (numbers % 251).astype(np.uint8),
        "obs": (numbers[:, None] + np.array([0, 0.25, 0.5])).astype(np.float32),
        "wide": check[:, None] + np.arange(40, dtype=np.uint64),
    }
    return made | (uneven(numbers) if heaped else {})


def due(buffer, numbers):
    """Give the rows of these numbers, as a buffer has them."""
    return rows(numbers, heaped="heap" in buffer._ring.layout.parts)


def consistent(columns):
    """Say of each row whether all its parts say the same number."""
    wanted = rows(columns["number"])
    right = np.ones(len(wanted["number"]), bool)
    for name, values in wanted.items():
        right &= (columns[name] == values).all(axis=tuple(range(1, values.ndim)))
    if "frame" in columns:
        right &= ~uneven_wrong(columns, columns["number"])
    return right


def coming(buffer, count, stream=0):
    """Give the ids of the next rows of a stream, as long as no ticket is burnt."""
    head = int(buffer._ring.block.part("heads")[stream, HEAD])
    return (head + np.arange(count)) * buffer.streams + stream


# What a child does. Each gives the ids of the rows that it stores.


def add(buffer):
    return [buffer.add(**row_of(due(buffer, coming(buffer, 1))))]


def add_plain(buffer):
    given = row_of(due(buffer, coming(buffer, 1)))
    return [buffer.add(**given | {"obs": given["obs"].tolist()})]


def extend(count):
    return lambda buffer: buffer.extend(**due(buffer, coming(buffer, count))).tolist()


def extend_plain(buffer):
    given = due(buffer, coming(buffer, 5))
    return buffer.extend(**given | {"obs": given["obs"].tolist()}).tolist()


def write_stream(buffer):
    return buffer.writer(1).extend(**due(buffer, coming(buffer, 3, stream=1))).tolist()


def add_to_stream(buffer):
    return [buffer.writer(1).add(**row_of(due(buffer, coming(buffer, 1, stream=1))))]


def update(count):
    def run(buffer):
        # The oldest first: some of them are gone.
        newest = int(coming(buffer, 1)[0])
        ids = np.arange(max(newest - count, 0), newest)
        buffer.update_priorities(ids, 0.5 + np.arange(ids.size) % 3)
        return []

    return run


def update_plain(buffer):
    newest = int(coming(buffer, 1)[0])
    buffer.update_priorities([newest - 1, newest - 2, newest - 2], [3, 0.25, 2])
    return []


def clear(buffer):
    buffer.clear()
    return []


def add_beside_a_clear(buffer):
    """As two threads: a clear comes between the claim and the take, and ends after the add."""
    ring = buffer._ring
    member = ring.members.line(ring.members.number)
    member_enter(member, lines.CLEARING)
    ring.block.part("heads")[0, BASE] = coming(buffer, 1)[0] + 1
    buffer.add(**row_of(due(buffer, [coming(buffer, 2)[1]])))
    ring.calls.rows_forget(ring.handle)
    member_leave(member, lines.CLEARING)
    return []


def sample(buffer):
    batch = buffer.sample(6)
    assert consistent(batch._asdict()).all()
    return []


def attach(buffer):
    with open_again(buffer) as other:
        assert len(other) == len(buffer)
    return []


def repair(buffer):
    buffer._ring.repair()
    return []


@dataclasses.dataclass(frozen=True)
class Scene:
    """
    What there is, and what a child does then.

    Parameters
    ----------
    run : callable
    capacity : int
    stored : int
        Rows of each stream before.
    streams : int
    count : int
        Rows that `run` stores.
    samplers : tuple of str
    left : tuple of (callable, str, int)
        What others did before, and where they were killed.
    limited : bool
        Whether a rate limiter counts along.
    heaped : bool
        Whether rows have compressed and ragged fields, whose bytes are used up before the slots.
    lapped : bool
        Whether newer rows take the bytes of the child's before it is committed.
    """

    run: Callable[[Any], list[int]]
    capacity: int = 12
    stored: int = 0
    streams: int = 1
    count: int = 0
    samplers: tuple[str, ...] = tuple(SAMPLERS)
    left: tuple[tuple[Callable[[Any], list[int]], str, int], ...] = ()
    limited: bool = False
    heaped: bool = False
    lapped: bool = False


#: What killed ones left for the scenes of repair: slots over old rows and first ones, sums that
#: lack a difference, half a clear.
_ADDED = ((extend(3), "COPIED", 1), (extend(3), "LEAF", 2), (add, "COMMITTED", 1))
_UPDATED = ((extend(3), "ANCESTOR", 1), (update(9), "ANCESTOR", 2), (update(20), "LEAF", 3))
_CLEARED = ((add, "TAKEN", 1), (clear, "REBASED", 1), (extend(2), "COPIED", 1))
_HALF_CLEARED = ((extend(2), "COPYING", 2), (clear, "CLEARED", 2))
#: Claims of bytes, one of which nothing was copied for; rows that have lost theirs, in part gone.
_CLAIMED = ((add, "SPACED", 1), (extend(2), "COPYING", 13))
_EVICTED = ((extend(3), "EVICTED", 1), (add, "LEARNING", 1), (extend(2), "SPACED", 2))

SCENES = {
    "add, first lap": Scene(add, 5, 2, count=1),
    "add, later lap": Scene(add, 5, 13, count=1),
    "add by the plain path": Scene(add_plain, 5, 4, count=1, samplers=LAST),
    "add to one slot": Scene(add, 1, 1, count=1, samplers=ENDS),
    "add, held to a ratio": Scene(add, 12, 5, count=1, samplers=LAST, limited=True),
    "extend, first lap": Scene(extend(5), 12, 2, count=5),
    "extend around the end": Scene(extend(5), 12, 10, count=5),
    "extend, later lap": Scene(extend(7), 12, 27, count=7, samplers=LAST),
    "extend by the plain path": Scene(extend_plain, 12, 22, count=5, samplers=LAST),
    "extend by two laps": Scene(extend(7), 5, 3, count=7, samplers=ENDS),
    "extend a stream of several": Scene(write_stream, 12, 3, 3, count=3, samplers=ENDS),
    "update one level": Scene(update(4), 8, 11, samplers=PRIORITIZED),
    "update two levels": Scene(update(15), 12, 27, samplers=PRIORITIZED),
    "update by the plain path": Scene(update_plain, 12, 9, samplers=LAST),
    "update a batch": Scene(update(20), 70, 75, samplers=PRIORITIZED),
    "add beside a clear": Scene(add_beside_a_clear, 5, 13, samplers=ENDS),
    "add beside a clear, first lap": Scene(add_beside_a_clear, 5, 2, samplers=LAST),
    "clear": Scene(clear, 12, 7),
    "clear several streams": Scene(clear, 12, 5, 3, samplers=LAST),
    "sample": Scene(sample, 12, 15),
    "sample, held to a ratio": Scene(sample, 12, 5, limited=True),
    "attach": Scene(attach, 12, 15),
    "attach and repair": Scene(attach, 12, 15, left=_ADDED, samplers=ENDS),
    "repair first slots": Scene(repair, 12, 2, left=_ADDED, samplers=PRIORITIZED),
    "repair slots": Scene(repair, 12, 15, left=_ADDED, samplers=ENDS),
    "repair sums": Scene(repair, 70, 75, left=_UPDATED, samplers=PRIORITIZED),
    "repair a clear": Scene(repair, 12, 15, left=_CLEARED, samplers=ENDS),
    "repair half a clear": Scene(repair, 12, 7, left=_HALF_CLEARED, samplers=PRIORITIZED),
    "add by the plain path, bytes for all": Scene(
        add_plain, 16, 3, count=1, heaped=True, samplers=LAST
    ),
    # The 64th row is added to a dictionary.
    "add, bytes used up": Scene(add, 16, 64, count=1, heaped=True, samplers=ENDS),
    "add to a stream of several, bytes used up": Scene(
        add_to_stream, 48, 14, 3, count=1, heaped=True, samplers=LAST
    ),
    "add too late": Scene(add, 16, 30, heaped=True, lapped=True, samplers=ENDS),
    "extend beside claims": Scene(
        extend(3), 16, 26, count=3, left=_CLAIMED, heaped=True, samplers=LAST
    ),
    "clear, bytes used up": Scene(clear, 16, 30, heaped=True, samplers=ENDS[:1]),
    "repair claims": Scene(repair, 16, 30, left=_CLAIMED, heaped=True, samplers=LAST),
    "repair what lost its bytes": Scene(repair, 16, 63, left=_EVICTED, heaped=True, samplers=ENDS),
}


class Stage:
    """A buffer that begins a scene as often as one likes, with the same bytes."""

    def __init__(self, scene, sampler, home):
        self.scene = scene
        self.closing = contextlib.ExitStack()
        # In memory: a snapshot waits until it is on the disk.
        folder = tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        self.folder = pathlib.Path(self.closing.enter_context(folder))
        options = {"sampler": SAMPLERS[sampler], "streams": scene.streams, "seed": 3}
        if home == "named":
            options["name"] = f"test-{os.getpid()}-kill"
        else:
            options["path"] = self.folder / "block"
        if scene.limited:
            options["limiter"] = replay.RateLimiter(2.0, min_size=4, tolerance=1e6)
        # Fewer rows than slots: half again as many slots in the streams.
        room = scene.capacity * 2 // 3
        fields = FIELDS | (uneven_fields(room) if scene.heaped else {})
        self.buffer = replay.ReplayBuffer(scene.capacity, fields, **options)
        self.closing.callback(self.buffer.close)
        self.ring = self.buffer._ring
        self.memory = self.ring.block.memory
        self.parts = {name: self.ring.block.part(name) for name in self.ring.layout.parts}
        self.columns = {name: self.buffer.column(name) for name in FIELDS}
        if scene.heaped:
            place = self.ring.layout.places["frame"].offset // 8
            #: Of each slot, where the bytes begin: of both fields, since the frame's are first.
            self.positions = self.parts["records"][:, place]
        self.prioritized = "tree" in self.ring.layout.parts
        if self.prioritized:
            self.levels = interpreted(tree_levels)(scene.capacity)
        self.fill()
        self.tracked = self.memory.copy()

    def fill(self):
        for stream in range(self.scene.streams):
            writer = self.buffer.writer(stream)
            for number in coming(self.buffer, self.scene.stored, stream):
                writer.add(**row_of(due(self.buffer, [number])))
        if self.prioritized and self.scene.stored:
            table = self.rows()
            ids = np.array(sorted(table))
            self.buffer.update_priorities(ids, 1 + (ids * 7 % 5) / 2)
        for run, label, visit in self.scene.left:
            if self.prioritized or label not in ("LEAF", "ANCESTOR"):
                # The others go on by themselves: what one left must not be repaired for the next.
                self.ring._next_look = np.inf
                self.die(run, label, visit)
        self.set_scene()

    def set_scene(self, memory=None):
        if memory is not None:
            self.memory[:] = memory
        self.ring.handle[NOTICED] = 0
        self.ring._next_look = np.inf

    def fork(self, run, label="", visit=1, kind=signal.SIGKILL, report=None, *, leave=False):
        sys.stdout.flush()
        child = os.fork()
        if child:
            return child
        status = 70
        try:
            self.ring._next_look = np.inf
            faults.disarm()
            if label:
                faults.arm(label, visit, kind)
            if self.scene.lapped and run == self.scene.run:
                faults.arm("COPIED", 1, signal.SIGSTOP)
            run(self.buffer)
            if report is not None:
                report[:] = [faults.visits(point) for point in POINTS]
            if leave:
                self.buffer.close()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def end(self, child):
        """Wait for a child, and have it lapped where it stops for that; say how it ended."""
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            for count in (3, 5, 7):
                extend(count)(self.buffer)
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        return status

    def die(self, run, label, visit):
        status = self.end(self.fork(run, label, visit))
        assert os.WIFSIGNALED(status), f"the child ended with {status} and should have died"
        assert os.WTERMSIG(status) == signal.SIGKILL, status

    def visits(self):
        """Say how often a child passes each label when nothing ends it."""
        self.set_scene(self.tracked)
        counts = visits_of(lambda report: self.fork(self.scene.run, report=report), self.end)
        if self.scene.lapped:
            # There it stops.
            del counts["COPIED"]
        return counts

    def words(self):
        return self.parts["records"][:, 0]

    def odd(self):
        """List the slots that are being filled, with the numbers of those who do."""
        words = self.words()
        return {int(s): int(words[s]) >> 2 & (WRITERS - 1) for s in np.flatnonzero(words & 1)}

    def rows(self):
        """Map the ids of whole rows to their numbers, and see that each is whole indeed."""
        words = self.words()
        slots = np.flatnonzero((words & 1 == 0) & (words != 0))
        columns = {name: column[slots] for name, column in self.columns.items()}
        if self.scene.heaped:
            slots, columns = self.gathered(slots)
        right = consistent(columns)
        assert right.all(), f"torn rows in slots {slots[~right]}"
        streams, per = self.buffer.streams, self.ring.layout.rows
        table = {}
        for slot, number in zip(slots.tolist(), columns["number"].tolist(), strict=True):
            ticket = int(ring_ticket(words[slot]))
            assert ticket % per == slot % per
            table[ticket * streams + slot // per] = number
        return table

    def gathered(self, slots):
        """Read rows by the kernels; those that have lost their bytes are none, and found out."""
        columns = {
            n: np.zeros((slots.size, *f.shape), f.dtype) for n, f in self.ring.fields.items()
        }
        ids = slots.copy()
        self.ring.gather(self.ring.handle, ids, tuple(columns.values()))
        stands = self.stands(slots)
        assert ((ids >= 0) == stands).all(), f"read {ids}, bytes of {slots[stands]} stand"
        columns["path"] = Padded(columns.pop("path/values"), columns.pop("path/lengths"))
        columns = {
            name: Padded(*(part[stands] for part in column))
            if isinstance(column, Padded)
            else column[stands]
            for name, column in columns.items()
        }
        return slots[stands], columns

    def stands(self, slots):
        """Say of each slot whether nobody has claimed the bytes of its row for a newer one."""
        heads = self.parts["heads"][slots // self.ring.layout.rows, BYTES]
        return heads - self.positions[slots] <= self.ring.layout.room

    def newest(self):
        """Say how many bytes the newest row of stream 0 takes."""
        slot = slot_of(int(coming(self.buffer, 1)[0]) - 1, self.ring.layout.rows, 1)
        return int(self.parts["heads"][0, BYTES] - self.positions[slot])

    def claims(self, writers):
        """List what writers hold of bytes: stream, position and how many."""
        writing = self.parts["writing"]
        held = np.isin(writing[:, OWNER_OF] - 1, writers) & (writing[:, BYTES_OF] > 0)
        return [tuple(line) for line in writing[held, 1:4].tolist()]

    def sound(self, wanted=None):
        """See that everything is true of a buffer in which nobody is at work."""
        assert self.odd() == {}, f"odd slots {self.odd()}"
        table = self.rows()
        heads, per = self.parts["heads"], self.ring.layout.rows
        for stream in range(self.buffer.streams):
            words = self.words()[stream * per : (stream + 1) * per]
            whole, filled = np.count_nonzero(words), int(heads[stream, FILLED])
            assert whole == filled, f"stream {stream} has {whole} rows and counts {filled}"
            tickets = (words[words != 0] >> 13) - 1
            assert (tickets >= heads[stream, BASE]).all(), "a row is older than the base"
            assert (tickets >= heads[stream, FLOOR]).all(), "a row is below the floor"
            assert (tickets < heads[stream, HEAD]).all()
        assert len(self.buffer) == len(table), (
            f"len is {len(self.buffer)}, {len(table)} rows stand"
        )
        if self.scene.heaped:
            held = self.parts["writing"][:, [OWNER_OF, BYTES_OF]]
            assert not held.any(), f"claims that nobody holds: {held[held.any(axis=1)]}"
            if "dictionaries" in self.parts:
                assert not self.parts["dictionaries"][:, 0].any(), "nobody adds to a dictionary"
        if wanted is not None:
            assert table == wanted, f"rows {sorted(table)}, and not {sorted(wanted)}"
        if self.prioritized:
            tree, leaves = self.parts["tree"], self.leaves()
            wrong = self.buffer.priorities.verify()
            assert wrong == 0, f"{wrong} sums are wrong"
            held = self.words() != 0
            assert (leaves[~held] == 0).all(), f"empty slots have priorities {leaves[~held]}"
            assert (leaves[held] > 0).all(), f"rows without a priority: {leaves[held]}"
            if "minima" in self.ring.layout.parts:
                minima = self.parts["minima"]
                right = minima.copy()
                minimum_rebuild(right, tree, self.levels)
                # Above lines that there are none of, and in a new block, stands 0 for none.
                assert (np.where(minima == 0, NONE, minima) == right).all(), "minima are wrong"
        table = self.ring.members.table()
        assert [member.number for member in table] == [0], table
        for word in (lines.INSIDE, lines.CLEARING):
            assert not (self.parts["members"][:, word] & 0xFFFF).any(), "somebody is still inside"

    def leaves(self):
        return self.parts["tree"][self.levels[-2] :].reshape(-1)[: self.scene.capacity]

    def others_go_on(self):
        """Add, sample and update beside whatever the dead or stopped hold."""
        buffer, held = self.buffer, self.odd()
        mine = {}
        for stream in range(buffer.streams):
            writer = buffer.writer(stream)
            writer._handle[NOTICED] = 0
            for count in (1, 2):
                given = due(buffer, coming(buffer, count, stream))
                ids = writer.extend(**given)
                mine |= dict(zip(ids.tolist(), given["number"].tolist(), strict=True))
        table = self.rows()
        live = {i: n for i, n in mine.items() if i in table}
        assert len(live) >= min(3, self.ring.layout.rows - len(held))
        assert all(table[i] == n for i, n in live.items())
        batch = buffer.sample(8)
        assert consistent(batch._asdict()).all(), "a batch has a torn row"
        drawn = zip(batch.ids.tolist(), batch.number.tolist(), strict=True)
        assert all(table[identity] == number for identity, number in drawn)
        if self.prioritized:
            assert buffer.update_priorities(batch.ids, np.full(8, 1.5)) == 8

    def kill_everywhere(self):
        """Let a child die at every visit of every label; give how many did, and what was wrong."""
        wrong, kills = [], 0
        for label, count in self.visits().items():
            for visit in range(1, count + 1):
                kills += 1
                try:
                    self.kill_once(label, visit)
                except Exception as error:
                    wrong.append(f"{label} {visit}: {type(error).__name__}: {error}")
                    if len(wrong) > 20:
                        return kills, wrong
        return kills, wrong

    def kill_once(self, label, visit):
        self.set_scene(self.tracked)
        before, held = self.rows(), self.odd()
        head = coming(self.buffer, 1)[0]
        positions = self.positions.copy() if self.scene.heaped else None
        self.die(self.scene.run, label, visit)
        after = self.rows()
        self.compare(before, after, label, visit, head, held, positions)
        died = self.memory.copy()
        # Others, before anybody has repaired anything.
        self.others_go_on()
        assert self.ring.repair().finished
        self.sound()
        # From the same bytes again: repair, by hand or by whoever attaches next.
        self.set_scene(died)
        if visit % 2:
            assert self.ring.repair().finished
        else:
            with open_again(self.buffer):
                pass
        streams, heads = self.buffer.streams, self.parts["heads"]
        base = heads[:, [BASE, FLOOR]].max(axis=1) * streams
        kept = {i: n for i, n in after.items() if i >= base[i % streams]}
        self.sound(kept)
        self.ring._next_look = 0
        ids = self.scene.run(self.buffer)
        table = self.rows()
        assert all(table[i] == i for i in ids[-1:])
        self.sound()

    def compare(self, before, after, label, visit, head, held, positions):
        """Hold what is there after a death against what was there before."""
        run, count, streams = self.scene.run, self.scene.count, self.buffer.streams
        # Who was killed has taken no slot but those of the rows it was storing.
        places = (self.ring.layout.rows, streams)
        taken = {slot_of(i, *places) for i in after if i not in before}
        taken |= self.odd().keys() - held.keys()
        if run not in (clear, add_beside_a_clear, repair, attach) and not self.scene.lapped:
            lost = [i for i in before if i not in after and slot_of(i, *places) not in taken]
            if positions is not None:
                # But for those whose bytes were claimed for others.
                room, heads, words = self.ring.layout.room, self.parts["heads"], self.words()
                emptied = [i for i in lost if words[slot_of(i, *places)] == 0]
                above = [i for i in emptied if i // streams >= heads[i % streams, FLOOR]]
                assert not above, f"rows {above} were emptied before the floor was raised"
                claimed = heads[:, BYTES] - room
                lost = [i for i in lost if positions[slot_of(i, *places)] >= claimed[i % streams]]
                late = [i for i in after if i // streams < heads[i % streams, FLOOR]]
                assert not late, f"rows {late} have their bytes, and are below the floor"
            assert not lost, f"rows {lost} are gone"
        assert all(before[i] == n for i, n in after.items() if i in before)
        new = sorted(i for i in after if i not in before)
        assert all(after[i] == i for i in new)
        if streams == 1 and 0 < count <= self.scene.capacity:
            # Rows are committed in order, and what was not committed is not there.
            assert new == list(range(head, head + len(new)))
            if label == "COMMITTED":
                assert len(new) == visit, f"{len(new)} rows are there after {visit} commits"
            elif count == 1:
                assert new == [], "a row is there before its commit"

    def stop_everywhere(self):
        """Let a child stop at the first and the last visit of every label."""
        wrong, stops = [], 0
        for label, count in self.visits().items():
            for visit in sorted({1, count}):
                stops += 1
                try:
                    self.stop_once(label, visit)
                except Exception as error:
                    wrong.append(f"{label} {visit}: {type(error).__name__}: {error}")
        return stops, wrong

    def stop_once(self, label, visit):
        self.set_scene(self.tracked)
        # One who leaves in order is not repaired: what it held, it must have let go by itself.
        leave = self.scene.heaped
        child = self.fork(self.scene.run, label, visit, signal.SIGSTOP, leave=leave)
        try:
            _, status = os.waitpid(child, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"the child ended with {status}"
            places = self.places_of(child)
            held = self.held_by(places)
            self.ring._next_look = 0
            self.others_go_on()
            if self.scene.heaped:
                copying = label == "SPACED" or (label == "COPYING" and visit > 1)
                assert self.claims(places) or not copying, "nothing says which bytes it fills"
                self.others_lap(places)
            self.ring.repair()
            self.others_die()
            self.repair_beside(places)
            assert self.held_by(places) == held, "the stopped one's slots were touched"
            self.ring._next_look = 0
            self.others_go_on()
            self.buffer.save(self.folder / "snapshot")
            assert self.held_by(places) == held, "the stopped one's slots were touched"
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
            child = 0
            assert status == 0, f"the child went on and ended with {status}"
        finally:
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        assert self.ring.repair().finished
        self.sound()

    def others_lap(self, places):
        """Go three times around the bytes beside a stopped one, whose own nobody touches."""
        heap, room, heads = self.parts["heap"], self.ring.layout.room, self.parts["heads"]
        # An announced claim that was not made yet is none.
        claims = [claim for claim in self.claims(places) if claim[1] < heads[claim[0], BYTES]]
        held = [(s, [(at + byte) % room for byte in range(size)]) for s, at, size in claims]
        before = [heap[stream, part].tolist() for stream, part in held]
        for stream in range(self.buffer.streams):
            writer = self.buffer.writer(stream)
            end = heads[stream, BYTES] + 3 * room
            while heads[stream, BYTES] < end:
                writer.extend(**due(self.buffer, coming(self.buffer, 3, stream)))
                assert consistent(self.buffer.sample(8)._asdict()).all(), "a wrong row"
        assert [heap[stream, part].tolist() for stream, part in held] == before, (
            "a stopped one's bytes were written over"
        )

    def others_die(self):
        """Leave a slot, and sums that lack a difference, beside one that is stopped."""
        self.ring._next_look = np.inf
        self.die(add, "COPIED", 1)
        self.die(add, "COMMITTED", 1)
        if self.prioritized:
            newest = max(self.rows())
            self.die(lambda buffer: buffer.update_priorities([newest], [9.0]), "LEAF", 1)

    def repair_beside(self, places):
        """Repair what can be beside a stopped one, which may be inside of the rest."""
        inside = self.parts["members"][places][:, [lines.INSIDE, lines.CLEARING]]
        inside = bool((inside & lines.INSIDE_COUNT).any())
        wrong = self.buffer.priorities.verify() if self.prioritized else 0
        done = self.ring.repair()
        if self.scene.run not in (repair, attach):
            assert set(self.odd().values()) <= set(places), "slots of the dead are not free"
            assert done.finished or inside or self.held_by(places)
            if inside and wrong:
                assert not done.finished, "sums were corrected beside one who is inside"

    def places_of(self, child):
        return np.flatnonzero(self.parts["members"][:, lines.PROCESS] == child).tolist()

    def held_by(self, places):
        return [slot for slot, writer in self.odd().items() if writer in places]


def ended(child):
    return os.waitpid(child, 0)[1]


def visits_of(fork, end=ended):
    """Have a child count its visits into memory that it shares."""
    counts = np.frombuffer(mmap.mmap(-1, 8 * len(POINTS)), np.int64)
    status = end(fork(counts))
    assert status == 0, f"the child ended with {status}"
    return {name: int(count) for name, count in zip(POINTS, counts, strict=True) if count}


def slot_of(identity, per, streams):
    ticket, stream = divmod(identity, streams)
    return stream * per + ticket % per


def open_again(buffer):
    return replay.attach(buffer.name) if buffer.name else replay.attach(path=buffer.path)


def create_everywhere(home):
    """Let a child die at every visit of every label while it makes a buffer."""
    wrong, kills = [], 0
    with tempfile.TemporaryDirectory() as folder:
        name = f"test-{os.getpid()}-create"
        path = named_path(name) if home == "named" else pathlib.Path(folder) / "block"
        place = {"name": name} if home == "named" else {"path": path}

        def make():
            return replay.ReplayBuffer(12, FIELDS, sampler=SAMPLERS["buffer"], **place)

        counts = visits_of(lambda report: fork_making(make, report=report))
        path.unlink(missing_ok=True)
        for label, count in counts.items():
            for visit in range(1, count + 1):
                kills += 1
                try:
                    create_once(make, place, path, label, visit)
                except Exception as error:
                    wrong.append(f"{label} {visit}: {type(error).__name__}: {error}")
                finally:
                    path.unlink(missing_ok=True)
    return kills, wrong, counts


def fork_making(make, label="", visit=1, report=None):
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        faults.disarm()
        if label:
            faults.arm(label, visit)
        made = make()
        if report is not None:
            report[:] = [faults.visits(point) for point in POINTS]
        del made
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def create_once(make, place, path, label, visit):
    _, status = os.waitpid(fork_making(make, label, visit), 0)
    assert os.WIFSIGNALED(status), f"the child ended with {status} and should have died"
    assert path.exists()
    # Whoever finds it is told; nobody can join what was never finished.
    try:
        make().close()
        raise AssertionError("a file that is there was made anew")
    except replay.BlockExistsError:
        pass
    try:
        replay.attach(**place).close()
        raise AssertionError("an unfinished block was attached")
    except replay.BlockFormatError:
        pass
    if "name" in place:
        replay.unlink(place["name"])
    else:
        path.unlink()
    with make() as buffer:
        buffer.extend(**rows(range(5)))
        assert len(buffer) == 5
        with open_again(buffer) as other:
            assert len(other) == 5


def jam(heaped):
    """Have writers die until the dead hold every slot of a stream, or all of its bytes."""
    if heaped:
        return jam_bytes()
    stage = Stage(Scene(add, 4, 9), "buffer", "named")
    if INTERPRETED:
        walk_add.PATIENCE = 100
    try:
        stage.set_scene(stage.tracked)
        for _ in range(100):
            stage.die(add, "COPIED", 1)
            if len(stage.odd()) == 4:
                break
        assert len(stage.odd()) == 4
        assert len(stage.ring.members.dead()) >= 4
        # Nobody was to look after the dead, but now there is nowhere else to go.
        stage.set_scene()
        given = rows([77])
        stage.buffer.add(**{name: values[0] for name, values in given.items()})
        assert list(stage.rows().values()) == [77]
        stage.sound()
        return 4, []
    except AssertionError as error:
        return 4, [f"AssertionError: {error}"]
    finally:
        stage.closing.close()


def jam_bytes():
    """Have writers die until the dead hold so many bytes that no row fits between them."""
    stage = Stage(Scene(add, 9, 20, heaped=True), "buffer", "named")
    try:
        stage.set_scene(stage.tracked)
        room, claimed = stage.ring.layout.room, 0
        while claimed + LARGEST <= room:
            stage.ring._next_look = np.inf
            stage.die(add, "SPACED", 1)
            claims = stage.claims(range(1, 100))
            assert claimed < sum(size for _, _, size in claims), "another one's bytes were claimed"
            claimed = sum(size for _, _, size in claims)
        stage.set_scene()
        for _ in range(4):
            ids = add(stage.buffer)
        assert [stage.rows()[i] for i in ids] == ids
        stage.sound()
        return len(claims), []
    except AssertionError as error:
        return 4, [f"AssertionError: {error}"]
    finally:
        stage.closing.close()


#: Where those die of whom there are many: wherever something is held of the heap.
_AGING = (
    ("ANNOUNCED", 1), ("SPACED", 1), ("COPYING", 6), ("COPYING", 7), ("COPIED", 1),
    ("SPACED", 2), ("EVICTED", 1), ("COPYING", 14), ("COMMITTED", 1), ("ANNOUNCED", 2),
)  # fmt: skip


def age():
    """Have many writers die in one small ring, which holds as many rows after as its bytes say."""
    stage = Stage(Scene(extend(2), 16, 30, heaped=True), "buffer", "named")
    wrong, deaths = [], 0
    try:
        stage.set_scene(stage.tracked)
        for turn in range(130):
            label, visit = _AGING[turn % len(_AGING)]
            _, status = os.waitpid(stage.fork(stage.scene.run, label, visit), 0)
            deaths += os.WIFSIGNALED(status)
            if turn % 3 == 2:
                # What more of them hold would leave no room for three rows in one piece each.
                stage.ring._next_look = np.inf
                stage.others_go_on()
                assert stage.ring.repair().finished
        assert stage.ring.repair().finished
        stage.sound()
        sizes = []
        while len(sizes) < 3 * stage.scene.capacity:
            add(stage.buffer)
            sizes.append(stage.newest())
        kept = np.count_nonzero(np.cumsum(sizes[::-1]) <= stage.ring.layout.room)
        assert len(stage.rows()) == kept, f"{len(stage.rows())} rows, bytes are for {kept}"
        stage.sound()
    except Exception as error:
        wrong.append(f"{deaths} deaths: {type(error).__name__}: {error}")
    finally:
        stage.closing.close()
    return deaths, wrong


def play(request):
    """Do what a request asks for."""
    if request["do"] == "create":
        kills, wrong, _ = create_everywhere(request["home"])
        return {"count": kills, "wrong": wrong}
    if request["do"] == "jam":
        kills, wrong = jam(request["heaped"])
        return {"count": kills, "wrong": wrong}
    if request["do"] == "age":
        kills, wrong = age()
        return {"count": kills, "wrong": wrong}
    if request["do"] == "visits":
        seen = set(create_everywhere("named")[2])
        for scene in SCENES.values():
            seen |= set(on_stage(scene, scene.samplers[-1], "named", Stage.visits))
        return {"labels": sorted(seen)}
    act = {"kill": Stage.kill_everywhere, "stop": Stage.stop_everywhere}[request["do"]]
    count, wrong = on_stage(SCENES[request["scene"]], request["sampler"], request["home"], act)
    return {"count": count, "wrong": wrong}


def on_stage(scene, sampler, home, act):
    stage = Stage(scene, sampler, home)
    try:
        return act(stage)
    finally:
        stage.closing.close()


def main():
    """Answer requests until there are no more."""
    for line in sys.stdin:
        try:
            answer = play(json.loads(line))
        except Exception:
            answer = {"count": 0, "wrong": [traceback.format_exc()], "labels": []}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
