"""Word lists of `lexicon.txt`, English and Korean."""

from __future__ import annotations

from importlib.resources import files


def _sections() -> dict[str, list[list[str]]]:
    """Word groups by section; a blank line ends a group, `#` begins a comment."""
    found: dict[str, list[list[str]]] = {}
    groups: list[list[str]] = []
    fresh = True
    text = (files("gateway.question_match") / "lexicon.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            groups = found[line.strip("[]")] = []
            fresh = True
        elif not line:
            fresh = True
        elif not line.startswith("#"):
            if fresh:
                groups.append([])
                fresh = False
            groups[-1].extend(line.split())
    return found


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


_SECTIONS = _sections()


def _single_group(section: str) -> list[str]:
    return _SECTIONS[section][0]


FUNCTION_WORDS = frozenset(_single_group("stop"))
NEGATIONS = frozenset(_single_group("negations"))
KOREAN_NEGATIONS = frozenset(_SECTIONS["korean negations"][0])
KOREAN_NEGATIVE_PARTS = tuple(_SECTIONS["korean negations"][1])
NUMBERS: dict[str, str] = _pairs(_single_group("numbers"))
# If one question has such a word, the other must have it too.
CLOSED_CLASSES = frozenset(word for group in _SECTIONS["classes"] for word in group)
OPPOSITES: frozenset[tuple[str, str]] = frozenset(
    pair
    for entry in _single_group("opposites")
    for one, _, other in [entry.partition("=")]
    for pair in ((one, other), (other, one))
)
RELATIONAL = frozenset(_single_group("turning"))
ANSWER_KINDS: dict[str, str] = _pairs(_single_group("kinds"))
KOREAN_ENDINGS = tuple(_single_group("korean endings"))
KOREAN_HARMLESS = frozenset(_single_group("korean harmless"))
WH = frozenset(_SECTIONS["openings"][0])
YES_NO = frozenset(_SECTIONS["openings"][1])
PERSONS = frozenset(_single_group("persons"))
SUPERLATIVES = frozenset(_single_group("superlatives"))
PREFIXES = tuple(_single_group("prefixes"))
KOREAN_ROLES: dict[str, str] = _pairs(_single_group("korean roles"))
