"""
Writers, learners and a killer at one buffer.

A short trial of each kind by default; with REPLAY_STRESS_SECONDS, the two harshest for so long.
`python -m tests.stress --help` says how to run one by hand.
"""

import dataclasses
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from replay.memory.ragged import Padded
from tests.stress.journal import Journal
from tests.stress.ledger import Ledger
from tests.stress.plan import Plan, read_plan
from tests.stress.rows import rows, torn

pytestmark = pytest.mark.processes

SECONDS = os.environ.get("REPLAY_STRESS_SECONDS")

#: Rows are overwritten while they are read; a batch of updates stands between a leaf and its sums.
LONG = {
    "lapping": Plan(capacity=64, sampler="buffer", wide=True, heaped="both"),
    "many writers of three streams": Plan(
        capacity=9_999, streams=3, sampler="batch", writers=5, learners=3, pause=0.005
    ),
}
SHORT = {
    "lapping, a wide column and minima": LONG["lapping"],
    "lapping, three streams": Plan(
        capacity=66, streams=3, sampler="batch", heaped="ragged", seed=1
    ),
    "ten thousand rows in a file": Plan(
        capacity=10_000, home="path", sampler="batch", heaped="compressed", seed=2
    ),
    "uniform, three streams in a file": Plan(
        capacity=9_999, streams=3, home="path", wide=True, seed=3
    ),
}
PLANS = LONG if SECONDS else SHORT


@pytest.mark.compiled
@pytest.mark.timeout(2 * float(SECONDS or 0) + 240)
@pytest.mark.parametrize("name", PLANS)
def test_nothing_is_torn_lost_or_waited_for_while_processes_are_killed(name):
    plan = dataclasses.replace(PLANS[name], seconds=float(SECONDS or 2))
    # In a process that has no other threads: it forks.
    done = subprocess.run(
        [sys.executable, *shlex.split(plan.command())[1:]],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"


def test_a_plan_is_repeated_by_its_command():
    for plan in (*LONG.values(), *SHORT.values()):
        _, _, _, *arguments = shlex.split(plan.command())
        assert read_plan(arguments) == plan


# what looks for faults must find them


def test_a_torn_row_is_seen_in_any_field():
    shape = {"wide": True, "heaped": "both"}
    made = rows([3] * 5, range(5), **shape)
    assert not torn(made, **shape).any()
    values, lengths = made.pop("path")
    parts = {**made, "values": values, "lengths": lengths}
    for name, column in parts.items():
        spoilt = {**parts, name: column.copy()}
        one = spoilt[name].reshape(5, -1)
        one[2, -1] = not one[2, -1] if one.dtype == bool else one[2, -1] + 1
        spoilt["path"] = Padded(spoilt.pop("values"), spoilt.pop("lengths"))
        assert torn(spoilt, **shape)[2]
        assert torn(spoilt, **shape).sum() == 1


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal", 2)
    for writer, ids in enumerate(([0, 1, 4, 5], [2, 3, 6])):
        journal.settle(writer, journal.intend(writer, len(ids)), ids)
    return journal


def test_a_row_under_anothers_id_is_seen(journal):
    writers, numbers = np.array([0, 0, 1, 1]), np.array([0, 3, 0, 2])
    assert not journal.foreign(np.array([0, 5, 2, 6]), writers, numbers).any()
    assert journal.foreign(np.array([0, 4, 2, 7]), writers, numbers).tolist() == [0, 1, 0, 1]
    # A row that its writer never meant to add, and one of nobody.
    assert journal.foreign(np.array([9, 9]), np.array([1, 7]), np.array([3, 0])).all()


def test_a_row_whose_add_did_not_return_may_be_there_or_not(journal):
    number = journal.intend(0, 1)
    assert not journal.foreign(np.array([8]), np.array([0]), np.array([number])).any()


def test_the_ledger_sees_ids_given_out_twice_and_ids_that_do_not_grow(journal):
    ledger = Ledger(journal, 2, 1)
    ledger.read()
    assert (ledger.added, ledger.twice, ledger.backwards) == (7, 0, 0)
    assert [part.tolist() for part in ledger.row(0, np.array([0, 5, 6, 7]))] == [
        [0, 0, 1, -1],
        [0, 3, 2, -1],
    ]
    journal.settle(0, journal.intend(0, 1), [3])
    ledger.read()
    assert (ledger.added, ledger.twice, ledger.backwards) == (8, 1, 1)
