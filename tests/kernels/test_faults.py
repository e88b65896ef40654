"""Fault points: they end a process at the very step, wherever it is, and are nothing when off."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from kernels import faults, jit
from kernels.faults import POINTS

ROOT = pathlib.Path(faults.__file__).parent.parent

#: Kernels that write before and after a point, and the ways to call them. The words lie in a file,
#: where they outlive the process.
CALLS = """
import sys, threading
import numba
import numpy as np
from kernels import faults
from kernels.faults import COPIED, arm, disarm, fault_point, visits
from kernels.jit import INTERPRETED, entry_point, kernel

@kernel
def step(words):
    words[0] += 1
    fault_point(COPIED)
    words[1] += 1

@kernel
def steps(words):
    for _ in range(5):
        step(words)

@numba.njit
def users(words):
    step(words)

def plain(words):
    words[0] += 1
    fault_point(COPIED)
    words[1] += 1

def compiled(nogil):
    return entry_point(step, None if INTERPRETED else (numba.int64[::1],), nogil=nogil)

def five_times(function):
    for _ in range(5):
        function(words)

def in_a_thread(function):
    thread = threading.Thread(target=five_times, args=(function,))
    thread.start()
    thread.join()

calls = {
    "kernel": lambda: five_times(step),
    "entry": lambda: five_times(compiled(nogil=False)),
    "entry without the lock": lambda: five_times(compiled(nogil=True)),
    "nested kernel": lambda: steps(words),
    "user's function": lambda: five_times(users),
    "thread": lambda: in_a_thread(compiled(nogil=True)),
    "Python": lambda: five_times(plain),
    "Python in a thread": lambda: in_a_thread(plain),
}
words = np.zeros(2, np.int64)
"""

KINDS = [
    "kernel",
    "entry",
    "entry without the lock",
    "nested kernel",
    "user's function",
    "thread",
    "Python",
    "Python in a thread",
]

#: Calls in the words of the file that is named first, as it is named second.
IN_THE_FILE = """
words = np.memmap(sys.argv[1], np.int64, "r+", shape=(2,)).view(np.ndarray)
calls[sys.argv[2]]()
"""


def start(code, *arguments, switch="1", **environment):
    """Start a process with the points switched on, or whatever `switch` says."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "REPLAY_FAULTS": switch, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child):
    """Wait for a process; give its status, what it wrote, and what it complained about."""
    try:
        written, complaints = child.communicate(timeout=100)
    finally:
        child.kill()
    return child.returncode, written, complaints


def told(code, *arguments, **options):
    """Give the JSON that a process writes."""
    status, written, complaints = finish(start(code, *arguments, **options))
    assert (status, complaints) == (0, "")
    return json.loads(written)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "words"
    path.write_bytes(bytes(16))
    return path


def words_of(file):
    return np.fromfile(file, np.int64).tolist()


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS)
def test_the_process_ends_at_the_very_step(kind, file):
    code = CALLS + "arm('COPIED', visit=3)" + IN_THE_FILE
    assert finish(start(code, file, kind)) == (-signal.SIGKILL, "", "")
    assert words_of(file) == [3, 2]


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ["kernel", "thread"])
def test_interpreted_kernels_end_there_too(kind, file):
    code = CALLS + "assert INTERPRETED; arm('COPIED', visit=3)" + IN_THE_FILE
    assert finish(start(code, file, kind, NUMBA_DISABLE_JIT="1")) == (-signal.SIGKILL, "", "")
    assert words_of(file) == [3, 2]


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_process_goes_on_where_it_was(kind, file):
    code = CALLS + "arm('COPIED', 3, faults.signal.SIGSTOP)" + IN_THE_FILE
    child = start(code, file, kind)
    try:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert words_of(file) == [3, 2]
        child.send_signal(signal.SIGCONT)
        assert finish(child) == (0, "", "")
    finally:
        child.kill()
    # The fourth and the fifth visit stopped nothing.
    assert words_of(file) == [5, 5]


