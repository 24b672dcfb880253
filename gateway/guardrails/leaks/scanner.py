"""Streaming leak detection in a model's output.

Text that may become a leak is withheld until it is decided, so that no leak is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.domain.messages import Message
from gateway.guardrails.leaks.ngrams import NgramSet
from gateway.guardrails.leaks.pattern_set import LeakKind, LeakPattern, PatternSet
from gateway.guardrails.leaks.patterns import PERSONAL_DATA, SECRETS
from gateway.guardrails.leaks.prompt_echo import PromptEcho, letters_and_digits
from gateway.guardrails.leaks.validators import digits

LeakGuard = Literal["leak", "personal_data"]
_PATTERNS: dict[LeakGuard, PatternSet] = {"leak": SECRETS, "personal_data": PERSONAL_DATA}
# Characters that a pattern may look behind.
_LOOKBEHIND_CHARACTERS = 1
# Message characters searched per answer: about 0.1 s.
_MAX_SEARCHED_CHARACTERS = 300_000_000
PROMPT_LEAK = "a part of its instructions"
_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Leak:
    """A detected leak; `description` names its kind, never its content."""

    guard: LeakGuard
    description: str


class AllowedValues:
    """Values that an answer may repeat.

    Secrets from the user's messages, and personal data from any message. Messages are searched only if
    something was found, and prepared once.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._user_texts = [m.text for m in messages if m.role == "user"]
        self._other_texts: tuple[list[str], list[str]] | None = None
        self._ngrams_by_width: dict[int, NgramSet] = {}
        self._remaining_characters = _MAX_SEARCHED_CHARACTERS

    def allows(self, pattern: LeakPattern, value: str) -> bool:
        """Whether a message contains the value; numbers are compared by their digits."""
        if pattern.kind == "secret":
            return self._contains(value, self._user_texts)
        if self._other_texts is None:
            texts = [m.text for m in self._messages if m.role != "assistant"]
            self._other_texts = [text.lower() for text in texts], [digits(text) for text in texts]
        lowered, numbers = self._other_texts
        if "@" in value:
            return self._contains(value.lower().rstrip(".-"), lowered)
        return self._contains(digits(value), numbers)

    def letter_ngrams(self, width: int) -> NgramSet:
        """N-grams of letters in the user's messages."""
        ngrams = self._ngrams_by_width.get(width)
        if ngrams is None:
            # A space is not a letter, so no n-gram spans two messages.
            ngrams = self._ngrams_by_width[width] = NgramSet(
                " ".join(map(letters_and_digits, self._user_texts)), width
            )
        return ngrams

    def _contains(self, value: str, texts: Sequence[str]) -> bool:
        """Whether one of `texts` contains the value; False after the search limit."""
        for text in texts:
            self._remaining_characters -= len(text)
            if self._remaining_characters < 0:
                return False
            if value in text:
                return True
        return False


class LeakScanner:
    """Scans one text that arrives in chunks and returns what may be sent.

    At most the length of the longest pattern is withheld, and of a repeated prompt less than the length of a
    leak. Once `leak` is set nothing more is returned. Of a repeated prompt the first fifteen letters may have
    been sent; of any other leak nothing.
    """

    def __init__(
        self, guards: Sequence[LeakGuard], prompts: Sequence[str], allowed_values: AllowedValues
    ) -> None:
        self.leak: Leak | None = None
        self._pattern_sets = [_PATTERNS[guard] for guard in guards]
        self._allowed_values = allowed_values
        self._echoes = prompt_echoes(prompts, allowed_values) if "leak" in guards else []
        self._text = ""  # lookbehind of what was sent, and what is withheld
        self._released_count = 0  # how much of it was sent

    def feed(self, new: str, *, last: bool = False) -> str:
        """Add text and return what may be sent; `last` ends the text."""
        if self.leak is not None:
            return ""
        text = self._text + new
        released = self._released_count
        safe_until = len(text)
        for patterns in self._pattern_sets:
            safe_until = min(safe_until, self._scan(patterns, text, last))
        if self._echoes:
            safe_until = min(safe_until, self._scan_prompt_echo(text, letters_and_digits(new), last))
        safe_until = max(safe_until, released)
        dropped = max(0, safe_until - _LOOKBEHIND_CHARACTERS)
        self._text = text[dropped:]
        self._released_count = safe_until - dropped
        return text[released:safe_until]

    @property
    def withheld_text(self) -> str:
        """Text that was added and not returned."""
        return self._text[self._released_count :]

    def _scan(self, patterns: PatternSet, text: str, last: bool) -> int:
        """The length of the text without detected or possible leaks of these patterns."""
        possible = None if last else patterns.prefix.search(text, self._released_count)
        safe_until = possible.start() if possible is not None else len(text)
        if len(text) - self._released_count >= patterns.min_length:
            found = first_leak(patterns, text, self._released_count, last, self._allowed_values)
            if found is not None:
                self.leak = found[1]
                return min(safe_until, found[0])
        return safe_until

    def _scan_prompt_echo(self, text: str, new: str, last: bool) -> int:
        """The length of the text that repeats no prompt."""
        safe_until = len(text)
        for echo in self._echoes:
            if echo.feed(new):
                self.leak = Leak("leak", PROMPT_LEAK)
                return self._released_count
            if echo.held_count and not last:
                safe_until = min(safe_until, _start_of_last_letters(text, echo.held_count))
        return safe_until


def prompt_echoes(prompts: Sequence[str], allowed_values: AllowedValues) -> list[PromptEcho]:
    """Prompt echo detectors for the prompts that are long enough."""
    echoes = (PromptEcho(prompt, allowed_values.letter_ngrams) for prompt in prompts)
    return [echo for echo in echoes if not echo.too_short]


def first_leak(
    patterns: PatternSet, text: str, start: int, last: bool, allowed_values: AllowedValues
) -> tuple[int, Leak] | None:
    """Find the first leak and its position.

    A match that the next character could undo is not a leak yet.
    """
    while (candidate := patterns.candidate.search(text, start)) is not None:
        start = candidate.start()
        for shape, pattern in patterns.starting_with(text[start]):
            match = pattern.match(text, start)
            if match is None or (match.end() == len(text) and not last):
                continue
            if shape.is_valid(match.group()) and not allowed_values.allows(shape, match.group()):
                return start, Leak(_GUARD_BY_KIND[shape.kind], shape.description)
        start += 1
    return None


_GUARD_BY_KIND: dict[LeakKind, LeakGuard] = {"secret": "leak", "personal": "personal_data"}


def find_leaks(
    guard: LeakGuard, text: str, prompts: Sequence[str], allowed_values: AllowedValues
) -> list[str]:
    """Descriptions of all leaks in a complete text, each once."""
    found: dict[str, None] = {}
    if guard == "leak" and any(
        echo.feed(letters_and_digits(text)) for echo in prompt_echoes(prompts, allowed_values)
    ):
        found[PROMPT_LEAK] = None
    patterns = _PATTERNS[guard]
    start = 0
    while (leak := first_leak(patterns, text, start, True, allowed_values)) is not None:
        found[leak[1].description] = None
        start = leak[0] + 1
    return list(found)


def _start_of_last_letters(text: str, count: int) -> int:
    """Index of the last `count` letters of `text`; 0 if it has fewer."""
    for at in range(len(text) - 1, -1, -1):
        if _LETTER.match(text, at):
            count -= 1
            if not count:
                return at
    return 0
