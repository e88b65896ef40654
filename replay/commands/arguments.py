"""Arguments that several commands take."""

import argparse
import pathlib

from replay.errors import InputError
from replay.memory.home import named_path


def block_name(text: str) -> str:
    """
    Check a buffer's name.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        The same.
    """
    try:
        named_path(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def file_path(text: str) -> pathlib.Path:
    """
    Read the path of a file.

    Parameters
    ----------
    text : str

    Returns
    -------
    pathlib.Path
        Absolute.
    """
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path")
    return pathlib.Path(text).absolute()
