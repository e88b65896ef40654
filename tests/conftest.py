"""What every test shares: Hypothesis settings, and that no block is left behind."""

import gc
import pathlib

import pytest
from hypothesis import settings

from replay.memory.block import in_use

# One sequence of examples for all: a failure in CI is the failure at the desk.
settings.register_profile("replay", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("replay")


def _left_behind():
    """Name the blocks in shared memory that nobody has open: other programs may use theirs."""
    folder = pathlib.Path("/dev/shm")
    return {path for path in folder.glob("replay.*") if not in_use(path)}


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left_in_shared_memory():
    before = _left_behind()
    yield
    gc.collect()
    assert sorted(_left_behind() - before) == []
