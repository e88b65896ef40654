"""
The host of the kills of writers of steps, as `killing` is that of all others.

A scene is a log with priorities under a view that looks ahead and back. A child goes on with its
stream, and dies at one visit of one label. After it: others read and write at once; and, from the
same bytes again, repair and a new writer leave a log in which exactly the rows that can be drawn
have a priority.
"""

import contextlib
import json
import os
import signal
import sys
import traceback

import numpy as np

import replay
from kernels import faults
from kernels import handle as words
from kernels.faults import POINTS
from kernels.handle import NOTICED
from kernels.heap import BYTES
from kernels.jit import interpreted
from kernels.ring import FILLED
from kernels.tree import tree_levels
from kernels.window import slot_whole
from tests.buffers.killing import visits_of

FIELDS = {"obs": (np.int64, (3,)), "action": np.int64, "reward": np.float32}
#: With so few bytes for observations and actions that they are used up before the slots.
HEAPED = FIELDS | {
    "obs": replay.Field(np.int64, (3,), compression="lz4", room=150),
    "action": replay.Field(np.int32, (None,), longest=5, room=80),
}
VIEWS = {
    "windows": replay.FrameStack(2, replay.NStep(3, 0.5)),
    "sequences": replay.Sequence(3, period=2, burn_in=1),
    "episodes": replay.Episodes(4),
}
CAPACITY = 14


def observed(episode, step):
    """Give an observation that can be told whole by itself."""
    return np.array([episode, step, episode * 1000 + step])


class Stage:
    """A log that begins a scene as often as one likes, with the same bytes."""

    def __init__(self, view, lap, heaped):
        self.heaped = heaped
        self.closing = contextlib.ExitStack()
        self.buffer = replay.ReplayBuffer(
            CAPACITY,
            HEAPED if heaped else FIELDS,
            view=VIEWS[view],
            sampler=replay.Proportional(alpha=1.0, normalise="buffer"),
            name=f"test-{os.getpid()}-steps",
            seed=3,
        )
        self.closing.callback(self.buffer.close)
        self.ring = self.buffer._ring
        writer = self.buffer.writer()
        for episode in range(3 if lap else 1):
            self.play(writer, episode, 2 + episode)
        # Cut by whoever comes next.
        self.play(writer, 7, 2, end=False)
        del writer
        self.memory = self.ring.block.memory
        self.levels = interpreted(tree_levels)(CAPACITY)
        self.tracked = self.memory.copy()

    def play(self, writer, episode, length, *, end=True):
        """Write an episode."""
        writer.reset(observed(episode, 0))
        for step in range(1, length + 1):
            action = np.full(step % 6, step, np.int32) if self.heaped else step
            writer.step(
                observed(episode, step), action, float(step), end and step == length, False
            )

    def run(self, buffer):
        """What a child does: cut an episode, write two, and begin a third."""
        writer = buffer.writer()
        if self.heaped:
            # Each step takes the bytes of older ones: fewer show as much.
            self.play(writer, 11, 2)
            self.play(writer, 12, 1, end=False)
            return
        self.play(writer, 11, 3)
        self.play(writer, 12, 4)
        self.play(writer, 13, 2, end=False)

    def set_scene(self, memory):
        self.memory[:] = memory
        self.ring.handle[NOTICED] = 0
        self.ring._next_look = np.inf

    def fork(self, label="", visit=1, report=None):
        sys.stdout.flush()
        child = os.fork()
        if child:
            return child
        status = 70
        try:
            self.ring._next_look = np.inf
            faults.disarm()
            if label:
                faults.arm(label, visit, signal.SIGKILL)
            self.run(self.buffer)
            if report is not None:
                report[:] = [faults.visits(point) for point in POINTS]
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def visits(self):
        self.set_scene(self.tracked)
        return visits_of(lambda report: self.fork(report=report))

    def kill_everywhere(self):
        wrong, kills = [], 0
        for label, count in self.visits().items():
            for visit in range(1, count + 1):
                kills += 1
                try:
                    self.kill_once(label, visit)
                except Exception as error:
                    wrong.append(f"{label} {visit}: {type(error).__name__}: {error}")
        return kills, wrong

    def kill_once(self, label, visit):
        self.set_scene(self.tracked)
        _, status = os.waitpid(self.fork(label, visit), 0)
        assert os.WIFSIGNALED(status), f"the child ended with {status} and should have died"
        died = self.memory.copy()
        # Others, before anybody has repaired anything: the stream of the dead is to be had.
        with contextlib.suppress(replay.EmptyError):
            self.consistent(self.buffer.sample(16))
        self.play(self.buffer.writer(), 21, 4)
        self.consistent(self.buffer.sample(16))
        assert self.ring.repair().finished
        self.sound()
        self.set_scene(died)
        assert self.ring.repair().finished
        self.play(self.buffer.writer(), 22, 3)
        self.sound()
        self.consistent(self.buffer.sample(16))

    def consistent(self, batch):
        """See that no row of a batch mixes episodes, or steps."""
        obs = batch.obs.reshape(len(batch.ids), -1, 3)
        assert (obs[:, :, 2] == obs[:, :, 0] * 1000 + obs[:, :, 1]).all(), "a torn observation"
        for row in obs:
            # Sequences are padded with zeros, as no observation of episodes above 0 is.
            there = row[row.any(axis=1)]
            assert len(set(there[:, 0].tolist())) <= 2, "episodes are mixed"
            steps = there[:, 1]
            assert (np.diff(steps) >= 0).all(), f"steps are out of order: {steps}"
        if self.heaped:
            values, lengths = batch.action
            wanted = np.where(np.arange(5) < lengths[..., None], values[..., :1], 0)
            assert (values == wanted).all(), f"torn actions {values}"
            assert ((values[..., 0] % 6 == lengths) | (lengths == 0)).all(), f"{lengths} long"

    def sound(self):
        """See that exactly what can be drawn has a priority, and that all sums are right."""
        whole = [slot for slot in range(CAPACITY) if slot_whole(self.ring.handle, slot)]
        leaves = self.ring.block.part("tree")[self.levels[-2] :].reshape(-1)[:CAPACITY]
        found = np.flatnonzero(leaves).tolist()
        assert found == whole, f"slots {found} have priorities, {whole} can be drawn"
        wrong = self.buffer.priorities.verify()
        assert wrong == 0, f"{wrong} sums are wrong"
        records = self.ring.block.part("records")
        held = np.count_nonzero(records[:, 0])
        filled = int(self.ring.block.part("heads")[0, FILLED])
        assert filled == held, f"{filled} rows are counted, {held} are there"
        if self.heaped:
            heads, layout = self.ring.block.part("heads"), self.ring.layout
            positions = records[records[:, 0] != 0, layout.places["obs"].offset // 8]
            lost = np.count_nonzero(heads[0, BYTES] - positions > layout.room)
            assert lost == 0, f"{lost} rows have lost their bytes"
            assert not self.ring.block.part("writing")[:, :1].any(), "a claim is nobody's"
        counted = int(self.ring.block.part("control")[words.PRIORITY, 2])
        assert counted == len(whole), f"{counted} rows are counted, {len(whole)} can be drawn"


def answer(request):
    """Play what a request names."""
    stage = Stage(request["view"], request["lap"], request["heaped"])
    try:
        kills, wrong = stage.kill_everywhere()
    finally:
        stage.closing.close()
    return {"count": kills, "wrong": wrong[:20]}


def main():
    """Answer requests until there are no more."""
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception:
            reply = {"count": 0, "wrong": [traceback.format_exc()]}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
