"""One HTTP exchange with a vendor: Retry-After, base URLs, compression, health checks."""

from __future__ import annotations

import gzip
import json
import time
from email.utils import formatdate

import httpx
import pytest

from gateway.core.exceptions import UpstreamBroken, UpstreamUnauthorized
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, TextDelta
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest
from gateway.providers.http import exchange
from gateway.providers.http.client import upstream_client
from gateway.providers.openai.chat import OpenAIChat
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw, Silence

ASK = ChatRequest("m", (Message("user", "Hello"),))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("0", 0),
        ("99999999999", 3600),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Foo 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 1990 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_only_plausible_retry_after_values_are_used(value: str, seconds: float | None) -> None:
    assert exchange.parse_retry_after({"retry-after": value}) == seconds


def test_retry_after_may_be_a_date_or_milliseconds() -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    waited = exchange.parse_retry_after({"retry-after": in_a_minute})
    assert waited is not None
    assert 30 < waited <= 60
    assert exchange.parse_retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert exchange.parse_retry_after({}) is None


def test_geminis_400_for_an_invalid_key_is_unauthorized() -> None:
    body = b'{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}'
    assert isinstance(exchange.error_from_response(400, {}, body), UpstreamUnauthorized)


@pytest.mark.parametrize(
    "address",
    [
        "localhost:11434",
        "ftp://example.com",
        "http://",
        "http://[::1",
        "x",
        "http://a..b",
        f"http://{'x' * 64}/",
    ],
)
def test_an_invalid_base_url_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        exchange.normalize_base_url(address, "https://example.com")


def test_a_trailing_slash_is_removed_from_the_base_url() -> None:
    assert exchange.normalize_base_url("http://localhost:1/v1/", "x") == "http://localhost:1/v1"
    assert exchange.normalize_base_url(None, "https://example.com") == "https://example.com"


async def test_an_unrequested_compression_is_decoded() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "zipped"}, "finish_reason": "stop"}]}
    data = gzip.compress(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([data[:20], data[20:]], headers={"content-encoding": "gzip"}))
        provider = OpenAIChat("it", ProviderConfig(type="openai", base_url=up.url), Timeouts(), http)
        assert [e async for e in provider.stream(ASK)] == [TextDelta("zipped"), Completed("stop")]


async def test_a_body_beyond_the_limit_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([b" " * 1000] * 10, content_type="application/json"))
        request = httpx.Request("POST", f"{up.url}/chat/completions", content=b"{}")
        response = await exchange.send(http, request)
        with pytest.raises(UpstreamBroken):
            await exchange.read_body(response, 5000)
        await response.aclose()


async def test_a_health_check_of_a_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_PROBE_SECONDS", 0.05)
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Silence())
        health = await exchange.probe_url(http, f"{up.url}/models", {})
    assert not health.reachable
    assert "no answer" in health.detail


async def test_a_byte_order_mark_is_removed_from_a_body() -> None:
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([b"\xef\xbb", b"\xbf{}"], content_type="application/json"))
        response = await exchange.send(http, httpx.Request("POST", f"{up.url}/embeddings", content=b"{}"))
        assert await exchange.read_body(response) == b"{}"
        await response.aclose()
