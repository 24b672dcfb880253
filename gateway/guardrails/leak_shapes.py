"""Shapes of what must not leak: each tells a whole match, and the beginning of one that may still come."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

LeakKind = Literal["secret", "personal"]
WORD = "A-Za-z0-9"


@dataclass(frozen=True, slots=True)
class Run:
    """`least` to `most` characters of a class, `chars` being the inside of its brackets."""

    chars: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these texts; the empty one makes it optional."""

    texts: tuple[str, ...]


Piece = str | Run | AnyOf


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of leak: `pieces` in a row, `label` with its article for people.

    `before` and `after` are the insides of classes that must not stand next to it; `proof` has the last word.
    No shape is longer than the `most` of its runs, which bounds what is ever held back for it.
    """

    kind: LeakKind
    label: str
    pieces: tuple[Piece, ...]
    proof: Callable[[str], bool]
    before: str = WORD
    after: str = ""
    any_case: bool = False

    def whole(self) -> str:
        """A pattern of the whole, without what must not stand before it."""
        text = "".join(map(_whole, self.pieces)) + (f"(?![{self.after}])" if self.after else "")
        return f"(?i:{text})" if self.any_case else text

    def beginning(self) -> str:
        """A pattern of every text that a match may begin with, the match itself included."""
        text = ""
        for piece in reversed(self.pieces):
            text = f"(?:{_whole(piece)}{text}|{_beginning(piece)})" if text else _beginning(piece)
        return f"(?i:{text})" if self.any_case else text

    def may_begin_with(self, char: str) -> bool:
        """Whether a match may begin with this character."""
        for piece in self.pieces:
            first = f"[{piece.chars}]" if isinstance(piece, Run) else _first_characters(piece)
            if first and re.match(first, char, re.IGNORECASE):
                return True
            if _shortest(piece):
                return False
        return True

    def shortest(self) -> int:
        return sum(_shortest(piece) for piece in self.pieces)

    def longest(self) -> int:
        return sum(_longest(piece) for piece in self.pieces)


class Shapes:
    """A table of shapes, compiled into one pattern for what is there and one for what may be coming."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple((shape, re.compile(_guarded(shape) + shape.whole())) for shape in shapes)
        self._by_first: dict[str, tuple[tuple[Shape, re.Pattern[str]], ...]] = {}
        self.shortest = min(shape.shortest() for shape in shapes)
        self.longest = max(shape.longest() for shape in shapes)
        by_before: dict[str, list[Shape]] = {}
        for shape in shapes:
            by_before.setdefault(shape.before, []).append(shape)
        self.candidate = re.compile(
            "|".join(f"(?<![{b}])(?:{'|'.join(s.whole() for s in found)})" for b, found in by_before.items())
        )
        self.coming = re.compile(
            "(?:"
            + "|".join(
                f"(?<![{b}])(?:{'|'.join(s.beginning() for s in found)})" for b, found in by_before.items()
            )
            + r")\Z"
        )

    def beginning_with(self, char: str) -> tuple[tuple[Shape, re.Pattern[str]], ...]:
        """The shapes that may begin with this character, in the table's order."""
        if char > "\x7f":
            return self.shapes  # also K, the Kelvin sign, which ignoring case makes a k
        found = self._by_first.get(char)
        if found is None:
            found = self._by_first[char] = tuple(
                (shape, pattern) for shape, pattern in self.shapes if shape.may_begin_with(char)
            )
        return found


def _guarded(shape: Shape) -> str:
    return f"(?<![{shape.before}])"


def _whole(piece: Piece) -> str:
    match piece:
        case Run(chars, least, most):
            return f"[{chars}]{{{least},{most}}}"
        case AnyOf(texts):
            # The longest first: an alternation takes the first that fits.
            return f"(?:{'|'.join(re.escape(t) for t in sorted(texts, key=len, reverse=True))})"
    return re.escape(piece)


def _beginning(piece: Piece) -> str:
    """Never empty: then a look at a character of ordinary text ends with its first alternative letter."""
    match piece:
        case Run(chars, _, most):
            return f"[{chars}]{{1,{most}}}"
        case AnyOf(texts):
            return f"(?:{'|'.join(_beginning(text) for text in texts if text)})"
    first, *others = map(re.escape, piece)
    return first + "".join(f"(?:{c}" for c in others) + ")?" * len(others)


def _first_characters(piece: str | AnyOf) -> str:
    texts = piece.texts if isinstance(piece, AnyOf) else (piece,)
    return "|".join(re.escape(text[0]) for text in texts if text)


def _shortest(piece: Piece) -> int:
    match piece:
        case Run(least=least):
            return least
        case AnyOf(texts):
            return min(map(len, texts))
    return len(piece)


def _longest(piece: Piece) -> int:
    match piece:
        case Run(most=most):
            return most
        case AnyOf(texts):
            return max(map(len, texts))
    return len(piece)
