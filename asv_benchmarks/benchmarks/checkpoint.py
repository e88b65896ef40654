"""Saves and loads of a million small transitions, beside NumPy's of as many bytes."""

import os
import pathlib
import tempfile

import numpy as np

import replay

from . import SAMPLERS, unless_quick
from .workload import full_buffer, rows

CAPACITY = unless_quick(1_000_000, 10_000)
SHARES = unless_quick([0.01, 0.05, 0.2], [0.05])


class Checkpoint:
    """One save or load, as it is; those of NumPy are as durable where their name says so."""

    params = (SAMPLERS,)
    param_names = ("sampler",)
    # Each timing has a state of its own before it.
    number = 1
    warmup_time = 0
    repeat = (5, 20, 30.0)

    def setup(self, kind: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name, "snapshot")
        self.again = pathlib.Path(self.folder.name, "again")
        self.array_path = pathlib.Path(self.folder.name, "array.npy")
        self.buffer = full_buffer(kind, CAPACITY)
        self.buffer.save(self.path)
        self.bytes = np.ones(self.path.stat().st_size, np.uint8)
        np.save(self.array_path, self.bytes)
        self.loaded: list[replay.ReplayBuffer] = []

    def teardown(self, kind: str) -> None:
        for buffer in self.loaded:
            buffer.close()
        self.folder.cleanup()

    def time_save_first(self, kind: str) -> None:
        self.buffer.save(self.again)

    def time_save_unchanged(self, kind: str) -> None:
        self.buffer.save(self.path)

    def time_load(self, kind: str) -> None:
        self.loaded.append(replay.load(self.path))

    def time_restore(self, kind: str) -> None:
        self.buffer.restore(self.path)

    def time_numpy_save(self, kind: str) -> None:
        np.save(self.again, self.bytes)

    def time_numpy_save_durable(self, kind: str) -> None:
        with open(self.again, "wb") as file:
            np.save(file, self.bytes)
            file.flush()
            os.fsync(file.fileno())

    def time_numpy_load(self, kind: str) -> None:
        np.load(self.array_path)


class Changed:
    """A second save, after a share of the rows was overwritten or of the priorities updated."""

    params = (SAMPLERS, SHARES)
    param_names = ("sampler", "share")
    number = 1
    warmup_time = 0
    repeat = (5, 20, 30.0)

    def setup(self, kind: str, share: float) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name, "snapshot")
        self.buffer = full_buffer(kind, CAPACITY)
        self.buffer.save(self.path)
        count = int(CAPACITY * share)
        ids = self.buffer.extend(**rows(count))
        if kind == "prioritized":
            self.buffer.update_priorities(ids, np.random.default_rng(4).exponential(size=count))

    def teardown(self, kind: str, share: float) -> None:
        self.folder.cleanup()

    def time_save_rows(self, kind: str, share: float) -> None:
        self.buffer.save(self.path)


class Scattered(Changed):
    """As Changed, with priorities at random places and no new rows."""

    params = (["prioritized"], SHARES)

    def setup(self, kind: str, share: float) -> None:
        super().setup(kind, 0.0)
        count = int(CAPACITY * share)
        ids = self.buffer.sample(count).ids
        self.buffer.update_priorities(ids, np.random.default_rng(4).exponential(size=count))
