"""However a process ends that has a buffer open: nothing is left, nothing is said."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.homes import fresh_name
from tests.memory.endings import ENDINGS, FAMILIES

pytestmark = pytest.mark.processes

ROOT = pathlib.Path(__file__).parent.parent.parent
#: What a process exits with, where it does not end in peace.
CODES = {
    "exits": 3,
    "leaves_a_with_block_by_an_error": 3,
    "raises": 1,
    "is_interrupted": -2,
}
#: What may be printed: the last line of the traceback that was asked for.
SAID = {"raises": "ZeroDivisionError: meant", "is_interrupted": "KeyboardInterrupt"}


def play(*endings):
    """Play endings where every warning is an error, and those that are hidden are shown."""
    strict = ("-X", "dev", "-W", "error")
    done = subprocess.run(
        [sys.executable, *strict, "-m", "tests.memory.endings", fresh_name(), *endings],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("replay: compiling")]
    assert said == []
    return json.loads(done.stdout)


def in_order(played):
    """Check what holds of every ending."""
    for what, result in played.items():
        ending = what.split()[1]
        assert result["left"] == [], what
        assert result["code"] == CODES.get(ending, 0), (what, result)
        printed = result["printed"].splitlines()
        if ending in SAID:
            assert printed[0] == "Traceback (most recent call last):"
            assert printed[-1] == SAID[ending]
            assert sum(not line.startswith("  ") for line in printed) == 2, printed
        else:
            assert printed == [], what


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_no_ending_leaves_a_name_or_says_a_word():
    played = play(*ENDINGS)
    in_order(played)
    assert len(played) == 2 * len(ENDINGS)
    for what, result in played.items():
        if "dead" in result:
            # One who ends with a thread inside is seen off as the dead are.
            assert result["dead"] == ("daemon" in what), what
            assert (result["alive"], result["wrong"]) == (1, 0), what
            assert result["rows"] > 5, what


@pytest.mark.parametrize("family", FAMILIES)
def test_no_child_leaves_a_name_or_says_a_word(family):
    in_order(play(family))
