"""How long and how much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds a cell, rounds, slow streams, who takes part, where LiteLLM is if not in the cache."""

    seconds: float
    rounds: int
    slow_streams: int
    with_litellm: bool
    with_gateway: bool
    litellm_environment: Path | None

    @property
    def warm_up(self) -> float:
        return min(2.0, self.seconds / 2)
