"""Escapes tags in untrusted text, so that it cannot close its enclosing tag."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Characters that a model may read as the start of a tag.
_TAG_OPENERS = re.compile("[<\uff1c\ufe64\u2039\u3008\u2329\u27e8\u02c2\u1438\u276e\u2770\u27ea\u226a]")
# Letters of other scripts that look like Latin ones.
_HOMOGLYPHS = str.maketrans(
    "\u0430\u0435\u0456\u043e\u0440\u0441\u0443\u0445\u0455\u0442\u0433\u043f\u0501\u057d\u0578\u051d"
    "\u03bf\u03c5\u03b5\u03c4\u03bd\u03b9\u03c1\u1d20\u0262\u0280\ua731\u026f\u0274\u1d1b\u1d1c\u1d07\u1d05",
    "aeiopcyxstrndunwouetvipvgrsmntued",
)
# Invisible letters that Unicode does not classify as such: Hangul fillers and the blank Braille cell.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def escape_tags(text: str, *names: str, replacement: str) -> str:
    """Replace every character that opens a tag named in `names` by `replacement`.

    Opening and closing tags are found, also if they are disguised by invisible characters, wide forms,
    combining marks or homoglyphs.
    """
    parts: list[str] = []
    last = 0
    for found in _TAG_OPENERS.finditer(text):
        if _begins_tag(text, found.end(), names):
            parts += [text[last : found.start()], replacement]
            last = found.end()
    return "".join([*parts, text[last:]]) if parts else text


def _begins_tag(text: str, at: int, names: tuple[str, ...]) -> bool:
    """Check whether one of `names` follows.

    Stops at the first letter that does not fit.
    """
    read = ""
    for index in range(at, len(text)):
        for letter in _visible_form(text[index]):
            if not read and (letter.isspace() or letter in "/\\"):
                continue
            read += letter
            if read in names:
                return True
            if not any(name.startswith(read) for name in names):
                return False
    return False


@lru_cache(maxsize=4096)
def _visible_form(char: str) -> str:
    """Return the plain lower-case form of a character; empty for invisible ones."""
    plain = unicodedata.normalize("NFKD", char).casefold().translate(_HOMOGLYPHS)
    return "".join(
        c
        for c in plain
        if c.isspace() or (unicodedata.category(c) not in ("Cf", "Cc", "Mn", "Me", "Cn") and c not in _BLANK)
    )
