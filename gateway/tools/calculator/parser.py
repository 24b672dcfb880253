"""Parses and evaluates arithmetic expressions; nothing is executed as Python.

    sum      = product (("+" | "-") product)*
    product  = unary (("*" | "/" | "//" | "%" | "of") unary)*
    unary    = ("+" | "-" | "√") unary | power
    power    = postfix (("**" | "^") unary)?
    postfix  = atom ("!" | "%" | "°")*
    atom     = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

`%` is the remainder if an operand follows, otherwise a percentage; `200 + 10%` is 220, as on a pocket
calculator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from gateway.tools.base import ToolError
from gateway.tools.calculator.arithmetic import (
    MAX_DIGITS,
    Number,
    add,
    divide,
    floor_divide,
    limit_digits,
    modulo,
    multiply,
    negate,
    power,
    root,
    subtract,
)
from gateway.tools.calculator.functions import CONSTANTS, FUNCTIONS, factorial

MAX_CHARACTERS = 1000
_MAX_DEPTH = 40
_HUNDRED = Fraction(100)
_SYMBOL_ALIASES = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "π": "pi", "²": "^2", "³": "^3",
     "（": "(", "）": ")", "，": ",", "＋": "+", "％": "%"}
)  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]{1,6})?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*)|(?P<sign>\*\*|//|[-+*/^%!(),°√]))"
)
_FUNCTION_CALL = re.compile(r"[A-Za-z0-9]\s*\(")
_THOUSANDS = re.compile(r"(?<![0-9._,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")


class Token(NamedTuple):
    kind: str
    text: str
    position: int


class _Operand(NamedTuple):
    value: Number
    is_percent: bool = False

    def to_number(self) -> Number:
        return divide(self.value, _HUNDRED) if self.is_percent else self.value


def evaluate(text: str) -> Number:
    """Return the value of `text`.

    Raises ToolError with a message for the model if it has none.
    """
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"The expression is longer than {MAX_CHARACTERS} characters; split it.")
    return _Parser(_tokenize(text)).parse()


def _tokenize(text: str) -> list[Token]:
    normalized = text.translate(_SYMBOL_ALIASES).rstrip().removesuffix("=").rstrip()
    # "1,234.5" is one number, but only if no comma can separate arguments of a function.
    if _FUNCTION_CALL.search(normalized) is None:
        normalized = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), normalized)
    tokens, position = [], 0
    while position < len(normalized):
        match = _TOKEN.match(normalized, position)
        if match is None:
            raise ToolError(f"Character {position + 1} of the expression is invalid; use arithmetic only.")
        tokens.append(Token(str(match.lastgroup), match[str(match.lastgroup)], position + 1))
        position = match.end()
    if not tokens:
        raise ToolError("The expression is empty.")
    return [*tokens, Token("end", "", len(normalized) + 1)]


class _Parser:
    """Recursive descent parser.

    `_depth` limits nesting, so that no input exhausts the Python stack.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def parse(self) -> Number:
        value = self._sum().to_number()
        if self._peek.kind != "end":
            raise self._unexpected()
        return value

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _accept(self, *texts: str) -> str | None:
        """Consume the next token if it is one of `texts`, and return its text."""
        token = self._peek
        if token.kind == "number" or token.text not in texts:
            return None
        self._next += 1
        return token.text

    def _expect(self, text: str) -> None:
        if self._accept(text) is None:
            raise self._unexpected(f"“{text}” is missing")

    def _unexpected(self, what: str = "there is an unexpected symbol") -> ToolError:
        token = self._peek
        place = "at its end" if token.kind == "end" else f"at character {token.position}"
        return ToolError(f"The expression is invalid: {what} {place}. Write every multiplication as *.")

    def _sum(self) -> _Operand:
        left = self._product()
        while (sign := self._accept("+", "-")) is not None:
            right = self._product()
            if right.is_percent and not left.is_percent:
                amount = multiply(left.value, right.to_number())
            else:
                left, amount = _Operand(left.to_number()), right.to_number()
            left = _Operand((add if sign == "+" else subtract)(left.value, amount))
        return left

    def _product(self) -> _Operand:
        left = self._unary()
        while (sign := self._accept("*", "/", "//", "%", "of")) is not None:
            left = _Operand(_PRODUCT_OPERATORS[sign](left.to_number(), self._unary().to_number()))
        return left

    def _unary(self) -> _Operand:
        signs: list[str] = []
        while (sign := self._accept("+", "-", "√")) is not None:
            signs.append(sign)
        operand = self._power()
        for sign in reversed(signs):
            if sign == "-":
                operand = _Operand(negate(operand.value), operand.is_percent)
            elif sign == "√":
                operand = _Operand(root(operand.to_number(), 2))
        return operand

    def _power(self) -> _Operand:
        base = self._postfix()
        if self._accept("**", "^") is None:
            return base
        self._descend()
        exponent = self._unary().to_number()
        self._depth -= 1
        return _Operand(power(base.to_number(), exponent))

    def _postfix(self) -> _Operand:
        operand = _Operand(self._atom())
        while True:
            if self._accept("!"):
                operand = _Operand(factorial(operand.to_number()))
            elif self._accept("°"):
                operand = _Operand(FUNCTIONS["radians"].apply(operand.to_number()))
            elif self._peek.text == "%" and not self._operand_follows():
                self._next += 1
                operand = _Operand(operand.to_number(), is_percent=True)
            else:
                return operand

    def _operand_follows(self) -> bool:
        following = self._tokens[self._next + 1]
        return (
            following.kind == "number"
            or following.text in {"(", "√"}
            or (following.kind == "name" and following.text != "of")
        )

    def _atom(self) -> Number:
        token = self._peek
        if token.kind == "number":
            self._next += 1
            return _parse_number(token.text)
        if token.kind == "name":
            self._next += 1
            return self._constant_or_call(token.text.lower())
        self._expect("(")
        self._descend()
        value = self._sum().to_number()
        self._depth -= 1
        self._expect(")")
        return value

    def _constant_or_call(self, name: str) -> Number:
        if name in CONSTANTS:
            return CONSTANTS[name]
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join([*CONSTANTS, *FUNCTIONS])
            raise ToolError(f"The expression uses an unknown name. Available: {known}.")
        self._expect("(")
        self._descend()
        arguments = [self._sum().to_number()]
        while self._accept(","):
            arguments.append(self._sum().to_number())
        self._depth -= 1
        self._expect(")")
        if len(arguments) < function.min_arguments or len(arguments) > (
            function.max_arguments or len(arguments)
        ):
            raise ToolError(f"The function {name} does not accept {len(arguments)} arguments.")
        return function.apply(*arguments)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ToolError(f"The expression is nested deeper than {_MAX_DEPTH} levels; split it.")


_PRODUCT_OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": modulo,
    "of": multiply,
}


def _parse_number(text: str) -> Number:
    digits, _, exponent = text.replace("_", "").lower().partition("e")
    if abs(int(exponent or 0)) > MAX_DIGITS:
        raise ToolError(f"Numbers go up to {MAX_DIGITS} digits.")
    return limit_digits(Fraction(digits) * Fraction(10) ** int(exponent or 0))
