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
from kernels.jit import interpreted
from kernels.tree import tree_levels
from kernels.window import slot_whole
from tests.buffers.killing import visits_of

FIELDS = {"obs": (np.int64, (3,)), "action": np.int64, "reward": np.float32}
VIEWS = {
    "windows": replay.FrameStack(2, replay.NStep(3, 0.5)),
    "sequences": replay.Sequence(3, period=2, burn_in=1),
    "episodes": replay.Episodes(4),
}
CAPACITY = 14


def observed(episode, step):
    """Give an observation that can be told whole by itself."""
    return np.array([episode, step, episode * 1000 + step])


def play(writer, episode, length, *, end=True, begin=0):
    """Write an episode, or go on with it."""
    if not begin:
        writer.reset(observed(episode, 0))
    for step in range(begin + 1, length + 1):
        writer.step(observed(episode, step), step, float(step), end and step == length, False)


class Stage:
    """A log that begins a scene as often as one likes, with the same bytes."""

    def __init__(self, view, lap):
        self.closing = contextlib.ExitStack()
        self.buffer = replay.ReplayBuffer(
            CAPACITY,
            FIELDS,
            view=VIEWS[view],
            sampler=replay.Proportional(alpha=1.0, normalise="buffer"),
            name=f"test-{os.getpid()}-steps",
            seed=3,
        )
        self.closing.callback(self.buffer.close)
        self.ring = self.buffer._ring
        writer = self.buffer.writer()
        for episode in range(3 if lap else 1):
            play(writer, episode, 2 + episode)
        # Cut by whoever comes next.
        play(writer, 7, 2, end=False)
        del writer
        self.memory = self.ring.block.memory
        self.levels = interpreted(tree_levels)(CAPACITY)
        self.tracked = self.memory.copy()

    def run(self, buffer):
        """What a child does: cut an episode, write two, and begin a third."""
        writer = buffer.writer()
        play(writer, 11, 3)
        play(writer, 12, 4)
        play(writer, 13, 2, end=False)

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
        play(self.buffer.writer(), 21, 4)
        self.consistent(self.buffer.sample(16))
        assert self.ring.repair().finished
        self.sound()
        self.set_scene(died)
        assert self.ring.repair().finished
        play(self.buffer.writer(), 22, 3)
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

    def sound(self):
        """See that exactly what can be drawn has a priority, and that all sums are right."""
        whole = [slot for slot in range(CAPACITY) if slot_whole(self.ring.handle, slot)]
        leaves = self.ring.block.part("tree")[self.levels[-2] :].reshape(-1)[:CAPACITY]
        found = np.flatnonzero(leaves).tolist()
        assert found == whole, f"slots {found} have priorities, {whole} can be drawn"
        wrong = self.buffer.priorities.verify()
        assert wrong == 0, f"{wrong} sums are wrong"
        counted = int(self.ring.block.part("control")[words.PRIORITY, 2])
        assert counted == len(whole), f"{counted} rows are counted, {len(whole)} can be drawn"


def answer(request):
    """Play what a request names."""
    stage = Stage(request["view"], request["lap"])
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
