"""Every kernel file has a benchmark, or the benchmarks' README says which one it is a part of."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = {
    path.stem: path.read_text() for path in (ROOT / "asv_benchmarks/benchmarks").glob("*.py")
}
#: Rows of the README's table: kernel files, and the benchmarks that they are a part of.
PARTS = [
    [re.findall(r"`([\w.]+)`", cell) for cell in row]
    for row in re.findall(
        r"^\| (`[^|]+) \| (`[^|]+) \|$",
        (ROOT / "asv_benchmarks/README.md").read_text(),
        re.MULTILINE,
    )
]
FILES = [
    path.stem
    for path in sorted((ROOT / "kernels").glob("*.py"))
    if re.search(r"^ *@kernel$", path.read_text(), re.MULTILINE)
]


def test_the_table_is_found():
    assert len(PARTS) > 5


@pytest.mark.parametrize("name", FILES)
def test_a_kernel_file_is_measured(name):
    imported = re.compile(
        rf"^from kernels\.{name} import |^from kernels import .*\b{name}\b", re.MULTILINE
    )
    if not any(imported.search(source) for source in SOURCES.values()):
        assert [name for names, _ in PARTS if name in names] == [name]


@pytest.mark.parametrize("name", [name for _, names in PARTS for name in names])
def test_what_the_table_names_is_there(name):
    module, _, benchmark = name.partition(".")
    assert re.search(
        rf"^class {benchmark}\b" if benchmark else "^class ", SOURCES[module], re.MULTILINE
    )
