"""The exchange with a vendor: waits, addresses, compression, checks."""

from __future__ import annotations

import gzip
import json
import time
from email.utils import formatdate

import httpx
import pytest

from gateway.core.exceptions import UpstreamBroken, UpstreamUnauthorized
from gateway.domain.catalog import ProviderConfig, Timeouts
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Completed, TextDelta
from gateway.domain.messages import Message
from gateway.providers.chat import wire
from gateway.providers.chat.http_client import upstream_client
from gateway.providers.chat.openai import OpenAIProvider
from tests.upstreams.openai_server import OpenAIUpstream, Raw, Silence

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
def test_a_wait_is_read_if_it_makes_sense(value: str, seconds: float | None) -> None:
    assert wire.retry_after({"retry-after": value}) == seconds


def test_a_wait_may_be_a_date_or_milliseconds() -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    waited = wire.retry_after({"retry-after": in_a_minute})
    assert waited is not None
    assert 30 < waited <= 60
    assert wire.retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert wire.retry_after({}) is None


def test_geminis_bad_request_for_a_bad_key_is_about_credentials() -> None:
    body = b'{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}'
    assert isinstance(wire.error_of(400, {}, body), UpstreamUnauthorized)


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
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        wire.base_url_of(address, "https://example.com")


def test_an_address_loses_its_last_slash() -> None:
    assert wire.base_url_of("http://localhost:1/v1/", "x") == "http://localhost:1/v1"
    assert wire.base_url_of(None, "https://example.com") == "https://example.com"


async def test_an_answer_that_was_compressed_against_our_wish_is_read() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "zipped"}, "finish_reason": "stop"}]}
    data = gzip.compress(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([data[:20], data[20:]], headers={"content-encoding": "gzip"}))
        provider = OpenAIProvider("it", ProviderConfig(type="openai", base_url=up.url), Timeouts(), http)
        assert [e async for e in provider.stream(ASK)] == [TextDelta("zipped"), Completed("stop")]


async def test_a_body_beyond_the_limit_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([b" " * 1000] * 10, content_type="application/json"))
        response = await wire.send(http, httpx.Request("POST", f"{up.url}/chat/completions", content=b"{}"))
        with pytest.raises(UpstreamBroken):
            await wire.whole(response, 5000)
        await response.aclose()


async def test_a_check_of_a_silent_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_CHECK_SECONDS", 0.05)
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Silence())
        health = await wire.check_url(http, f"{up.url}/models", {})
    assert not health.reachable
    assert "no answer" in health.detail


async def test_a_byte_order_mark_is_no_part_of_a_body() -> None:
    async with OpenAIUpstream() as up, upstream_client(trust_env=False) as http:
        up.script(Raw([b"\xef\xbb", b"\xbf{}"], content_type="application/json"))
        response = await wire.send(http, httpx.Request("POST", f"{up.url}/embeddings", content=b"{}"))
        assert await wire.whole(response) == b"{}"
        await response.aclose()
