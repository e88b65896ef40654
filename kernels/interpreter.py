"""
What kernels call of CPython, and the words by which those that CPython calls find their way.

A kernel with the signature of a C function of Python's (see `methods`) is called without any of
what a dispatcher does. It is given addresses of objects, looks at them as `objects` says, and
calls what is declared here, with the interpreter's lock held.

    word            holds
    HANDLE_AT       how far into a buffer, a writer or a reader the address of its handle lies
    HANDLE_TYPE     address of the handles' type: whatever else lies there is none
    NONE            address of None
    ADD ... LEFT    addresses of names, each a str: methods in Python that know how to go on
    BATCH_SIZE OUT TIMEOUT  the same, of arguments
    DRESSED         the same, of the method that makes a batch of flat arrays

The words are of this process. Machine code that was kept knows them by a symbol's name.
"""

from typing import Any

import numpy as np

from kernels.jit import INTERPRETED

HANDLE_AT = 0
HANDLE_TYPE = 1
NONE = 2
ADD = 3
ADD_NOTICED = 4
EXTEND = 5
EXTEND_REST = 6
NEW_IDS = 7
SAMPLE = 8
NEW_BATCH = 9
SAMPLE_REST = 10
UPDATE = 11
LEFT = 12
BATCH_SIZE = 13
OUT = 14
TIMEOUT = 15
DRESSED = 16

#: The words, (24,) int64.
WORDS = np.zeros(24, np.int64)

if INTERPRETED:
    # Python does not call kernels that are interpreted as its methods: memory is all they need.
    import ctypes

    word: Any = None
    new_integer = new_float = call_method = take_reference = drop_reference = word
    lock_release = lock_acquire = word

    _pieces: dict[int, Any] = {}

    def raw_memory(size: int) -> int:
        piece = ctypes.create_string_buffer(int(size))
        _pieces[ctypes.addressof(piece)] = piece
        return ctypes.addressof(piece)

    def raw_free(address: int) -> None:
        del _pieces[int(address)]

else:
    from llvmlite import binding, ir
    from numba.core import types
    from numba.extending import intrinsic

    _SYMBOL = "replay_interpreter_words"
    binding.add_symbol(_SYMBOL, WORDS.ctypes.data)

    @intrinsic
    def word(typingctx, place):  # type: ignore[no-untyped-def]
        """Read one of the words."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            kind = ir.ArrayType(ir.IntType(64), WORDS.size)
            words = builder.module.globals.get(_SYMBOL)
            if words is None:
                words = ir.GlobalVariable(builder.module, kind, _SYMBOL)
            return builder.load(builder.gep(words, [ir.IntType(64)(0), args[0]], inbounds=True))

        return types.int64(types.int64), codegen

    def _function(name: str, given: Any, *taken: Any) -> Any:
        return types.ExternalFunction(name, given(*taken))

    _int = types.int64
    # A new reference each; 0 where Python has an error set.
    new_integer = _function("PyLong_FromLongLong", _int, _int)
    new_float = _function("PyFloat_FromDouble", _int, types.float64)
    #: Of a name, the address of arguments, self first, their number, and a tuple of names or 0.
    call_method = _function("PyObject_VectorcallMethod", _int, _int, _int, _int, _int)
    take_reference = _function("Py_IncRef", types.void, _int)
    drop_reference = _function("Py_DecRef", types.void, _int)
    #: Let go of the interpreter's lock, which gives what it takes to get it back.
    lock_release = _function("PyEval_SaveThread", _int)
    lock_acquire = _function("PyEval_RestoreThread", types.void, _int)
    raw_memory = _function("PyMem_RawMalloc", _int, _int)
    raw_free = _function("PyMem_RawFree", types.void, _int)
