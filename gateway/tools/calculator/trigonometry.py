"""Trigonometry on decimals, to 50 digits: the standard library has none.

Every operation names its context: an operator would round to the 28 digits of the thread's own.
"""

from __future__ import annotations

from decimal import Context, Decimal

from gateway.tools.base import ToolError
from gateway.tools.calculator.arithmetic import ROUNDING

# Taking whole turns off a large angle costs as many digits as the angle has; these are enough for 10**60.
_REDUCTION_CONTEXT = Context(prec=130)
_WORKING_CONTEXT = Context(prec=65)
_MAX_ANGLE = Decimal(10) ** 60
_ROUNDING_ERROR = Decimal(10) ** -48
_SERIES_END = Decimal(10) ** -64


def _pi(context: Context) -> Decimal:
    """Machin: pi/4 = 4 atan(1/5) - atan(1/239)."""

    def inverse_tangent(n: int) -> Decimal:
        power = context.divide(Decimal(1), Decimal(n))
        total, k, square = power, 1, Decimal(n * n)
        while True:
            power = context.divide(power.copy_negate(), square)
            k += 2
            term = context.divide(power, Decimal(k))
            grown = context.add(total, term)
            if grown == total:
                return total
            total = grown

    quarter = context.subtract(context.multiply(Decimal(4), inverse_tangent(5)), inverse_tangent(239))
    return context.multiply(Decimal(4), quarter)


_PI_WIDE = _pi(_REDUCTION_CONTEXT)
PI = ROUNDING.plus(_PI_WIDE)


def round_to_integer_if_close(x: Decimal) -> Decimal:
    """`x`, or the whole number it misses by the rounding error alone: sin(pi) is 0, log2(8) is 3."""
    if x.adjusted() > 40:
        return x
    nearest = x.to_integral_value()
    return nearest if ROUNDING.subtract(x, nearest).copy_abs() < _ROUNDING_ERROR else x


def _reduce_angle(x: Decimal) -> Decimal:
    """The angle in -pi..pi."""
    if x.copy_abs() > _MAX_ANGLE:
        raise ToolError("This angle is too large.")
    turn = _REDUCTION_CONTEXT.multiply(_PI_WIDE, Decimal(2))
    return _WORKING_CONTEXT.plus(_REDUCTION_CONTEXT.remainder_near(x, turn))


def _series(first: Decimal, k: int, square: Decimal) -> Decimal:
    """first - first*x²/(k(k+1)) + …: the sine from (x, 2), the cosine from (1, 1)."""
    total = term = first
    while term.copy_abs() > _SERIES_END:
        term = _WORKING_CONTEXT.divide(
            _WORKING_CONTEXT.multiply(term.copy_negate(), square), Decimal(k * (k + 1))
        )
        total = _WORKING_CONTEXT.add(total, term)
        k += 2
    return total


def sin(x: Decimal) -> Decimal:
    angle = _reduce_angle(x)
    return round_to_integer_if_close(
        ROUNDING.plus(_series(angle, 2, _WORKING_CONTEXT.multiply(angle, angle)))
    )


def cos(x: Decimal) -> Decimal:
    angle = _reduce_angle(x)
    return round_to_integer_if_close(
        ROUNDING.plus(_series(Decimal(1), 1, _WORKING_CONTEXT.multiply(angle, angle)))
    )


def tan(x: Decimal) -> Decimal:
    below = cos(x)
    if below == 0:
        raise ToolError("The tangent of a right angle has no value.")
    return round_to_integer_if_close(ROUNDING.divide(sin(x), below))


def atan(x: Decimal) -> Decimal:
    size, halvings = x.copy_abs(), 0
    if size > 1:
        below = ROUNDING.subtract(ROUNDING.divide(PI, Decimal(2)), atan(ROUNDING.divide(Decimal(1), size)))
        return below.copy_sign(x)
    # atan(x) = 2 atan(x / (1 + sqrt(1 + x²))): five times makes the series short.
    while size > Decimal("0.05"):
        root = _WORKING_CONTEXT.sqrt(_WORKING_CONTEXT.add(Decimal(1), _WORKING_CONTEXT.multiply(size, size)))
        size, halvings = _WORKING_CONTEXT.divide(size, _WORKING_CONTEXT.add(Decimal(1), root)), halvings + 1
    total, power, k, square = size, size, 1, _WORKING_CONTEXT.multiply(size, size)
    while power.copy_abs() > _SERIES_END:
        power, k = _WORKING_CONTEXT.multiply(power.copy_negate(), square), k + 2
        total = _WORKING_CONTEXT.add(total, _WORKING_CONTEXT.divide(power, Decimal(k)))
    return ROUNDING.multiply(total, Decimal(2**halvings)).copy_sign(x)


def asin(x: Decimal) -> Decimal:
    if x.copy_abs() > 1:
        raise ToolError("asin and acos take numbers from -1 to 1.")
    if x.copy_abs() == 1:
        return ROUNDING.divide(PI, Decimal(2)).copy_sign(x)
    below = _WORKING_CONTEXT.sqrt(
        _WORKING_CONTEXT.multiply(
            _WORKING_CONTEXT.subtract(Decimal(1), x), _WORKING_CONTEXT.add(Decimal(1), x)
        )
    )
    return atan(_WORKING_CONTEXT.divide(x, below))


def acos(x: Decimal) -> Decimal:
    return round_to_integer_if_close(ROUNDING.subtract(ROUNDING.divide(PI, Decimal(2)), asin(x)))
