"""Whether an answer repeats a long part of a prompt, however it is spaced, marked up or capitalised."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.guardrails.leaks.ngrams import NgramSet, ngram_hashes, trailing_true_count

_NOT_A_LETTER = re.compile(r"[\W_]+")
# Letters and digits in a row that are a leak, and in how short a prompt such a row must be most of it.
_LEAK_LENGTH = 60
_MIN_LEAK_LENGTH = 24
_MIN_LEAK_SHARE = 0.8
# Rows below this are common phrases, and are not held back.
_HELD_LENGTH = 16
# A syllable of Hangul or an ideograph says about as much as two letters and a half.
# Letters of a prompt and of a piece of an answer up to which a search in C is cheaper than an index.
_MAX_SCANNED_LETTERS = 1000
_FIRST_DENSE_CHARACTER = "\u1100"
_DENSE_CHARACTER_WEIGHT = 2.5


def letters_and_digits(text: str) -> str:
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

    def __init__(self, prompt: str, allowed: Callable[[int], NgramSet]) -> None:
        """`excused` gives, for a width, the rows of letters that may be repeated all the same."""
        self._prompt = letters_and_digits(prompt)
        self._allowed = allowed
        dense = sum(c >= _FIRST_DENSE_CHARACTER for c in self._prompt) * 3 > len(self._prompt)
        scale = _DENSE_CHARACTER_WEIGHT if dense else 1.0
        self._leak_length = round(
            min(_LEAK_LENGTH / scale, max(_MIN_LEAK_LENGTH / scale, _MIN_LEAK_SHARE * len(self._prompt)))
        )
        self._held_length = round(min(_HELD_LENGTH / scale, self._leak_length - 1))
        self._tail = ""
        self._ngrams_by_width: dict[int, NgramSet] = {}
        # The row being followed, in letters; below `_suspect` it is 0.
        self.held_count = 0

    @property
    def too_short(self) -> bool:
        """A prompt that is shorter than what counts as a leak cannot be told from chance."""
        return len(self._prompt) < self._leak_length

    def feed(self, new: str) -> bool:
        """Take in more letters of the answer; whether a row in it is long enough to be a leak."""
        recent = self._tail + new
        use_index = max(len(self._prompt), len(new)) > _MAX_SCANNED_LETTERS
        if len(recent) >= self._leak_length and (
            self._contains_leak_indexed(recent) if use_index else self._contains_leak(recent)
        ):
            return True
        self.held_count = self._matching_suffix_length(recent, use_index)
        self._tail = recent[-max(self.held_count, self._held_length - 1) :]
        return False

    def _matching_suffix_length(self, recent: str, use_index: bool) -> int:
        """How many letters at the end of `told` may stand in the prompt, at most a leak's."""
        suspect = self._held_length
        if len(recent) < suspect:
            return 0
        if use_index:
            end = recent[-self._leak_length :]
            run = trailing_true_count(self._ngrams(suspect).contains(ngram_hashes(end, suspect)))
            return min(run + suspect - 1, self._leak_length) if run else 0
        if recent[-suspect:] not in self._prompt:
            return 0
        low, high = suspect, min(len(recent), self._leak_length)
        while low < high:
            middle = (low + high + 1) // 2
            if recent[-middle:] in self._prompt:
                low = middle
            else:
                high = middle - 1
        return low

    def _contains_leak_indexed(self, recent: str) -> bool:
        rows = ngram_hashes(recent, self._leak_length)
        repeated = rows[self._ngrams(self._leak_length).contains(rows)]
        return bool(len(repeated)) and not self._allowed(self._leak_length).contains(repeated).all()

    def _ngrams(self, width: int) -> NgramSet:
        ngrams = self._ngrams_by_width.get(width)
        if ngrams is None:
            ngrams = self._ngrams_by_width[width] = NgramSet(self._prompt, width)
        return ngrams

    def _contains_leak(self, recent: str) -> bool:
        """Each long row contains a whole block of half its length, so blocks are looked for first."""
        block = self._leak_length // 2
        for start in range(0, len(recent) - block + 1, block):
            if recent[start : start + block] in self._prompt:
                first = max(0, start + block - self._leak_length)
                for at in range(first, min(start, len(recent) - self._leak_length) + 1):
                    row = recent[at : at + self._leak_length]
                    if (
                        row in self._prompt
                        and not self._allowed(self._leak_length).contains(
                            ngram_hashes(row, self._leak_length)
                        )[0]
                    ):
                        return True
        return False
