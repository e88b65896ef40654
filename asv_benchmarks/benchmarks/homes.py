"""The homes of a block: private memory, a name in shared memory, a file."""

import itertools
import os
import pathlib
import tempfile

import replay

from . import CALLS, SAMPLERS, Timed, unless_quick
from .workload import FIELDS, fill, rows, sampler

CAPACITY = unless_quick(100_000, 1_000)


class Homes(Timed):
    """The same thousand calls in each home; one `create`, as it is."""

    params = (["private", "named", "path"], SAMPLERS)
    param_names = ("home", "sampler")

    def setup(self, home: str, kind: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        self.buffer = self.create(home, kind)
        fill(self.buffer)
        self.row = tuple(column[0] for column in rows(1).values())
        self.buffer.add(*self.row)
        self.out = self.buffer.sample(256)
        self.opened: list[replay.ReplayBuffer] = []

    def teardown(self, home: str, kind: str) -> None:
        for buffer in (self.buffer, *self.opened):
            buffer.close()
        self.folder.cleanup()

    def create(self, home: str, kind: str) -> replay.ReplayBuffer:
        self.count += 1
        return replay.ReplayBuffer(
            CAPACITY,
            FIELDS,
            sampler=sampler(kind),
            name=f"asv-{os.getpid()}-{self.count}" if home == "named" else None,
            path=pathlib.Path(self.folder.name, str(self.count)) if home == "path" else None,
            seed=1,
        )

    def time_create(self, home: str, kind: str) -> None:
        self.opened.append(self.create(home, kind))

    def time_add(self, home: str, kind: str) -> None:
        add, row = self.buffer.add, self.row
        for _ in itertools.repeat(None, CALLS):
            add(*row)

    def time_sample_256(self, home: str, kind: str) -> None:
        sample, out = self.buffer.sample, self.out
        for _ in itertools.repeat(None, CALLS):
            sample(256, out=out)


class Attach(Timed):
    """One `replay.attach`, as it is, of a buffer that another has open."""

    params = (["named", "path"],)
    param_names = ("home",)

    def setup(self, home: str) -> None:
        self.homes = Homes()
        self.homes.setup(home, "prioritized")

    def teardown(self, home: str) -> None:
        self.homes.teardown(home, "prioritized")

    def time_attach(self, home: str) -> None:
        first = self.homes.buffer
        joined = replay.attach(first.name) if home == "named" else replay.attach(path=first.path)
        self.homes.opened.append(joined)
