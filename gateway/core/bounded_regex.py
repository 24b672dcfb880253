"""Regular expressions from untrusted sources, run only if they cannot take long.

Python's `re` cannot be interrupted and holds the interpreter lock while it runs. The worst-case number of
steps is therefore computed beforehand, from the parsed pattern and the length of the text.
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Final

# Python's own pattern parser: private, but unchanged from 3.11 to 3.14.
_parser: Any = importlib.import_module("re._parser")
MAX_PATTERN_LENGTH: Final = 1000
# Step counts are capped here.
UNBOUNDED: Final = 10**12
# Limit of one search: a few tens of milliseconds at worst.
MAX_STEPS: Final = 2_000_000
# With `(?i)` the compiler visits every character of a range.
_WIDEST_RANGE = 2_000


class BoundedRegex:
    """A regular expression with a computable worst case.

    `tree` is Python's parse tree.

    Raises:
        ValueError: not a regular expression, or longer than `MAX_PATTERN_LENGTH`.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise ValueError("too long")
        self._pattern = pattern
        self._compiled: re.Pattern[str] | None = None
        self._max_steps_by_length: dict[int, int] = {}
        try:
            self.tree: Any = _parser.parse(pattern)
            # Then `^` also matches after every line break.
            self._multiline = bool(self.tree.state.flags & re.MULTILINE)
            self._compiles = _compiles_fast(self.tree, bool(self.tree.state.flags & re.IGNORECASE))
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError("not a regular expression") from error

    def max_steps(self, length: int) -> int:
        """Return an upper bound for the steps of a search in `length` characters.

        The result is capped at `UNBOUNDED`.
        """
        known = self._max_steps_by_length.get(length)
        if known is None:
            paths, longest = _cost(self.tree, length)
            starts = 1 if _anchored(self.tree) and not self._multiline else length + 1
            known = self._max_steps_by_length[length] = min(UNBOUNDED, paths * longest * starts)
        return known

    def search(self, text: str, max_steps: int = MAX_STEPS) -> bool | None:
        """Return whether the pattern occurs in `text`, or None if that may take long."""
        if not self._compiles or self.max_steps(len(text)) > max_steps:
            return None
        if self._compiled is None:
            try:
                self._compiled = re.compile(self._pattern)
            except (re.error, RecursionError, OverflowError):
                self._compiles = False
                return None
        return self._compiled.search(text) is not None


def _anchored(tree: Any) -> bool:
    return (
        len(tree) > 0
        and str(tree[0][0]) == "AT"
        and str(tree[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
    )


def _cost(tree: Any, length: int) -> tuple[int, int]:
    """Return (paths through `tree`, steps of the longest) for `length` characters."""
    paths, longest = 1, 1
    for kind, value in tree:
        more, steps = _cost_of(str(kind), value, length)
        paths = min(UNBOUNDED, paths * more)
        longest = min(UNBOUNDED, longest + steps)
    return paths, longest


def _cost_of(kind: str, value: Any, length: int) -> tuple[int, int]:
    match kind:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeated(int(value[0]), int(value[1]), value[2], length)
        case "SUBPATTERN":
            return _cost(value[3], length)
        case "ATOMIC_GROUP":
            return _cost(value, length)
        case "ASSERT" | "ASSERT_NOT":
            return _cost(value[1], length)
        case "BRANCH":
            branches = [_cost(branch, length) for branch in value[1]]
            return sum(paths for paths, _ in branches), max(steps for _, steps in branches)
        case "GROUPREF_EXISTS":
            parts = [_cost(part, length) for part in value[1:] if part]
            return 1 + sum(paths for paths, _ in parts), 1 + sum(steps for _, steps in parts)
        case "GROUPREF":
            return 1, length + 1
        case "IN":
            return 1, len(value)
    return 1, 1


def _repeated(low: int, high: int, inner: Any, length: int) -> tuple[int, int]:
    paths, steps = _cost(inner, length)
    width = int(inner.getwidth()[0])
    # A repetition stops at the end of the text; an empty one stops once `low` is reached.
    repetitions = min(high, length // width + 1 if width else low + length + 1)
    low = min(low, repetitions)
    steps = min(UNBOUNDED, repetitions * steps + 1)
    if paths == 1:
        return repetitions - low + 1, steps
    ways = 0
    power = 1
    for times in range(repetitions + 1):
        ways += power if times >= low else 0
        power *= paths
        if ways + power > UNBOUNDED:
            return UNBOUNDED, steps
    return max(ways, 1), steps


def _compiles_fast(tree: Any, ignoring_case: bool) -> bool:
    """Check that no character class makes compiling with IGNORECASE slow."""
    for kind, value in tree:
        match str(kind):
            case "IN":
                wide = any(str(k) == "RANGE" and v[1] - v[0] > _WIDEST_RANGE for k, v in value)
                if wide and ignoring_case:
                    return False
            case "SUBPATTERN":
                ignoring = ignoring_case or bool(value[1] & re.IGNORECASE)
                if not _compiles_fast(value[3], ignoring):
                    return False
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                if not _compiles_fast(value[2], ignoring_case):
                    return False
            case "ATOMIC_GROUP":
                if not _compiles_fast(value, ignoring_case):
                    return False
            case "ASSERT" | "ASSERT_NOT":
                if not _compiles_fast(value[1], ignoring_case):
                    return False
            case "BRANCH":
                if not all(_compiles_fast(branch, ignoring_case) for branch in value[1]):
                    return False
            case "GROUPREF_EXISTS":
                if not all(_compiles_fast(part, ignoring_case) for part in value[1:] if part):
                    return False
    return True
