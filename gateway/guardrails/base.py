"""A guardrail looks at a text and gives a verdict; what follows from it is the graph's business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

# Sentence vectors of length 1, a row for each text; the composition root says whose.
EmbedTexts = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard found: `score` in 0..1, `flagged` at its threshold, `reason` for people."""

    guard: str
    flagged: bool
    score: float
    reason: str
    ms: float


class Guardrail(ABC):
    """A check of the input; it never raises for what the text holds, and never sees secrets."""

    name: ClassVar[str]

    @abstractmethod
    async def check(self, text: str) -> Verdict:
        """Judge `text` off the event loop."""

    async def check_tool_result(self, text: str) -> Verdict:
        """Judge what a tool brought back; as a person's message, where a guard knows no difference."""
        return await self.check(text)

    async def warm_up(self) -> None:
        """Load what the first check would otherwise wait for."""
        return

    async def aclose(self) -> None:
        """Let go of threads and models; no check may follow."""
        return