@pytest.mark.parametrize("kind", ["kernel", "Python"])
def test_the_environment_arms_a_point(kind, file):
    for switch in ("COPIED:5", "COPIED:5:KILL"):
        file.write_bytes(bytes(16))
        child = start(CALLS + IN_THE_FILE, file, kind, switch=switch)
        assert finish(child) == (-signal.SIGKILL, "", "")
        assert words_of(file) == [5, 4]


def test_the_environment_stops_a_process(file):
    child = start(CALLS + IN_THE_FILE, file, "kernel", switch="COPIED:1:STOP")
    try:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert (os.WIFSTOPPED(status), words_of(file)) == (True, [1, 0])
    finally:
        child.kill()
    finish(child)


@pytest.mark.processes
@pytest.mark.parametrize("switch", ["1", "COPIED:11", "LEAF:1", "0", ""])
def test_a_process_goes_on_where_no_visit_is_asked_for(switch, file):
    code = CALLS + IN_THE_FILE + "calls['Python']()"
    assert finish(start(code, file, "kernel", switch=switch)) == (0, "", "")
    assert words_of(file) == [10, 10]


def test_a_malformed_environment_is_an_error_at_import():
    code = """
import importlib, json, os, sys

def refused(switch):
    os.environ["REPLAY_FAULTS"] = switch
    sys.modules.pop("kernels.faults", None)
    try:
        importlib.import_module("kernels.faults")
    except ValueError as error:
        return str(error)

print(json.dumps([refused(switch) for switch in json.loads(sys.argv[1])]))
"""
    wrong = ["2", "yes", "COPIED", "COPIED:", "COPIED:0", "COPIED:-1", "COPIED:1.5", "COPIED:x"]
    wrong += ["copied:1", "NOWHERE:1", "COPIED:1:TERM", "COPIED:1:", "COPIED:1:STOP:1", " 1"]
    for switch, message in zip(wrong, told(code, json.dumps(wrong)), strict=True):
        assert message.startswith(f"REPLAY_FAULTS={switch!r} is neither 0, 1, POINT:VISIT nor")
        assert "COPIED" in message.removeprefix(f"REPLAY_FAULTS={switch!r}")


def test_visits_are_counted_since_the_point_was_armed():
    code = """
import json
seen = [visits("COPIED")]
for kind in ("kernel", "nested kernel", "Python"):
    calls[kind]()
    seen.append(visits("COPIED"))
arm("COPIED", visit=6)
seen.append(visits("COPIED"))
calls["kernel"]()
seen.append(visits("COPIED"))
disarm()
seen.append(visits("COPIED"))
calls["kernel"]()
calls["Python"]()
seen.append(visits("COPIED"))
print(json.dumps([seen, visits("LEAF")]))
"""
    assert told(CALLS + code) == [[0, 5, 10, 15, 0, 5, 0, 10], 0]


@pytest.mark.parametrize("kind", ["step", "plain"])
def test_no_visit_is_lost_between_threads(kind):
    code = """
import json
from kernels.jit import kernel

@kernel
def step(count):
    for _ in range(count):
        fault_point(COPIED)

def plain(count):
    for _ in range(count):
        fault_point(COPIED)

count = 2000 if INTERPRETED or sys.argv[1] == "plain" else 1_000_000
function = {"step": step, "plain": plain}[sys.argv[1]]
function(0)
threads = [threading.Thread(target=function, args=(count,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps([visits("COPIED"), 4 * count]))
"""
    counted, made = told(CALLS + code, kind)
    assert counted == made


def test_what_cannot_be_armed_is_said():
    code = """
import json

def refused(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)

unknown = [refused(arm, "NOWHERE"), refused(visits, "NOWHERE")]
print(json.dumps([*unknown, refused(arm, "COPIED", 0), refused(arm, "COPIED")]))
"""
    *unknown, visit, known = told(CALLS + code)
    for message in unknown:
        assert message.startswith("no fault point is called 'NOWHERE'; there are ")
        assert message.endswith(", ".join(POINTS))
    assert (visit, known) == ("visit is 0; the first one is 1", None)
    off = "fault points are off: start the process with REPLAY_FAULTS=1"
    assert told(CALLS + code, switch="0") == [off] * 4


