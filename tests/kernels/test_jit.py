"""Compiling and caching: no process ever runs the machine code of older sources."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest

from kernels import jit
from kernels.atomics import load, store
from kernels.jit import INTERPRETED, KernelCache, entry_point, fingerprint, interpreted, kernel
from kernels.priorities import priority_ceiling
from kernels.random import random_below
from kernels.tree import tree_leaf_bits
from tests import naive
from tests.processes import python

PACKAGE = pathlib.Path(jit.__file__).parent

#: Functions of three kinds in a file of their own, as an agent has them.
AGENT = """
import numba
from kernels.jit import kernel
from kernels.priorities import priority_ceiling
from kernels.random import random_below

@numba.njit(cache=True)
def bare(capacity):
    return priority_ceiling(capacity) + random_below(1, 2, 1)

@kernel
def keyed(capacity):
    return priority_ceiling(capacity) + 1

@kernel
def given(draw, capacity):
    return draw(1, 2, 1) + capacity
"""

#: Calls each, and says what came out, how often it was found in the cache and how often not.
REPORT = """
import json
import agent
from kernels.priorities import priority_ceiling

def called(function, *given):
    value, stats = function(*given, 1), function.stats
    return [value, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]

print(json.dumps({
    "without the lock": called(priority_ceiling.form(True)),
    "with the lock": called(priority_ceiling.form(False)),
    "bare": called(agent.bare),
    "keyed": called(agent.keyed.form(True)),
    "given a kernel": called(agent.given.form(True), agent.random_below),
}))
"""


class Copy:
    """A copy of the package and an agent beside it, run in processes of their own."""

    def __init__(self, folder):
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, folder / "kernels", ignore=ignore)
        (folder / "agent.py").write_text(AGENT)

    def run(self, **settings):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")
        }
        environment.update(settings, PYTHONPATH=str(self.folder))
        command = [sys.executable, "-c", REPORT]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def edit(self, name, old, new):
        path = self.folder / "kernels" / name
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run the same calls cold, again, with bounds checked, and after a change of a callee."""
    copy = Copy(tmp_path_factory.mktemp("copy"))
    reports = {"cold": copy.run(), "warm": copy.run(), "bounds": copy.run(NUMBA_BOUNDSCHECK="1")}
    # priority_ceiling lies in priorities.py, and agent.py calls it.
    copy.edit("tree.py", "bits = 62\n", "bits = 60\n")
    return {**reports, "edited": copy.run()}


FIRST = {
    # Each form is compiled, though the other one lies in the cache already.
    "without the lock": [2**62, 0, 1],
    "with the lock": [2**62, 0, 1],
    "bare": [2**62, 0, 1],
    "keyed": [2**62 + 1, 0, 1],
}


@pytest.mark.compiled
def test_forms_with_and_without_the_lock_share_no_machine_code(runs):
    assert {name: runs["cold"][name] for name in FIRST} == FIRST


@pytest.mark.compiled
def test_a_second_process_compiles_nothing(runs):
    warm = {name: [value, 1, 0] for name, (value, _, _) in FIRST.items()}
    assert {name: runs["warm"][name] for name in FIRST} == warm


@pytest.mark.compiled
@pytest.mark.parametrize("run", ["cold", "warm", "bounds", "edited"])
def test_a_kernel_that_is_given_a_kernel_runs_in_every_process(runs, run):
    # Its cache is read by the kernel that it was given, which must be made anew for that.
    assert runs[run]["given a kernel"][0] == 1


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["without the lock", "with the lock", "keyed"])
def test_bounds_are_checked_whatever_the_cache_holds(runs, name):
    assert runs["bounds"][name] == FIRST[name]


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["without the lock", "with the lock", "keyed"])
def test_a_change_of_a_callee_in_another_file_is_seen(runs, name):
    # numba.njit(cache=True) sees no change but of its own file: hence `kernel` for agents.
    assert runs["edited"][name] == [FIRST[name][0] - 2**62 + 2**60, 0, 1]


@pytest.mark.compiled
def test_a_kernel_works_without_a_folder_for_its_cache(monkeypatch):
    def nowhere(self, function, form):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(KernelCache, "__init__", nowhere)

    @kernel
    def double(value):
        return 2 * value

    assert double(4) == 8


@kernel
def wait_for(words, limit):
    """Turn until word 0 is set; give the turns that were left."""
    for turn in range(limit):
        if load(words, 0) != 0:
            return limit - turn
    return 0


