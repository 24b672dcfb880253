"""Character classes of writing systems that several packages look for."""

from __future__ import annotations

import re

# Insides of regular expression classes.
HANGUL_SYLLABLES = "가-힣"
HANGUL_LETTERS = "ㄱ-ㅣ"
CJK_SENTENCE_ENDS = "。！？"

HANGUL_SYLLABLE = re.compile(f"[{HANGUL_SYLLABLES}]")
HANGUL = re.compile(f"[{HANGUL_SYLLABLES}{HANGUL_LETTERS}]")


def ends_in_hangul(word: str) -> bool:
    """Whether the last character is a Hangul syllable."""
    return "가" <= word[-1] <= "힣"
