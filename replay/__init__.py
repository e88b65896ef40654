"""
Experience replay at memory speed.

`ReplayBuffer` stores transitions, or with a view the steps of agents, and draws batches; `attach`
joins one from another process. Samplers (`Uniform`, `Proportional`, `Ranked`, ...) say which rows
are drawn, views (`Transition`, `NStep`, `FrameStack`, `Sequence`, ...) what becomes of them. The
kernels below are importable on their own, from `kernels`.
"""

import importlib as _importlib
import typing as _typing

import kernels as _kernels

if getattr(_kernels, "DISTRIBUTION", None) != "replay-kernels":
    raise ImportError(
        f"the package 'kernels' that Python found, {getattr(_kernels, '__file__', None)}, is not "
        "the one of replay-kernels: another distribution (such as 'kernels' on PyPI) installs a "
        "package of the same name. Uninstall it, or install replay-kernels into an environment of "
        "its own; 'pip install --force-reinstall replay-kernels' brings ours back."
    )

from replay import priorities
from replay.buffers import (
    Mixture,
    ReplayBuffer,
    StepWriter,
    VectorWriter,
    ViewReader,
    Writer,
    attach,
    load,
)
from replay.errors import (
    BlockError,
    BlockExistsError,
    BlockFormatError,
    BlockMissingError,
    ClosedError,
    EmptyError,
    FieldError,
    InputError,
    JammedError,
    OwnerGoneWarning,
    ReplayError,
    RoomError,
    StepError,
    UnflushedError,
    WaitTimeoutError,
)
from replay.memory import (
    Field,
    Flat,
    FlatBytes,
    FlatStr,
    Owner,
    Padded,
    PaddedBytes,
    PaddedStr,
    RateLimiter,
    Repaired,
    unlink,
)
from replay.samplers import (
    Combined,
    Fifo,
    Lifo,
    Linear,
    Proportional,
    Ranked,
    Recent,
    Sampler,
    Uniform,
)
from replay.views import Episodes, FrameStack, Hindsight, NStep, Sequence, Transition, View

__version__ = "0.1.0"

__all__ = [
    "BlockError",
    "BlockExistsError",
    "BlockFormatError",
    "BlockMissingError",
    "ClosedError",
    "Combined",
    "EmptyError",
    "Episodes",
    "Field",
    "FieldError",
    "Fifo",
    "Flat",
    "FlatBytes",
    "FlatStr",
    "FrameStack",
    "Hindsight",
    "InputError",
    "JammedError",
    "Lifo",
    "Linear",
    "Mixture",
    "NStep",
    "Owner",
    "OwnerGoneWarning",
    "Padded",
    "PaddedBytes",
    "PaddedStr",
    "Proportional",
    "Ranked",
    "RateLimiter",
    "Recent",
    "Repaired",
    "ReplayBuffer",
    "ReplayError",
    "RoomError",
    "Sampler",
    "Sequence",
    "StepError",
    "StepWriter",
    "Transition",
    "UnflushedError",
    "Uniform",
    "VectorWriter",
    "View",
    "ViewReader",
    "WaitTimeoutError",
    "Writer",
    "attach",
    "gymnasium",
    "load",
    "priorities",
    "unlink",
]

# Type checkers, to which it would give any name at all, do not see it.
if not _typing.TYPE_CHECKING:

    def __getattr__(name):
        """Import an integration when it is first asked for."""
        if name == "gymnasium":
            return _importlib.import_module("replay.gymnasium")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
