"""Prompt injection and jailbreaks: fitted heads on a small ONNX classifier, counted marks and vectors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from gateway.guardrails.base import Embed, Guardrail, Verdict
from gateway.guardrails.heads import heads
from gateway.guardrails.reading import Reader, reader_for

THRESHOLD = 0.5

_FOUND = "The message looks like an attempt to make the model break its instructions."
_NOTHING = "Nothing in the message looks like an attack on the model's instructions."
_FOUND_INSIDE = "The result holds a passage that looks like an instruction to the model."
_NOTHING_INSIDE = "Nothing in the result looks like an instruction to the model."


class InjectionGuard(Guardrail):
    """Reads a text on one thread of a small pool beside the event loop.

    A message of up to some 2,000 tokens is read whole; of a longer one the beginning, the end and places in
    between, so that a megabyte costs no more than twelve windows. A tool's result is judged by passages and
    by another head: there, whatever speaks to the model is out of place.
    """

    name: ClassVar[str] = "injection"

    def __init__(self, embed: Embed, threads: int | None = None) -> None:
        self._reader = reader_for(embed)
        self._pool = reading_pool(self.name, threads)

    async def warm_up(self) -> None:
        """Load the model and run it once: about a quarter of a second, in the pool."""
        await self._run(judge, "Is the model awake?")

    async def check(self, text: str) -> Verdict:
        """Judge a person's message; the first check loads the model unless `warm_up` has."""
        score, ms = await self._run(judge, text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FOUND if flagged else _NOTHING, ms)

    async def check_tool_result(self, text: str) -> Verdict:
        """Judge a page, an e-mail, a listing: whether somebody speaks to the model in it."""
        score, ms = await self._run(judge_passages, text)
        flagged = score >= THRESHOLD
        return Verdict(self.name, flagged, score, _FOUND_INSIDE if flagged else _NOTHING_INSIDE, ms)

    async def _run(self, judging: Judging, text: str) -> tuple[float, float]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, judging, self._reader, text)

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


Judging = Callable[[Reader, str], tuple[float, float]]


def judge(reader: Reader, text: str) -> tuple[float, float]:
    """The highest score (0..1) of a message's windows, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    score = heads()["injection"].score(reader.windows(text))
    return score, (time.perf_counter() - started) * 1000


def judge_passages(reader: Reader, text: str) -> tuple[float, float]:
    """The highest score (0..1) of a document's passages, and the milliseconds it took; blocks."""
    started = time.perf_counter()
    score = heads()["passage"].score(reader.passages(text))
    return score, (time.perf_counter() - started) * 1000


def reading_pool(name: str, threads: int | None = None) -> ThreadPoolExecutor:
    """A few threads for a guard, leaving a core to the event loop."""
    workers = threads or max(1, min(4, (os.cpu_count() or 2) - 1))
    return ThreadPoolExecutor(workers, thread_name_prefix=f"guard-{name}")
