"""A line from one value to another."""

import numpy as np
import pytest

import replay


def test_a_line_goes_from_first_to_last_and_stays():
    line = replay.Linear(0.4, 1.0, steps=4)
    assert [line(batches) for batches in (0, 1, 2, 4, 5, 10**9)] == pytest.approx(
        [0.4, 0.55, 0.7, 1.0, 1.0, 1.0]
    )
    assert replay.Linear(1.0, 0.0, steps=1)(1) == 0.0


@pytest.mark.parametrize("steps", [0, -1, 1.5, "1", None, True, np.nan])
def test_steps_that_cannot_be_are_refused(steps):
    with pytest.raises(replay.InputError, match=r"steps .*1 or more") as caught:
        replay.Linear(0.4, 1.0, steps)
    assert repr(steps) in str(caught.value)
