"""The tool `fetch`: reads a public web page as text."""

from __future__ import annotations

import asyncio
import re
import ssl
from http import HTTPStatus

from pydantic import Field

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import Tool, ToolArguments, ToolError
from gateway.tools.fetch.address_policy import AddressPolicy
from gateway.tools.fetch.charset import decode, is_binary
from gateway.tools.fetch.dns import Resolver, SystemResolver
from gateway.tools.fetch.extraction import EXTRACTION_SECONDS, ExtractedPage, TextExtractor
from gateway.tools.fetch.pinned_client import FetchedPage, PinnedClient
from gateway.tools.fetch.url import MAX_URL_CHARACTERS
from gateway.tools.text import MAX_TEXT_BYTES, remove_invisible, single_line, truncate_to_bytes

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_TYPES = re.compile(
    r"text/.+|application/(?:x-)?(?:json|xml|yaml|toml|javascript|ndjson|sql|sh)|.+\+(?:json|xml|yaml)"
)
_UNSPECIFIC_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/unknown"})
_LOOKS_LIKE_HTML = re.compile(
    r"\s*(?:<!--.{0,999}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_NON_TEXT_TYPES = {"image": "an image", "audio": "a sound", "video": "a video", "font": "a font"}
_MAX_CHARACTERS = 400_000  # more would block the event loop, and take 27 calls to read
_RANGE_LINE_BYTES = 200  # reserved for the line with the shown range


class FetchArguments(ToolArguments):
    url: str = Field(
        min_length=1,
        max_length=MAX_URL_CHARACTERS,
        description="Address of a public page, such as https://example.org/page.",
    )
    max_characters: int = Field(default=8000, ge=100, le=15000, description="How much of the text to return.")
    start: int = Field(
        default=0, ge=0, le=_MAX_CHARACTERS, description="Character to begin at, to read on in a long page."
    )


class FetchTool(Tool[FetchArguments]):
    """Fetches a page; `resolve` and `ssl_context` default to those of the machine."""

    name = "fetch"
    description = (
        "Read a public web page: its title and readable text. Use it for a page whose address is known, from "
        "the user or from web_search. It cannot sign in, run scripts, nor read private addresses or PDFs."
    )
    untrusted = True
    arguments = FetchArguments

    def __init__(
        self, config: ToolsConfig, resolve: Resolver | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(config)
        settings = config.fetch
        self._timeout_seconds = settings.timeout_seconds
        # Longer than the two inner timeouts, which have more specific messages.
        self.timeout_seconds = settings.timeout_seconds + EXTRACTION_SECONDS + 5
        self._system_resolver = SystemResolver()
        self._client = PinnedClient(
            AddressPolicy(settings.allow_private),
            frozenset(settings.ports),
            resolve or self._system_resolver,
            max_bytes=settings.max_bytes,
            ssl_context=ssl_context,
        )
        self._extractor = TextExtractor()

    async def run(self, arguments: FetchArguments) -> str:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                page = await self._client.get(arguments.url)
        except TimeoutError:
            raise ToolError(
                f"The page was not received within {self._timeout_seconds:g} seconds; try another page.",
                kind="timeout",
            ) from None
        return _format_page(page, await self._extract(page), arguments)

    async def _extract(self, page: FetchedPage) -> ExtractedPage:
        if not 200 <= page.status < 300:
            raise ToolError(
                f"The site answered {_describe_status(page.status)}; try another page.", kind="status"
            )
        media_type = page.content_type.partition(";")[0].strip().lower()
        if not (
            media_type in _HTML_TYPES or media_type in _UNSPECIFIC_TYPES or _TEXT_TYPES.fullmatch(media_type)
        ):
            description = (
                "a PDF"
                if media_type == "application/pdf"
                else _NON_TEXT_TYPES.get(media_type.partition("/")[0], "a file")
            )
            raise ToolError(f"This is {description}, not a page of text; try another page.", kind="not_text")
        if is_binary(page.body):
            raise ToolError("This is a file and not text; try another page.", kind="not_text")
        text = await asyncio.to_thread(decode, page.body, page.content_type, truncated=page.truncated)
        if media_type in _HTML_TYPES or (media_type in _UNSPECIFIC_TYPES and _LOOKS_LIKE_HTML.match(text)):
            return await self._extractor.extract(text)
        return ExtractedPage("", text)

    async def aclose(self) -> None:
        self._system_resolver.close()


def _describe_status(code: int) -> str:
    try:
        return f"{code} ({HTTPStatus(code).phrase})"
    except ValueError:
        return str(code)


def _format_page(page: FetchedPage, extracted: ExtractedPage, arguments: FetchArguments) -> str:
    text = remove_invisible(extracted.text[:_MAX_CHARACTERS])
    if not text:
        raise ToolError("This page has no text; it may need scripts or a sign-in. Try another page.")
    if arguments.start >= len(text):
        raise ToolError(f"The text of this page has only {len(text)} characters; use a smaller start.")
    fields = {
        "Title": single_line(extracted.title, 300),
        "URL": single_line(page.url, 500),
        "Site": single_line(extracted.site, 100),
        "Date": single_line(extracted.date, 40),
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    max_bytes = MAX_TEXT_BYTES - len(head.encode()) - _RANGE_LINE_BYTES
    shown = truncate_to_bytes(text[arguments.start :], arguments.max_characters, max_bytes)
    end = arguments.start + len(shown)
    range_text = f"{arguments.start} to {end} of {len(text)}"
    if end < len(text):
        range_text += f"; to read on, use start={end}"
    if page.truncated or len(extracted.text) > _MAX_CHARACTERS:
        range_text += "; the rest of the page cannot be read"
    return f"{head}Characters: {range_text}\n\n{shown}"
