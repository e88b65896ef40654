"""What every test shares: Hypothesis settings, and that no block is left behind."""

import pathlib

import pytest
from hypothesis import settings

# One sequence of examples for all: a failure in CI is the failure at the desk.
settings.register_profile("replay", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("replay")


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left_in_shared_memory():
    folder = pathlib.Path("/dev/shm")
    before = set(folder.glob("replay.*")) if folder.is_dir() else set()
    yield
    after = set(folder.glob("replay.*")) if folder.is_dir() else set()
    assert after <= before, f"tests left {sorted(str(path) for path in after - before)}"
