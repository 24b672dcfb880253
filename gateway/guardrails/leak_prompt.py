"""Whether an answer repeats a long part of a prompt, however it is spaced, marked up or capitalised."""

from __future__ import annotations

import re
from collections.abc import Callable

_NOT_A_LETTER = re.compile(r"[\W_]+")
# Letters and digits in a row that are a leak, and in how short a prompt such a row must be most of it.
_LONG = 60
_SHORTEST = 24
_MOST = 0.8
# Rows below this are common phrases, and are not held back.
_SUSPECT = 16
# A syllable of Hangul or an ideograph says about as much as two letters and a half.
_WIDE_FROM = "\u1100"
_DENSITY = 2.5


def letters(text: str) -> str:
    """The letters and digits of `text` alone, in lower case; a character for a character."""
    low = text.lower()
    if len(low) != len(text):  # İ becomes two
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return _NOT_A_LETTER.sub("", low)


class PromptEcho:
    """Follows an answer through one prompt: how long a row of it the answer's end repeats.

    Both are compared by their letters alone. Looking for a row in the prompt is a search in C, so there is
    no index to build for a turn.
    """

    def __init__(self, prompt: str, excused: Callable[[str], bool]) -> None:
        """`excused` says of a row of letters that it may be repeated all the same."""
        self._prompt = letters(prompt)
        self._excused = excused
        dense = sum(c >= _WIDE_FROM for c in self._prompt) * 3 > len(self._prompt)
        scale = _DENSITY if dense else 1.0
        self._long = round(min(_LONG / scale, max(_SHORTEST / scale, _MOST * len(self._prompt))))
        self._suspect = round(min(_SUSPECT / scale, self._long - 1))
        self._end = ""
        # The row being followed, in letters; below `_suspect` it is 0.
        self.row = 0

    @property
    def too_short(self) -> bool:
        """A prompt that is shorter than what counts as a leak cannot be told from chance."""
        return len(self._prompt) < self._long

    def follow(self, new: str) -> bool:
        """Take in more letters of the answer; whether a row in it is long enough to be a leak."""
        told = self._end + new
        if len(told) >= self._long and self._repeats(told):
            return True
        suspect = self._suspect
        if len(told) < suspect or told[-suspect:] not in self._prompt:
            self.row = 0
            self._end = told[1 - suspect :]
            return False
        low, high = suspect, min(len(told), self._long)
        while low < high:
            middle = (low + high + 1) // 2
            if told[-middle:] in self._prompt:
                low = middle
            else:
                high = middle - 1
        self.row = low
        self._end = told[-low:]
        return False

    def _repeats(self, told: str) -> bool:
        """Each long row contains a whole block of half its length, so blocks are looked for first."""
        block = self._long // 2
        for start in range(0, len(told) - block + 1, block):
            if told[start : start + block] in self._prompt:
                first = max(0, start + block - self._long)
                for at in range(first, min(start, len(told) - self._long) + 1):
                    row = told[at : at + self._long]
                    if row in self._prompt and not self._excused(row):
                        return True
        return False
