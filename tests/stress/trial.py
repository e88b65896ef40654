"""A trial: processes at one buffer, a killer among them, and a verdict at the end."""

import contextlib
import dataclasses
import gc
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import traceback

import replay
from kernels.handle import REPAIRS
from replay.memory.home import named_path
from tests.stress import journal as words
from tests.stress.journal import Journal
from tests.stress.ledger import Ledger
from tests.stress.plan import SAMPLERS
from tests.stress.rows import fields, rows
from tests.stress.verdict import faults
from tests.stress.workers import learn, write

#: Seconds after which a process that does not move counts as one that waits for the dead.
_HANG = 60.0
#: Seconds of killing between two looks at whether everybody has moved.
_PHASE = 0.5


@dataclasses.dataclass
class Report:
    """What a trial saw."""

    wrong: dict = dataclasses.field(default_factory=dict)
    numbers: dict = dataclasses.field(default_factory=dict)

    def line(self):
        """Write the numbers in one line."""
        return ", ".join(f"{what} {count:,}" for what, count in self.numbers.items())


class Trial:
    """
    Owns the processes of one trial.

    They are forked: a new one is at work within milliseconds, half of them with the buffer that
    they have inherited, half with one that they attach.
    """

    def __init__(self, plan, folder):
        self.plan = plan
        self._random = random.Random(plan.seed)
        self._folder = pathlib.Path(folder)
        self._seats = plan.writers + plan.learners
        # The first rows are the parent's own, and so is the last seat.
        self._journal = Journal(self._folder / "journal", self._seats + 1)
        self._ledger = Ledger(self._journal, self._seats + 1, plan.streams)
        self._pids = {}
        self._stopped = set()
        self._counts = dict.fromkeys(("kills", "kills while stopped", "stops", "phases"), 0)

    def run(self, say):
        """
        Run the trial.

        Parameters
        ----------
        say : callable
            Is told how far it is, each second.

        Returns
        -------
        Report
        """
        plan = self.plan
        name = f"stress-{os.getpid()}-{plan.seed}"
        place = {"name": name} if plan.home == "named" else {"path": self._folder / "block"}
        self._place = place
        report = Report()
        with replay.ReplayBuffer(
            plan.capacity,
            fields(plan.capacity, **plan.shape),
            sampler=SAMPLERS[plan.sampler],
            streams=plan.streams,
            seed=plan.seed,
            **place,
        ) as buffer:
            self._compile(buffer)
            self._first_rows(buffer)
            try:
                for seat in range(self._seats):
                    self._start(buffer, seat)
                self._torment(buffer, say)
                self._end()
            finally:
                self._kill_all()
            self._ledger.read()
            unfinished = not buffer.repair().finished
            report.wrong = faults(plan, buffer, self._journal, self._ledger)
            report.wrong |= self._seen_wrong()
            if unfinished:
                report.wrong["repair did not finish"] = 1
            report.numbers = self._numbers(buffer)
        if plan.home == "named" and named_path(name).exists():
            report.wrong["names left in shared memory"] = 1
        return report

    def _compile(self, buffer):
        """Have all machine code before the first fork, so that no process pauses to compile."""
        calls = buffer._ring.calls
        for call in dir(type(calls)):
            if not call.startswith("_"):
                getattr(calls, call)
        # And what draws in place of rows that went while they were copied.
        SAMPLERS[self.plan.sampler].plain(buffer._ring)
        if self.plan.prioritized:
            buffer.priorities.verify()

    def _first_rows(self, buffer):
        """Fill a part of each stream: from then on the buffer is never empty."""
        for stream in range(self.plan.streams):
            count = max(self.plan.capacity // self.plan.streams // 2, 1)
            number = self._journal.intend(self._seats, count)
            numbers = range(number, number + count)
            made = rows([self._seats] * count, numbers, **self.plan.shape)
            self._journal.settle(self._seats, number, buffer.writer(stream).extend(*made.values()))

    def _start(self, buffer, seat):
        seed = self._random.getrandbits(60)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._work(buffer, seat, seed)
        self._pids[seat] = pid

    def _work(self, buffer, seat, seed):
        """Be one of the processes, and never return."""
        code = 1
        try:
            if seed % 2:
                buffer = replay.attach(**self._place)
            task = write if seat < self.plan.writers else learn
            task(self.plan, buffer, self._journal, seat, seed)
            buffer.close()
            code = 0
        except BaseException:
            (self._folder / f"error-{seat}").write_text(traceback.format_exc())
        finally:
            os._exit(code)

    def _torment(self, buffer, say):
        """Kill and stop processes, phase after phase; in each, everybody gets on."""
        started = time.monotonic()
        said = phase = started
        before = self._progress()
        while True:
            time.sleep(self._random.expovariate(1 / self.plan.pause))
            self._blow(buffer)
            self._look_for_errors()
            self._ledger.read()
            now = time.monotonic()
            if now - said >= 1:
                said = now
                say(f"{now - started:6.0f} s  {self._short(buffer)}")
            if now - phase < _PHASE:
                continue
            waiting = [seat for seat, was in before.items() if self._progress()[seat] == was]
            if not waiting:
                self._counts["phases"] += 1
                phase, before = now, self._progress()
                if now - started >= self.plan.seconds:
                    return
            elif now - phase > _HANG:
                raise RuntimeError(f"seats {waiting} did not move for {_HANG:.0f} s")

    def _blow(self, buffer):
        """Kill one process, a few, or stop some for a moment."""
        kind = self._random.random()
        seats = self._random.sample(range(self._seats), self._random.randint(1, self._seats))
        if kind < 0.65:
            self._replace(buffer, seats[0])
        elif kind < 0.7:
            for seat in seats:
                self._replace(buffer, seat)
        else:
            for seat in seats:
                self._journal.head[seat, words.STOPS] += 1
                os.kill(self._pids[seat], signal.SIGSTOP)
                self._counts["stops"] += 1
            time.sleep(self._random.expovariate(1 / self.plan.pause))
            if kind > 0.9:
                # Dead without having moved on from where it was stopped.
                self._replace(buffer, seats[0])
                self._counts["kills while stopped"] += 1
            for seat in seats:
                # Again: what the wait cost is none of the process's pauses either.
                self._journal.head[seat, words.STOPS] += 1
                os.kill(self._pids[seat], signal.SIGCONT)

    def _replace(self, buffer, seat):
        os.kill(self._pids[seat], signal.SIGKILL)
        self._bury(seat)
        self._counts["kills"] += 1
        self._start(buffer, seat)

    def _bury(self, seat):
        _, status = os.waitpid(self._pids.pop(seat), 0)
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            self._look_for_errors()
            raise RuntimeError(f"the process of seat {seat} ended with status {status}")

    def _end(self):
        """Kill half of them once more, and have the others end by themselves."""
        for seat in self._random.sample(range(self._seats), self._seats // 2):
            os.kill(self._pids[seat], signal.SIGKILL)
            self._counts["kills"] += 1
        self._journal.end()
        limit = time.monotonic() + _HANG
        while self._pids:
            for seat, pid in list(self._pids.items()):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    self._bury(seat)
            self._look_for_errors()
            self._ledger.read()
            if time.monotonic() > limit:
                raise RuntimeError(f"seats {sorted(self._pids)} did not end in {_HANG:.0f} s")
            time.sleep(0.001)

    def _kill_all(self):
        for pid in self._pids.values():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self._pids.clear()

    def _look_for_errors(self):
        for path in self._folder.glob("error-*"):
            raise RuntimeError(f"{path.name.replace('-', ' of seat ')}\n{path.read_text()}")

    def _progress(self):
        return {seat: int(self._journal.head[seat, words.PROGRESS]) for seat in range(self._seats)}

    def _seen_wrong(self):
        head = self._journal.head
        seen = {
            "torn rows read": head[:, words.TORN].sum(),
            "rows read under another id": head[:, words.FOREIGN].sum(),
            "ids given out twice": self._ledger.twice,
            "ids of a writer that did not grow": self._ledger.backwards,
        }
        return {what: int(count) for what, count in seen.items() if count}

    def _numbers(self, buffer):
        head = self._journal.head
        writers, learners = head[: self.plan.writers], head[self.plan.writers : self._seats]
        stats = buffer.stats()
        return {
            "rows written": int(writers[:, words.ROWS].sum()),
            "rows read": int(learners[:, words.ROWS].sum()),
            "batches": int(learners[:, words.BATCHES].sum()),
            "priorities updated": int(learners[:, words.UPDATED].sum()),
            "stale": int(learners[:, words.STALE].sum()),
            **self._counts,
            "members repaired": stats["repairs"],
            "slots freed": stats["freed"],
            "sums mended": int(buffer._ring.block.part("control")[REPAIRS, 2]),
            "burnt": stats["burnt"],
            "rows that gave their bytes": stats.get("evicted", 0),
            "redrawn": stats["redrawn"],
            "jams": int(head[:, words.JAMS].sum()),
            "samples that found nothing": int(head[:, words.EMPTY].sum()),
            "longest pause of a writer, ms": int(writers[:, words.LONGEST].max()) // 1_000_000,
            "longest pause of a learner, ms": int(learners[:, words.LONGEST].max()) // 1_000_000,
        }

    def _short(self, buffer):
        numbers = self._numbers(buffer)
        kept = ("rows written", "rows read", "kills", "stops", "slots freed", "jams")
        return ", ".join(f"{what} {numbers[what]:,}" for what in kept)


def run_trial(plan, say=None):
    """Run a trial in a folder of its own, which goes away."""
    with tempfile.TemporaryDirectory() as folder:
        return Trial(plan, folder).run(say or _say)


def _say(text):
    print(text, file=sys.stderr, flush=True)
