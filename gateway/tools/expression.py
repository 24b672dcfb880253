"""A small grammar of arithmetic, evaluated while it is read; nothing is ever executed as Python.

    sum      = product (("+" | "-") product)*
    product  = unary (("*" | "/" | "//" | "%" | "of") unary)*
    unary    = ("+" | "-" | "√") unary | power
    power    = postfix (("**" | "^") unary)?
    postfix  = atom ("!" | "%" | "°")*
    atom     = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

`%` is the remainder where an operand follows and a percentage otherwise; `200 + 10%` is 220, as on a
pocket calculator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from gateway.tools.arithmetic import (
    MAX_DIGITS,
    Number,
    add,
    bounded,
    divide,
    floor_divide,
    modulo,
    multiply,
    negate,
    power,
    root,
    subtract,
)
from gateway.tools.base import ToolError
from gateway.tools.functions import CONSTANTS, FUNCTIONS, factorial

MAX_CHARACTERS = 1000
_MAX_DEPTH = 40
_HUNDRED = Fraction(100)
_SPELLINGS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "π": "pi", "²": "^2", "³": "^3",
     "（": "(", "）": ")", "，": ",", "＋": "+", "％": "%"}
)  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]{1,6})?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*)|(?P<sign>\*\*|//|[-+*/^%!(),°√]))"
)
_CALL = re.compile(r"[A-Za-z0-9]\s*\(")
_THOUSANDS = re.compile(r"(?<![0-9._,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")


class Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Operand(NamedTuple):
    value: Number
    percent: bool = False

    def plain(self) -> Number:
        return divide(self.value, _HUNDRED) if self.percent else self.value


def evaluate(text: str) -> Number:
    """The value of `text`; ToolError with a sentence for the model where it has none."""
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"The expression is longer than {MAX_CHARACTERS} characters; split it.")
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[Token]:
    plain = text.translate(_SPELLINGS).rstrip().removesuffix("=").rstrip()
    # "1,234.5" is one number, but only where a comma cannot part a function's arguments.
    if _CALL.search(plain) is None:
        plain = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), plain)
    tokens, at = [], 0
    while at < len(plain):
        match = _TOKEN.match(plain, at)
        if match is None:
            raise ToolError(f"Character {at + 1} of the expression cannot be read; give arithmetic only.")
        tokens.append(Token(str(match.lastgroup), match[str(match.lastgroup)], at + 1))
        at = match.end()
    if not tokens:
        raise ToolError("The expression is empty.")
    return [*tokens, Token("end", "", len(plain) + 1)]


class _Parser:
    """Reads each token once; `_depth` keeps hostile nesting off the Python stack."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Number:
        value = self._sum().plain()
        if self._peek.kind != "end":
            raise self._unexpected()
        return value

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> str | None:
        """The next token's text if it is one of `texts`, which is then read."""
        token = self._peek
        if token.kind == "number" or token.text not in texts:
            return None
        self._next += 1
        return token.text

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(f"“{text}” is missing")

    def _unexpected(self, what: str = "something does not fit") -> ToolError:
        token = self._peek
        place = "at its end" if token.kind == "end" else f"at character {token.at}"
        return ToolError(f"The expression cannot be read: {what} {place}. Write every * out.")

    def _sum(self) -> _Operand:
        left = self._product()
        while (sign := self._take("+", "-")) is not None:
            right = self._product()
            if right.percent and not left.percent:
                amount = multiply(left.value, right.plain())
            else:
                left, amount = _Operand(left.plain()), right.plain()
            left = _Operand((add if sign == "+" else subtract)(left.value, amount))
        return left

    def _product(self) -> _Operand:
        left = self._unary()
        while (sign := self._take("*", "/", "//", "%", "of")) is not None:
            left = _Operand(_PRODUCTS[sign](left.plain(), self._unary().plain()))
        return left

    def _unary(self) -> _Operand:
        signs: list[str] = []
        while (sign := self._take("+", "-", "√")) is not None:
            signs.append(sign)
        operand = self._power()
        for sign in reversed(signs):
            if sign == "-":
                operand = _Operand(negate(operand.value), operand.percent)
            elif sign == "√":
                operand = _Operand(root(operand.plain(), 2))
        return operand

    def _power(self) -> _Operand:
        base = self._postfix()
        if self._take("**", "^") is None:
            return base
        self._enter()
        exponent = self._unary().plain()
        self._depth -= 1
        return _Operand(power(base.plain(), exponent))

    def _postfix(self) -> _Operand:
        operand = _Operand(self._atom())
        while True:
            if self._take("!"):
                operand = _Operand(factorial(operand.plain()))
            elif self._take("°"):
                operand = _Operand(FUNCTIONS["radians"].apply(operand.plain()))
            elif self._peek.text == "%" and not self._operand_follows():
                self._next += 1
                operand = _Operand(operand.plain(), percent=True)
            else:
                return operand

    def _operand_follows(self) -> bool:
        after = self._tokens[self._next + 1]
        return (
            after.kind == "number"
            or after.text in {"(", "√"}
            or (after.kind == "name" and after.text != "of")
        )

    def _atom(self) -> Number:
        token = self._peek
        if token.kind == "number":
            self._next += 1
            return _number(token.text)
        if token.kind == "name":
            self._next += 1
            return self._named(token.text.lower())
        self._expect("(")
        self._enter()
        value = self._sum().plain()
        self._depth -= 1
        self._expect(")")
        return value

    def _named(self, name: str) -> Number:
        if name in CONSTANTS:
            return CONSTANTS[name]
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join([*CONSTANTS, *FUNCTIONS])
            raise ToolError(f"The expression uses a name the calculator does not know; it knows {known}.")
        self._expect("(")
        self._enter()
        arguments = [self._sum().plain()]
        while self._take(","):
            arguments.append(self._sum().plain())
        self._depth -= 1
        self._expect(")")
        if len(arguments) < function.least or len(arguments) > (function.most or len(arguments)):
            raise ToolError(f"The function {name} does not take {len(arguments)} arguments.")
        return function.apply(*arguments)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ToolError(f"The expression is nested deeper than {_MAX_DEPTH} levels; split it.")


_PRODUCTS: dict[str, Callable[[Number, Number], Number]] = {
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": modulo,
    "of": multiply,
}


def _number(text: str) -> Number:
    digits, _, exponent = text.replace("_", "").lower().partition("e")
    if abs(int(exponent or 0)) > MAX_DIGITS:
        raise ToolError(f"Numbers go up to {MAX_DIGITS} digits.")
    return bounded(Fraction(digits) * Fraction(10) ** int(exponent or 0))
