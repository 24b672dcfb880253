"""Intent and complexity of a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INTENTS: tuple[str, ...] = ("question", "chat", "code", "math", "search", "creative", "transform", "unsafe")

# `unconfirmed`: the local result, because the light model gave no usable answer.
ClassifiedBy = Literal["", "fast", "exemplars", "light", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Intent:
    """The classification of a text.

    `label` is one of `INTENTS` (`transform`: translate, summarize or rewrite a given text) or a custom
    intent. `complexity` in 0..1 estimates how much a strong model gains over a light one. The `needs_*` flags
    are hints for routing and tools: arithmetic or lookups, code to write or read, facts that change daily.
    `confidence` is the label's probability, or for a custom intent the similarity to its exemplars.
    """

    label: str
    complexity: float
    needs_tools: bool
    needs_code: bool
    needs_fresh: bool
    confidence: float
    classified_by: ClassifiedBy = "fast"


# Used where nothing depends on the classification.
NOT_CLASSIFIED = Intent(
    label="",
    complexity=0.0,
    needs_tools=False,
    needs_code=False,
    needs_fresh=False,
    confidence=0.0,
    classified_by="",
)
