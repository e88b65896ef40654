"""The table and the picture."""

import numpy as np

from replay.demo.config import Config
from replay.demo.report import Summary, plot_curve, running_mean, summary_table
from replay.demo.tally import Tally


def a_summary(
    returns=(500.0, 450.0), episodes=((20, 20.0), (60, 40.0)), evaluations=((800, 90.0),)
):
    tally = Tally(1000, 500, 64_000, 7, list(episodes), list(evaluations))
    return Summary(tally, np.array(returns), 800, 4.0, 9.5)


def test_table_holds_every_figure():
    table = summary_table(Config(seed=3, sampler="uniform"), a_summary())
    cells = dict(
        (part.strip() for part in line.split("|")[1:3])
        for line in table.splitlines()
        if line.startswith("|")
    )
    assert cells == {
        "seed": "3",
        "sampler": "uniform",
        "actors": "2",
        "environment steps": "1,000",
        "episodes": "2",
        "learner updates": "500",
        "steps/s": "250",
        "samples/s": "16,000",
        "stale updates": "7",
        "checkpoint of step": "800",
        "evaluation mean": "475.0 of 500 (2 greedy episodes)",
        "evaluation min": "450",
        "seconds": "9.5",
    }


def test_table_lines_are_equally_long():
    assert len({len(line) for line in summary_table(Config(), a_summary()).splitlines()}) == 1


def test_solved_at_475_and_not_below():
    assert a_summary(returns=(475.0, 475.0)).solved
    assert not a_summary(returns=(475.0, 474.0)).solved


def test_running_mean_uses_what_there_is():
    values = np.array([1.0, 3.0, 5.0, 7.0])
    np.testing.assert_allclose(running_mean(values, 2), [1, 2, 4, 6])
    np.testing.assert_allclose(running_mean(values, 10), [1, 2, 3, 4])


def test_picture_is_a_png(tmp_path):
    path = tmp_path / "curve.png"
    plot_curve(Config(), a_summary(), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_picture_of_a_run_without_a_finished_episode(tmp_path):
    path = tmp_path / "curve.png"
    plot_curve(Config(), a_summary(episodes=(), evaluations=()), path)
    assert path.stat().st_size > 0
