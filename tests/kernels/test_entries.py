"""Kernels that are called by an address, and where their machine code comes from."""

import pytest

from kernels import entries
from kernels.entries import call_1, call_4, entry_address
from kernels.jit import KernelCache, kernel
from kernels.tree import tree_leaf_bits
from tests.processes import python

#: Says how often an entry was found in the cache.
REPORT = """
from kernels.entries import _forms, entry_address
from kernels.tree import tree_leaf_bits

assert entry_address(tree_leaf_bits, 1) != 0
print(_forms[tree_leaf_bits].cache_hits)
"""


@kernel
def decimal(first, second, third, fourth):
    return 1000 * first + 100 * second + 10 * third + fourth


@kernel
def negative(first):
    return -first


@kernel
def call_both(one, four, number):
    """Call a kernel of one integer, and one of four with what came out."""
    return call_4(four, call_1(one, number), number, 2, 3)


def test_arguments_come_in_their_order():
    one, four = entry_address(negative, 1), entry_address(decimal, 4)
    assert call_both(one, four, 7) == -7000 + 700 + 23
    assert call_both(one, four, -(1 << 40)) == 1000 * (1 << 40) - 100 * (1 << 40) + 23


def test_a_kernel_has_one_address():
    assert entry_address(negative, 1) == entry_address(negative, 1) != 0
    assert entry_address(negative, 1) != entry_address(decimal, 4)


def test_an_address_is_never_nothing():
    assert entry_address(tree_leaf_bits, 1) != 0


@pytest.mark.compiled
def test_a_second_process_compiles_no_entry(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    first, second = python(REPORT), python(REPORT)
    assert (first.stdout, second.stdout) == ("0\n", "1\n"), first.stderr + second.stderr


@pytest.mark.compiled
def test_an_entry_works_without_a_folder_for_its_cache(monkeypatch):
    def nowhere(self, function, form):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(KernelCache, "__init__", nowhere)

    @kernel
    def treble(number):
        return 3 * number

    assert call_both(entry_address(treble, 1), entry_address(decimal, 4), 1) == 3000 + 100 + 23
    assert entries._forms[treble].cache_hits == 0
