"""The parameters of a benchmark run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds per cell, rounds, slow streams, targets, and the path of LiteLLM's environment."""

    seconds: float
    rounds: int
    slow_streams: int
    with_litellm: bool
    with_gateway: bool
    litellm_environment: Path | None

    @property
    def warm_up(self) -> float:
        return min(2.0, self.seconds / 2)
