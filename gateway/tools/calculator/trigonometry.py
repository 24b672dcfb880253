"""Trigonometry on decimals, to 50 digits, with mpmath.

The standard library has none.

Every decimal operation names its context: an operator would round to the 28 digits of the thread's own.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mpmath import MPContext

from gateway.tools.base import ToolError
from gateway.tools.calculator.arithmetic import ROUNDING

# Reducing a large angle to one turn costs as many digits as the angle has; these are enough for 10**60.
_WORKING_DIGITS = 130
_MAX_ANGLE = Decimal(10) ** 60
_ROUNDING_ERROR = Decimal(10) ** -48

_mp: Any = MPContext()
_mp.dps = _WORKING_DIGITS


def _to_decimal(value: Any) -> Decimal:
    return ROUNDING.create_decimal(_mp.nstr(value, _WORKING_DIGITS, strip_zeros=False))


PI = _to_decimal(_mp.pi)


def round_to_integer_if_close(x: Decimal) -> Decimal:
    """Return the nearest whole number if `x` differs by a rounding error only.

    For example, sin(pi) is 0 and log2(8) is 3.
    """
    if x.adjusted() > 40:
        return x
    nearest = x.to_integral_value()
    return nearest if ROUNDING.subtract(x, nearest).copy_abs() < _ROUNDING_ERROR else x


def _apply(function: Callable[[Any], Any], x: Decimal) -> Decimal:
    return _to_decimal(function(_mp.mpf(str(x))))


def _of_angle(function: Callable[[Any], Any], x: Decimal) -> Decimal:
    if x.copy_abs() > _MAX_ANGLE:
        raise ToolError("This angle is too large.")
    return round_to_integer_if_close(_apply(function, x))


def sin(x: Decimal) -> Decimal:
    """Return the sine of an angle in radians."""
    return _of_angle(_mp.sin, x)


def cos(x: Decimal) -> Decimal:
    """Return the cosine of an angle in radians."""
    return _of_angle(_mp.cos, x)


def tan(x: Decimal) -> Decimal:
    """Return the tangent of an angle in radians; raises ToolError for a right angle."""
    if cos(x) == 0:
        raise ToolError("The tangent of a right angle has no value.")
    return _of_angle(_mp.tan, x)


def atan(x: Decimal) -> Decimal:
    """Return the arc tangent in radians."""
    return _apply(_mp.atan, x)


def asin(x: Decimal) -> Decimal:
    """Return the arc sine in radians; raises ToolError outside of -1..1."""
    _check_range(x)
    return _apply(_mp.asin, x)


def acos(x: Decimal) -> Decimal:
    """Return the arc cosine in radians; raises ToolError outside of -1..1."""
    _check_range(x)
    return round_to_integer_if_close(_apply(_mp.acos, x))


def _check_range(x: Decimal) -> None:
    if x.copy_abs() > 1:
        raise ToolError("asin and acos accept numbers from -1 to 1.")
