"""The demo as a whole: to its end, and interrupted on the way."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import replay
from replay import cli
from replay.demo import train
from replay.demo.config import Config
from replay.demo.run import run_demo

ROOT = pathlib.Path(replay.__file__).parents[1]
SHARED = pathlib.Path("/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir())


def left_in_shared_memory(pid):
    return [path.name for path in SHARED.iterdir() if f"cartpole-{pid}-" in path.name]


@pytest.mark.parametrize("sampler", ["prioritized", "uniform"])
def test_a_short_run_leaves_a_picture_and_a_table_and_nothing_else(sampler, tmp_path, capsys):
    plot = tmp_path / "curve.png"
    words = ["demo", "--steps", "2000", "--capacity", "1000", "--seed", "1"]
    assert cli.main([*words, "--sampler", sampler, "--plot", str(plot)]) == 0
    out, err = capsys.readouterr()
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert re.search(rf"sampler +\| {sampler} ", out)
    assert re.search(r"environment steps +\| 2,000 ", out)
    assert re.search(r"learner updates +\| 900 ", out)
    assert re.search(r"evaluation mean +\| \d+\.\d of 500", out)
    assert str(plot) in err
    assert "100% of 2,000 steps" in err
    assert "fill 100%" in err
    assert left_in_shared_memory(os.getpid()) == []


@pytest.mark.parametrize(("stop_after", "ends"), [(3, True), (0, False)])
def test_a_run_ends_once_the_task_was_found_solved_three_times(
    stop_after, ends, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(train, "evaluate", lambda policy, seeds, pause: np.full(40, 500.0))
    steps = 1500
    config = Config(
        steps=steps,
        evaluate_every=200,
        checkpoint_episodes=1,
        evaluation_episodes=1,
        stop_after=stop_after,
        plot=tmp_path / "curve.png",
    )
    run_demo(config)
    told = re.search(r"environment steps +\| ([\d,]+) ", capsys.readouterr().out)[1]
    played = int(told.replace(",", ""))
    # The actors are a round ahead of the learner.
    assert (600 <= played <= 600 + 4 * config.round_steps * config.actors) == ends
    assert (played == steps) == (not ends)


def start_demo(tmp_path):
    """Start the command in a process group of its own, as a terminal would."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "replay", "demo", "--steps", "1000000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("moment", "signum"),
    [
        ("loading PyTorch", signal.SIGINT),
        ("starting 2 actors", signal.SIGINT),
        ("% of 1,000,000 steps", signal.SIGINT),
        ("% of 1,000,000 steps", signal.SIGTERM),
    ],
)
def test_an_interrupted_run_ends_cleanly(moment, signum, tmp_path):
    demo = start_demo(tmp_path)
    told = []
    for line in demo.stderr:
        told.append(line)
        if moment in line:
            break
    os.killpg(demo.pid, signum)
    # Actors hold the same standard error: its end says that all of them have gone.
    out, rest = demo.communicate(timeout=60)
    told.append(rest)
    everything = "".join(told)
    assert demo.returncode == 128 + signum, everything
    assert "interrupted" in everything
    assert "Traceback" not in everything
    assert out == ""
    assert left_in_shared_memory(demo.pid) == []
    assert list(tmp_path.iterdir()) == []
