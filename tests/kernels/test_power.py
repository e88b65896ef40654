"""Powers by polynomials against the C library and against 40 digits."""

import decimal
import math
from fractions import Fraction

import numba
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.jit import kernel
from kernels.power import bits_float, exp2, float_bits, log2, power
from tests import naive

TINY = 2.2250738585072014e-308
NORMAL = st.one_of(st.floats(TINY, 1.7e308), st.floats(0.5, 2.0), st.integers(1, 2**62).map(float))


def close(seen, expected):
    return abs(seen - expected) <= 1e-13 * abs(expected)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(NORMAL)
@example(1.0)
@example(TINY)
@example(math.sqrt(0.5))
@example(math.nextafter(1.0, 0.0))
@example(math.nextafter(1.0, 2.0))
def test_log2_is_the_logarithm(value):
    assert close(log2(value), math.log2(value))


@settings(deadline=None, max_examples=400, derandomize=True)
@given(st.one_of(st.floats(-1020, 1020), st.floats(-1, 1), st.integers(-1020, 1020).map(float)))
@example(0.5)
@example(-0.5)
def test_exp2_is_the_power_of_two(value):
    assert close(exp2(value), math.pow(2.0, value))


def test_whole_powers_and_logarithms_are_exact():
    for exponent in range(-1020, 1021):
        assert exp2(float(exponent)) == 2.0**exponent
        assert log2(2.0**exponent) == exponent


def test_exp2_stops_at_its_limits():
    for value in (1020.5, 1e6, 1e308, math.inf):
        assert exp2(value) == 2.0**1020
        assert exp2(-value) == 2.0**-1020


@settings(deadline=None, max_examples=400, derandomize=True)
@given(st.floats(1e-300, 1e300), st.one_of(st.floats(0, 2), st.sampled_from([0.5, 0.6, 1 / 3])))
def test_power_is_the_power(value, exponent):
    if 1e-300 < math.pow(10.0, min(math.log10(value) * exponent, 301)) < 1e300:
        assert close(power(value, exponent), math.pow(value, exponent))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.floats(1e-6, 1e6), st.floats(0.01, 2))
def test_power_is_the_power_to_40_digits(value, exponent):
    exact = naive.power(value, exponent)
    assert isinstance(exact, decimal.Decimal)
    assert close(Fraction(float(power(value, exponent))), Fraction(exact))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.floats(5e-324, 1.7e308))
def test_exponents_zero_and_one_are_exact(value):
    assert power(value, 0.0) == 1.0
    assert power(value, 1.0) == value


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.floats(0, 10))
def test_zero_stays_zero(exponent):
    assert power(0.0, exponent) == 0.0


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.floats(5e-324, math.nextafter(TINY, 0)), st.floats(0.01, 0.99))
def test_subnormal_numbers_count_as_the_smallest_normal_one(value, exponent):
    assert power(value, exponent) == power(TINY, exponent)


@kernel
def bits_of(value):
    return float_bits(value)


@kernel
def float_of(bits):
    return bits_float(bits)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.floats())
def test_bits_are_those_of_memory(value):
    bits = int(np.float64(value).view(np.int64))
    assert bits_of(value) == bits
    assert np.float64(float_of(bits)).view(np.int64) == bits


def test_all_work_inside_a_users_function():
    @numba.njit
    def user(value):
        same = bits_float(float_bits(value))
        return log2(value), exp2(value), power(value, 0.5), power(9, 1.0), same

    seen = user(4.0)
    assert seen[0] == 2.0
    assert seen[1] == 16.0
    assert seen[4] == 4.0
    assert close(seen[2], 2.0)
    assert close(seen[3], 9.0)
