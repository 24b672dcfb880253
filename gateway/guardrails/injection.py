"""Detects prompt injection and jailbreaks with fitted heads."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from gateway.guardrails.base import EmbedTexts, Guardrail, Verdict
from gateway.guardrails.reading.heads import load_heads
from gateway.guardrails.reading.reader import SharedReader, shared_reader

THRESHOLD = 0.5

_FLAGGED_REASON = "The message looks like an attempt to make the model break its instructions."
_PASSED_REASON = "Nothing in the message looks like an attack on the model's instructions."
_FLAGGED_RESULT_REASON = "The result contains a passage that looks like an instruction to the model."
_PASSED_RESULT_REASON = "Nothing in the result looks like an instruction to the model."


class InjectionGuard(Guardrail):
    """Judges texts in a small thread pool.

    Messages of up to about 2,000 tokens are read in full; of longer ones the beginning, the end and samples
    in between, so that the cost is bounded by twelve windows. Tool results are judged by passages with a
    separate head: there, any text that addresses the model is suspicious.
    """

    name: ClassVar[str] = "injection"
    checks_tool_results: ClassVar[bool] = True

    def __init__(self, embed: EmbedTexts, threads: int | None = None) -> None:
        self._reader = shared_reader(embed)
        self._pool = guard_thread_pool(self.name, threads)

    async def warm_up(self) -> None:
        """Load and run the model once (0.25 s), in the pool."""
        await self._run(score_message, "Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge a user's message; the first check loads the model unless `warm_up` did."""
        score, ms = await self._run(score_message, text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FLAGGED_REASON if flagged else _PASSED_REASON, ms)

    async def check_tool_result(self, text: str) -> Verdict:
        """Judge a tool result: whether it addresses the model."""
        score, ms = await self._run(score_document, text)
        flagged = score >= THRESHOLD
        return Verdict(
            self.name, flagged, score, _FLAGGED_RESULT_REASON if flagged else _PASSED_RESULT_REASON, ms
        )

    async def _run(self, score_text: ScoreText, text: str) -> tuple[float, float]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, score_text, self._reader, text)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


ScoreText = Callable[[SharedReader, str], tuple[float, float]]


def score_message(reader: SharedReader, text: str) -> tuple[float, float]:
    """The highest window score (0..1) of a message, and milliseconds; blocks."""
    started = time.perf_counter()
    score = load_heads()["injection"].score(reader.message_rows(text))
    return score, (time.perf_counter() - started) * 1000


def score_document(reader: SharedReader, text: str) -> tuple[float, float]:
    """The highest passage score (0..1) of a document, and milliseconds; blocks."""
    started = time.perf_counter()
    score = load_heads()["passage"].score(reader.document_rows(text))
    return score, (time.perf_counter() - started) * 1000


def guard_thread_pool(name: str, threads: int | None = None) -> ThreadPoolExecutor:
    """A small thread pool that leaves one core to the event loop."""
    workers = threads or max(1, min(4, (os.cpu_count() or 2) - 1))
    return ThreadPoolExecutor(workers, thread_name_prefix=f"guard-{name}")
