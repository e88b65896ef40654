"""
Experience replay at memory speed.

`ReplayBuffer` stores transitions and draws batches, `attach` joins one from another process, and
`Uniform` and `Proportional` say how rows are drawn. The kernels below it are importable on their
own, from `kernels`.
"""

import kernels as _kernels

if getattr(_kernels, "DISTRIBUTION", None) != "replay-kernels":
    raise ImportError(
        f"the package 'kernels' that Python found, {getattr(_kernels, '__file__', None)}, is not "
        "the one of replay-kernels: another distribution (such as 'kernels' on PyPI) installs a "
        "package of the same name. Uninstall it, or install replay-kernels into an environment of "
        "its own; 'pip install --force-reinstall replay-kernels' brings ours back."
    )

from replay.buffers import ReplayBuffer, Writer, attach, load
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
    UnflushedError,
    WaitTimeoutError,
)
from replay.memory import Field, Owner, RateLimiter, Repaired, unlink
from replay.samplers import Linear, Proportional, Sampler, Uniform

__version__ = "0.1.0"

__all__ = [
    "BlockError",
    "BlockExistsError",
    "BlockFormatError",
    "BlockMissingError",
    "ClosedError",
    "EmptyError",
    "Field",
    "FieldError",
    "InputError",
    "JammedError",
    "Linear",
    "Owner",
    "OwnerGoneWarning",
    "Proportional",
    "RateLimiter",
    "Repaired",
    "ReplayBuffer",
    "ReplayError",
    "RoomError",
    "Sampler",
    "UnflushedError",
    "Uniform",
    "WaitTimeoutError",
    "Writer",
    "attach",
    "load",
    "unlink",
]
