"""How commands write what they found: names, sizes and lines that fit a terminal."""

import pathlib
import textwrap
from collections.abc import Iterator

from replay.memory.home import PREFIX

#: Columns of a terminal that everything fits.
WIDTH = 100
_LABEL = 10


def plain(text: str) -> str:
    """
    Make text from anywhere safe to show: a file's name or a command may hold anything.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        One line, without what a terminal would obey.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def shown_name(path: pathlib.Path, named: bool, *, bare: bool = False) -> str:
    """
    Name a block in a message.

    Parameters
    ----------
    path : pathlib.Path
    named : bool
        By its name, or by its path.
    bare : bool
        The name alone.

    Returns
    -------
    str
    """
    if not named:
        return f"file '{plain(str(path))}'"
    name = plain(path.name.removeprefix(PREFIX))
    return name if bare else f"buffer '{name}'"


def in_units(nbytes: int) -> str:
    """
    Write a number of bytes in three digits.

    Parameters
    ----------
    nbytes : int

    Returns
    -------
    str
        "1.23 MB", say.
    """
    size, unit = float(nbytes), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.3g} {unit}"


def wrapped(label: str, text: str) -> Iterator[str]:
    """
    Lay a text out under a line of a table.

    Parameters
    ----------
    label : str
        What it is; empty: it begins at the margin.
    text : str

    Yields
    ------
    str
        A line of `WIDTH` columns at most.
    """
    first = f"  {label:<{_LABEL}}" if label else ""
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * (_LABEL + 2),
        break_on_hyphens=False,
    )
