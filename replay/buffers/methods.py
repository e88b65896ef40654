"""
Methods that the interpreter calls as C functions: kernels in place of those written in Python.

What stands in a class is written in Python and complete. Once the kernels are compiled, a method
that has one gives way to it, and stays behind under another name: what is not the plainest call
comes back to it.
"""

import ctypes
import functools
import sys
from typing import Any

from kernels import interpreter, method_add, method_sample
from kernels.entries import entry_address
from kernels.jit import INTERPRETED
from kernels.structure import methods_hold
from replay.buffers.handled import Handled
from replay.memory.calls import structure
from replay.memory.handle import Handle
from replay.progress import compiling

_FASTCALL = 0x0080
_KEYWORDS = 0x0002

#: Names that kernels call methods by, or know arguments by.
_NAMES = {
    interpreter.ADD: "_plain_add",
    interpreter.ADD_NOTICED: "_add_noticed",
    interpreter.EXTEND: "_plain_extend",
    interpreter.EXTEND_REST: "_extend_rest",
    interpreter.NEW_IDS: "_new_ids",
    interpreter.SAMPLE: "_plain_sample",
    interpreter.NEW_BATCH: "_new_batch",
    interpreter.SAMPLE_REST: "_sample_rest",
    interpreter.DRESSED: "_dressed",
    interpreter.UPDATE: "_plain_update_priorities",
    interpreter.LEFT: "_left",
    interpreter.BATCH_SIZE: "batch_size",
    interpreter.OUT: "out",
    interpreter.TIMEOUT: "timeout",
}

_KERNELS = {
    "add": (method_add.method_add, "($self, /, *row, **fields)"),
    "extend": (method_add.method_extend, "($self, /, *rows, **fields)"),
    "sample": (method_sample.method_sample, "($self, batch_size=None, *, out=None, timeout=None)"),
    "update_priorities": (method_sample.method_update, "($self, ids, priorities)"),
}


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Member(ctypes.Structure):
    """PyMemberDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
    ]


@functools.cache
def serves() -> bool:
    """Say whether kernels can be methods here: in CPython, laid out as they expect."""
    if INTERPRETED or not structure():
        return False
    place = _handle_at()
    if not place or not methods_hold():
        return False
    words = interpreter.WORDS
    words[interpreter.HANDLE_AT] = place
    words[interpreter.HANDLE_TYPE] = id(Handle)
    words[interpreter.NONE] = id(None)
    for word, name in _NAMES.items():
        known = sys.intern(name)
        _keep(known)
        words[word] = id(known)
    _keep(words)
    return True


def _keep(thing: Any) -> None:
    """
    Keep what kernels and the interpreter have the address of, for as long as the process lives.

    A list in a module would not do: at the end modules are emptied, and objects that go after
    that may still call their methods.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def install(kind: type, *names: str) -> None:
    """
    Have the interpreter call kernels in place of methods of a class.

    Parameters
    ----------
    kind : type
        Of `Handled`; `_plain_` and the name of a method stands for what it was.
    *names : str
        Of the methods.
    """
    if not serves():
        return
    for name in names:
        plain = kind.__dict__[f"_plain_{name}"]
        if kind.__dict__.get(name) is not plain:
            # It is a kernel already, or somebody has put a method of their own there.
            continue
        kernel, signature = _KERNELS[name]
        with compiling() as ready:
            address = entry_address(kernel, 4)
            ready(name)
        doc = f"{name}{signature}\n--\n\n{plain.__doc__}"
        definition = _Definition(name.encode(), address, _FASTCALL | _KEYWORDS, doc.encode())
        _keep(definition)
        make = ctypes.pythonapi.PyDescr_NewMethod
        make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
        setattr(kind, name, make(kind, ctypes.addressof(definition)))


def _handle_at() -> int:
    """Find how far into an object the slot of its handle lies; 0: it is not where it should."""
    slot: Any = Handled.__dict__["_handle"]
    # PyMemberDescrObject: what every descriptor has, of five words, and the address of its member.
    member = ctypes.c_void_p.from_address(id(slot) + 5 * 8).value
    if not member:
        return 0
    found = _Member.from_address(member)
    if found.name != b"_handle":
        return 0
    probe, handle = Handled(), object()
    probe._handle = handle
    place = int(found.offset)
    return place if ctypes.c_int64.from_address(id(probe) + place).value == id(handle) else 0
