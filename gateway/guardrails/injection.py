"""Prompt injection and jailbreaks: fitted heads on a small ONNX classifier, counted marks and vectors."""

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
_FLAGGED_RESULT_REASON = "The result holds a passage that looks like an instruction to the model."
_PASSED_RESULT_REASON = "Nothing in the result looks like an instruction to the model."


class InjectionGuard(Guardrail):
    """Reads a text on one thread of a small pool beside the event loop.

    A message of up to some 2,000 tokens is read whole; of a longer one the beginning, the end and places in
    between, so that a megabyte costs no more than twelve windows. A tool's result is judged by passages and
    by another head: there, whatever speaks to the model is out of place.
    """

    name: ClassVar[str] = "injection"
    checks_tool_results: ClassVar[bool] = True

    def __init__(self, embed: EmbedTexts, threads: int | None = None) -> None:
        self._reader = shared_reader(embed)
        self._pool = guard_thread_pool(self.name, threads)

    async def warm_up(self) -> None:
        """Load the model and run it once: about a quarter of a second, in the pool."""
        await self._run(score_message, "Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge a person's message; the first check loads the model unless `warm_up` has."""
        score, ms = await self._run(score_message, text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FLAGGED_REASON if flagged else _PASSED_REASON, ms)

    async def check_tool_result(self, text: str) -> Verdict:
        """Judge a page, an e-mail, a listing: whether somebody speaks to the model in it."""
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
    """The highest score (0..1) of a message's windows, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    score = load_heads()["injection"].score(reader.message_rows(text))
    return score, (time.perf_counter() - started) * 1000


def score_document(reader: SharedReader, text: str) -> tuple[float, float]:
    """The highest score (0..1) of a document's passages, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    score = load_heads()["passage"].score(reader.document_rows(text))
    return score, (time.perf_counter() - started) * 1000


def guard_thread_pool(name: str, threads: int | None = None) -> ThreadPoolExecutor:
    """A few threads for a guard, leaving a core to the event loop."""
    workers = threads or max(1, min(4, (os.cpu_count() or 2) - 1))
    return ThreadPoolExecutor(workers, thread_name_prefix=f"guard-{name}")