#: The machine code of a kernel with a point and of the same without, their names left out.
MACHINE_CODE = """
import json, re

def instructions(function):
    form = kernel(function).form(True)
    form(np.zeros(2, np.int64))
    asm = re.sub(r"B2v[0-9]+", "", form.inspect_asm(form.signatures[0]))
    return [line for line in asm.splitlines() if re.match(r"\\t[^.]", line)]

def changed(words):
    words[0] += 1
    fault_point(COPIED)
    fault_point(faults.LEAF)
    words[1] += 1

first = instructions(changed)

def changed(words):
    words[0] += 1
    words[1] += 1

second = instructions(changed)
print(json.dumps([first, second]))
"""


@pytest.mark.compiled
def test_points_that_are_off_leave_no_instruction():
    with_point, without = told(CALLS + MACHINE_CODE, switch="0")
    assert len(without) > 5
    assert with_point == without


@pytest.mark.compiled
def test_points_that_are_on_are_in_the_machine_code():
    with_point, without = told(CALLS + MACHINE_CODE, switch="1")
    assert len(with_point) > len(without)
    assert "replay_fault_words" in "".join(with_point)
    assert "replay_fault_words" not in "".join(without)


AGENT = """
import sys
import numpy as np
from kernels.faults import COPIED, fault_point
from kernels.jit import kernel

@kernel
def step(words):
    words[0] += 1
    fault_point(COPIED)
    words[1] += 1

words = np.memmap(sys.argv[1], np.int64, "r+", shape=(2,)).view(np.ndarray)
step(np.zeros(2, np.int64))
stats = step.form(True).stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), flush=True)
step(words)
"""


@pytest.mark.compiled
def test_the_machine_code_of_each_mode_is_kept_for_itself(tmp_path, file):
    (tmp_path / "agent.py").write_text(AGENT)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agent"

    def run(switch):
        file.write_bytes(bytes(16))
        child = start(code, file, switch=switch, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        status, written, complaints = finish(child)
        assert complaints == ""
        return status, written.split(), words_of(file)

    compiled, cached = ["0", "1"], ["1", "0"]
    assert run("0") == (0, compiled, [1, 1])
    assert run("1") == (0, compiled, [1, 1])
    # In a process of its own the words lie elsewhere: code of the cache finds them all the same.
    assert run("COPIED:2") == (-signal.SIGKILL, cached, [1, 0])
    # Nor does one mode replace what the other one keeps.
    assert run("0") == (0, cached, [1, 1])


@pytest.mark.compiled
def test_what_numba_keeps_of_another_mode_does_no_harm(tmp_path, file):
    agent = AGENT.replace("from kernels.jit import kernel", "import numba")
    agent = agent.replace("@kernel", "@numba.njit(cache=True)").replace("step.form(True)", "step")
    (tmp_path / "agent.py").write_text(agent)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agent"
    for switch, found in (("1", "0 1\n"), ("0", "1 0\n")):
        child = start(code, file, switch=switch, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        assert finish(child) == (0, found, "")


def test_the_fingerprint_tells_the_modes_apart(monkeypatch):
    seen = set()
    try:
        for enabled in (False, True):
            monkeypatch.setattr(faults, "ENABLED", enabled)
            jit.fingerprint.cache_clear()
            seen.add(jit.fingerprint())
    finally:
        monkeypatch.undo()
        jit.fingerprint.cache_clear()
    assert len(seen) == 2


def test_every_label_is_a_number_of_its_own():
    assert list(POINTS.values()) == list(range(len(POINTS)))
    assert all(getattr(faults, name) == number for name, number in POINTS.items())
