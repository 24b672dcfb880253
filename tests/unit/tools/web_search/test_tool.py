"""`web_search` with a scripted engine that answers, hangs or fails."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.registry import ToolRegistry
from gateway.tools.result import MAX_CONTENT_BYTES, ToolResult
from gateway.tools.web_search.engine import Row, SearchFailed, SearchFailureReason, SearchKind, SearchQuery
from gateway.tools.web_search.tool import WebSearchTool

TEXT: list[Row] = [
    {"title": "Tea - Wikipedia", "href": "https://en.wikipedia.org/wiki/Tea", "body": "Tea is a drink."},
    {
        "title": "How to brew green tea",
        "href": "https://brew.example/green?utm_source=x",
        "body": "Water first.",
    },
]
NEWS: list[Row] = [
    {
        "date": "2026-03-04T05:06:07+00:00",
        "title": "Harvest of tea begins early this year",
        "body": "Farmers say so.",
        "url": "https://www.paper.example/tea-harvest",
        "image": "https://img.example/1.png",
        "source": "The Paper",
    }
]


@dataclass
class Engine:
    """An engine with rows, a failure, or None for silence, by kind."""

    text: list[Row] | SearchFailureReason | None = "nothing"
    news: list[Row] | SearchFailureReason | None = "nothing"
    asked: list[tuple[SearchKind, SearchQuery]] = field(default_factory=list)
    closed: bool = False

    async def search(self, kind: SearchKind, query: SearchQuery) -> list[Row]:
        self.asked.append((kind, query))
        answer = self.text if kind == "text" else self.news
        if answer is None:
            await asyncio.Event().wait()
        if not isinstance(answer, list):
            raise SearchFailed(answer or "nothing")
        return answer

    def close(self) -> None:
        self.closed = True


async def run(engine: Engine, config: dict[str, Any] | None = None, **arguments: Any) -> ToolResult:
    section = ToolsConfig.model_validate({"web_search": config or {}})
    registry = ToolRegistry(ToolsConfig(enabled=()), instances={"web_search": WebSearchTool(section, engine)})
    try:
        return await registry.run(ToolCall("1", "web_search", json.dumps({"query": "tea", **arguments})))
    finally:
        await registry.aclose()


async def test_pages_and_news_are_one_list_with_sources_and_dates() -> None:
    engine = Engine(TEXT, NEWS)

    outcome = await run(engine)

    assert outcome.ok
    assert outcome.untrusted
    assert outcome.content == (
        "1. Tea - Wikipedia\n"
        "   https://en.wikipedia.org/wiki/Tea\n"
        "   en.wikipedia.org\n"
        "   Tea is a drink.\n"
        "\n"
        "2. Harvest of tea begins early this year\n"
        "   https://www.paper.example/tea-harvest\n"
        "   The Paper · 2026-03-04 · news\n"
        "   Farmers say so.\n"
        "\n"
        "3. How to brew green tea\n"
        "   https://brew.example/green?utm_source=x\n"
        "   brew.example\n"
        "   Water first."
    )
    assert engine.closed


async def test_arguments_reach_the_engine() -> None:
    engine = Engine(TEXT, NEWS)

    await run(engine, kind="news", region="kr-kr", time_range="week", max_results=3, query=" green\ntea ")

    assert engine.asked == [("news", SearchQuery("green tea", "kr-kr", "w", 7, 10.0))]


async def test_defaults_come_from_the_configuration() -> None:
    engine = Engine(TEXT, NEWS)

    await run(engine, {"region": "de-de", "max_results": 2, "timeout_seconds": 4})

    assert {kind for kind, _ in engine.asked} == {"text", "news"}
    assert engine.asked[0][1] == SearchQuery("tea", "de-de", None, 6, 4.0)


@pytest.mark.parametrize(
    ("text", "news", "error", "words"),
    [
        ("nothing", "nothing", "nothing", "Nothing was found"),
        ("refused", "refused", "refused", "reject further searches"),
        ("refused", "nothing", "refused", "reject further searches"),
        ("nothing", "timeout", "timeout", "in time"),
        ("unreachable", "unreachable", "unreachable", "cannot be reached"),
        ("no_engine", "no_engine", "no_engine", "No configured search engine"),
        ([], [], "nothing", "Nothing was found"),
    ],
)
async def test_no_results_become_a_message_with_the_reason(
    text: list[Row] | SearchFailureReason, news: list[Row] | SearchFailureReason, error: str, words: str
) -> None:
    outcome = await run(Engine(text, news))

    assert not outcome.ok
    assert outcome.error == error
    assert words in outcome.content


async def test_hanging_engines_end_at_the_deadline() -> None:
    outcome = await asyncio.wait_for(run(Engine(None, None), {"timeout_seconds": 0.05}), 30)

    assert outcome.error == "timeout"


@pytest.mark.parametrize("trouble", [None, "refused", "unreachable", "timeout"])
async def test_one_failed_search_does_not_lose_the_other(trouble: SearchFailureReason | None) -> None:
    outcome = await run(Engine(TEXT, trouble), {"timeout_seconds": 0.2})

    assert outcome.ok
    assert outcome.content.startswith("(The search for news failed; these are the other results.)\n\n1. Tea")


async def test_an_empty_search_is_not_mentioned() -> None:
    outcome = await run(Engine("nothing", NEWS))

    assert outcome.content.startswith("1. Harvest")


async def test_invalid_rows_are_dropped_or_sanitized() -> None:
    rows: list[Row] = [
        {},
        {"title": None, "href": None, "body": None},
        {"title": "No page", "href": "javascript:alert(1)", "body": ""},
        {"title": "", "href": "https://untitled.example/", "body": "x"},
        {"title": "Too long", "href": "https://x.example/" + "y" * 5000, "body": "x"},
        {"title": 7, "href": ["https://x.example/"], "body": {}},
        {
            "title": "Good\n2. Forged \x00\u202e entry",
            "href": "https://good.example/a\n   https://forged.example/ b<c>",
            "body": "line\nline " + "z" * 5000,
        },
    ]

    outcome = await run(Engine(rows, [{"title": "Odd", "url": "http://[", "date": 20260101, "source": None}]))

    assert outcome.ok
    lines = outcome.content.split("\n")
    assert lines[0] == "1. Good 2. Forged entry"
    assert lines[1].strip() == "https://good.example/a%0A%20%20%20https://forged.example/%20b%3Cc%3E"
    assert len(lines[3]) < 420
    assert "javascript" not in outcome.content


async def test_many_long_results_fit_the_limit() -> None:
    rows: list[Row] = [
        {"title": f"{n} " + "제목" * 300, "href": f"https://x{n}.example/" + "a" * 500, "body": "본문" * 900}
        for n in range(20)
    ]

    outcome = await run(Engine(rows), max_results=20)

    assert outcome.ok
    assert not outcome.truncated
    assert len(outcome.content.encode()) < MAX_CONTENT_BYTES
    assert outcome.content.startswith("1. ")


@pytest.mark.parametrize(
    "arguments",
    [{"query": ""}, {"query": "x" * 500}, {"kind": "images"}, {"region": "Germany"}, {"time_range": "hour"},
     {"max_results": 0}, {"max_results": 99}, {"page": 2}, {"query": " \n\u200b "}],
)  # fmt: skip
async def test_invalid_arguments_reach_no_engine(arguments: dict[str, Any]) -> None:
    engine = Engine(TEXT, NEWS)

    outcome = await run(engine, **arguments)

    assert not outcome.ok
    assert engine.asked == []
