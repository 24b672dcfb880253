"""Readable text of an HTML page, taken out in a process of its own that is ended when it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.tools.base import ToolError

_PROGRAM = str(Path(__file__).with_name("readable.py"))
READING_SECONDS = 12.0  # of which the program may compute for 10
_AT_ONCE = max(2, os.cpu_count() or 2)
_FAILED = "This page could not be read as text; try another page."


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
        """ToolError where the page breaks its reader or keeps it too long."""
        try:
            async with asyncio.timeout(self._seconds), self._places:
                said = await _run(html.encode("utf-8", "replace"))
        except TimeoutError:
            raise ToolError("This page took too long to be read; try another page.", kind="timeout") from None
        try:
            found = json.loads(said)
            return Readable(found["title"], found["text"], found["date"], found["site"])
        except (ValueError, KeyError, TypeError):
            raise ToolError(_FAILED) from None


async def _run(html: bytes) -> bytes:
    # -I and the empty environment: nothing of the gateway's paths, settings or secrets is in there.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-X",
        "utf8",
        _PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        said, _ = await process.communicate(html)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ToolError(_FAILED)
    return said
