"""What holds for the house as a whole: floors, docstrings, drawings, what an import brings in."""

import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pytest

import kernels
import replay
from kernels.jit import Kernel
from replay.memory import layout
from replay.memory.layout import Layout
from replay.memory.parse import parse_schema

ROOT = pathlib.Path(__file__).parent.parent
NOTES = ("Units:", "Cost:", "Errors:", "Sharing:", "Source:")


def python(*arguments, cwd=None, **environment):
    """Run a fresh interpreter with the checkout's packages."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def kernel_functions():
    for module in pkgutil.iter_modules(kernels.__path__):
        loaded = importlib.import_module(f"kernels.{module.name}")
        source = inspect.getsource(loaded)
        for name in re.findall(r"^@kernel\ndef (\w+)", source, re.MULTILINE):
            yield f"{module.name}.{name}", getattr(loaded, name)


KERNELS = dict(kernel_functions())


def test_there_are_kernels():
    assert len(KERNELS) > 50


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_says_what_it_takes_and_what_it_costs(name):
    function = inspect.unwrap(KERNELS[name])
    if isinstance(function, Kernel):
        function = function.py_func
    lines = inspect.getdoc(function).splitlines()
    if len(lines) == 1:
        # An accessor: its one line says all.
        assert lines[0].endswith(".")
        return
    described = re.findall(r"^([\w, ]+) : ", "\n".join(lines), re.MULTILINE)
    assert ", ".join(described).split(", ") == list(inspect.signature(function).parameters)
    at = [next((i for i, line in enumerate(lines) if line.startswith(note)), -1) for note in NOTES]
    assert at == sorted(at)
    assert -1 not in at


def test_a_kernel_has_few_arguments():
    def count(function):
        return len(inspect.signature(function).parameters)

    assert {name: count(one) for name, one in KERNELS.items() if count(one) > 7} == {}


def test_the_drawing_of_the_layout_is_the_layout():
    drawn = re.findall(r"^    (\S+) +(\(.*\)) +(\w+) ", layout.__doc__, re.MULTILINE)
    packed = replay.Field(np.uint8, (20, 20), compression="lz4")
    fields = {"frame": (np.uint8, (20, 20)), "reward": np.float32, "packed": packed}
    needed = {"tree": True, "minima": True, "cursors": True}
    parts = Layout(parse_schema(fields), 1000, 2, needed).parts
    # Bytes of a stream: an expected ratio of 4, the largest row and a margin, and slots divide it.
    values = {"streams": 2, "slots": 1000, "width": 4, "stride": 51_000, "fields": 1}
    assert [name.replace("NAME", "frame") for name, _, _ in drawn] == list(parts)
    for (name, shape, dtype), part in zip(drawn, parts.values(), strict=True):
        for size, known in zip(shape.strip("()").split(", "), part.shape, strict=False):
            if size not in ("*shape", "lines"):
                assert values.get(size) == known or size == str(known), (name, size)
        assert dtype in ("any", part.dtype.name)


def test_importing_brings_in_nothing_beside_numpy_and_numba():
    script = """
import sys
import numba.core.registry, numba.core.caching, numba.core.event, numba.extending, llvmlite.ir
before = set(sys.modules)
import replay
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names)))
"""
    result = python("-c", script)
    assert result.returncode == 0, result.stderr
    # Python itself names its main module a second time.
    brought = set(re.findall(r"\w+", result.stdout)) - {"__mp_main__"}
    assert brought <= {"replay", "kernels", "numba", "numpy", "llvmlite"}


def test_another_package_called_kernels_is_named_as_such(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    result = python("-c", "import replay", cwd=tmp_path, PYTHONPATH=path)
    assert result.returncode == 1
    assert "is not the one of replay-kernels" in result.stderr
    assert str(tmp_path) in result.stderr


@pytest.mark.compiled
def test_the_first_compile_is_announced_and_the_second_start_is_silent(tmp_path):
    script = "import replay; replay.ReplayBuffer(4, fields={'a': bool}).add(True)"
    first = python("-c", script, NUMBA_CACHE_DIR=str(tmp_path))
    second = python("-c", script, NUMBA_CACHE_DIR=str(tmp_path))
    assert "compiling" in first.stderr
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")


def test_the_version_is_the_distributions():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{replay.__version__}"' in text


def test_the_root_is_calm():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    shown = {path.split("/")[0] for path in tracked if not path.startswith(".")}
    known = {"kernels", "replay", "tests", "asv_benchmarks", "notebooks", "docs"}
    known |= {"pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md"}
    assert shown <= known
