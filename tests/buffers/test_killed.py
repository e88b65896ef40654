"""
A process dies, or stops, at every step of all that it can do with a buffer; the others go on.

The steps are the fault points of `kernels.faults`; `tests.buffers.killing` is the process that
plays the scenes and says what holds after each death.
"""

import contextlib
import json
import os
import subprocess
import sys

import pytest

from kernels.faults import POINTS
from kernels.jit import INTERPRETED
from tests.buffers.killing import SCENES
from tests.homes import fewer

#: Steps of a save and of the journal of a file, which have no memory to share: tests/memory.
ELSEWHERE = {name for name in POINTS if name.startswith(("SAVE_", "JOURNAL_"))}

#: What is done with the block itself, and so in a file as well as in shared memory.
IN_A_FILE = ["add, later lap", "extend around the end", "update two levels", "attach and repair"]

#: Steps in which a stopped process holds something: slots, the tree, a clear, the repair itself.
STOPPED = [
    ("add, first lap", "uniform"),
    ("add, later lap", "buffer"),
    ("extend, first lap", "buffer"),
    ("extend around the end", "batch"),
    ("update one level", "batch"),
    ("update two levels", "buffer"),
    ("update a batch", "buffer"),
    ("clear", "buffer"),
    ("add beside a clear", "batch"),
    ("attach", "uniform"),
    ("repair sums", "buffer"),
    ("repair a clear", "batch"),
    ("extend beside claims", "buffer"),
]

#: Kernels in plain Python, and slow: each kind of step, once.
FEW = ["add, later lap", "extend around the end", "update two levels", "clear", "repair a clear"]


def kills():
    for scene, played in SCENES.items():
        for sampler in played.samplers[-1:] if INTERPRETED else played.samplers:
            if not INTERPRETED or scene in FEW:
                yield scene, sampler, "named"
    yield from ((scene, "buffer", "path") for scene in IN_A_FILE[: fewer(4, 1)])


@pytest.fixture(scope="module")
def ask():
    """Start the host of most scenes, and give what asks it."""
    with asking("tests.buffers.killing") as ask:
        yield ask


@contextlib.contextmanager
def asking(host):
    """Start a host, with fault points in its kernels, and give what asks it."""
    host = subprocess.Popen(
        [sys.executable, "-m", host],
        env={**os.environ, "REPLAY_FAULTS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(**request):
        host.stdin.write(json.dumps(request) + "\n")
        host.stdin.flush()
        return json.loads(host.stdout.readline() or '{"wrong": ["the host ended"], "count": 0}')

    with host:
        try:
            yield ask
            host.stdin.close()
            assert host.wait(timeout=30) == 0
        finally:
            host.kill()


@pytest.mark.parametrize(("scene", "sampler", "home"), list(kills()))
def test_a_process_killed_at_any_step_leaves_what_others_can_use_and_repair(
    ask, scene, sampler, home
):
    answer = ask(do="kill", scene=scene, sampler=sampler, home=home)
    assert answer["wrong"] == []
    # A sample changes nothing that others would find half done.
    assert answer["count"] > 0 or scene == "sample"


@pytest.mark.processes
def test_a_writer_of_steps_killed_at_any_step_leaves_priorities_to_what_can_be_drawn():
    with asking("tests.buffers.killing_steps") as ask:
        for view, lap, heaped in (
            ("windows", True, False),
            ("sequences", False, False),
            ("episodes", True, False),
            ("windows", True, True),
        ):
            answer = ask(view=view, lap=lap, heaped=heaped)
            assert answer["wrong"] == []
            assert answer["count"] > 100


@pytest.mark.parametrize(("scene", "sampler"), STOPPED[: fewer(len(STOPPED), 3)])
def test_a_process_stopped_at_any_step_stops_nobody_and_goes_on(ask, scene, sampler):
    answer = ask(do="stop", scene=scene, sampler=sampler, home="named")
    assert answer["wrong"] == []
    assert answer["count"] > 0


@pytest.mark.parametrize("home", ["named", "path"])
def test_a_creator_killed_at_any_step_leaves_what_is_refused_and_can_be_removed(ask, home):
    answer = ask(do="create", home=home)
    assert answer["wrong"] == []
    # Reserved, with a header, a member, and all but the ready word.
    assert answer["count"] == 4


def test_when_the_dead_hold_every_slot_the_next_writer_frees_them(ask):
    assert ask(do="jam", heaped=False)["wrong"] == []


@pytest.mark.compiled
def test_when_the_dead_hold_every_byte_the_next_writer_frees_them(ask):
    assert ask(do="jam", heaped=True)["wrong"] == []


@pytest.mark.compiled
def test_a_small_ring_holds_as_many_rows_after_many_deaths(ask):
    answer = ask(do="age")
    assert answer["wrong"] == []
    assert answer["count"] > 100


def test_every_label_is_a_step_of_some_scene(ask):
    assert set(ask(do="visits")["labels"]) == POINTS.keys() - ELSEWHERE
