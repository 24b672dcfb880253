"""What a question is about and how hard it looks, as the local classifier or the light model judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INTENTS: tuple[str, ...] = ("question", "chat", "code", "math", "search", "creative", "transform", "unsafe")

# `unconfirmed`: the fast judgement, of which the light model was asked and said nothing that could be used.
ClassifiedBy = Literal["", "fast", "exemplars", "light", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Intent:
    """A judgement of one text.

    `label` is one of `INTENTS` (`transform`: translate, summarise, rewrite a given text) or of the
    configuration's own. `complexity` in 0..1 says how much a strong model is likely to gain over a light one.
    The `needs_*` flags are hints for routing and tools: arithmetic to run or facts to look up, code to write
    or read, facts that change from day to day. `confidence` is the label's probability as the fast judge sees
    it; of an intent of the configuration how alike its exemplars are.
    """

    label: str
    complexity: float
    needs_tools: bool
    needs_code: bool
    needs_fresh: bool
    confidence: float
    classified_by: ClassifiedBy = "fast"


# What stands where no question was judged, since nothing depends on it.
NOT_CLASSIFIED = Intent(
    label="",
    complexity=0.0,
    needs_tools=False,
    needs_code=False,
    needs_fresh=False,
    confidence=0.0,
    classified_by="",
)
