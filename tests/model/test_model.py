"""
The protocol of a slot in every order of its steps, and that each check of it can fail.

Spin turns a model and its options into a C program, which visits every state that the processes
can reach together. README.md says what the models hold and what they leave out.
"""

import concurrent.futures
import dataclasses
import pathlib
import re
import shutil
import subprocess

import pytest

from kernels.faults import POINTS

HERE = pathlib.Path(__file__).parent
#: Searches at a time, and what each may take, in MiB.
AT_ONCE = 2
MEMORY = 900
#: Steps of the longest path; a search that needs more is not complete and says so.
DEPTH = 10_000

#: With one kill nobody is left to kill the repairer.
SECOND_KILL = {"kills = (kills-1)", "dead[me] = 1", "losses = (losses+1)"}


@dataclasses.dataclass(frozen=True)
class Search:
    """A model with its options; of a mutant also the check that must find it."""

    model: str
    options: str
    found_by: str = ""

    def __str__(self):
        return f"{self.model} {self.options}"


SOUND = [
    Search("ring", "TICKETS=5 KILLS=2"),
    Search("ring", "TICKETS=4 KILLS=2 ROWS=1"),
    Search("ring", "TICKETS=7 KILLS=1 NO_REPAIR"),
    Search("count", "TICKETS=4 KILLS=1"),
    Search("count", "TICKETS=3 KILLS=2"),
    Search("tree", "TICKETS=3 KILLS=2"),
    Search("tree", "TICKETS=2 KILLS=2 ROWS=1 CLEAR"),
    Search("heap", "TICKETS=5 KILLS=1"),
    Search("evict", "TICKETS=3 KILLS=1 ROWS=3"),
]

LOST_ROW = "committed&(1<<"
TORN_ROW = "fronts[slot]=="
TORN_COPY = "front==(seen>>"
TAKEN_OVER = "(words[(ticket%2)]==((((("
BLOCKED = "invalid end state"
WRONG_COUNT = "(filled==holding)"
NO_END = "!(alone)"
STALE_PRIORITY = "leaves[slot]==1"
EMPTY_BUT_DRAWN = "((words[slot]!=0)||(leaves[slot]==0))"
WRONG_SUM = "(total==grown)"
SOMEBODY_ELSES = "owning[line]"
ANOTHERS_BYTES = "front==(seen>>"
BELOW_THE_FLOOR = ">floor"

MUTANTS = [
    Search("ring", "TICKETS=5 MUTANT_TAKE_BY_STORE", LOST_ROW),
    Search("ring", "TICKETS=5 MUTANT_COMMIT_EARLY", TORN_ROW),
    Search("ring", "TICKETS=5 MUTANT_READ_ONE_LOOK", TORN_COPY),
    Search("ring", "TICKETS=5 MUTANT_FREE_THE_LIVING", TAKEN_OVER),
    Search("ring", "TICKETS=5 MUTANT_COUNT_LATE", WRONG_COUNT),
    Search("ring", "TICKETS=5 MUTANT_RECOUNT_ANYWAY", WRONG_COUNT),
    Search("ring", "TICKETS=5 MUTANT_WAIT_FOR_THE_SLOT NO_REPAIR", BLOCKED),
    Search("count", "TICKETS=4 MUTANT_RECOUNT_BLINDLY", WRONG_COUNT),
    Search("count", "TICKETS=4 MUTANT_FILLED_BEFORE_ASKING", WRONG_COUNT),
    Search("count", "TICKETS=4 MUTANT_FILLED_AFTER_ASKING", WRONG_COUNT),
    Search("count", "TICKETS=4 MUTANT_RELEASE_UNANNOUNCED", WRONG_COUNT),
    Search("tree", "TICKETS=3 MUTANT_UPDATE_ONE_LOOK", STALE_PRIORITY),
    Search("tree", "TICKETS=3 MUTANT_SETTLE_ONE_LOOK", STALE_PRIORITY),
    Search("tree", "TICKETS=3 MUTANT_DOUBT_NOTHING", STALE_PRIORITY),
    Search("tree", "TICKETS=3 MUTANT_DOUBT_LATE", STALE_PRIORITY),
    Search("tree", "TICKETS=3 KILLS=2 MUTANT_SETTLE_WITHOUT_DOUBT", STALE_PRIORITY),
    Search("tree", "TICKETS=3 MUTANT_MEND_BLINDLY", WRONG_SUM),
    Search("tree", "TICKETS=3 MUTANT_MEND_TRUSTS_ZERO", WRONG_SUM),
    Search("tree", "TICKETS=3 MUTANT_LEAVE_THE_DEAD_INSIDE", NO_END),
    Search("tree", "TICKETS=3 KILLS=2 MUTANT_SETTLE_THE_FREED_ALONE", EMPTY_BUT_DRAWN),
    Search("tree", "TICKETS=2 ROWS=1 CLEAR MUTANT_RELEASE_KEEPS_LEAF", EMPTY_BUT_DRAWN),
    Search("heap", "TICKETS=5 MUTANT_ANNOUNCE_LATE", SOMEBODY_ELSES),
    Search("heap", "TICKETS=5 MUTANT_NEVER_LOOK", SOMEBODY_ELSES),
    Search("heap", "TICKETS=5 MUTANT_FORGET_THE_SIZE", SOMEBODY_ELSES),
    Search("heap", "TICKETS=5 MUTANT_CLEAR_BEYOND_A_ROUND", SOMEBODY_ELSES),
    Search("heap", "TICKETS=5 MUTANT_LOOK_ONE_ROUND_BACK", SOMEBODY_ELSES),
    Search("heap", "TICKETS=4 WRITERS=3 MUTANT_FREE_EVERY_LINE", SOMEBODY_ELSES),
    Search("evict", "TICKETS=3 MUTANT_LEAVE_EARLY", ANOTHERS_BYTES),
    Search("evict", "TICKETS=3 MUTANT_READ_WHATEVER_STANDS", ANOTHERS_BYTES),
    Search("evict", "TICKETS=4 MUTANT_ENTRY_AFTER_THE_WORD", ANOTHERS_BYTES),
    Search("evict", "TICKETS=3 MUTANT_EVICT_ONE_LOOK", BELOW_THE_FLOOR),
    Search("evict", "TICKETS=3 ROWS=3 WRITERS=3 MUTANT_EVICT_NONE_PASSED", BELOW_THE_FLOOR),
    Search("evict", "TICKETS=3 MUTANT_FLOOR_LATE", BELOW_THE_FLOOR),
    Search("evict", "TICKETS=3 MUTANT_SETTLE_EARLY", BELOW_THE_FLOOR),
    Search("evict", "TICKETS=3 MUTANT_FORGET_NOTHING", BELOW_THE_FLOOR),
]


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answer(search, folder):
    """Say what the search printed."""
    if shutil.which("spin") is None:
        pytest.fail("spin, the model checker, is not on PATH; apt-get install spin")
    options = [f"-D{option}" for option in search.options.split()]
    run(["spin", "-a", *options, str(HERE / f"{search.model}.pml")], folder)
    # SAFETY: no cycles are looked for. COLLAPSE: states in less memory, and still every one.
    flags = ["-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY}"]
    # A mutant is found in less time than it takes to compile.
    level = "-O0" if search.found_by else "-O2"
    run(["gcc", level, "-w", *flags, "-o", "pan", "pan.c"], folder)
    return run(["./pan", f"-m{DEPTH}"], folder)