@kernel
def raise_flag(words):
    store(words, 0, 1)


@pytest.mark.compiled
def test_a_plain_call_lets_other_threads_run():
    words = np.zeros(1, np.int64)
    raise_flag(np.zeros(1, np.int64))
    wait_for(np.ones(1, np.int64), 1)
    # The flag is raised by a thread that needs the interpreter's lock to get there.
    left, _ = naive.together(lambda: wait_for(words, 2 * 10**10), lambda: raise_flag(words))
    assert left > 0


@pytest.mark.compiled
def test_constants_do_not_compile_a_kernel_anew():
    @kernel
    def triple(value, more):
        return 3 * value + more

    @numba.njit
    def user(value):
        return triple(1, 2) + triple(2, value) + triple(3, 4) + triple(value, 5)

    assert user(1) == 5 + 7 + 13 + 8
    assert len(triple._nested.overloads) == 1


def test_a_kernel_works_in_a_users_function_and_in_its_callees():
    @numba.njit
    def inner(seed, counter):
        return random_below(seed, counter, 1000)

    @numba.njit
    def user(seed):
        total = 0
        for counter in range(5):
            total += inner(seed, counter) + random_below(seed, counter, 7)
        return total, priority_ceiling(1000)

    expected = sum(naive.below(3, i, 1000) + naive.below(3, i, 7) for i in range(5))
    assert user(3) == (expected, 2 ** naive.leaf_bits(1000))


def test_a_kernel_works_as_an_argument_of_a_users_function():
    @numba.njit
    def apply(function, value):
        return function(value)

    assert apply(tree_leaf_bits, 1000) == naive.leaf_bits(1000)


def test_a_kernel_takes_keywords_and_defaults():
    @kernel
    def scaled(value, factor=3):
        return value * factor

    @numba.njit
    def user(value):
        return scaled(value) + scaled(factor=5, value=value)

    assert user(2) == 6 + 10
    assert scaled(2) == 6
    assert scaled(2, 5) == 10


def test_a_kernel_works_on_types_of_all_kinds():
    @kernel
    def added(left, right):
        return left + right

    @numba.njit
    def user():
        return added(1, 2), added(1.5, 2), added(np.float32(1), np.float32(2))

    assert user() == (3, 3.5, 3.0)


def test_a_kernel_keeps_its_name_and_words():
    assert priority_ceiling.__name__ == "priority_ceiling"
    assert priority_ceiling.__module__ == "kernels.priorities"
    assert "largest leaf" in priority_ceiling.__doc__
    assert interpreted(tree_leaf_bits)(9) == naive.leaf_bits(9)
    assert interpreted(interpreted(tree_leaf_bits)) is interpreted(tree_leaf_bits)


@pytest.mark.parametrize("nogil", [False, True])
def test_a_bare_entry_gives_what_the_kernel_gives(nogil):
    signature = None if INTERPRETED else (numba.int64,)
    entry = entry_point(priority_ceiling, signature, nogil=nogil)
    assert [entry(capacity) for capacity in (1, 2, 1000)] == [2**62, 2**61, 2**52]


def test_the_fingerprint_covers_sources_and_bounds_checks(monkeypatch):
    seen = [fingerprint()]
    assert len(seen[0]) == 64
    try:
        for name, value in (("BOUNDSCHECK", 1), ("BOUNDSCHECK", None)):
            monkeypatch.setattr(jit.config, name, value, raising=False)
            fingerprint.cache_clear()
            seen.append(fingerprint())
    finally:
        monkeypatch.undo()
        fingerprint.cache_clear()
    assert seen[1] != seen[2]
    assert seen[0] in seen[1:]
    assert fingerprint() == seen[0]


def test_compiling_is_off_where_it_was_switched_off():
    assert bool(int(os.environ.get("NUMBA_DISABLE_JIT", "0"))) == INTERPRETED
    assert isinstance(kernel(lambda value: value), jit.Kernel) != INTERPRETED


FORK_WHILE_COMPILING = """
import os, threading, time, warnings
import numba
from numba.core.compiler_lock import global_compiler_lock
import kernels.jit

warnings.simplefilter("ignore")
inside = threading.Event()

def compile_for_long():
    with global_compiler_lock:
        inside.set()
        time.sleep(0.3)

thread = threading.Thread(target=compile_for_long)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    assert numba.njit(lambda x: x * 2)(21) == 42
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_while_another_thread_compiles_can_compile():
    done = python(FORK_WHILE_COMPILING)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
