"""
Wide rows read once, and written to one place or to two.

Two stacks of observations one step apart are the same but for one observation. Each that is in both
comes out of the block once: the second copy is made while its bytes are in registers.

Under NUMBA_DISABLE_JIT=1 twins over ctypes serve.
"""

from typing import Any

from kernels.jit import INTERPRETED

#: Bytes that are moved at a time, and the fewest there may be.
PIECE = 64

if INTERPRETED:
    import ctypes

    def copy_wide(to: int, source: int, size: int) -> None:
        ctypes.memmove(int(to), int(source), int(size))

    def copy_twice(to: int, also: int, source: int, size: int) -> None:
        ctypes.memmove(int(to), int(source), int(size))
        ctypes.memmove(int(also), int(source), int(size))

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    _WORD = ir.IntType(64)
    _BLOCK = ir.VectorType(_WORD, PIECE // 8).as_pointer()

    def _move(builder: Any, targets: Any, source: Any, done: Any) -> None:
        """Read a piece, and write it to all targets."""

        def piece(address: Any) -> Any:
            return builder.inttoptr(builder.add(address, done), _BLOCK)

        value = builder.load(piece(source), align=1)
        for target in targets:
            builder.store(value, piece(target), align=1)

    def _copy(builder: Any, targets: Any, source: Any, size: Any) -> None:
        last = builder.sub(size, _WORD(PIECE))
        with cgutils.for_range_slice(builder, _WORD(0), last, _WORD(PIECE), _WORD) as (done, _):
            _move(builder, targets, source, done)
        # The last bytes again in part: no tail loop.
        _move(builder, targets, source, last)

    @intrinsic
    def copy_wide(typingctx, to, source, size):  # type: ignore[no-untyped-def]
        """Copy PIECE bytes or more, without a call: memcpy's choices cost more than they gain."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            to, source, size = args
            _copy(builder, [to], source, size)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def copy_twice(typingctx, to, also, source, size):  # type: ignore[no-untyped-def]
        """Copy PIECE bytes or more to two places; none of the three overlap."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            to, also, source, size = args
            _copy(builder, [to, also], source, size)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64, types.int64), codegen
