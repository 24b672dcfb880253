"""The tool `calculator`: exact arithmetic for language models."""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction

from pydantic import Field

from gateway.tools.base import Tool, ToolArguments, ToolError
from gateway.tools.calculator.arithmetic import MAX_DIGITS, Number, result_too_large, to_decimal
from gateway.tools.calculator.functions import CONSTANTS, FUNCTIONS
from gateway.tools.calculator.parser import MAX_CHARACTERS, evaluate

_DISPLAY_CONTEXT = Context(prec=34, Emax=MAX_DIGITS, Emin=-MAX_DIGITS)
_MAX_DECIMAL_PLACES = 60
_MAX_FRACTION_CHARACTERS = 40


class CalculatorArguments(ToolArguments):
    expression: str = Field(
        max_length=MAX_CHARACTERS,
        description="Arithmetic only, for example: (1200 * 1.05^10 - 1200) / 12, 15% of 80, sqrt(2), 20!",
    )


class CalculatorTool(Tool[CalculatorArguments]):
    name = "calculator"
    description = (
        "Exact arithmetic. Use it for every calculation beyond the trivial instead of computing yourself. "
        "Operators + - * / // ^ ! and % (percent; remainder where a number follows); angles in radians, or "
        "30° in degrees; ln is the natural logarithm, log(x) the decimal one, log(x, b) the one to base b. "
        f"Functions: {', '.join(FUNCTIONS)}. Constants: {', '.join(CONSTANTS)}."
    )
    timeout_seconds = 2.0
    arguments = CalculatorArguments

    async def run(self, arguments: CalculatorArguments) -> str:
        """Evaluate on the event loop.

        Numbers and text are bounded, so it takes milliseconds at most.
        """
        return calculate(arguments.expression)


def calculate(expression: str) -> str:
    """Return the value as text.

    It is exact, or marked with ≈ if it was rounded to 34 digits.
    """
    try:
        return format_number(evaluate(expression))
    except Overflow:
        raise result_too_large() from None
    except (InvalidOperation, DivisionByZero):
        raise ToolError("This calculation has no real result.") from None


def format_number(value: Number) -> str:
    """Return a number as text, exact if possible."""
    if isinstance(value, Decimal):
        return f"≈ {_format_decimal(value)}"
    if value.denominator == 1:
        return str(value.numerator)
    exact = _terminating_decimal(value)
    if exact is not None:
        return exact
    fraction = f"{value.numerator}/{value.denominator}"
    rounded = f"≈ {_format_decimal(to_decimal(value))}"
    return f"{fraction} {rounded}" if len(fraction) <= _MAX_FRACTION_CHARACTERS else rounded


def _format_decimal(value: Decimal) -> str:
    """Format up to 34 significant digits.

    Only very large and very small numbers get an exponent.
    """
    rounded = _DISPLAY_CONTEXT.plus(value)
    if rounded == 0:
        return "0"
    text = f"{rounded:f}" if -20 <= rounded.adjusted() <= 40 else f"{rounded.normalize(_DISPLAY_CONTEXT):e}"
    if "e" not in text and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def _terminating_decimal(value: Fraction) -> str | None:
    """Return the finite decimal expansion.

    Returns None if there is none of at most 60 places.
    """
    remainder, twos, fives = value.denominator, 0, 0
    while remainder % 2 == 0:
        remainder, twos = remainder // 2, twos + 1
    while remainder % 5 == 0:
        remainder, fives = remainder // 5, fives + 1
    places = max(twos, fives)
    if remainder != 1 or places > _MAX_DECIMAL_PLACES:
        return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
