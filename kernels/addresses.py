"""
Bytes at plain addresses: what `rows` and `objects` copy with.

Nothing here knows a bound. Callers hold arrays, or objects whose structure was verified, and pass
addresses inside them. `copy` has a switch to constant sizes because a call of memcpy costs more
than moving the few bytes of a typical field.

Under NUMBA_DISABLE_JIT=1 twins over ctypes serve.
"""

from typing import Any

from kernels.jit import INTERPRETED, kernel

#: Words of a piece of stack; also the number of rows that a kernel works on at a time.
STACK = 64
#: Words of a large piece of stack.
PAGE = 512

if INTERPRETED:
    import ctypes

    import numpy as np

    def address_of(array: Any) -> int:
        return int(array.ctypes.data)

    def load_int64(address: int) -> int:
        return ctypes.c_int64.from_address(int(address)).value

    def load_int32(address: int) -> int:
        return ctypes.c_int32.from_address(int(address)).value

    def load_uint8(address: int) -> int:
        return ctypes.c_uint8.from_address(int(address)).value

    def load_float64(address: int) -> float:
        return ctypes.c_double.from_address(int(address)).value

    def load_float32(address: int) -> float:
        return ctypes.c_float.from_address(int(address)).value

    def store_int64(address: int, value: int) -> None:
        ctypes.c_int64.from_address(int(address)).value = int(value)

    def store_int32(address: int, value: int) -> None:
        ctypes.c_int32.from_address(int(address)).value = int(value)

    def store_int16(address: int, value: int) -> None:
        ctypes.c_int16.from_address(int(address)).value = int(value)

    def store_uint8(address: int, value: int) -> None:
        ctypes.c_uint8.from_address(int(address)).value = int(value)

    def store_float64(address: int, value: float) -> None:
        ctypes.c_double.from_address(int(address)).value = value

    def store_float32(address: int, value: float) -> None:
        ctypes.c_float.from_address(int(address)).value = value

    def integers_at(address: int, count: int) -> Any:
        words: Any = (ctypes.c_int64 * int(count)).from_address(int(address))
        return np.frombuffer(words, np.int64)

    def lines_at(address: int, lines: int, width: int) -> Any:
        return integers_at(address, lines * width).reshape(lines, width)

    def floats_at(address: int, count: int) -> Any:
        numbers: Any = (ctypes.c_float * int(count)).from_address(int(address))
        return np.frombuffer(numbers, np.float32)

    def stack_integers() -> Any:
        return np.zeros(STACK, np.int64)

    def stack_numbers() -> Any:
        return np.zeros(STACK, np.float64)

    def stack_page() -> Any:
        return np.zeros(PAGE, np.int64)

    def prefetch(address: int) -> None:
        return None

    def copy_16(to: int, source: int) -> None:
        ctypes.memmove(int(to), int(source), 16)

    def copy_32(to: int, source: int) -> None:
        ctypes.memmove(int(to), int(source), 32)

    def copy_any(to: int, source: int, size: int) -> None:
        ctypes.memmove(int(to), int(source), int(size))

    def load_uint16(address: int) -> int:
        return ctypes.c_uint16.from_address(int(address)).value

    def trailing_zeros(word: int) -> int:
        return (int(word) & -int(word)).bit_length() - 1

    def once(value: int) -> int:
        return value

    def same_64(first: int, second: int) -> int:
        one, two = ctypes.string_at(int(first), 64), ctypes.string_at(int(second), 64)
        bits = sum(1 << place for place in range(64) if one[place] == two[place])
        return bits - (bits >> 63 << 64)

    def fill_32(to: int, source: int, size: int, step: int) -> None:
        block = ctypes.string_at(int(source), 32)
        for done in range(0, int(size), int(step)):
            ctypes.memmove(int(to) + done, block, 32)

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    _BYTE = ir.IntType(8)
    _WORD = ir.IntType(64)

    def _pointer(builder: Any, address: Any, to: Any) -> Any:
        return builder.inttoptr(address, to.as_pointer())

    def _loader(numba_type: Any, llvm_type: Any) -> Any:
        def typer(typingctx, address):  # type: ignore[no-untyped-def]
            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                value = builder.load(_pointer(builder, args[0], llvm_type), align=1)
                if numba_type is types.float64 and llvm_type == ir.FloatType():
                    return builder.fpext(value, ir.DoubleType())
                if isinstance(llvm_type, ir.IntType) and llvm_type.width < 64:
                    extend = builder.zext if llvm_type.width == 8 else builder.sext
                    return extend(value, ir.IntType(64))
                return value

            return numba_type(types.int64), codegen

        return typer

    def _storer(numba_type: Any, llvm_type: Any) -> Any:
        def typer(typingctx, address, value):  # type: ignore[no-untyped-def]
            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                value = args[1]
                if llvm_type == ir.FloatType():
                    value = builder.fptrunc(value, llvm_type)
                elif isinstance(llvm_type, ir.IntType) and llvm_type.width < 64:
                    value = builder.trunc(value, llvm_type)
                builder.store(value, _pointer(builder, args[0], llvm_type), align=1)
                return context.get_dummy_value()

            return types.none(types.int64, numba_type), codegen

        return typer

    # Module globals: an intrinsic captured in a closure never hits Numba's cache.
    load_int64 = intrinsic(_loader(types.int64, ir.IntType(64)))
    load_int32 = intrinsic(_loader(types.int64, ir.IntType(32)))
    load_uint8 = intrinsic(_loader(types.int64, ir.IntType(8)))
    load_float64 = intrinsic(_loader(types.float64, ir.DoubleType()))
    load_float32 = intrinsic(_loader(types.float64, ir.FloatType()))
    store_int64 = intrinsic(_storer(types.int64, ir.IntType(64)))
    store_int32 = intrinsic(_storer(types.int64, ir.IntType(32)))
    store_int16 = intrinsic(_storer(types.int64, ir.IntType(16)))
    store_uint8 = intrinsic(_storer(types.int64, ir.IntType(8)))
    store_float64 = intrinsic(_storer(types.float64, ir.DoubleType()))
    store_float32 = intrinsic(_storer(types.float64, ir.FloatType()))

    @intrinsic
    def address_of(typingctx, array):  # type: ignore[no-untyped-def]
        """Say where an array's first element lies."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            struct = context.make_array(signature.args[0])(context, builder, args[0])
            return builder.ptrtoint(struct.data, ir.IntType(64))

        return types.int64(array), codegen

    def _array(context: Any, builder: Any, array_type: Any, address: Any, shape: Any) -> Any:
        """Build a C-contiguous array over memory that it does not own."""
        array = context.make_array(array_type)(context, builder)
        element = context.get_value_type(array_type.dtype)
        size = context.get_constant(types.intp, context.get_abi_sizeof(element))
        context.populate_array(
            array,
            data=builder.inttoptr(address, element.as_pointer()),
            shape=cgutils.pack_array(builder, shape),
            strides=cgutils.pack_array(
                builder, [size] if len(shape) == 1 else [builder.mul(size, shape[1]), size]
            ),
            itemsize=size,
            meminfo=None,
        )
        return array._getvalue()

    def _array_at(dtype: Any) -> Any:
        def typer(typingctx, address, count):  # type: ignore[no-untyped-def]
            array_type = types.Array(dtype, 1, "C")

            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                return _array(context, builder, array_type, args[0], [args[1]])

            return array_type(types.int64, types.int64), codegen

        return typer

    # An array of so many elements at an address.
    integers_at = intrinsic(_array_at(types.int64))
    floats_at = intrinsic(_array_at(types.float32))

    @intrinsic
    def lines_at(typingctx, address, lines, width):  # type: ignore[no-untyped-def]
        """View lines of `width` int64 words at an address."""
        array_type = types.Array(types.int64, 2, "C")

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return _array(context, builder, array_type, args[0], [args[1], args[2]])

        return array_type(types.int64, types.int64, types.int64), codegen

    def _stack(words: int, dtype: Any) -> Any:
        def typer(typingctx):  # type: ignore[no-untyped-def]
            array_type = types.Array(dtype, 1, "C")

            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                word = ir.IntType(64)
                # In the entry block: a kernel that loops must not grow its stack. Not by Numba's
                # alloca_once, which fills it with zeros, 100 ns of them for a page.
                with builder.goto_entry_block():
                    memory = builder.alloca(ir.ArrayType(word, words))
                address = builder.ptrtoint(memory, word)
                count = context.get_constant(types.intp, words)
                return _array(context, builder, array_type, address, [count])

            return array_type(), codegen

        return typer

    # So many words of the caller's stack, with anything in them.
    stack_integers = intrinsic(_stack(STACK, types.int64))
    stack_numbers = intrinsic(_stack(STACK, types.float64))
    stack_page = intrinsic(_stack(PAGE, types.int64))

    @intrinsic
    def prefetch(typingctx, address):  # type: ignore[no-untyped-def]
        """Ask for the cache line at an address; any address will do."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            flag = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), flag, flag, flag])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            # read, keep in all caches, data
            builder.call(function, [_pointer(builder, args[0], _BYTE), flag(0), flag(3), flag(1)])
            return context.get_dummy_value()

        return types.none(types.int64), codegen

    def _copier(size: int) -> Any:
        def typer(typingctx, to, source):  # type: ignore[no-untyped-def]
            def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
                block = ir.VectorType(ir.IntType(64), size // 8)
                value = builder.load(_pointer(builder, args[1], block), align=1)
                builder.store(value, _pointer(builder, args[0], block), align=1)
                return context.get_dummy_value()

            return types.none(types.int64, types.int64), codegen

        return typer

    copy_16 = intrinsic(_copier(16))
    copy_32 = intrinsic(_copier(32))

    @intrinsic
    def copy_any(typingctx, to, source, size):  # type: ignore[no-untyped-def]
        """Call memcpy."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            target = _pointer(builder, args[0], _BYTE)
            origin = _pointer(builder, args[1], _BYTE)
            cgutils.raw_memcpy(builder, target, origin, args[2], 1)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def load_uint16(typingctx, address):  # type: ignore[no-untyped-def]
        """Read two bytes without a sign."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = builder.inttoptr(args[0], ir.IntType(16).as_pointer())
            return builder.zext(builder.load(pointer, align=1), _WORD)

        return types.int64(types.int64), codegen

    @intrinsic
    def trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
        """Count the zeros below a word's lowest one; of zero it gives anything."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.cttz(args[0], ir.IntType(1)(1))

        return types.int64(types.int64), codegen

    @intrinsic
    def once(typingctx, value):  # type: ignore[no-untyped-def]
        """
        Give a value of which the compiler does not know where it comes from.

        It cannot read it from memory a second time then, when another process may have changed it;
        nor can it foresee how often a loop runs, and unroll what seldom runs twice.
        """

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            kind = ir.FunctionType(_WORD, [_WORD])
            return builder.asm(kind, "", "=r,0", [args[0]], False)

        return types.int64(types.int64), codegen

    @intrinsic
    def same_64(typingctx, first, second):  # type: ignore[no-untyped-def]
        """Say which of 64 bytes two places have in common, a bit a byte."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            block = ir.VectorType(ir.IntType(8), 64)
            one, two = (
                builder.load(builder.inttoptr(address, block.as_pointer()), align=1)
                for address in args
            )
            return builder.bitcast(builder.icmp_unsigned("==", one, two), _WORD)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def fill_32(typingctx, to, source, size, step):  # type: ignore[no-untyped-def]
        """Write the 32 bytes at a source at every `step` bytes of `size`."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            to, source, size, step = args
            block = ir.VectorType(_WORD, 4).as_pointer()
            # Read before the loop, which the compiler could not: the two places may overlap.
            value = builder.load(builder.inttoptr(source, block), align=1)
            with cgutils.for_range_slice(builder, _WORD(0), size, step, _WORD) as (done, _):
                builder.store(value, builder.inttoptr(builder.add(to, done), block), align=1)
            return context.get_dummy_value()

        return types.none(types.int64, types.int64, types.int64, types.int64), codegen


@kernel
def copy(to: int, source: int, size: int) -> None:
    """
    Copy `size` bytes between addresses that do not overlap.

    Parameters
    ----------
    to : int
        Address, *written*.
    source : int
        Address.
    size : int
        Bytes, 0 or more.

    Notes
    -----
    Units: bytes.
    Cost: a branch and one or two moves up to 32 bytes, a loop of moves up to 256, memcpy beyond.
    Errors: none; the addresses are trusted.
    Sharing: not atomic; the ring's sequence words tell a reader of a torn copy.
    Source: own.
    """
    if size == 4:
        store_int32(to, load_int32(source))
    elif size == 8:
        store_int64(to, load_int64(source))
    elif size == 1:
        store_uint8(to, load_uint8(source))
    elif size == 32:
        copy_32(to, source)
    elif size > 256:
        copy_any(to, source, size)
    elif size >= 16:
        # Whole blocks, then the last 16 bytes again: no tail loop.
        done = 0
        while done < size - 16:
            copy_16(to + done, source + done)
            done += 16
        copy_16(to + size - 16, source + size - 16)
    elif size > 8:
        store_int64(to, load_int64(source))
        store_int64(to + size - 8, load_int64(source + size - 8))
    elif size > 4:
        store_int32(to, load_int32(source))
        store_int32(to + size - 4, load_int32(source + size - 4))
    else:
        for done in range(size):
            store_uint8(to + done, load_uint8(source + done))
