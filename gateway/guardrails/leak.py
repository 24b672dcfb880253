"""Leaks in what a model says: what may become one is held back until it is known, so that none leaves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.domain.messages import Message
from gateway.guardrails.leak_prompt import PromptEcho, letters
from gateway.guardrails.leak_proofs import digits
from gateway.guardrails.leak_rows import Rows
from gateway.guardrails.leak_shapes import LeakKind, Shape, Shapes
from gateway.guardrails.leak_tables import PERSONAL, SECRETS

LeakGuard = Literal["leak", "personal_data"]
_TABLES: dict[LeakGuard, Shapes] = {"leak": SECRETS, "personal_data": PERSONAL}
# Characters before what is searched that a shape may look back at.
_LOOK_BACK = 1
# Characters of messages that are searched for what was found in one answer: about a tenth of a second.
_MOST_SEARCHED = 300_000_000
ITS_PROMPT = "a part of its instructions"
_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Leak:
    """What was found, for people: `what` has its article; the leak itself is nowhere in it."""

    guard: LeakGuard
    what: str


class Known:
    """What may be said: secrets that the asker wrote, and people's data that anybody in the turn wrote.

    The messages are read only where something was found, and prepared once.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._asked = [m.text for m in messages if m.role == "user"]
        self._others: tuple[list[str], list[str]] | None = None
        self._asked_rows: dict[int, Rows] = {}
        self._characters_left = _MOST_SEARCHED

    def has(self, shape: Shape, value: str) -> bool:
        """Whether the value stands there already; numbers are compared without what parts them."""
        if shape.kind == "secret":
            return self._stands(value, self._asked)
        if self._others is None:
            texts = [m.text for m in self._messages if m.role != "assistant"]
            self._others = [text.lower() for text in texts], [digits(text) for text in texts]
        low, numbers = self._others
        if "@" in value:
            return self._stands(value.lower().rstrip(".-"), low)
        return self._stands(digits(value), numbers)

    def letter_rows(self, width: int) -> Rows:
        """The rows of so many letters that the asker wrote."""
        rows = self._asked_rows.get(width)
        if rows is None:
            # A space is no letter, so no row goes from one message into the next.
            rows = self._asked_rows[width] = Rows(" ".join(map(letters, self._asked)), width)
        return rows

    def _stands(self, value: str, texts: Sequence[str]) -> bool:
        """Whether one of `texts` has the value; never, once `_MOST_SEARCHED` characters were searched."""
        for text in texts:
            self._characters_left -= len(text)
            if self._characters_left < 0:
                return False
            if value in text:
                return True
        return False


class LeakWindow:
    """One text on its way to the reader, in any chunks: what is put in comes out unless it is a leak.

    Held back are at most the longest shape's characters, and of a prompt a row that is shorter than a leak.
    Once `leak` is set, nothing comes out any more, and nothing of the leak has: of a prompt's row its first
    fifteen letters may have.
    """

    def __init__(self, guards: Sequence[LeakGuard], prompts: Sequence[str], known: Known) -> None:
        self.leak: Leak | None = None
        self._tables = [_TABLES[guard] for guard in guards]
        self._known = known
        self._echoes = echoes_of(prompts, known) if "leak" in guards else []
        self._text = ""  # what was let out last, as far as shapes look back, and what is held
        self._out = 0  # how much of it was let out

    def feed(self, new: str, *, last: bool = False) -> str:
        """What may leave now that `new` has come; with `last` nothing can come any more."""
        if self.leak is not None:
            return ""
        text = self._text + new
        out = self._out
        free = len(text)
        for table in self._tables:
            free = min(free, self._look(table, text, last))
        if self._echoes:
            free = min(free, self._follow(text, letters(new), last))
        free = max(free, out)
        kept = max(0, free - _LOOK_BACK)
        self._text = text[kept:]
        self._out = free - kept
        return text[out:free]

    @property
    def held(self) -> str:
        """What has come and not left."""
        return self._text[self._out :]

    def _look(self, table: Shapes, text: str, last: bool) -> int:
        """Up to where the text is free of leaks of this table, also of any that may be coming."""
        coming = None if last else table.coming.search(text, self._out)
        free = coming.start() if coming is not None else len(text)
        if len(text) - self._out >= table.shortest:
            at = first_leak(table, text, self._out, last, self._known)
            if at is not None:
                self.leak = at[1]
                return min(free, at[0])
        return free

    def _follow(self, text: str, new: str, last: bool) -> int:
        """Up to where the text repeats no prompt."""
        free = len(text)
        for echo in self._echoes:
            if echo.follow(new):
                self.leak = Leak("leak", ITS_PROMPT)
                return self._out
            if echo.row and not last:
                free = min(free, _before_letters(text, echo.row))
        return free


def echoes_of(prompts: Sequence[str], known: Known) -> list[PromptEcho]:
    """A follower for each prompt that is long enough to be known again."""
    echoes = (PromptEcho(prompt, known.letter_rows) for prompt in prompts)
    return [echo for echo in echoes if not echo.too_short]


def first_leak(table: Shapes, text: str, start: int, last: bool, known: Known) -> tuple[int, Leak] | None:
    """Where the first leak begins and what it is; one that the next character could undo is none yet."""
    while (candidate := table.candidate.search(text, start)) is not None:
        start = candidate.start()
        for shape, pattern in table.beginning_with(text[start]):
            match = pattern.match(text, start)
            if match is None or (match.end() == len(text) and not last):
                continue
            if shape.proof(match.group()) and not known.has(shape, match.group()):
                return start, Leak(_GUARDS[shape.kind], shape.label)
        start += 1
    return None


_GUARDS: dict[LeakKind, LeakGuard] = {"secret": "leak", "personal": "personal_data"}


def find_leaks(guard: LeakGuard, text: str, prompts: Sequence[str], known: Known) -> list[str]:
    """Everything of a whole text that this guard objects to, each kind once, in words for people."""
    found: dict[str, None] = {}
    if guard == "leak" and any(echo.follow(letters(text)) for echo in echoes_of(prompts, known)):
        found[ITS_PROMPT] = None
    table = _TABLES[guard]
    start = 0
    while (leak := first_leak(table, text, start, True, known)) is not None:
        found[leak[1].what] = None
        start = leak[0] + 1
    return list(found)


def _before_letters(text: str, count: int) -> int:
    """Where the last `count` letters of `text` begin; 0 where it has fewer."""
    for at in range(len(text) - 1, -1, -1):
        if _LETTER.match(text, at):
            count -= 1
            if not count:
                return at
    return 0
