"""Whether an answer repeats a long part of a prompt, however it is spaced, marked up or capitalised."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.guardrails.leak_rows import Rows, row_hashes, trailing

_NOT_A_LETTER = re.compile(r"[\W_]+")
# Letters and digits in a row that are a leak, and in how short a prompt such a row must be most of it.
_LONG = 60
_SHORTEST = 24
_MOST = 0.8
# Rows below this are common phrases, and are not held back.
_SUSPECT = 16
# A syllable of Hangul or an ideograph says about as much as two letters and a half.
# Letters of a prompt and of a piece of an answer up to which a search in C is cheaper than an index.
_FEW = 1000
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

    Both are compared by their letters alone. In a short prompt a row is searched for in C, without an index
    to build for a turn; of a long one, or for a long piece of an answer, all rows are looked up at once.
    """

    def __init__(self, prompt: str, excused: Callable[[int], Rows]) -> None:
        """`excused` gives, for a width, the rows of letters that may be repeated all the same."""
        self._prompt = letters(prompt)
        self._excused = excused
        dense = sum(c >= _WIDE_FROM for c in self._prompt) * 3 > len(self._prompt)
        scale = _DENSITY if dense else 1.0
        self._long = round(min(_LONG / scale, max(_SHORTEST / scale, _MOST * len(self._prompt))))
        self._suspect = round(min(_SUSPECT / scale, self._long - 1))
        self._end = ""
        self._rows: dict[int, Rows] = {}
        # The row being followed, in letters; below `_suspect` it is 0.
        self.row = 0

    @property
    def too_short(self) -> bool:
        """A prompt that is shorter than what counts as a leak cannot be told from chance."""
        return len(self._prompt) < self._long

    def follow(self, new: str) -> bool:
        """Take in more letters of the answer; whether a row in it is long enough to be a leak."""
        told = self._end + new
        many = max(len(self._prompt), len(new)) > _FEW
        if len(told) >= self._long and (self._repeats_any(told) if many else self._repeats(told)):
            return True
        self.row = self._repeated_end(told, many)
        self._end = told[-max(self.row, self._suspect - 1) :]
        return False

    def _repeated_end(self, told: str, many: bool) -> int:
        """How many letters at the end of `told` may stand in the prompt, at most a leak's."""
        suspect = self._suspect
        if len(told) < suspect:
            return 0
        if many:
            end = told[-self._long :]
            run = trailing(self._rows_of(suspect).hold(row_hashes(end, suspect)))
            return min(run + suspect - 1, self._long) if run else 0
        if told[-suspect:] not in self._prompt:
            return 0
        low, high = suspect, min(len(told), self._long)
        while low < high:
            middle = (low + high + 1) // 2
            if told[-middle:] in self._prompt:
                low = middle
            else:
                high = middle - 1
        return low

    def _repeats_any(self, told: str) -> bool:
        rows = row_hashes(told, self._long)
        repeated = rows[self._rows_of(self._long).hold(rows)]
        return bool(len(repeated)) and not self._excused(self._long).hold(repeated).all()

    def _rows_of(self, width: int) -> Rows:
        rows = self._rows.get(width)
        if rows is None:
            rows = self._rows[width] = Rows(self._prompt, width)
        return rows

    def _repeats(self, told: str) -> bool:
        """Each long row contains a whole block of half its length, so blocks are looked for first."""
        block = self._long // 2
        for start in range(0, len(told) - block + 1, block):
            if told[start : start + block] in self._prompt:
                first = max(0, start + block - self._long)
                for at in range(first, min(start, len(told) - self._long) + 1):
                    row = told[at : at + self._long]
                    if (
                        row in self._prompt
                        and not self._excused(self._long).hold(row_hashes(row, self._long))[0]
                    ):
                        return True
        return False
