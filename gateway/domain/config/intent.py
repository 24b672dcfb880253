"""Intent classification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.domain.config.base import ConfigModel
from gateway.domain.intent import INTENTS

MIN_EXEMPLARS = 3


def _not_builtin(name: str) -> str:
    if name in INTENTS:
        raise ValueError("the gateway already has an intent of this name")
    return name


Exemplar = Annotated[str, Field(min_length=1, max_length=1000)]
IntentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32), AfterValidator(_not_builtin)]


class IntentConfig(ConfigModel):
    """`fast` classifies locally, `llm` asks the light model, `hybrid` only if unsure.

    Unsure means a label probability below `min_confidence`; the light model has `timeout_seconds`.
    `exemplars` defines custom intents by example sentences (five are enough); a question belongs to one if
    its similarity (0..1) is at least `likeness`.
    """

    mode: Literal["fast", "llm", "hybrid"] = "fast"
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.55
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3
    exemplars: dict[IntentName, Annotated[tuple[Exemplar, ...], Field(min_length=MIN_EXEMPLARS)]] = Field(
        default_factory=dict, max_length=64
    )
    likeness: Annotated[float, Field(ge=0, le=1)] = 0.38
