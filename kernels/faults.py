"""
Labelled points at which a test ends or stops the process, in kernels and in Python beside them.

Whoever shares a block may die in the middle of a walk, and what the others find must be sound.
Reasoning does not show that, and a kill at a random moment meets a gap of three instructions once
in a million runs. So each step of a walk that others can see has a label here: a test kills a
child at every visit of every label and looks at what it left behind.

    fault_point(COPIED)                     in a kernel or in Python: here the process may end
    arm("COPIED", visit=3)                  the third visit from now on is the last
    arm("COPIED", signal=signal.SIGSTOP)    the next visit waits for SIGCONT
    visits("COPIED")                        how many visits an operation had: those to try

The environment decides, once, at import. Without REPLAY_FAULTS the points are off, and kernels
hold no instruction of them. REPLAY_FAULTS=1 switches them on; COPIED:3 arms one as well, in a
process that is started by hand, and COPIED:3:STOP stops it there. `kernels.jit` keeps the machine
code of the two modes apart. `numba.njit(cache=True)` does not: a function under it that calls
kernels has the points, or has them not, as when it was first compiled.
"""

import os
import re
import signal
import threading
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import lower_builtin, type_callable

(
    CLAIMED,
    TAKEN,
    COPYING,
    COPIED,
    ENTERED,
    LEAF,
    ANCESTOR,
    FLUSHED,
    MINIMUM,
    LEFT,
    COUNTED,
    COMMITTED,
    RELEASED,
    REBASED,
    CLEARED,
    FREED,
    RECOUNTED,
    MENDED,
    JOINED,
    RESERVED,
    HEADED,
    READIED,
    SAVE_WRITTEN,
    SAVE_SYNCED,
    SAVE_RENAMED,
    JOURNAL_WRITTEN,
    JOURNAL_COMMITTED,
    JOURNAL_APPLYING,
    JOURNAL_APPLIED,
    ADMITTED,
    ANNOUNCED,
    SPACED,
    EVICTED,
    LEARNING,
) = range(34)

#: Each label's number.
POINTS = {name: number for name, number in dict(globals()).items() if name.isupper()}

_SWITCH = os.environ.get("REPLAY_FAULTS", "")
#: Whether the points are on in this process.
ENABLED = _SWITCH not in ("", "0")

_VISITS, _TARGET, _SIGNAL = range(3)
#: A line a point: visits so far, the visit that sends the signal (0: none does), the signal.
_words = np.zeros((len(POINTS), 3), np.int64)
#: Machine code finds the words by name: in a cache, it outlives the process and their address.
_NAME = "replay_fault_words"
# Also where the points are off: a function of numba.njit(cache=True) may have them still.
binding.add_symbol(_NAME, _words.ctypes.data)
#: Kernels count atomically, Python under this lock.
_counting = threading.Lock()

if ENABLED:

    def fault_point(point: int) -> None:
        """Visit a point: the last thing that this process does, where it is armed for that."""
        with _counting:
            _words[point, _VISITS] += 1
            reached = _words[point, _VISITS] == _words[point, _TARGET]
        if reached:
            signal.raise_signal(int(_words[point, _SIGNAL]))

else:

    def fault_point(point: int) -> None:
        """Do nothing: the points are off."""


# No intrinsic, which Python could not call, and no overload, which would compile a function more.
@type_callable(fault_point)
def typer(context):  # type: ignore[no-untyped-def]
    return lambda point: types.none if isinstance(point, types.Integer) else None


@lower_builtin(fault_point, types.Integer)
def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
    if ENABLED:
        word, number = ir.IntType(64), ir.IntType(32)
        words = builder.module.globals.get(_NAME)
        if words is None:
            words = ir.GlobalVariable(builder.module, ir.ArrayType(word, _words.size), _NAME)
        point = context.cast(builder, args[0], signature.args[0], types.int64)
        line = builder.mul(point, word(_words.shape[1]))

        def at(part: int) -> Any:
            return builder.gep(words, [word(0), builder.add(line, word(part))], inbounds=True)

        before = builder.atomic_rmw("add", at(_VISITS), word(1), "seq_cst")
        reached = builder.icmp_signed(
            "==", builder.add(before, word(1)), builder.load(at(_TARGET))
        )
        with builder.if_then(reached, likely=False):
            # C's raise signals the very thread: kill lets it run on while another one is stopped.
            kind = ir.FunctionType(number, [number])
            function = cgutils.get_or_insert_function(builder.module, kind, "raise")
            builder.call(function, [builder.trunc(builder.load(at(_SIGNAL)), number)])
    return context.get_dummy_value()


def _line(point: str) -> Any:
    """Give the words of a label."""
    if not ENABLED:
        raise ValueError("fault points are off: start the process with REPLAY_FAULTS=1")
    if point not in POINTS:
        raise ValueError(f"no fault point is called {point!r}; there are {', '.join(POINTS)}")
    return _words[POINTS[point]]


def arm(point: str, visit: int = 1, signal: int = signal.SIGKILL) -> None:
    """
    Let a visit of a point send a signal to this process.

    Parameters
    ----------
    point : str
        A label; its visits are counted anew.
    visit : int
        Which one from now on, 1 or more. Later ones go on.
    signal : int
        SIGKILL ends the process, SIGSTOP stops it until somebody sends SIGCONT.

    Raises
    ------
    ValueError
        The points are off, no label is called that, or there is no such visit.
    """
    line = _line(point)
    if visit < 1:
        raise ValueError(f"visit is {visit}; the first one is 1")
    line[_TARGET] = 0
    line[_SIGNAL] = signal
    line[_VISITS] = 0
    line[_TARGET] = visit


def disarm() -> None:
    """Let no visit send a signal, and count all of them anew."""
    _words[:] = 0


def visits(point: str) -> int:
    """
    Say how often a point was visited since it was armed, all were disarmed, or the process began.

    Parameters
    ----------
    point : str
        A label.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        The points are off, or no label is called that.
    """
    return int(_line(point)[_VISITS])


def _start(switch: str) -> None:
    """Arm what the environment asks for."""
    asked = re.fullmatch(r"(\w+):([1-9][0-9]{0,17})(?::(KILL|STOP))?", switch)
    if asked is None or asked[1] not in POINTS:
        raise ValueError(
            f"REPLAY_FAULTS={switch!r} is neither 0, 1, POINT:VISIT nor POINT:VISIT:STOP with a "
            f"VISIT from 1 and a POINT of {', '.join(POINTS)}"
        )
    arm(asked[1], int(asked[2]), signal.Signals["SIG" + (asked[3] or "KILL")])


if _SWITCH not in ("", "0", "1"):
    _start(_SWITCH)
