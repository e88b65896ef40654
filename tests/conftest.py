"""What every test shares: Hypothesis settings, and that no block is left behind."""

import gc
import os
import pathlib
import re

import pytest
from hypothesis import settings

from replay.memory.block_file import in_use

# One sequence of examples for all: a failure in CI is the failure at the desk.
settings.register_profile("replay", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("replay")


def _left_behind():
    """
    Name the blocks in shared memory that nobody has open.

    Not those of other test processes, whose tests may kill one at this very moment: the names that
    tests and the library make up hold the number of their process.
    """
    left = set()
    for path in pathlib.Path("/dev/shm").glob("replay.*"):
        maker = re.search(r"-(\d+)-", path.name)
        another = (
            maker and int(maker[1]) != os.getpid() and pathlib.Path(f"/proc/{maker[1]}").exists()
        )
        if not another and not in_use(path):
            left.add(path)
    return left


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left_in_shared_memory():
    before = _left_behind()
    yield
    gc.collect()
    assert sorted(_left_behind() - before) == []
