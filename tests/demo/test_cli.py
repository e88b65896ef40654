"""The command line: help, bad options, a missing extra."""

import importlib.util

import pytest

from replay import cli


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--seed", "x"], "--seed: 'x' is not a whole number"),
        (["--seed", "-1"], "--seed: -1 is not between 0 and 2147483647"),
        (["--steps", "5"], "--steps: 5 is not between 100"),
        (["--steps", "1.5"], "--steps: '1.5' is not a whole number"),
        (["--actors", "0"], "--actors: 0 is not between 1"),
        (["--capacity", "10"], "--capacity: 10 is not between"),
        (["--sampler", "best"], "--sampler: invalid choice: 'best'"),
        (["--plot", "nowhere/out.png"], "--plot: there is no folder 'nowhere'"),
        (["--plot", "out.txt"], "--plot: 'out.txt' does not end in .png"),
        (["--plot", "folder.png"], "--plot: 'folder.png' is a folder"),
        (["--speed", "3"], "unrecognized arguments: --speed 3"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as left:
        cli.main(["demo", *words])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


def test_an_unknown_command_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["dream"])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["demo", "--help"]])
def test_help_names_what_there_is(words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    assert ("--sampler" if "demo" in words else "demo") in capsys.readouterr().out


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 0
    assert "demo" in capsys.readouterr().out


def test_a_missing_extra_is_named_with_its_cure(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "replay demo needs torch: pip install 'replay-kernels[demo]'\n"
    )
