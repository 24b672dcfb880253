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

_PROGRAM = str(Path(__file__).with_name("readable.py"))
READING_SECONDS = 10.0  # of which the program may compute for 8
_AT_ONCE = max(2, os.cpu_count() or 2)
_LONGEST_LINE = 8 * 1024 * 1024  # half a million characters, each of them escaped, and more
_SHORT = 300  # a main text below this may be a wrong guess, if the page has much more


@dataclass(frozen=True, slots=True)
class Readable:
    title: str
    text: str
    date: str = ""
    site: str = ""


class Reader:
    """At most one process for each core; the others wait, which counts into their time."""

    def __init__(self, seconds: float = READING_SECONDS) -> None:
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def read(self, html: str) -> Readable:
        """The main text, or all of it where that cannot be told; ToolError where there is neither in time."""
        lines: list[dict[str, str]] = []
        timed_out = False
        try:
            async with asyncio.timeout(self._seconds), self._places:
                await _run(html.encode("utf-8", "replace"), lines)
        except TimeoutError:
            timed_out = True
        if not lines:
            why = "took too long to be read" if timed_out else "could not be read as text"
            kind = "timeout" if timed_out else "not_text"
            raise ToolError(f"This page {why}; try another page.", kind=kind)
        return _chosen(lines[0], lines[1] if len(lines) > 1 else {})


def _chosen(whole: dict[str, str], main: dict[str, str]) -> Readable:
    title, everything = whole.get("title", ""), whole.get("text", "")
    text = main.get("text", "")
    if len(text) < _SHORT and len(everything) > 2 * len(text):
        text = everything
    return Readable(main.get("title") or title, text, main.get("date", ""), main.get("site", ""))


async def _run(html: bytes, lines: list[dict[str, str]]) -> None:
    """Append what the program says as it says it: what is there stays, should the rest never come."""
    # -I and the empty environment: nothing of the gateway's paths, settings or secrets is in there.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-X", "utf8", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
        limit=_LONGEST_LINE,
    )
    try:
        await _talk(process, html, lines)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _talk(process: asyncio.subprocess.Process, html: bytes, lines: list[dict[str, str]]) -> None:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both were asked for")
    # It may end before it has read everything.
    with suppress(ConnectionError):
        process.stdin.write(html)
        await process.stdin.drain()
    process.stdin.close()
    for _ in range(2):
        try:
            said = json.loads(await process.stdout.readline())
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        lines.append({name: value for name, value in said.items() if isinstance(value, str)})
