"""
Entries: kernels that other kernels call by an address.

A kernel that calls another one contains its machine code, and takes as long to compile as both.
What few buffers need (see `heap`) is compiled by itself, when a buffer needs it, and the kernels
that every buffer has find its address in a word. The convention is C's, so that a function of a C
library could stand there as well.

Under NUMBA_DISABLE_JIT=1 an address is a position in a list.
"""

import contextlib
from typing import Any

from kernels.jit import INTERPRETED, KernelCache, remembering, target_options

if INTERPRETED:
    _entries: list[Any] = [None]

    def entry_address(kernel: Any, count: int) -> int:
        if kernel not in _entries:
            _entries.append(kernel)
        return _entries.index(kernel)

    def call_1(address: int, first: int) -> int:
        return int(_entries[int(address)](int(first)))

    def call_4(address: int, first: int, second: int, third: int, fourth: int) -> int:
        return int(_entries[int(address)](int(first), int(second), int(third), int(fourth)))

else:
    from llvmlite import ir
    from numba.core import types
    from numba.core.ccallback import CFunc
    from numba.extending import intrinsic

    #: What keeps machine code in memory: its address is all that a caller has.
    _forms: dict[Any, Any] = {}

    def entry_address(kernel: Any, count: int) -> int:
        """
        Compile a kernel of integers, and say where it begins.

        Parameters
        ----------
        kernel : Kernel
            Takes `count` integers and gives one.
        count : int

        Returns
        -------
        int
            For call_1 and call_4, in this process.
        """
        if kernel not in _forms:
            signature = (types.int64,) * count, types.int64
            form: Any = CFunc(kernel.py_func, signature, {}, target_options())
            with contextlib.suppress(RuntimeError):
                # As in `jit`: where no folder takes the cache, there is none.
                form._cache = KernelCache(kernel.py_func, ".entry")
            with remembering():
                form.compile()
            _forms[kernel] = form
        return int(_forms[kernel].address)

    def _caller(count: int) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word] * count)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            entry = builder.inttoptr(args[0], kind.as_pointer())
            return builder.call(entry, list(args[1:]))

        return codegen

    # Module globals: an intrinsic captured in a closure never hits Numba's cache.
    @intrinsic
    def call_1(typingctx, address, first):  # type: ignore[no-untyped-def]
        """Call the kernel at an address with one integer."""
        return types.int64(types.int64, types.int64), _caller(1)

    @intrinsic
    def call_4(typingctx, address, first, second, third, fourth):  # type: ignore[no-untyped-def]
        """Call the kernel at an address with four integers."""
        return types.int64(*(types.int64,) * 5), _caller(4)
