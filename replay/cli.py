"""The `replay` command."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import replay
from replay.commands import clean, demo, ls, repair

#: In the order of the help.
COMMANDS = (demo, ls, clean, repair)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line long."""

    def error(self, message: str) -> NoReturn:
        """
        Say what is wrong and leave.

        Parameters
        ----------
        message : str
            From argparse.
        """
        message = message.removeprefix("argument ")
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """
    Describe the command line.

    Returns
    -------
    argparse.ArgumentParser
        With a subparser per command, which sets what is to be run.
    """
    parser = Parser(
        prog="replay",
        description="Experience replay in shared memory. "
        "'replay COMMAND --help' says more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"replay {replay.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.describe(commands)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """
    Do what the command line says.

    Parameters
    ----------
    words : sequence of str, optional
        The default is the process's own.

    Returns
    -------
    int
        Exit code.
    """
    parser = make_parser()
    arguments = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] | None = getattr(arguments, "run", None)
    if run is None:
        parser.print_help()
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A command or a name may hold letters that this terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read has gone, `head` say: nothing more is written, not at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
