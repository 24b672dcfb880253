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
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_NOT_WORD": " ",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase,
}


def matching(pattern: str, rng: random.Random, least: int, most: int | None) -> str | None:
    """A text of `least` to `most` characters; None where none is found."""
    try:
        wanted = re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    for repeats in (0, 1, 2, 4, _MOST_REPEATS, least):
        for _ in range(_TRIES):
            text = _sequence(tree, rng, repeats)
            if len(text) >= least and (most is None or len(text) <= most) and wanted.search(text):
                return text
    return None


def _sequence(tree: Any, rng: random.Random, repeats: int) -> str:
    return "".join(_one(str(kind), value, rng, repeats) for kind, value in tree)


def _one(kind: str, value: Any, rng: random.Random, repeats: int) -> str:
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
            times = min(int(high), max(low, repeats))
            return "".join(_sequence(inner, rng, repeats) for _ in range(times))
        case "SUBPATTERN":
            return _sequence(value[3], rng, repeats)
        case "ATOMIC_GROUP":
            return _sequence(value, rng, repeats)
        case "BRANCH":
            return _sequence(rng.choice(value[1]), rng, repeats)
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
