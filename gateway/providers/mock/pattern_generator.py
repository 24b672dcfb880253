"""Generates strings that match the `pattern` of a JSON Schema, within a budget."""

from __future__ import annotations

import random
import string
from typing import Any

from gateway.core.bounded_regex import MAX_STEPS, BoundedRegex

_MAX_REPEATS = 8
_ATTEMPTS = 20
_MAX_EXPANSION = 10_000
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_NOT_WORD": " ",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase,
}


class SchemaTooLarge(ValueError):
    """A schema would generate more than the limits allow."""


class StepBudget:
    """A limited amount of work or output, spent step by step."""

    def __init__(self, amount: int) -> None:
        self._remaining = amount

    def can_spend(self, amount: int) -> bool:
        """Whether this amount is left."""
        return self._remaining >= amount

    def spend(self, amount: int = 1) -> None:
        """Spend an amount; raises SchemaTooLarge if it is not left."""
        self._remaining -= amount
        if self._remaining < 0:
            raise SchemaTooLarge("it would generate more than the mock's limits allow")


class PatternGenerator:
    """A regular expression that matches texts and generates them.

    A pattern that could take too long on a text is not matched; the generated text is then not verified.

    Raises:
        ValueError: it is not a regular expression, or very long.
    """

    def __init__(self, pattern: str) -> None:
        self._bounded = BoundedRegex(pattern)

    def matches(self, text: str, steps: StepBudget) -> bool:
        """Whether `text` matches; False also if matching would exceed the budget."""
        return self._matches_within_budget(text, steps) is True

    def generate(
        self, rng: random.Random, minimum: int, maximum: int | None, budget: StepBudget, steps: StepBudget
    ) -> str | None:
        """Generate a text of `minimum` to `maximum` characters.

        Returns None if no attempt matches.

        Raises:
            SchemaTooLarge: `budget`, the number of generated characters, is exhausted.
        """
        for repeats in (0, 1, 2, 4, _MAX_REPEATS, minimum):
            for _ in range(_ATTEMPTS):
                text = _generate_sequence(self._bounded.tree, rng, repeats, budget)
                fits = len(text) >= minimum and (maximum is None or len(text) <= maximum)
                if fits and self._matches_within_budget(text, steps) is not False:
                    return text
        return None

    def _matches_within_budget(self, text: str, steps: StepBudget) -> bool | None:
        """Return whether `text` matches.

        Returns None if that would cost more than is left of `steps`.
        """
        needed = self._bounded.max_steps(len(text))
        if needed > MAX_STEPS or not steps.can_spend(needed):
            return None
        steps.spend(needed)
        return self._bounded.search(text)


def _generate_sequence(tree: Any, rng: random.Random, repeats: int, budget: StepBudget) -> str:
    return "".join(_generate_node(str(kind), value, rng, repeats, budget) for kind, value in tree)


def _generate_node(kind: str, value: Any, rng: random.Random, repeats: int, budget: StepBudget) -> str:
    budget.spend()
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return "b" if chr(value) == "a" else "a"
        case "ANY":
            return rng.choice(string.ascii_lowercase)
        case "IN":
            return rng.choice(_class_members(value) or "a")
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = value
            count = min(int(high), max(int(low), repeats), _MAX_EXPANSION)
            budget.spend(count)  # even if the repeated part is empty
            return "".join(_generate_sequence(inner, rng, repeats, budget) for _ in range(count))
        case "SUBPATTERN":
            return _generate_sequence(value[3], rng, repeats, budget)
        case "ATOMIC_GROUP":
            return _generate_sequence(value, rng, repeats, budget)
        case "BRANCH":
            return _generate_sequence(rng.choice(value[1]), rng, repeats, budget)
    return ""  # anchors, lookarounds, backreferences: the result is verified against the pattern


def _class_members(parts: Any) -> str:
    """Return the characters of a class, up to Latin Extended-A."""
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
