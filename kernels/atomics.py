"""
Atomic words: how threads and processes that share memory agree without a lock.

Each takes a C-contiguous array of 64-bit integers of any number of dimensions and a flat index
into it. Loads acquire, stores release, and what reads and writes in one step (add, exchange,
compare-and-swap, maximum) is sequentially consistent.

Under NUMBA_DISABLE_JIT=1 plain twins serve, which are not atomic: that lane is for coverage and
debuggers in one thread.
"""

from typing import Any

from kernels.jit import INTERPRETED

if INTERPRETED:

    def load(words: Any, index: int) -> Any:
        return words.reshape(-1)[index]

    def store(words: Any, index: int, value: int) -> None:
        words.reshape(-1)[index] = value

    def fetch_add(words: Any, index: int, value: int) -> Any:
        flat = words.reshape(-1)
        before = flat[index]
        flat[index] = (
            words.dtype.type((int(before) + int(value)) & 0xFFFFFFFFFFFFFFFF)
            if (words.dtype.kind == "u")
            else before + value
        )
        return before

    def exchange(words: Any, index: int, value: int) -> Any:
        flat = words.reshape(-1)
        before = flat[index]
        flat[index] = value
        return before

    def compare_and_swap(words: Any, index: int, expected: int, value: int) -> bool:
        flat = words.reshape(-1)
        if flat[index] != expected:
            return False
        flat[index] = value
        return True

    def fetch_max(words: Any, index: int, value: int) -> Any:
        flat = words.reshape(-1)
        before = flat[index]
        flat[index] = max(before, words.dtype.type(value))
        return before

    def fence() -> None:
        return None

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    def _element(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Point at words.flat[index]."""
        array = context.make_array(signature.args[0])(context, builder, args[0])
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        return builder.gep(array.data, [index])

    def _fits(words: Any, *numbers: Any) -> bool:
        return (
            isinstance(words, types.Array)
            and words.layout == "C"
            and isinstance(words.dtype, types.Integer)
            and words.dtype.bitwidth == 64  # type: ignore[attr-defined]
            and all(isinstance(number, types.Integer) for number in numbers)
        )

    @intrinsic
    def load(typingctx, words, index):  # type: ignore[no-untyped-def]
        """Read words.flat[index]; later reads see what its writer stored before."""
        if not _fits(words, index):
            return None

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.load_atomic(_element(context, builder, signature, args), "acquire", 8)

        return words.dtype(words, index), codegen

    @intrinsic
    def store(typingctx, words, index, value):  # type: ignore[no-untyped-def]
        """Write words.flat[index]; who reads it sees all that was stored before."""
        if not _fits(words, index, value):
            return None

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            new = context.cast(builder, args[2], signature.args[2], signature.args[0].dtype)
            pointer = _element(context, builder, signature, args)
            builder.store_atomic(new, pointer, "release", 8)
            return context.get_dummy_value()

        return types.none(words, index, value), codegen

    def _read_modify_write(operation: str) -> Any:
        def typer(typingctx, words, index, value):  # type: ignore[no-untyped-def]
            if not _fits(words, index, value):
                return None

            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                dtype = signature.args[0].dtype
                name = "umax" if operation == "max" and not dtype.signed else operation
                new = context.cast(builder, args[2], signature.args[2], dtype)
                pointer = _element(context, builder, signature, args)
                return builder.atomic_rmw(name, pointer, new, "seq_cst")

            return words.dtype(words, index, value), codegen

        return typer

    # Module globals: an intrinsic captured in a closure never hits Numba's cache.
    fetch_add = intrinsic(_read_modify_write("add"))
    exchange = intrinsic(_read_modify_write("xchg"))
    fetch_max = intrinsic(_read_modify_write("max"))

    @intrinsic
    def compare_and_swap(typingctx, words, index, expected, value):  # type: ignore[no-untyped-def]
        """Write words.flat[index] if it equals expected; say whether it did."""
        if not _fits(words, index, expected, value):
            return None

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            dtype = signature.args[0].dtype
            old = context.cast(builder, args[2], signature.args[2], dtype)
            new = context.cast(builder, args[3], signature.args[3], dtype)
            pointer = _element(context, builder, signature, args)
            result = builder.cmpxchg(pointer, old, new, "seq_cst", "acquire")
            return builder.extract_value(result, 1)

        return types.boolean(words, index, expected, value), codegen

    @intrinsic
    def fence(typingctx):  # type: ignore[no-untyped-def]
        """Keep every read and write before it ahead of every one after it."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            # acq_rel: the seqlock's reader needs load-load order, its writer store-store order;
            # neither needs the full barrier (MFENCE) that seq_cst costs on x86.
            builder.fence("acq_rel")
            return context.get_dummy_value()

        return types.none(), codegen

    _ = (cgutils, ir)
