"""The functions and constants of the calculator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from gateway.tools.base import ToolError
from gateway.tools.calculator import trigonometry
from gateway.tools.calculator.arithmetic import (
    ROUNDING,
    Number,
    add,
    divide,
    limit_digits,
    modulo,
    multiply,
    power,
    result_too_large,
    root,
    to_decimal,
    to_fraction,
    to_integer,
)

_MAX_FACTORIAL = 449  # the largest factorial of at most 1,000 digits
_MAX_COMBINATORIAL = 3300


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the calculator; `max_arguments` None means any number."""

    apply: Callable[..., Number]
    min_arguments: int = 1
    max_arguments: int | None = 1


def _log(x: Number, base: Number | None = None) -> Number:
    """Return the logarithm to `base`, by default the natural one."""
    if x <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise ToolError("A logarithm needs a positive number and a positive base other than 1.")
    if base == 10:
        return ROUNDING.log10(to_decimal(x))
    natural = ROUNDING.ln(to_decimal(x))
    if base is None:
        return natural
    return trigonometry.round_to_integer_if_close(ROUNDING.divide(natural, ROUNDING.ln(to_decimal(base))))


def _round(x: Number, digits: Number = Fraction(0)) -> Number:
    places = to_integer(digits, "round")
    if abs(places) > 100:
        raise ToolError("round accepts at most 100 places.")
    # Round half away from zero, as taught in school; Python rounds half to even.
    scaled = to_fraction(x) * Fraction(10) ** places
    whole = math.floor(abs(scaled) + Fraction(1, 2))
    return limit_digits(Fraction(whole if scaled >= 0 else -whole) / Fraction(10) ** places)


def factorial(x: Number) -> Number:
    """Return x!; raises ToolError if x is not a small whole number."""
    n = to_integer(x, "factorial")
    if n < 0:
        raise ToolError("A factorial needs a whole number of at least 0.")
    if n > _MAX_FACTORIAL:
        raise result_too_large()
    return Fraction(math.factorial(n))


def _combinatorial(count: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    def apply(n: Number, k: Number) -> Number:
        total, chosen = to_integer(n, "comb and perm"), to_integer(k, "comb and perm")
        if not (0 <= total <= _MAX_COMBINATORIAL and 0 <= chosen <= _MAX_COMBINATORIAL):
            raise ToolError(f"comb and perm take whole numbers from 0 to {_MAX_COMBINATORIAL}.")
        return limit_digits(Fraction(count(total, chosen)))

    return apply


def _sum(*values: Number) -> Number:
    return reduce(add, values)


def _mean(*values: Number) -> Number:
    return divide(_sum(*values), Fraction(len(values)))


def _median(*values: Number) -> Number:
    ordered, middle = sorted(values, key=to_fraction), len(values) // 2
    if len(values) % 2:
        return ordered[middle]
    return divide(add(ordered[middle - 1], ordered[middle]), Fraction(2))


def _reduce_integers(name: str, fold: Callable[..., int]) -> Callable[..., Number]:
    return lambda *values: limit_digits(Fraction(reduce(fold, [to_integer(v, name) for v in values])))


def _on_decimal(f: Callable[[Decimal], Decimal]) -> Callable[[Number], Number]:
    return lambda x: f(to_decimal(x))


def _truncate(x: Number) -> Number:
    return Fraction(math.trunc(to_fraction(x)))


FUNCTIONS: dict[str, Function] = {
    "sqrt": Function(lambda x: root(x, 2)),
    "cbrt": Function(lambda x: root(x, 3)),
    "root": Function(lambda x, n: root(x, to_integer(n, "root")), 2, 2),
    "abs": Function(lambda x: abs(x) if isinstance(x, Fraction) else x.copy_abs()),
    "round": Function(_round, 1, 2),
    "floor": Function(lambda x: Fraction(math.floor(to_fraction(x)))),
    "ceil": Function(lambda x: Fraction(math.ceil(to_fraction(x)))),
    "trunc": Function(_truncate),
    "factorial": Function(factorial),
    "comb": Function(_combinatorial(math.comb), 2, 2),
    "perm": Function(_combinatorial(math.perm), 2, 2),
    "gcd": Function(_reduce_integers("gcd", math.gcd), 1, None),
    "lcm": Function(_reduce_integers("lcm", math.lcm), 1, None),
    "min": Function(lambda *v: min(v, key=to_fraction), 1, None),
    "max": Function(lambda *v: max(v, key=to_fraction), 1, None),
    "sum": Function(_sum, 1, None),
    "mean": Function(_mean, 1, None),
    "median": Function(_median, 1, None),
    "mod": Function(modulo, 2, 2),
    "pow": Function(power, 2, 2),
    "exp": Function(_on_decimal(ROUNDING.exp)),
    "ln": Function(_log),
    "log": Function(lambda x, base=Fraction(10): _log(x, base), 1, 2),
    "log10": Function(lambda x: _log(x, Fraction(10))),
    "log2": Function(lambda x: _log(x, Fraction(2))),
    "sin": Function(_on_decimal(trigonometry.sin)),
    "cos": Function(_on_decimal(trigonometry.cos)),
    "tan": Function(_on_decimal(trigonometry.tan)),
    "asin": Function(_on_decimal(trigonometry.asin)),
    "acos": Function(_on_decimal(trigonometry.acos)),
    "atan": Function(_on_decimal(trigonometry.atan)),
    "radians": Function(lambda x: multiply(x, divide(trigonometry.PI, Fraction(180)))),
    "degrees": Function(lambda x: multiply(x, divide(Fraction(180), trigonometry.PI))),
}
CONSTANTS: dict[str, Number] = {
    "pi": trigonometry.PI,
    "tau": ROUNDING.multiply(trigonometry.PI, Decimal(2)),
    "e": ROUNDING.exp(Decimal(1)),
}
