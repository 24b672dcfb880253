"""Exact, bounded arithmetic.

Numbers are fractions where possible, otherwise decimals of 50 digits.

A `Fraction` is exact; a `Decimal` has been rounded. No number has more than `MAX_DIGITS` digits, so every
operation takes less than a millisecond.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction

from gateway.tools.base import ToolError

Number = Fraction | Decimal

MAX_DIGITS = 1000
_MAX_BITS = int(MAX_DIGITS * math.log2(10))
_MAX_ROOT = 64
ROUNDING = Context(
    prec=50, Emax=MAX_DIGITS, Emin=-MAX_DIGITS, traps=[Overflow, DivisionByZero, InvalidOperation]
)


def result_too_large() -> ToolError:
    return ToolError(f"The result would have more than {MAX_DIGITS} digits; compute its logarithm instead.")


def to_decimal(x: Number) -> Decimal:
    """Return `x` rounded to 50 digits."""
    if isinstance(x, Decimal):
        return x
    return ROUNDING.divide(Decimal(x.numerator), Decimal(x.denominator))


def to_integer(x: Number, name: str) -> int:
    """Return `x` as an int; raises ToolError if it is not whole."""
    exact = to_fraction(x)
    if exact.denominator != 1:
        raise ToolError(f"{name} needs whole numbers.")
    return exact.numerator


def to_fraction(x: Number) -> Fraction:
    return x if isinstance(x, Fraction) else Fraction(x)


def limit_digits(x: Fraction) -> Number:
    """Return `x`, rounded if its fraction has too many digits.

    Raises:
        ToolError: the number itself is too large.
    """
    if max(x.numerator.bit_length(), x.denominator.bit_length()) <= _MAX_BITS:
        return x
    if x.numerator.bit_length() - x.denominator.bit_length() > _MAX_BITS:
        raise result_too_large()
    return to_decimal(x)


def add(a: Number, b: Number) -> Number:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return limit_digits(a + b)
    return ROUNDING.add(to_decimal(a), to_decimal(b))


def subtract(a: Number, b: Number) -> Number:
    return add(a, negate(b))


def negate(a: Number) -> Number:
    # Unary minus would round a Decimal to the thread's context.
    return -a if isinstance(a, Fraction) else a.copy_negate()


def multiply(a: Number, b: Number) -> Number:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return limit_digits(a * b)
    return ROUNDING.multiply(to_decimal(a), to_decimal(b))


def divide(a: Number, b: Number) -> Number:
    if b == 0:
        raise ToolError("Division by zero has no result.")
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return limit_digits(a / b)
    return ROUNDING.divide(to_decimal(a), to_decimal(b))


def floor_divide(a: Number, b: Number) -> Number:
    return limit_digits(Fraction(math.floor(to_fraction(divide(a, b)))))


def modulo(a: Number, b: Number) -> Number:
    """Return the remainder with the divisor's sign, as in Python."""
    return subtract(a, multiply(b, floor_divide(a, b)))


def power(base: Number, exponent: Number) -> Number:
    if base == 0 and exponent < 0:
        raise ToolError("Zero to a negative power has no result.")
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        return _integer_power(base, exponent.numerator)
    if base < 0:
        raise ToolError("A negative number to a power that is not whole has no real result.")
    if base == 0:
        return Fraction(0)
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator <= _MAX_ROOT:
        exact = _exact_root(base, exponent.denominator)
        if exact is not None:
            return _integer_power(exact, exponent.numerator)
    return ROUNDING.power(to_decimal(base), to_decimal(exponent))


def _integer_power(base: Number, exponent: int) -> Number:
    if isinstance(base, Fraction):
        if base in (0, 1) or exponent == 0:
            return Fraction(1) if exponent == 0 else base
        if base == -1:
            return Fraction(1 if exponent % 2 == 0 else -1)
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        # A number of b bits to the power n has more than (b - 1) * n bits, so nothing that fits is rejected.
        if abs(exponent) * (bits - 1) <= _MAX_BITS:
            return limit_digits(base**exponent)
        if base.denominator == 1 and exponent > 0:
            raise result_too_large()
    if exponent.bit_length() > 64:
        raise ToolError("This exponent is too large.")
    return ROUNDING.power(to_decimal(base), Decimal(exponent))


def root(x: Number, degree: int) -> Number:
    """Return the real root; exact if it is rational."""
    if degree < 1 or degree > _MAX_ROOT:
        raise ToolError(f"The degree of a root must be from 1 to {_MAX_ROOT}.")
    if x < 0:
        if degree % 2 == 0:
            raise ToolError("An even root of a negative number has no real result.")
        return negate(root(negate(x), degree))
    if x == 0:
        return Fraction(0)
    exact = _exact_root(x, degree) if isinstance(x, Fraction) else None
    if exact is not None:
        return exact
    if degree == 2:
        return ROUNDING.sqrt(to_decimal(x))
    return ROUNDING.power(to_decimal(x), ROUNDING.divide(Decimal(1), Decimal(degree)))


def _exact_root(x: Fraction, degree: int) -> Fraction | None:
    numerator = _integer_root(x.numerator, degree)
    denominator = _integer_root(x.denominator, degree)
    return None if numerator is None or denominator is None else Fraction(numerator, denominator)


def _integer_root(n: int, degree: int) -> int | None:
    """The whole root of n >= 0, if it has one; Newton's method on integers."""
    if degree == 2:
        guess = math.isqrt(n)
        return guess if guess * guess == n else None
    guess = 1 << -(-n.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + n // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess if guess**degree == n else None
        guess = better
