"""Defuses tags in foreign text, so that it cannot end the frame that it is shown in."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Characters that a model may read as the beginning of a tag; NFKC knows the wide and the small one.
_TAG_OPENERS = re.compile("[<\uff1c\ufe64\u2039\u3008\u2329\u27e8\u02c2\u1438\u276e\u2770\u27ea\u226a]")
# Letters of other alphabets that look like Latin ones.
_HOMOGLYPHS = str.maketrans(
    "\u0430\u0435\u0456\u043e\u0440\u0441\u0443\u0445\u0455\u0442\u0433\u043f\u0501\u057d\u0578\u051d"
    "\u03bf\u03c5\u03b5\u03c4\u03bd\u03b9\u03c1\u1d20\u0262\u0280\ua731\u026f\u0274\u1d1b\u1d1c\u1d07\u1d05",
    "aeiopcyxstrndunwouetvipvgrsmntued",
)
# Letters that show nothing, though Unicode does not say so: Hangul's fillers and a blank Braille cell.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def escape_tags(text: str, *names: str, replacement: str) -> str:
    """`text` with `by` in place of each character that opens a tag of one of `names`, closing or not.

    Also where the tag is disguised: by invisible characters, wide forms, marks or letters that look alike.
    """
    parts: list[str] = []
    last = 0
    for found in _TAG_OPENERS.finditer(text):
        if _begins_tag(text, found.end(), names):
            parts += [text[last : found.start()], replacement]
            last = found.end()
    return "".join([*parts, text[last:]]) if parts else text


def _begins_tag(text: str, at: int, names: tuple[str, ...]) -> bool:
    """Whether one of `names` follows; looks no further than the first letter that does not fit."""
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
    """What a reader sees of a character: lower case, in its plain form; nothing of an invisible one."""
    plain = unicodedata.normalize("NFKD", char).casefold().translate(_HOMOGLYPHS)
    return "".join(
        c
        for c in plain
        if c.isspace() or (unicodedata.category(c) not in ("Cf", "Cc", "Mn", "Me", "Cn") and c not in _BLANK)
    )
