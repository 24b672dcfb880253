"""The interface of a guardrail: it checks a text and returns a verdict. The agent applies the verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

# Returns normalised sentence vectors, one row per text.
EmbedTexts = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one guard: `score` in 0..1, `flagged` above its threshold, `reason` for users."""

    guard: str
    flagged: bool
    score: float
    reason: str
    ms: float


class Guardrail(ABC):
    """A check of the question, in the module `gateway.guardrails.NAME`. It must not raise for any text.

    `name` is also the name of its mode (`GuardModes`). If `checks_tool_results` is true, it checks external
    tool results too.
    """

    name: ClassVar[str]
    checks_tool_results: ClassVar[bool] = False

    @abstractmethod
    async def check(self, text: str) -> Verdict:
        """Check `text` without blocking the event loop."""

    async def check_tool_result(self, text: str) -> Verdict:
        """Check a tool result; by default like a question."""
        return await self.check(text)

    async def warm_up(self) -> None:
        """Load models, so that the first check does not wait for them."""
        return

    async def aclose(self) -> None:
        """Release threads and models; no check may follow."""
        return
