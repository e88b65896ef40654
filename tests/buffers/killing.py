"""
The host of the kills: children of one process die, or stop, at every step of what they do.

A fork of a process whose kernels are compiled and whose buffer is open costs some milliseconds, a
process started anew a second. So one process, started with REPLAY_FAULTS=1, plays all scenes. It
reads requests from its standard input and answers each with a line of JSON:

    {"do": "kill", "scene": ..., "sampler": ..., "home": ...}     how many died, what was wrong
    {"do": "stop", ...}                                           the same for SIGSTOP
    {"do": "create", "home": ...}                                 of the making of a buffer
    {"do": "jam"}                                                 of the dead holding every slot
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
from kernels.jit import INTERPRETED, interpreted
from kernels.members import member_enter, member_leave
from kernels.minimum import NONE, minimum_rebuild
from kernels.ring import BASE, FILLED, HEAD, WRITERS, ring_ticket
from kernels.tree import tree_levels
from replay.memory.home import SHARED_MEMORY, named_path

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


def rows(numbers):
    """Give rows that can be told whole by themselves."""
    numbers = np.asarray(numbers, np.int64)
    check = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return {
        "number": numbers,
        "check": check,
        "flag": (numbers % 251).astype(np.uint8),
        "obs": (numbers[:, None] + np.array([0, 0.25, 0.5])).astype(np.float32),
        "wide": check[:, None] + np.arange(40, dtype=np.uint64),
    }


def consistent(columns):
    """Say of each row whether all its parts say the same number."""
    wanted = rows(columns["number"])
    right = np.ones(len(wanted["number"]), bool)
    for name, values in wanted.items():
        right &= (columns[name] == values).all(axis=tuple(range(1, values.ndim)))
    return right


def coming(buffer, count, stream=0):
    """Give the ids of the next rows of a stream, as long as no ticket is burnt."""
    head = int(buffer._ring.block.part("heads")[stream, HEAD])
    return (head + np.arange(count)) * buffer.streams + stream


# What a child does. Each gives the ids of the rows that it stores.


def add(buffer):
    given = rows(coming(buffer, 1))
    return [buffer.add(**{name: values[0] for name, values in given.items()})]


def add_plain(buffer):
    given = rows(coming(buffer, 1))
    return [buffer.add(**given | {"obs": given["obs"][0].tolist()} | one(given))]


def one(given):
    return {name: values[0] for name, values in given.items() if name != "obs"}


def extend(count):
    return lambda buffer: buffer.extend(**rows(coming(buffer, count))).tolist()


def extend_plain(buffer):
    given = rows(coming(buffer, 5))
    return buffer.extend(**given | {"obs": given["obs"].tolist()}).tolist()


def write_stream(buffer):
    return buffer.writer(1).extend(**rows(coming(buffer, 3, stream=1))).tolist()


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
    given = rows([coming(buffer, 2)[1]])
    buffer.add(**{name: values[0] for name, values in given.items()})
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
    """

    run: Callable[[Any], list[int]]
    capacity: int = 12
    stored: int = 0
    streams: int = 1
    count: int = 0
    samplers: tuple[str, ...] = tuple(SAMPLERS)
    left: tuple[tuple[Callable[[Any], list[int]], str, int], ...] = ()
    limited: bool = False


