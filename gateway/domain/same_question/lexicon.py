"""The words of `lexicon.txt`, English and Korean, as the reading of questions needs them."""

from __future__ import annotations

from importlib.resources import files


def _sections() -> dict[str, list[list[str]]]:
    """By section the groups of words; a blank line ends a group, `#` begins a comment."""
    found: dict[str, list[list[str]]] = {}
    groups: list[list[str]] = []
    fresh = True
    text = (files("gateway.domain.same_question") / "lexicon.txt").read_text(encoding="utf-8")
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


def _values(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


_FOUND = _sections()


def _only(section: str) -> list[str]:
    return _FOUND[section][0]


STOP = frozenset(_only("stop"))
NEGATIONS = frozenset(_only("negations"))
KOREAN_NEGATIONS = frozenset(_FOUND["korean negations"][0])
KOREAN_NEGATIVE_PARTS = tuple(_FOUND["korean negations"][1])
NUMBERS: dict[str, str] = _values(_only("numbers"))
# Whatever of these is in one question has to be in the other.
CLASSED = frozenset(word for group in _FOUND["classes"] for word in group)
OPPOSITES: frozenset[tuple[str, str]] = frozenset(
    pair
    for entry in _only("opposites")
    for one, _, other in [entry.partition("=")]
    for pair in ((one, other), (other, one))
)
TURNING = frozenset(_only("turning"))
KINDS: dict[str, str] = _values(_only("kinds"))
KOREAN_ENDINGS = tuple(_only("korean endings"))
KOREAN_HARMLESS = frozenset(_only("korean harmless"))
WH = frozenset(_FOUND["openings"][0])
YES_NO = frozenset(_FOUND["openings"][1])
PERSONS = frozenset(_only("persons"))
SUPERLATIVES = frozenset(_only("superlatives"))
PREFIXES = tuple(_only("prefixes"))
KOREAN_ROLES: dict[str, str] = _values(_only("korean roles"))