@pytest.fixture(scope="module")
def answers(request, tmp_path_factory):
    """Begin the searches of this run at once, so that none waits for the test before it."""
    wanted = [
        item.callspec.params["search"]
        for item in request.session.items
        if item.module is request.module and "search" in getattr(item, "fixturenames", ())
    ]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            search: pool.submit(answer, search, tmp_path_factory.mktemp(search.model))
            for search in wanted
        }


@pytest.mark.parametrize("search", SOUND, ids=str)
def test_no_order_of_steps_breaks_it(answers, search):
    told = answers[search].result()
    assert re.findall(r"errors: (\d+)", told) == ["0"], told
    assert "Full statespace search for:" in told
    for incomplete in ("Search not completed", "max search depth too small", "memory"):
        assert incomplete not in told.partition("Stats on memory")[0], told
    assert re.findall(r"invalid end states\t([+-])", told) == ["+"]
    # Every step of every process was taken: nothing passed because it could not happen.
    for process, listed in re.findall(
        r"^unreached in (?:proctype )?(\w+)\n((?:\t.*\n)*)", told, re.MULTILINE
    ):
        unreached = set(re.findall(r'state \d+, "(.*)"', listed))
        if process == "repairer" and "KILLS=1" in search.options:
            unreached -= SECOND_KILL
        assert unreached == set(), process


@pytest.mark.parametrize("search", MUTANTS, ids=str)
def test_a_mutant_is_found(answers, search):
    told = answers[search].result()
    assert "errors: 1" in told, told
    assert search.found_by in re.findall(r"^pan:1: (.*)", told, re.MULTILINE)[0]


def test_every_mutant_is_tried():
    written = set()
    for path in HERE.glob("*.pml"):
        written |= set(re.findall(r"MUTANT_\w+", path.read_text(encoding="utf-8")))
    tried = {option for search in MUTANTS for option in search.options.split()}
    assert written == {option for option in tried if option.startswith("MUTANT_")}


def test_what_is_searched_is_listed():
    listed = re.findall(
        r"^\| (\w+) \| ([A-Z].*?) \| .* \| yes \|$",
        (HERE / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert listed == [(search.model, search.options) for search in SOUND]


def test_steps_are_called_as_in_the_kernels():
    called = set()
    for path in HERE.glob("*.pml"):
        called |= set(re.findall(r"POINT\(([A-Z_]+)[,)]", path.read_text(encoding="utf-8")))
    assert len(called) > 10
    assert called <= set(POINTS)
