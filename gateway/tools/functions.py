"""The functions and constants that the calculator knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from gateway.tools import trigonometry
from gateway.tools.arithmetic import (
    ROUNDED,
    Number,
    add,
    bounded,
    decimal,
    divide,
    integer,
    modulo,
    multiply,
    power,
    rational,
    root,
    too_large,
)
from gateway.tools.base import ToolError

_MAX_FACTORIAL = 449  # the last one of at most 1,000 digits
_MAX_CHOICE = 3300


@dataclass(frozen=True, slots=True)
class Function:
    """`most` is None where any number of arguments will do."""

    apply: Callable[..., Number]
    least: int = 1
    most: int | None = 1


def _log(x: Number, base: Number | None = None) -> Number:
    """The natural logarithm, or the one to `base`."""
    if x <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise ToolError("A logarithm needs a positive number and a positive base other than 1.")
    if base == 10:
        return ROUNDED.log10(decimal(x))
    natural = ROUNDED.ln(decimal(x))
    if base is None:
        return natural
    return trigonometry.snap(ROUNDED.divide(natural, ROUNDED.ln(decimal(base))))


def _round(x: Number, digits: Number = Fraction(0)) -> Number:
    places = integer(digits, "round")
    if abs(places) > 100:
        raise ToolError("round goes to 100 places at most.")
    # Half away from zero, as people learn it; Python's round goes to the even neighbour.
    scaled = rational(x) * Fraction(10) ** places
    whole = math.floor(abs(scaled) + Fraction(1, 2))
    return bounded(Fraction(whole if scaled >= 0 else -whole) / Fraction(10) ** places)


def factorial(x: Number) -> Number:
    n = integer(x, "factorial")
    if n < 0:
        raise ToolError("A factorial needs a whole number of at least 0.")
    if n > _MAX_FACTORIAL:
        raise too_large()
    return Fraction(math.factorial(n))


def _choices(count: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    def apply(n: Number, k: Number) -> Number:
        total, chosen = integer(n, "comb and perm"), integer(k, "comb and perm")
        if not (0 <= total <= _MAX_CHOICE and 0 <= chosen <= _MAX_CHOICE):
            raise ToolError(f"comb and perm take whole numbers from 0 to {_MAX_CHOICE}.")
        return bounded(Fraction(count(total, chosen)))

    return apply


def _total(*values: Number) -> Number:
    return reduce(add, values)


def _mean(*values: Number) -> Number:
    return divide(_total(*values), Fraction(len(values)))


def _median(*values: Number) -> Number:
    ordered, middle = sorted(values, key=rational), len(values) // 2
    if len(values) % 2:
        return ordered[middle]
    return divide(add(ordered[middle - 1], ordered[middle]), Fraction(2))


def _integers(name: str, fold: Callable[..., int]) -> Callable[..., Number]:
    return lambda *values: bounded(Fraction(reduce(fold, [integer(v, name) for v in values])))


def _rounded(f: Callable[[Decimal], Decimal]) -> Callable[[Number], Number]:
    return lambda x: f(decimal(x))


def _truncate(x: Number) -> Number:
    return Fraction(math.trunc(rational(x)))


FUNCTIONS: dict[str, Function] = {
    "sqrt": Function(lambda x: root(x, 2)),
    "cbrt": Function(lambda x: root(x, 3)),
    "root": Function(lambda x, n: root(x, integer(n, "root")), 2, 2),
    "abs": Function(lambda x: abs(x) if isinstance(x, Fraction) else x.copy_abs()),
    "round": Function(_round, 1, 2),
    "floor": Function(lambda x: Fraction(math.floor(rational(x)))),
    "ceil": Function(lambda x: Fraction(math.ceil(rational(x)))),
    "trunc": Function(_truncate),
    "factorial": Function(factorial),
    "comb": Function(_choices(math.comb), 2, 2),
    "perm": Function(_choices(math.perm), 2, 2),
    "gcd": Function(_integers("gcd", math.gcd), 1, None),
    "lcm": Function(_integers("lcm", math.lcm), 1, None),
    "min": Function(lambda *v: min(v, key=rational), 1, None),
    "max": Function(lambda *v: max(v, key=rational), 1, None),
    "sum": Function(_total, 1, None),
    "mean": Function(_mean, 1, None),
    "median": Function(_median, 1, None),
    "mod": Function(modulo, 2, 2),
    "pow": Function(power, 2, 2),
    "exp": Function(_rounded(ROUNDED.exp)),
    "ln": Function(_log),
    "log": Function(lambda x, base=Fraction(10): _log(x, base), 1, 2),
    "log10": Function(lambda x: _log(x, Fraction(10))),
    "log2": Function(lambda x: _log(x, Fraction(2))),
    "sin": Function(_rounded(trigonometry.sin)),
    "cos": Function(_rounded(trigonometry.cos)),
    "tan": Function(_rounded(trigonometry.tan)),
    "asin": Function(_rounded(trigonometry.asin)),
    "acos": Function(_rounded(trigonometry.acos)),
    "atan": Function(_rounded(trigonometry.atan)),
    "radians": Function(lambda x: multiply(x, divide(trigonometry.PI, Fraction(180)))),
    "degrees": Function(lambda x: multiply(x, divide(Fraction(180), trigonometry.PI))),
}
CONSTANTS: dict[str, Number] = {
    "pi": trigonometry.PI,
    "tau": ROUNDED.multiply(trigonometry.PI, Decimal(2)),
    "e": ROUNDED.exp(Decimal(1)),
}
