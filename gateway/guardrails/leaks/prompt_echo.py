"""Detects answers that repeat a long part of a prompt in any formatting."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.guardrails.leaks.ngrams import NgramSet, ngram_hashes, trailing_true_count

_NOT_A_LETTER = re.compile(r"[\W_]+")
# Consecutive letters that are a leak; in a short prompt, the share of it that is one.
_LEAK_LENGTH = 60
_MIN_LEAK_LENGTH = 24
_MIN_LEAK_SHARE = 0.8
# Shorter matches are common phrases and are not withheld.
_HELD_LENGTH = 16
# A Hangul syllable or an ideograph carries about as much as two and a half letters. Up to this size of prompt
# and chunk, a direct search is cheaper than an index.
_MAX_SCANNED_LETTERS = 1000
_FIRST_DENSE_CHARACTER = "\u1100"
_DENSE_CHARACTER_WEIGHT = 2.5


def letters_and_digits(text: str) -> str:
    """Letters and digits of `text` in lower case, one character for each."""
    low = text.lower()
    if len(low) != len(text):  # İ becomes two characters
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return _NOT_A_LETTER.sub("", low)


class PromptEcho:
    """Compares the end of an answer with one prompt while the answer is written.

    Only letters and digits are compared. Short prompts are searched directly, without building an index per
    turn; long prompts, or long parts of an answer, use n-gram hashes.
    """

    def __init__(self, prompt: str, allowed: Callable[[int], NgramSet]) -> None:
        """Create a detector.

        Args:
            prompt: the text that must not be repeated.
            allowed: returns, for a width, the n-grams that may be repeated.
        """
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
        # Letters of the current match; 0 below `_held_length`.
        self.held_count = 0

    @property
    def too_short(self) -> bool:
        """Whether the prompt is shorter than a leak, so that matches would be chance."""
        return len(self._prompt) < self._leak_length

    def feed(self, new: str) -> bool:
        """Add letters of the answer; whether they complete a leak."""
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
        """How many of the last letters may be in the prompt, at most the length of a leak."""
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
        """Each leak contains a block of half its length, so blocks are searched first."""
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
