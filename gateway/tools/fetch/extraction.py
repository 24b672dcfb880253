"""Readable text of an HTML page, taken out in a process of its own that is ended when it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.tools.base import ToolError

_WORKER_PATH = str(Path(__file__).with_name("readable.py"))
EXTRACTION_SECONDS = 10.0  # of which the program may compute for 8
_MAX_PROCESSES = max(2, os.cpu_count() or 2)
_MAX_LINE_BYTES = 8 * 1024 * 1024  # half a million characters, each of them escaped, and more
_MIN_MAIN_TEXT = 300  # a main text below this may be a wrong guess, if the page has much more


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    title: str
    text: str
    date: str = ""
    site: str = ""


class TextExtractor:
    """At most one process for each core; the others wait, which counts into their time."""

    def __init__(self, seconds: float = EXTRACTION_SECONDS) -> None:
        self._seconds = seconds
        self._semaphore = asyncio.Semaphore(_MAX_PROCESSES)

    async def extract(self, html: str) -> ExtractedPage:
        """The main text, or all of it where that cannot be told; ToolError where there is neither in time."""
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
    """Append what the program says as it says it: what is there stays, should the rest never come."""
    # -I and the empty environment: nothing of the gateway's paths, settings or secrets is in there.
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
        raise AssertionError("both were asked for")
    # It may end before it has read everything.
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
