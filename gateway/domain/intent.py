"""What a question is about and how hard it looks, as the local classifier judged it."""

from __future__ import annotations

from dataclasses import dataclass

INTENTS: tuple[str, ...] = ("question", "chat", "code", "math", "search", "creative", "transform", "unsafe")


@dataclass(frozen=True, slots=True)
class Intent:
    """A judgement of one text.

    `label` is one of `INTENTS` (`transform`: translate, summarise, rewrite a given text). `complexity` in
    0..1 says how much a strong model is likely to gain over a light one. The `needs_*` flags are hints for
    routing and tools: arithmetic to run, code to write or read, facts that change from day to day.
    `confidence` is the label's probability.
    """

    label: str
    complexity: float
    needs_tools: bool
    needs_code: bool
    needs_fresh: bool
    confidence: float


# What stands where no question was judged, since nothing depends on it.
NOT_JUDGED = Intent(
    label="", complexity=0.0, needs_tools=False, needs_code=False, needs_fresh=False, confidence=0.0
)