#: What killed ones left for the scenes of repair: slots over old rows and first ones, sums that
#: lack a difference, half a clear.
_ADDED = ((extend(3), "COPIED", 1), (extend(3), "LEAF", 2), (add, "COMMITTED", 1))
_UPDATED = ((extend(3), "ANCESTOR", 1), (update(9), "ANCESTOR", 2), (update(20), "LEAF", 3))
_CLEARED = ((add, "TAKEN", 1), (clear, "REBASED", 1), (extend(2), "COPIED", 1))
_HALF_CLEARED = ((extend(2), "COPYING", 2), (clear, "CLEARED", 2))

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
        self.buffer = replay.ReplayBuffer(scene.capacity, FIELDS, **options)
        self.closing.callback(self.buffer.close)
        self.ring = self.buffer._ring
        self.memory = self.ring.block.memory
        self.parts = {name: self.ring.block.part(name) for name in self.ring.layout.parts}
        self.columns = {name: self.buffer.column(name) for name in FIELDS}
        self.prioritized = "tree" in self.ring.layout.parts
        if self.prioritized:
            self.levels = interpreted(tree_levels)(scene.capacity)
        self.fill()
        self.tracked = self.memory.copy()

    def fill(self):
        for stream in range(self.scene.streams):
            writer = self.buffer.writer(stream)
            for number in coming(self.buffer, self.scene.stored, stream):
                writer.add(**{name: values[0] for name, values in rows([number]).items()})
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

    def fork(self, run, label="", visit=1, kind=signal.SIGKILL, report=None):
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
            run(self.buffer)
            if report is not None:
                report[:] = [faults.visits(point) for point in POINTS]
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def die(self, run, label, visit):
        _, status = os.waitpid(self.fork(run, label, visit), 0)
        assert os.WIFSIGNALED(status), f"the child ended with {status} and should have died"
        assert os.WTERMSIG(status) == signal.SIGKILL, status

    def visits(self):
        """Say how often a child passes each label when nothing ends it."""
        self.set_scene(self.tracked)
        return visits_of(lambda report: self.fork(self.scene.run, report=report))

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
        right = consistent(columns)
        assert right.all(), f"torn rows in slots {slots[~right]}"
        streams, per = self.buffer.streams, self.ring.layout.rows
        table = {}
        for slot, number in zip(slots.tolist(), columns["number"].tolist(), strict=True):
            ticket = int(ring_ticket(words[slot]))
            assert ticket % per == slot % per
            table[ticket * streams + slot // per] = number
        return table

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
            assert (tickets < heads[stream, HEAD]).all()
        assert len(self.buffer) == len(table)
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
                given = rows(coming(buffer, count, stream))
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
        self.die(self.scene.run, label, visit)
        after = self.rows()
        self.compare(before, after, label, visit, head, held)
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
        base = self.parts["heads"][:, BASE] * self.buffer.streams
        kept = {i: n for i, n in after.items() if i >= base[i % self.buffer.streams]}
        self.sound(kept)
        self.ring._next_look = 0
        ids = self.scene.run(self.buffer)
        table = self.rows()
        assert all(table[i] == i for i in ids[-1:])
        self.sound()

    def compare(self, before, after, label, visit, head, held):
        """Hold what is there after a death against what was there before."""
        run, count, streams = self.scene.run, self.scene.count, self.buffer.streams
        # Who was killed has taken no slot but those of the rows it was storing.
        places = (self.ring.layout.rows, streams)
        taken = {slot_of(i, *places) for i in after if i not in before}
        taken |= self.odd().keys() - held.keys()
        if run not in (clear, add_beside_a_clear, repair, attach):
            lost = [i for i in before if i not in after and slot_of(i, *places) not in taken]
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
        child = self.fork(self.scene.run, label, visit, signal.SIGSTOP)
        try:
            _, status = os.waitpid(child, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"the child ended with {status}"
            places = self.places_of(child)
            held = self.held_by(places)
            self.ring._next_look = 0
            self.others_go_on()
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


def visits_of(fork):
    """Have a child count its visits into memory that it shares."""
    counts = np.frombuffer(mmap.mmap(-1, 8 * len(POINTS)), np.int64)
    _, status = os.waitpid(fork(counts), 0)
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


def jam():
    """Have writers die until the dead hold every slot of a stream."""
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


def play(request):
    """Do what a request asks for."""
    if request["do"] == "create":
        kills, wrong, _ = create_everywhere(request["home"])
        return {"count": kills, "wrong": wrong}
    if request["do"] == "jam":
        kills, wrong = jam()
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
