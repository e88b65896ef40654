"""
Powers for priorities and weights, by polynomials.

Several times faster than the C library's pow, which checks cases that cannot come up here, and
simple enough for LLVM to vectorise. Relative error below 1e-13 where 1e-300 < x < 1e300 and the
result is in that range too.
"""

from kernels.jit import INTERPRETED, kernel

if INTERPRETED:
    import struct

    def float_bits(value: float) -> int:
        return int(struct.unpack("<q", struct.pack("<d", value))[0])

    def bits_float(bits: int) -> float:
        # Wraps as machine words do.
        return float(struct.unpack("<d", struct.pack("<Q", int(bits) & 0xFFFFFFFFFFFFFFFF))[0])

else:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def float_bits(typingctx, value):  # type: ignore[no-untyped-def]
        """Read a float64 as an int64."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.bitcast(args[0], ir.IntType(64))

        return types.int64(types.float64), codegen

    @intrinsic
    def bits_float(typingctx, bits):  # type: ignore[no-untyped-def]
        """Read an int64 as a float64."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.int64), codegen


#: The bits of sqrt(1/2): subtracting them puts the mantissa into [sqrt(1/2), sqrt(2)).
_SQRT_HALF = 0x3FE6A09E667F3BCD
_TWO_OVER_LN2 = 2.8853900817779268
_LN2 = 0.6931471805599453
#: Adding it to a float64 below 2**51 rounds to the nearest integer, in the low bits.
_ROUND = 6755399441055744.0
_ROUND_BITS = 0x4338000000000000


@kernel
def log2(value: float) -> float:
    """
    Take the logarithm to base 2.

    Parameters
    ----------
    value : float
        Normal and above zero: 2.3e-308 <= value < inf.

    Returns
    -------
    float

    Notes
    -----
    Units: none.
    Cost: one division and ten multiplications.
    Errors: none; other values give nonsense.
    Sharing: a pure function.
    Source: log(m) = 2 artanh((m - 1) / (m + 1)), the series to the 17th power;
    Abramowitz and Stegun (1964), 4.1.27.
    """
    bits = float_bits(value)
    exponent = (bits - _SQRT_HALF) >> 52
    mantissa = bits_float(bits - (exponent << 52))
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    series = 1.0 / 19.0
    series = series * square + 1.0 / 17.0
    series = series * square + 1.0 / 15.0
    series = series * square + 1.0 / 13.0
    series = series * square + 1.0 / 11.0
    series = series * square + 1.0 / 9.0
    series = series * square + 1.0 / 7.0
    series = series * square + 1.0 / 5.0
    series = series * square + 1.0 / 3.0
    series = series * square + 1.0
    # Adding the exponent to the bits of a large float64 converts it by an addition: processors
    # without AVX-512 have no instruction that converts several int64 at once.
    whole = bits_float(exponent + _ROUND_BITS) - _ROUND
    return whole + _TWO_OVER_LN2 * ratio * series


@kernel
def exp2(value: float) -> float:
    """
    Raise 2 to a power.

    Parameters
    ----------
    value : float
        Not NaN; below -1020 gives 2**-1020, above 1020 gives 2**1020.

    Returns
    -------
    float

    Notes
    -----
    Units: none.
    Cost: thirteen multiplications.
    Errors: none.
    Sharing: a pure function.
    Source: Taylor's series of exp to the 13th power on [-ln(2) / 2, ln(2) / 2].
    """
    value = min(max(value, -1020.0), 1020.0)
    shifted = value + _ROUND
    whole = shifted - _ROUND
    part = (value - whole) * _LN2
    series = 1.0 / 6227020800.0
    series = series * part + 1.0 / 479001600.0
    series = series * part + 1.0 / 39916800.0
    series = series * part + 1.0 / 3628800.0
    series = series * part + 1.0 / 362880.0
    series = series * part + 1.0 / 40320.0
    series = series * part + 1.0 / 5040.0
    series = series * part + 1.0 / 720.0
    series = series * part + 1.0 / 120.0
    series = series * part + 1.0 / 24.0
    series = series * part + 1.0 / 6.0
    series = series * part + 0.5
    series = series * part + 1.0
    series = series * part + 1.0
    # The whole part stands in the low bits of `shifted`; its sign goes off the left end.
    return bits_float(float_bits(series) + (float_bits(shifted) << 52))


@kernel
def power(value: float, exponent: float) -> float:
    """
    Raise a number above zero to a power.

    Parameters
    ----------
    value : float
        0 or more; numbers below 2.3e-308 count as 2.3e-308.
    exponent : float
        0 or more.

    Returns
    -------
    float
        0 where value is 0, whatever the exponent; exact for exponents 0 and 1.

    Notes
    -----
    Units: none.
    Cost: log2 and exp2.
    Errors: none.
    Sharing: a pure function.
    Source: own.
    """
    # Both ways are computed and one is taken: a return in between would keep a loop of these from
    # being vectorised.
    raised = exp2(exponent * log2(max(value, 2.2250738585072014e-308)))
    raised = value if exponent == 1.0 else raised
    return raised if value > 0.0 else 0.0
