"""The tool `fetch`: a public web page as readable text."""

from __future__ import annotations

import asyncio
import re
import ssl
from http import HTTPStatus

from pydantic import Field

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.addresses import AddressRules
from gateway.tools.base import Tool, ToolArguments, ToolError
from gateway.tools.charset import decode, is_binary
from gateway.tools.pinned_http import Page, PinnedClient
from gateway.tools.reading import READING_SECONDS, Readable, Reader
from gateway.tools.resolving import Resolver, SystemResolver
from gateway.tools.web_address import MAX_URL_CHARACTERS
from gateway.tools.web_text import ROOM_BYTES, clean, clip, line

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = re.compile(
    r"text/.+|application/(?:x-)?(?:json|xml|yaml|toml|javascript|ndjson|sql|sh)|.+\+(?:json|xml|yaml)"
)
_UNKNOWN = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/unknown"})
_LOOKS_LIKE_HTML = re.compile(
    r"\s*(?:<!--.{0,999}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_KINDS = {"image": "an image", "audio": "a sound", "video": "a video", "font": "a font"}
_MOST_CHARACTERS = 400_000  # more would hold up the event loop, and take 27 calls to read
_COUNT_BYTES = 200  # the line that says which characters are shown


class FetchArguments(ToolArguments):
    url: str = Field(
        min_length=1,
        max_length=MAX_URL_CHARACTERS,
        description="Address of a public page, such as https://example.org/page.",
    )
    max_characters: int = Field(default=8000, ge=100, le=15000, description="How much of the text to return.")
    start: int = Field(
        default=0, ge=0, le=_MOST_CHARACTERS, description="Character to begin at, to read on in a long page."
    )


class Fetch(Tool[FetchArguments]):
    """`resolve` and `trust` (certificates) are the machine's own unless given."""

    name = "fetch"
    description = (
        "Read a public web page: its title and readable text. Use it for a page whose address is known, from "
        "the user or from web_search. It cannot sign in, run scripts, nor read private addresses or PDFs."
    )
    untrusted = True
    arguments = FetchArguments

    def __init__(
        self, config: ToolsConfig, resolve: Resolver | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(config)
        own = config.fetch
        self._seconds = own.timeout_seconds
        # Behind the two bounds that have sentences of their own.
        self.timeout_seconds = own.timeout_seconds + READING_SECONDS + 5
        self._own_resolver = SystemResolver()
        self._client = PinnedClient(
            AddressRules(own.allow_private),
            frozenset(own.ports),
            resolve or self._own_resolver,
            max_bytes=own.max_bytes,
            trust=trust,
        )
        self._reader = Reader()

    async def run(self, arguments: FetchArguments) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                page = await self._client.get(arguments.url)
        except TimeoutError:
            raise ToolError(
                f"The page did not arrive within {self._seconds:g} seconds; try another page.",
                kind="timeout",
            ) from None
        return _told(page, await self._read(page), arguments)

    async def _read(self, page: Page) -> Readable:
        if not 200 <= page.status < 300:
            raise ToolError(f"The site answered {_status(page.status)}; try another page.", kind="status")
        kind = page.content_type.partition(";")[0].strip().lower()
        if not (kind in _HTML or kind in _UNKNOWN or _TEXT.fullmatch(kind)):
            what = "a PDF" if kind == "application/pdf" else _KINDS.get(kind.partition("/")[0], "a file")
            raise ToolError(f"This is {what}, not a page of text; try another page.", kind="not_text")
        if is_binary(page.body):
            raise ToolError("This is a file and not text; try another page.", kind="not_text")
        text = await asyncio.to_thread(decode, page.body, page.content_type, cut=page.cut)
        if kind in _HTML or (kind in _UNKNOWN and _LOOKS_LIKE_HTML.match(text)):
            return await self._reader.read(text)
        return Readable("", text)

    async def aclose(self) -> None:
        self._own_resolver.close()


def _status(code: int) -> str:
    try:
        return f"{code} ({HTTPStatus(code).phrase})"
    except ValueError:
        return str(code)


def _told(page: Page, found: Readable, arguments: FetchArguments) -> str:
    text = clean(found.text[:_MOST_CHARACTERS])
    if not text:
        raise ToolError("There is no text on this page; it may need scripts or a sign-in. Try another page.")
    if arguments.start >= len(text):
        raise ToolError(f"The text of this page has only {len(text)} characters; use a smaller start.")
    facts = {
        "Title": line(found.title, 300),
        "URL": line(page.url, 500),
        "Site": line(found.site, 100),
        "Date": line(found.date, 40),
    }
    head = "".join(f"{name}: {value}\n" for name, value in facts.items() if value)
    room = ROOM_BYTES - len(head.encode()) - _COUNT_BYTES
    shown = clip(text[arguments.start :], arguments.max_characters, room)
    end = arguments.start + len(shown)
    count = f"{arguments.start} to {end} of {len(text)}"
    if end < len(text):
        count += f"; to read on, use start={end}"
    if page.cut or len(found.text) > _MOST_CHARACTERS:
        count += "; the page is longer than what is read of it"
    return f"{head}Characters: {count}\n\n{shown}"
