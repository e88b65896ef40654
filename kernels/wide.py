"""
Wide rows, such as images: their copies wait for memory, and not for the loop that makes them.

A row that belongs in two places comes out of memory once, and is written to both while its bytes
are in registers. The first lines of the next row are asked for while one is copied: the
processor's own prefetcher begins only when it has seen some of a row.

Under NUMBA_DISABLE_JIT=1 twins over ctypes serve.
"""

from typing import Any

from kernels.addresses import prefetch
from kernels.jit import INTERPRETED, kernel

#: Bytes of a wide row, or more.
WIDE = 256
#: Bytes that are moved at a time, and the fewest there may be.
PIECE = 64
#: Lines of a row that are asked for before its turn.
HEAD_LINES = 4

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


@kernel
def head_prefetch(row: int) -> None:
    """
    Ask for the first lines of a wide row.

    Parameters
    ----------
    row : int
        Its address; any will do.

    Notes
    -----
    Units: lines of 64 bytes.
    Cost: a prefetch a line.
    Errors: none.
    Sharing: reads nothing.
    Source: own.
    """
    for line in range(HEAD_LINES):
        prefetch(row + line * 64)
