"""
Random draws from a counter: SplitMix64.

A draw is a function of a seed and a counter, so a batch takes its counters with one atomic
addition and any number of processes draw from one sequence without meeting.
"""

from typing import Any

import numpy as np

from kernels.atomics import fetch_add
from kernels.jit import INTERPRETED, kernel

#: The odd constant nearest 2**64 / golden ratio; successive counters land far apart.
GAMMA = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF

if INTERPRETED:
    # Python integers: NumPy's scalars warn where machine words wrap.

    def random_bits(seed: int, counter: int) -> int:
        bits = (int(seed) + (int(counter) + 1) * GAMMA) & _MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        return bits ^ (bits >> 31)

    def multiply_high(left: int, right: int) -> int:
        return (int(left) * int(right)) >> 64

    def multiply_low(left: int, right: int) -> int:
        return (int(left) * int(right)) & _MASK

    def unsigned(value: int) -> int:
        return int(value) & _MASK

else:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    _GAMMA = np.uint64(GAMMA)
    _FIRST = np.uint64(0xBF58476D1CE4E5B9)
    _SECOND = np.uint64(0x94D049BB133111EB)

    @kernel
    def random_bits(seed: int, counter: int) -> Any:
        """
        Draw 64 random bits.

        Parameters
        ----------
        seed : int
        counter : int
            Any integer; each gives its own draw.

        Returns
        -------
        uint64

        Notes
        -----
        Units: none.
        Cost: two multiplications.
        Errors: none.
        Sharing: a pure function.
        Source: SplitMix64, Steele, Lea and Flood (2014), Fast Splittable Pseudorandom Number
        Generators, figure 16 (its mix64 as in the authors' later variant 13).
        """
        bits = np.uint64(seed) + (np.uint64(counter) + np.uint64(1)) * _GAMMA
        bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
        return bits ^ (bits >> np.uint64(31))

    @intrinsic
    def multiply_high(typingctx, left, right):  # type: ignore[no-untyped-def]
        """Give the upper 64 bits of a product of two unsigned words."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            wide = ir.IntType(128)
            product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
            return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

        return types.uint64(types.uint64, types.uint64), codegen

    @kernel
    def multiply_low(left: Any, right: Any) -> Any:
        """Give the lower 64 bits of a product of two unsigned words."""
        return np.uint64(left) * np.uint64(right)

    @kernel
    def unsigned(value: int) -> Any:
        """Read an integer as an unsigned word."""
        return np.uint64(value)


@kernel
def random_claim(generator: np.ndarray, count: int) -> int:
    """
    Take the next `count` counters of a generator.

    Parameters
    ----------
    generator : (8,) int64, written
        One cache line: word 0 is the seed, word 1 the next counter.
    count : int

    Returns
    -------
    int
        The first counter; the caller owns it and the next count - 1.

    Notes
    -----
    Units: draws.
    Cost: one atomic addition.
    Errors: none.
    Sharing: any number of threads and processes; each counter is handed out once.
    Source: own.
    """
    return fetch_add(generator, 1, count)


@kernel
def random_below(seed: int, counter: int, bound: int) -> int:
    """
    Draw an integer of [0, bound), each exactly as likely.

    Parameters
    ----------
    seed : int
    counter : int
    bound : int
        1 or more.

    Returns
    -------
    int

    Notes
    -----
    Units: none.
    Cost: a multiplication; a further draw with probability below bound / 2**64.
    Errors: none; a bound below 1 gives 0.
    Sharing: a pure function.
    Source: Lemire (2019), Fast Random Integer Generation in an Interval, algorithm 5.
    """
    if bound < 1:
        return 0
    limit = unsigned(bound)
    bits = random_bits(seed, counter)
    low = multiply_low(bits, limit)
    if low < limit:
        # 2**64 mod bound: below it a result would come up once too often.
        threshold = (unsigned(0xFFFFFFFFFFFFFFFF) - limit + unsigned(1)) % limit
        turn = 0
        while low < threshold:
            # A seed of its own, so that a second try meets no other counter's draw.
            turn += 1
            bits = random_bits(unsigned(seed) ^ unsigned(0x5851F42D4C957F2D * turn), counter)
            low = multiply_low(bits, limit)
    return np.int64(multiply_high(bits, limit))


@kernel
def random_unit(seed: int, counter: int) -> float:
    """
    Draw a float64 of [0, 1) on a grid of 2**-53.

    Parameters
    ----------
    seed : int
    counter : int

    Returns
    -------
    float

    Notes
    -----
    Units: none.
    Cost: one draw of bits.
    Errors: none.
    Sharing: a pure function.
    Source: the upper 53 bits, as NumPy's Generator.random takes them.
    """
    return np.float64(random_bits(seed, counter) >> unsigned(11)) * (1.0 / 9007199254740992.0)
