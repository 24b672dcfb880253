"""Extracts the text of an HTML page in a separate process with a time limit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.tools.base import ToolError

_WORKER_PATH = str(Path(__file__).with_name("extraction_worker.py"))
EXTRACTION_SECONDS = 10.0  # of which the worker has 8 of CPU time
_MAX_PROCESSES = max(2, os.cpu_count() or 2)
_MAX_LINE_BYTES = 8 * 1024 * 1024  # more than half a million escaped characters
_MIN_MAIN_TEXT = 300  # a shorter main text may be wrong if the page has much more text


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """The text and metadata of a page; empty strings if unknown."""

    title: str
    text: str
    date: str = ""
    site: str = ""


class TextExtractor:
    """Runs at most one worker per core; waiting counts towards the time limit."""

    def __init__(self, seconds: float = EXTRACTION_SECONDS) -> None:
        self._seconds = seconds
        self._semaphore = asyncio.Semaphore(_MAX_PROCESSES)

    async def extract(self, html: str) -> ExtractedPage:
        """Return the main text of the page, or all text if the main text is unclear.

        Raises:
            ToolError: there was no text in time.
        """
        replies: list[dict[str, str]] = []
        timed_out = False
        try:
            async with asyncio.timeout(self._seconds), self._semaphore:
                await _run_worker(html.encode("utf-8", "replace"), replies)
        except TimeoutError:
            timed_out = True
        if not replies:
            problem = "took too long to be read" if timed_out else "could not be read as text"
            kind = "timeout" if timed_out else "not_text"
            raise ToolError(f"This page {problem}; try another page.", kind=kind)
        return _choose_text(replies[0], replies[1] if len(replies) > 1 else {})


def _choose_text(whole: dict[str, str], main: dict[str, str]) -> ExtractedPage:
    title, full_text = whole.get("title", ""), whole.get("text", "")
    text = main.get("text", "")
    if len(text) < _MIN_MAIN_TEXT and len(full_text) > 2 * len(text):
        text = full_text
    return ExtractedPage(main.get("title") or title, text, main.get("date", ""), main.get("site", ""))


async def _run_worker(html: bytes, replies: list[dict[str, str]]) -> None:
    """Append the worker's replies as they arrive, so that a timeout loses only the later ones."""
    # With -I and an empty environment, the worker has none of the gateway's paths, settings or secrets.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-X", "utf8", _WORKER_PATH),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
        limit=_MAX_LINE_BYTES,
    )
    try:
        await _exchange(process, html, replies)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _exchange(process: asyncio.subprocess.Process, html: bytes, replies: list[dict[str, str]]) -> None:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both pipes were requested")
    # The worker may end before it has read everything.
    with suppress(ConnectionError):
        process.stdin.write(html)
        await process.stdin.drain()
    process.stdin.close()
    for _ in range(2):
        try:
            reply = json.loads(await process.stdout.readline())
        except (ValueError, RecursionError):
            return
        if not isinstance(reply, dict):
            return
        replies.append({name: value for name, value in reply.items() if isinstance(value, str)})
