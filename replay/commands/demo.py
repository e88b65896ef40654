"""`replay demo`: a DQN agent in several processes, from command line to exit code."""

import argparse
import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from replay.demo.config import Config

#: What the demo imports beyond the library's own needs, by the names that pip knows.
DEMO_NEEDS = ("torch", "gymnasium", "matplotlib", "tqdm")
#: Endings of pictures that can be written.
PICTURES = (".png", ".pdf", ".svg")


def describe(commands: Any) -> None:
    """
    Say how the command is called.

    Parameters
    ----------
    commands : subparsers of argparse
    """
    parser = commands.add_parser(
        "demo",
        help="train a DQN agent on CartPole, with actors in processes of their own",
        description="Train a Double DQN on CartPole-v1. Actor processes write to a replay buffer "
        "in shared memory; the learner samples from it and updates priorities. Once three greedy "
        "evaluations in a row find the task solved, or the steps are played, the best policy met "
        "plays 20 greedy episodes, and the learning curve is drawn. Ctrl-C ends it at any moment "
        "and leaves nothing behind.",
        epilog="Needs more than the library itself: pip install 'replay-kernels[demo]'.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--sampler",
        choices=("prioritized", "uniform"),
        default=Config.sampler,
        help="how the learner draws transitions",
    )
    add(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=Config.seed,
        metavar="N",
        help="of network, environments, exploration and sampler",
    )
    add(
        "--steps",
        type=whole_number(100, 10**9),
        default=Config.steps,
        metavar="N",
        help="environment steps at most, over all actors",
    )
    add(
        "--all-steps",
        action="store_true",
        help="go on to the last step after the task is solved",
    )
    add(
        "--plot",
        type=picture_path,
        default=str(Config.plot),
        metavar="PATH",
        help="where the learning curve goes",
    )
    add(
        "--actors",
        type=whole_number(1, 64),
        default=Config.actors,
        metavar="N",
        help="processes that play",
    )
    add(
        "--capacity",
        type=whole_number(1_000, 10**9),
        default=Config.capacity,
        metavar="N",
        help="transitions the buffer holds",
    )
    parser.set_defaults(run=demo)


def demo(arguments: argparse.Namespace) -> int:
    """
    Run the demo, if what it needs is installed.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Returns
    -------
    int
        Exit code.
    """
    missing = [name for name in DEMO_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"replay demo needs {', '.join(missing)}: pip install 'replay-kernels[demo]'",
            file=sys.stderr,
        )
        return 1
    from replay.demo.run import run_demo

    return run_demo(
        Config(
            sampler=arguments.sampler,
            seed=arguments.seed,
            steps=arguments.steps,
            plot=arguments.plot,
            actors=arguments.actors,
            capacity=arguments.capacity,
            stop_after=0 if arguments.all_steps else Config.stop_after,
        )
    )


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """
    Make a parser of whole numbers.

    Parameters
    ----------
    low, high : int
        Smallest and largest allowed.

    Returns
    -------
    callable
        For argparse.
    """

    def parse(text: str) -> int:
        try:
            number = int(text.replace(",", "").replace("_", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not between {low} and {high}")
        return number

    return parse


def picture_path(text: str) -> pathlib.Path:
    """
    Check that a picture can be written, before a minute is spent on what it shows.

    Parameters
    ----------
    text : str
        A path.

    Returns
    -------
    pathlib.Path
        The same.
    """
    path = pathlib.Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in {', '.join(PICTURES)}")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written")
    return path
