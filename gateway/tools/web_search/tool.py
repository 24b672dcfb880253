"""The tool `web_search`: searches web pages and news, with sources."""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import Field

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import Tool, ToolArguments, ToolError
from gateway.tools.text import MAX_TEXT_BYTES, single_line
from gateway.tools.web_search.engine import (
    DdgsEngine,
    Row,
    SearchEngine,
    SearchFailed,
    SearchFailureReason,
    SearchKind,
    SearchQuery,
)
from gateway.tools.web_search.results import format_results, merge, parse_result

_TIME_RANGES = {"day": "d", "week": "w", "month": "m", "year": "y"}
_FAILURE_MESSAGES: dict[SearchFailureReason, str] = {
    "nothing": "Nothing was found; try other or fewer words, another region, or a longer time range.",
    "refused": "The search engines reject further searches for now; answer without them, or try again later.",
    "timeout": "The search engines did not answer in time; try once more, or answer without them.",
    "unreachable": "The search engines cannot be reached; answer without searching.",
    "no_engine": "No configured search engine supports this kind of search; try the other kind.",
}
# If several searches fail for different reasons, the first of these is reported.
_FAILURE_PRECEDENCE: tuple[SearchFailureReason, ...] = (
    "refused",
    "timeout",
    "unreachable",
    "nothing",
    "no_engine",
)


class WebSearchArguments(ToolArguments):
    query: str = Field(min_length=1, max_length=400, description="What to search for, in a few words.")
    kind: Literal["text", "news", "both"] = Field(
        default="both", description="text: web pages; news: press articles; both."
    )
    region: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2}-[a-z]{2,5}$",
        description="Country and language, such as us-en, kr-kr or de-de.",
    )
    time_range: Literal["day", "week", "month", "year"] | None = Field(
        default=None, description="Only results that are not older than this."
    )
    max_results: int | None = Field(default=None, ge=1, le=20, description="How many results to return.")


class WebSearchTool(Tool[WebSearchArguments]):
    """Searches the web; `engine` defaults to ddgs."""

    name = "web_search"
    description = (
        "Search the web and the news. Returns titles, addresses, sources, dates and excerpts; use fetch "
        "to read a page. Use it for what is recent or what you do not know, and name the sources you used."
    )
    untrusted = True
    arguments = WebSearchArguments

    def __init__(self, config: ToolsConfig, engine: SearchEngine | None = None) -> None:
        super().__init__(config)
        self._config = config.web_search
        # Longer than the engine's own timeout, which has a more specific message.
        self.timeout_seconds = self._config.timeout_seconds + 5
        self._engine = engine or DdgsEngine(self._config)

    async def run(self, arguments: WebSearchArguments) -> str:
        text = single_line(arguments.query, 400)
        if not text:
            raise ToolError("The query has no words in it.")
        kinds: tuple[SearchKind, ...] = ("text", "news") if arguments.kind == "both" else (arguments.kind,)
        max_results = arguments.max_results or self._config.max_results
        query = SearchQuery(
            text,
            arguments.region or self._config.region,
            _TIME_RANGES.get(arguments.time_range or ""),
            # More than are returned, since some will be duplicates.
            min(20, max_results + 4),
            self._config.timeout_seconds,
        )
        outcomes = await asyncio.gather(*(self._search(kind, query) for kind in kinds))
        result_lists = [
            [page for row in rows if (page := parse_result(row, news=kind == "news")) is not None]
            for kind, rows in zip(kinds, outcomes, strict=True)
            if isinstance(rows, list)
        ]
        failures = {answer for answer in outcomes if not isinstance(answer, list)}
        if not (results := merge(result_lists, max_results)):
            failure: SearchFailureReason = next(
                (reason for reason in _FAILURE_PRECEDENCE if reason in failures), "nothing"
            )
            raise ToolError(_FAILURE_MESSAGES[failure], kind=failure)
        return _partial_failure_note(kinds, outcomes) + format_results(results, MAX_TEXT_BYTES)

    async def _search(self, kind: SearchKind, query: SearchQuery) -> list[Row] | SearchFailureReason:
        try:
            async with asyncio.timeout(query.seconds):
                return await self._engine.search(kind, query)
        except TimeoutError:
            return "timeout"
        except SearchFailed as trouble:
            return trouble.reason

    async def aclose(self) -> None:
        self._engine.close()


def _partial_failure_note(
    kinds: tuple[SearchKind, ...], outcomes: list[list[Row] | SearchFailureReason]
) -> str:
    """Return a note if one of several searches failed, "" otherwise."""
    missing = [
        kind
        for kind, outcome in zip(kinds, outcomes, strict=True)
        if isinstance(outcome, str) and outcome not in ("nothing", "no_engine")
    ]
    names = {"text": "web pages", "news": "news"}
    return f"(The search for {names[missing[0]]} failed; these are the other results.)\n\n" if missing else ""
