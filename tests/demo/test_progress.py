"""What is shown, on a terminal and elsewhere."""

import io
from contextlib import closing

from replay.demo.progress import Progress, activity
from replay.demo.tally import Tally


class Terminal(io.StringIO):
    def isatty(self):
        return True


def a_tally(steps):
    return Tally(steps, 10, 1280, 3, [(10, 20.0), (30, 40.0)], [])


def test_first_and_last_line_are_shown_without_a_terminal():
    out = io.StringIO()
    with closing(Progress(100, out)) as progress:
        for steps in (1, 2, 3, 100):
            progress.show(a_tally(steps), 0.25)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("  1% of 100 steps | return  30 |")
    assert lines[1].startswith("100% of 100 steps")
    assert lines[1].endswith("fill 25% | stale 3")
    assert "\r" not in out.getvalue()


def test_a_bar_on_a_terminal_names_every_figure():
    out = Terminal()
    with closing(Progress(100, out)) as progress:
        progress.show(a_tally(100), 0.5)
    shown = out.getvalue()
    for figure in ("100%", "return  30", "steps/s", "samples/s", "fill 50%", "stale 3"):
        assert figure in shown


def test_an_activity_is_announced_before_it_begins():
    for out in (io.StringIO(), Terminal()):
        with activity("thinking", out):
            assert out.getvalue().startswith("thinking ...")
        assert out.getvalue().endswith("\n")
