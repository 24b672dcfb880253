"""Patterns of leaks that also match the beginning of a leak, for streaming."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

LeakKind = Literal["secret", "personal"]
WORD = "A-Za-z0-9"


@dataclass(frozen=True, slots=True)
class CharacterRun:
    """A run of `min_count` to `max_count` characters of a class.

    `characters` is the inside of the class's brackets.
    """

    characters: str
    min_count: int
    max_count: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these texts; an empty one makes it optional."""

    texts: tuple[str, ...]


PatternPart = str | CharacterRun | AnyOf


@dataclass(frozen=True, slots=True)
class LeakPattern:
    """One kind of leak: consecutive `parts`, and a `description` with its article.

    `not_after` and `not_before` are character classes that must not precede or follow a match. `is_valid`
    makes the final decision. A match is never longer than its parts' maximum, which bounds what is withheld.
    """

    kind: LeakKind
    description: str
    parts: tuple[PatternPart, ...]
    is_valid: Callable[[str], bool]
    not_after: str = WORD
    not_before: str = ""
    any_case: bool = False

    def full_pattern(self) -> str:
        """Regular expression of a complete match, without `not_after`."""
        text = "".join(map(_full_pattern, self.parts)) + (
            f"(?![{self.not_before}])" if self.not_before else ""
        )
        return f"(?i:{text})" if self.any_case else text

    def prefix_pattern(self) -> str:
        """Regular expression of every prefix of a match, including the match."""
        text = ""
        for piece in reversed(self.parts):
            text = (
                f"(?:{_full_pattern(piece)}{text}|{_prefix_pattern(piece)})"
                if text
                else _prefix_pattern(piece)
            )
        return f"(?i:{text})" if self.any_case else text

    def may_begin_with(self, character: str) -> bool:
        """Whether a match may begin with this character."""
        for part in self.parts:
            first = f"[{part.characters}]" if isinstance(part, CharacterRun) else _first_characters(part)
            if first and re.match(first, character, re.IGNORECASE):
                return True
            if _min_length(part):
                return False
        return True

    def min_length(self) -> int:
        return sum(_min_length(piece) for piece in self.parts)

    def max_length(self) -> int:
        return sum(_max_length(piece) for piece in self.parts)


class PatternSet:
    """Patterns compiled into one expression for matches and one for possible prefixes."""

    def __init__(self, patterns: Sequence[LeakPattern]) -> None:
        self.patterns = tuple(
            (pattern, re.compile(_not_preceded(pattern) + pattern.full_pattern())) for pattern in patterns
        )
        self._by_first_character: dict[str, tuple[tuple[LeakPattern, re.Pattern[str]], ...]] = {}
        self.min_length = min(pattern.min_length() for pattern in patterns)
        self.max_length = max(pattern.max_length() for pattern in patterns)
        by_not_after: dict[str, list[LeakPattern]] = {}
        for pattern in patterns:
            by_not_after.setdefault(pattern.not_after, []).append(pattern)
        self.candidate = re.compile(
            "|".join(
                f"(?<![{b}])(?:{'|'.join(s.full_pattern() for s in found)})"
                for b, found in by_not_after.items()
            )
        )
        self.prefix = re.compile(
            "(?:"
            + "|".join(
                f"(?<![{b}])(?:{'|'.join(s.prefix_pattern() for s in found)})"
                for b, found in by_not_after.items()
            )
            + r")\Z"
        )

    def starting_with(self, char: str) -> tuple[tuple[LeakPattern, re.Pattern[str]], ...]:
        """The patterns whose match may begin with this character, in order."""
        if char > "\x7f":
            return self.patterns  # also the Kelvin sign, which matches k when ignoring case
        found = self._by_first_character.get(char)
        if found is None:
            found = self._by_first_character[char] = tuple(
                (shape, pattern) for shape, pattern in self.patterns if shape.may_begin_with(char)
            )
        return found


def _not_preceded(shape: LeakPattern) -> str:
    return f"(?<![{shape.not_after}])"


def _full_pattern(piece: PatternPart) -> str:
    match piece:
        case CharacterRun(chars, least, most):
            return f"[{chars}]{{{least},{most}}}"
        case AnyOf(texts):
            # The longest first: an alternation takes the first match.
            return f"(?:{'|'.join(re.escape(t) for t in sorted(texts, key=len, reverse=True))})"
    return re.escape(piece)


def _prefix_pattern(piece: PatternPart) -> str:
    """A non-empty prefix pattern, so that most text is rejected at once."""
    match piece:
        case CharacterRun(chars, _, most):
            return f"[{chars}]{{1,{most}}}"
        case AnyOf(texts):
            return f"(?:{'|'.join(_prefix_pattern(text) for text in texts if text)})"
    first, *others = map(re.escape, piece)
    return first + "".join(f"(?:{c}" for c in others) + ")?" * len(others)


def _first_characters(piece: str | AnyOf) -> str:
    texts = piece.texts if isinstance(piece, AnyOf) else (piece,)
    return "|".join(re.escape(text[0]) for text in texts if text)


def _min_length(piece: PatternPart) -> int:
    match piece:
        case CharacterRun(min_count=least):
            return least
        case AnyOf(texts):
            return min(map(len, texts))
    return len(piece)


def _max_length(piece: PatternPart) -> int:
    match piece:
        case CharacterRun(max_count=most):
            return most
        case AnyOf(texts):
            return max(map(len, texts))
    return len(piece)
