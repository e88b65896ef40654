"""
Other libraries at the same work: a file a library, each by its fastest public way.

A library is imported when it is measured, and one that is not installed is left out by name, see
`missing`. `pip install -e ".[peers]"` in the folder of the project brings all of them.
"""

import importlib
import importlib.util

from .peer import Frames, Peer

#: The file of each, the module that it imports, and whether it stacks frames.
_FILES = {
    "replay": ("ours", "replay", True),
    "cpprb": ("cpprb", "cpprb", True),
    "Tianshou": ("tianshou", "tianshou", True),
    "SB3": ("stable_baselines3", "stable_baselines3", False),
    "TorchRL": ("torchrl", "torchrl", False),
    "Flashbax": ("flashbax", "flashbax", False),
    "NumPy": ("numpy_arrays", "numpy", True),
    "deque": ("deque_of_rows", "collections", False),
}

#: In the order of the tables.
NAMES = tuple(_FILES)
OURS = NAMES[0]


def missing(name: str) -> bool:
    """Say whether what a peer imports is not installed."""
    return importlib.util.find_spec(_FILES[name][1]) is None


def peer(name: str) -> type[Peer]:
    """Import the adapter of a peer, and with it its library."""
    return importlib.import_module(f".{_FILES[name][0]}", __name__).Rows


def frames(name: str) -> type[Frames] | None:
    """Import the adapter that stacks frames; None where a library has no such thing."""
    file, _, stacks = _FILES[name]
    return importlib.import_module(f".{file}", __name__).StackedFrames if stacks else None
