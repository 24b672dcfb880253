"""A text that the `pattern` of a JSON Schema lets pass."""

from __future__ import annotations

import importlib
import random
import re
import string
from typing import Any

# Python's own reading of a pattern; private, but the same from 3.11 to 3.14, and only the mock leans on it.
_parser: Any = importlib.import_module("re._parser")
_MOST_REPEATS = 8
_TRIES = 20
_MOST_CHOICES = 3
# Characters of a text that is tried, on a pattern with one repetition and with more of them.
_LONG, _SHORT = 4000, 64
_MOST_TIMES = 10_000
_MOST_PATTERN = 1000
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_NOT_WORD": " ",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase,
}


class TooMuch(ValueError):
    """A schema asks for more than is made."""


class Budget:
    """What may still be made, by whatever counts against it."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, amount: int = 1) -> None:
        """Raises TooMuch where there is not so much left."""
        self._left -= amount
        if self._left < 0:
            raise TooMuch("it asks for more than the mock makes")


class Pattern:
    """A pattern that texts can be tried on and made for.

    One that could take very long over a text (repetitions within or beside each other, references back) is
    not tried: what is made for it is taken as it is.

    Raises:
        ValueError: it is no regular expression, or a very long one.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MOST_PATTERN:
            raise ValueError("too long")
        try:
            self._tree = _parser.parse(pattern)
            choices = _choices(self._tree, inside=False)
            self._compiled = re.compile(pattern) if choices <= _MOST_CHOICES else None
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError("not a regular expression") from error
        self._longest = _LONG if choices <= 1 else _SHORT

    def passes(self, text: str) -> bool:
        """Whether the pattern is known to let `text` pass."""
        if self._compiled is None or len(text) > self._longest:
            return False
        return self._compiled.search(text) is not None

    def make(self, rng: random.Random, least: int, most: int | None, budget: Budget) -> str | None:
        """A text of `least` to `most` characters; None where none is found.

        Raises:
            TooMuch: `budget`, of characters that are tried, is used up.
        """
        for repeats in (0, 1, 2, 4, _MOST_REPEATS, least):
            for _ in range(_TRIES):
                text = _sequence(self._tree, rng, repeats, budget)
                fits = len(text) >= least and (most is None or len(text) <= most)
                untried = self._compiled is None or len(text) > self._longest
                if fits and (untried or self.passes(text)):
                    return text
        return None


def _choices(tree: Any, *, inside: bool) -> int:
    """How many repetitions may be longer or shorter; one within another counts as too many."""
    found = 0
    for kind, value in tree:
        match str(kind):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = value
                several = int(high) > 1
                found += int(low != high and several) * (_MOST_CHOICES + 1 if inside else 1)
                found += _choices(inner, inside=inside or several)
            case "SUBPATTERN":
                found += _choices(value[3], inside=inside)
            case "ATOMIC_GROUP":
                found += _choices(value, inside=inside)
            case "BRANCH":
                found += sum(_choices(branch, inside=inside) for branch in value[1])
            case "ASSERT" | "ASSERT_NOT":
                found += _choices(value[1], inside=inside)
            case "GROUPREF" | "GROUPREF_EXISTS":
                found += _MOST_CHOICES + 1
    return found


def _sequence(tree: Any, rng: random.Random, repeats: int, budget: Budget) -> str:
    return "".join(_one(str(kind), value, rng, repeats, budget) for kind, value in tree)


def _one(kind: str, value: Any, rng: random.Random, repeats: int, budget: Budget) -> str:
    budget.take()
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return "b" if chr(value) == "a" else "a"
        case "ANY":
            return rng.choice(string.ascii_lowercase)
        case "IN":
            return rng.choice(_members(value) or "a")
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = value
            times = min(int(high), max(int(low), repeats), _MOST_TIMES)
            return "".join(_sequence(inner, rng, repeats, budget) for _ in range(times))
        case "SUBPATTERN":
            return _sequence(value[3], rng, repeats, budget)
        case "ATOMIC_GROUP":
            return _sequence(value, rng, repeats, budget)
        case "BRANCH":
            return _sequence(rng.choice(value[1]), rng, repeats, budget)
    return ""  # anchors, looks to the side, references: what comes of it is checked against the pattern


def _members(parts: Any) -> str:
    """What a character class holds, as far as it is ASCII."""
    found: set[str] = set()
    for kind, value in parts:
        match str(kind):
            case "LITERAL":
                found.add(chr(value))
            case "RANGE":
                found.update(chr(code) for code in range(value[0], min(value[1], 0x17F) + 1))
            case "CATEGORY":
                found.update(_CATEGORIES.get(str(value), "a"))
    if parts and str(parts[0][0]) == "NEGATE":
        found = {char for char in string.ascii_lowercase + string.digits if char not in found}
    return "".join(sorted(found))
