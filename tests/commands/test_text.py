"""How commands write sizes, names and lines, and that a reader who leaves ends them quietly."""

import os
import pathlib
import sys

import pytest

from replay import cli
from replay.commands import ls
from replay.commands.text import WIDTH, in_units, plain, shown_name, wrapped


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (99_949, "99.9 kB"),
        (99_990, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (7 * 10**9, "7 GB"),
        (10**20, "100000 PB"),
    ],
)
def test_a_size_has_three_digits(nbytes, text):
    assert in_units(nbytes) == text


def test_text_from_anywhere_is_one_line_without_orders():
    assert plain("a\x1b[2J\n\r\tb\x00\u202e\udcff") == "a\\x1b[2J\\n\\r\\tb\\x00\\u202e\\udcff"
    assert plain("Müller 東京") == "Müller 東京"


def test_a_block_is_called_by_its_name_or_its_path():
    path = pathlib.Path("/dev/shm/replay.replay.a")
    assert shown_name(path, True) == "buffer 'replay.a'"
    assert shown_name(path, True, bare=True) == "replay.a"
    assert shown_name(path, False) == "file '/dev/shm/replay.replay.a'"


def test_lines_fit():
    for text in ("word " * 100, "x" * 500):
        lines = list(wrapped("label", text))
        assert all(len(line) <= WIDTH for line in lines)
        assert lines[0].startswith("  label ")
        assert "".join(lines).count(text[0]) == text.count(text[0])


def test_a_reader_who_leaves_is_no_traceback(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="ascii") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        monkeypatch.setattr(ls, "named_files", list)
        assert cli.main(["ls"]) == 141


def test_letters_that_a_terminal_lacks_are_written_otherwise(monkeypatch, tmp_path):
    path = tmp_path / "東"
    path.write_text("text")
    with open(tmp_path / "shown", "w", encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert cli.main(["ls", "--path", str(path)]) == 0
    assert "\\u6771" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize("command", ["ls", "clean", "repair", "demo"])
def test_each_command_has_a_help(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: replay {command}")


def test_the_help_lists_the_commands(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in ("ls", "clean", "repair", "demo"))


def test_an_interruption_is_no_traceback(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(ls, "named_files", interrupt)
    assert cli.main(["ls"]) == 130
