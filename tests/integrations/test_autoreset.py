"""Final observations, in every form that vector environments give them in."""

import numpy as np
import pytest

import replay
from replay.gymnasium.autoreset import with_final_obs

ENDED = np.array([False, True, True])


def objects(*values):
    array = np.full(len(values), None, object)
    for place, value in enumerate(values):
        array[place] = value
    return array


OBS = np.arange(6, dtype=np.float32).reshape(3, 2)
ONE, TWO = np.float32([10, 11]), np.float32([20, 21])
WANTED = np.float32([[0, 1], [10, 11], [20, 21]])


@pytest.mark.parametrize(
    "infos",
    [
        {"final_obs": objects(None, ONE, TWO), "_final_obs": ENDED},
        {"final_obs": [None, ONE, TWO]},
        {"final_obs": np.stack([OBS[0] * 0, ONE, TWO])},
        {"final_obs": objects(OBS[0] * 0, ONE, TWO), "_final_obs": np.ones(3, bool)},
    ],
    ids=["objects", "list", "array", "more than ended"],
)
def test_final_observations_take_the_places_of_those_that_begin_episodes(infos):
    before = OBS.copy()
    got = with_final_obs(OBS, infos, ENDED)
    assert got.dtype == OBS.dtype
    np.testing.assert_array_equal(got, WANTED)
    np.testing.assert_array_equal(OBS, before)


@pytest.mark.parametrize("rows", [True, False], ids=["objects", "arrays"])
def test_parts_of_final_observations_take_the_places_of_parts(rows):
    obs = {"a": OBS, "b": (np.arange(3), {"c": OBS * 2})}
    final = {"a": WANTED, "b": (np.array([0, 5, 6]), {"c": WANTED * 2})}
    if rows:
        final = objects(
            None,
            {"a": ONE, "b": (np.int64(5), {"c": ONE * 2})},
            {"a": TWO, "b": (6, {"c": TWO * 2})},
        )
    got = with_final_obs(obs, {"final_obs": final, "_final_obs": ENDED}, ENDED)
    np.testing.assert_array_equal(got["a"], WANTED)
    np.testing.assert_array_equal(got["b"][0], [0, 5, 6])
    np.testing.assert_array_equal(got["b"][1]["c"], WANTED * 2)
    assert got["b"][0].dtype == np.int64


@pytest.mark.parametrize(
    ("infos", "said"),
    [
        ({}, "lacks 'final_obs'"),
        (
            {"final_obs": objects(None, ONE, TWO), "_final_obs": ENDED & [True, True, False]},
            r"\[2\]",
        ),
        ({"final_obs": objects(None, ONE[:1], TWO), "_final_obs": ENDED}, r"\(1,\).*\(2,\)"),
        ({"final_obs": objects(None, ONE, None)}, r"lacks those of environments \[2\]"),
    ],
    ids=["none", "one missing", "too small", "nothing"],
)
def test_final_observations_that_do_not_fit_are_refused(infos, said):
    with pytest.raises(replay.InputError, match=said):
        with_final_obs(OBS, infos, ENDED)
