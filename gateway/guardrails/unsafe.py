"""Detects requests for help with harm, with a fitted head."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from gateway.guardrails.base import EmbedTexts, Guardrail, Verdict
from gateway.guardrails.injection import THRESHOLD, guard_thread_pool
from gateway.guardrails.reading.heads import load_heads
from gateway.guardrails.reading.reader import SharedReader, shared_reader

_FLAGGED_REASON = "The message looks like a request for help with something harmful."
_PASSED_REASON = "Nothing in the message looks like a request for help with something harmful."


class UnsafeGuard(Guardrail):
    """Judges user messages; features are shared with the injection guard."""

    name: ClassVar[str] = "unsafe"

    def __init__(self, embed: EmbedTexts, threads: int | None = None) -> None:
        self._reader = shared_reader(embed)
        self._pool = guard_thread_pool(self.name, threads)

    async def warm_up(self) -> None:
        """Load and run the model once, in the pool."""
        await self._run("Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge a user's message; the first check loads the model unless `warm_up` did."""
        score, ms = await self._run(text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FLAGGED_REASON if flagged else _PASSED_REASON, ms)

    async def _run(self, text: str) -> tuple[float, float]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, score_message, self._reader, text)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def score_message(reader: SharedReader, text: str) -> tuple[float, float]:
    """The highest window score (0..1) of a message, and milliseconds; blocks."""
    started = time.perf_counter()
    score = load_heads()["unsafe"].score(reader.message_rows(text))
    return score, (time.perf_counter() - started) * 1000
