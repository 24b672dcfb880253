"""Requests that ask for help with harm: a fitted head on the same reading as the injection guard's."""

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
    """Looks at what a person asks for; where the injection guard reads the same text, it is read once."""

    name: ClassVar[str] = "unsafe"

    def __init__(self, embed: EmbedTexts, threads: int | None = None) -> None:
        self._reader = shared_reader(embed)
        self._pool = guard_thread_pool(self.name, threads)

    async def warm_up(self) -> None:
        """Load the model and run it once, in the pool."""
        await self._run("Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge a person's message; the first check loads the model unless `warm_up` has."""
        score, ms = await self._run(text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FLAGGED_REASON if flagged else _PASSED_REASON, ms)

    async def _run(self, text: str) -> tuple[float, float]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, score_message, self._reader, text)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def score_message(reader: SharedReader, text: str) -> tuple[float, float]:
    """The highest score (0..1) of a message's windows, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    score = load_heads()["unsafe"].score(reader.message_rows(text))
    return score, (time.perf_counter() - started) * 1000
