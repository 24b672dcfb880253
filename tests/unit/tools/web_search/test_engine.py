"""`web_search` with the real `ddgs`, two of whose engines are redirected to loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ddgs.engines.mojeek import Mojeek
from ddgs.engines.yahoo_news import YahooNews

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.config.web_tools import WebSearchConfig
from gateway.domain.messages import ToolCall
from gateway.tools.registry import ToolRegistry
from gateway.tools.result import ToolResult
from gateway.tools.web_search.engine import DdgsEngine, Row, SearchFailed, SearchKind, SearchQuery
from gateway.tools.web_search.tool import WebSearchTool
from tests.support.upstreams.page_server import PageResponse, PageServer

PAGES = b"""<html><body><ul class="results-standard">
<li><h2><a href="https://en.wikipedia.org/wiki/Tea">Tea &amp; its <b>history</b></a></h2>
<p class="s">Tea is a drink.</p></li>
<li><h2><a href="https://brew.example/green?utm_source=q">How to brew green tea</a></h2>
<p class="s">Water first.</p></li>
</ul></body></html>"""
NEWS = b"""<html><body><div id="web"><ul><li>
<a href="https://paper.example"><img src="x"></a>
<h4><a href="https://r.search.yahoo.example/RV=2/RU=https%3a%2f%2fpaper.example%2ftea/RK=2">Tea</a></h4>
<span class="s-time time">2 hours ago</span><span class="s-source source">The Paper</span>
<p>Farmers say so.</p>
</li></ul></div></body></html>"""


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PageServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "DDGS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with PageServer() as server:
        monkeypatch.setattr(Mojeek, "search_url", f"http://127.0.0.1:{server.port}/text")
        monkeypatch.setattr(YahooNews, "search_url", f"http://127.0.0.1:{server.port}/news")
        yield server


async def run(seconds: float = 20, **arguments: Any) -> ToolResult:
    section = {"backend": "mojeek,yahoo", "timeout_seconds": seconds}
    config = ToolsConfig.model_validate({"enabled": ["web_search"], "web_search": section})
    # Yahoo's page search would use the internet.
    tool = WebSearchTool(config, OneBackendPerKind(config.web_search))
    registry = ToolRegistry(config, instances={"web_search": tool})
    try:
        return await registry.run(
            ToolCall("1", "web_search", json.dumps({"query": "tea history", **arguments}))
        )
    finally:
        await registry.aclose()


class OneBackendPerKind:
    """Searches pages with Mojeek and news with Yahoo."""

    def __init__(self, config: WebSearchConfig) -> None:
        self.engines: dict[SearchKind, DdgsEngine] = {
            "text": DdgsEngine(config.model_copy(update={"backend": "mojeek"})),
            "news": DdgsEngine(config.model_copy(update={"backend": "yahoo"})),
        }

    async def search(self, kind: SearchKind, query: SearchQuery) -> list[Row]:
        return await self.engines[kind].search(kind, query)

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()


async def test_results_of_engines_are_parsed_merged_and_formatted(site: PageServer) -> None:
    site.pages["/text"] = PageResponse((PAGES,))
    site.pages["/news"] = PageResponse((NEWS,))

    outcome = await run(time_range="week")

    assert outcome.ok, outcome.content
    lines = [line.strip() for line in outcome.content.split("\n")]
    assert lines[0] == "1. Tea & its history"
    assert lines[1] == "https://en.wikipedia.org/wiki/Tea"
    assert "https://paper.example/tea" in lines
    assert any(line.startswith("The Paper · 20") and line.endswith("· news") for line in lines)
    assert "https://brew.example/green?utm_source=q" in lines
    asked = {request.path.split("?")[0]: request.path for request in site.asked}
    assert "q=tea+history" in asked["/text"] or "q=tea%20history" in asked["/text"]
    assert "btf=w" in asked["/news"]


@pytest.mark.parametrize("status", [202, 403, 429, 503])
async def test_a_rejection_is_distinguished_from_an_empty_page(site: PageServer, status: int) -> None:
    site.pages["/text"] = site.pages["/news"] = PageResponse((b"slow down",), status=status)

    outcome = await run()

    assert outcome.error == "refused"


async def test_an_empty_page_is_nothing_found(site: PageServer) -> None:
    site.pages["/text"] = site.pages["/news"] = PageResponse((b"<html><body>Sorry</body></html>",))

    assert (await run()).error == "nothing"


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"<" * 5000, b"<html>" + b"<div>" * 5000])
async def test_malformed_engine_output_is_a_message(site: PageServer, body: bytes) -> None:
    site.pages["/text"] = site.pages["/news"] = PageResponse((body,))

    outcome = await run()

    assert outcome.error in {"nothing", "unreachable"}


async def test_unreachable_engines_are_a_message(site: PageServer) -> None:
    await site.__aexit__(None, None, None)

    outcome = await run()

    assert outcome.error == "unreachable"


async def test_a_silent_engine_takes_no_longer_than_the_deadline(site: PageServer) -> None:
    site.pages["/text"] = site.pages["/news"] = PageResponse((b"<html>",), hang=True)

    outcome = await asyncio.wait_for(run(0.5), 30)

    assert outcome.error == "timeout"


async def test_the_event_loop_is_not_blocked_by_engines(site: PageServer) -> None:
    site.pages["/text"] = site.pages["/news"] = PageResponse((b"<html>",), hang=True)
    searching = asyncio.ensure_future(run(2))

    # The server runs on the same event loop, so a blocking search would never be answered.
    await asyncio.wait_for(site.answering.wait(), 30)

    assert not searching.done()
    assert (await searching).error == "timeout"


async def test_no_request_starts_after_the_deadline(site: PageServer) -> None:
    site.pages["/text"] = PageResponse((PAGES,))
    engine = DdgsEngine(WebSearchConfig(backend="mojeek"))

    with pytest.raises(SearchFailed) as trouble:
        await engine.search("text", SearchQuery("tea", "us-en", None, 5, -1.0))

    engine.close()
    assert trouble.value.reason == "timeout"
    assert site.connections == 0


async def test_a_kind_without_configured_engine_uses_no_other_engine(site: PageServer) -> None:
    engine = DdgsEngine(WebSearchConfig(backend="mojeek"))

    with pytest.raises(SearchFailed) as trouble:
        await engine.search("news", SearchQuery("tea", "us-en", None, 5, 5.0))

    engine.close()
    assert trouble.value.reason == "no_engine"


async def test_threads_of_abandoned_searches_end(site: PageServer) -> None:
    site.pages["/text"] = PageResponse((b"<html>",), hang=True)
    engine = DdgsEngine(WebSearchConfig(backend="mojeek"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await engine.search("text", SearchQuery("tea", "us-en", None, 5, 0.3))
    engine.close()

    threads = [thread for thread in threading.enumerate() if thread.name.startswith(("web-search", "DDGS"))]
    for thread in threads:
        await asyncio.to_thread(thread.join, 15)

    assert not any(thread.is_alive() for thread in threads)


async def test_queries_are_not_logged(site: PageServer, caplog: pytest.LogCaptureFixture) -> None:
    await site.__aexit__(None, None, None)
    with caplog.at_level(logging.DEBUG):
        outcome = await run(query="confidential")

    assert outcome.error == "unreachable"
    assert "confidential" not in caplog.text
