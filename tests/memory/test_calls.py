"""Which kernels a buffer calls: those over objects where the interpreter is as expected."""

import numpy as np
import pytest

import replay
from kernels import structure as structures
from kernels.codes import MISMATCH
from replay.memory import calls
from tests.homes import opened, walking


def test_the_interpreters_structures_are_as_the_kernels_expect():
    assert calls.structure() == structures.structure()
    assert calls.structure(), "the short walk serves on this interpreter"


@pytest.mark.parametrize("prioritized", [False, True])
def test_where_they_are_not_every_object_kernel_gives_way(prioritized):
    with walking("plain"):
        sampler = replay.Proportional() if prioritized else replay.Uniform()
        with opened("private", 10, {"x": float}, sampler=sampler) as buffer:
            entries = buffer._ring.calls
            for name in ("add", "extend", "draw", "gather", "extend_long", "gather_long"):
                assert getattr(entries, f"object_{name}")(None, None) == MISMATCH
                assert entries.late(f"object_{name}")(None, None) == MISMATCH
            buffer.add(1.5)
            assert buffer.sample(2).x.tolist() == [1.5, 1.5]


def test_another_interpreter_takes_the_plain_walk(monkeypatch):
    monkeypatch.setattr(structures.sys.implementation, "name", "other")
    assert structures.structure() == {}


def test_kernels_are_loaded_once_for_all_buffers():
    with opened("private", 5, {"x": float}) as one, opened("private", 9, {"y": np.int8}) as other:
        assert one._ring.calls is other._ring.calls
