"""Drift: after any number of updates from two processes at once, every sum is exact."""

import multiprocessing
import os

import numpy as np
import pytest

import replay
from kernels.jit import interpreted
from kernels.tree import FAN, tree_levels
from tests.homes import SAMPLERS, fewer, fresh_name

pytestmark = pytest.mark.processes

#: A float64 tree is off by 1e-4 of its total after the larger number.
UPDATES = 100_000_000 if os.environ.get("REPLAY_STRESS_SECONDS") else fewer(2_000_000, 2_000)
BATCH = fewer(50_000, 500)
ROWS = fewer(100_000, 500)


def update(name, seed, count):
    random = np.random.default_rng(seed)
    with replay.attach(name) as buffer:
        # Over twelve orders of magnitude: in floats, the small would be lost beside the large.
        batches = [
            (random.integers(0, ROWS, BATCH), 10.0 ** random.uniform(-6, 6, BATCH))
            for _ in range(8)
        ]
        for turn in range(count // BATCH):
            assert buffer.update_priorities(*batches[turn % 8]) == BATCH


@pytest.mark.timeout(400)
def test_two_processes_leave_every_sum_exact():
    sampler = SAMPLERS["batch"]
    with replay.ReplayBuffer(ROWS, {"x": bool}, sampler=sampler, name=fresh_name()) as buffer:
        buffer.extend(x=np.zeros(ROWS, bool))
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=update, args=(buffer.name, seed, UPDATES // 2))
            for seed in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert buffer.stats()["updated"] == UPDATES
        assert buffer.priorities.verify() == 0

        tree = buffer._ring.block.part("tree")
        levels = interpreted(tree_levels)(ROWS).tolist()
        below = tree[levels[-2] :].sum(axis=1)
        for first, end in zip(levels[-3::-1], levels[-2:0:-1], strict=False):
            sums = tree[first:end].reshape(-1)
            np.testing.assert_array_equal(sums[: len(below)], below)
            assert not sums[len(below) :].any()
            below = tree[first:end].sum(axis=1)
        assert below.tolist() == [sum(tree[levels[-2] :].reshape(-1).tolist())]
        assert tree.shape[1] == FAN
