"""Hostile bodies and paths on every route: a 4xx that echoes nothing."""
# ruff: noqa: E501  requests as bytes are best read a row a line

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.support.gateway import Gateway, set_role
from tests.support.hostile_json import HOSTILE_JSON

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {"mock": {"provider": "mock", "model": "mock"}},
    "routing": {"light": "mock", "heavy": "mock"},
    "guardrails": {"people": {"injection": "off"}},
    # Hundreds of requests of one account are the point here.
    "tiers": {"free": {"requests_per_minute": None, "tokens_per_day": None, "usd_per_month": None}},
}
MARK = "secret-marker"
JSON = {"content-type": "application/json"}
ODD_IDS = (
    "%00",
    "a" * 5000,
    "%ED%A0%80",
    "..%2f",
    "-1",
    "%F0%9F%98%80",
    "null",
    "00000000-0000-0000-0000-00000000000g",
)


@pytest.fixture
def gateway_config() -> dict[str, Any]:
    return CONFIG


def check(status: int, body: Any, text: str, where: str) -> None:
    """A named 4xx of the one shape."""
    assert 400 <= status < 500, f"{where}: {status} {text[:300]}"
    assert set(body["error"]) == {"type", "code", "message", "param", "request_id"}, where
    assert MARK not in text, where


async def routes(gateway: Gateway, *methods: str) -> list[tuple[str, str]]:
    """(method, path) of every route of these methods, from the gateway's own description."""
    paths = gateway.app.openapi()["paths"]
    return [(method, path) for path, item in paths.items() for method in item if method in methods]


async def credentials(gateway: Gateway) -> dict[bool, dict[str, str]]:
    """Headers by whether the route is one for services."""
    person = await gateway.sign_up()
    return {False: person.headers, True: {"authorization": f"Bearer {await gateway.create_api_key(person)}"}}


async def test_every_hostile_body_is_a_4xx_on_every_route_that_takes_one(gateway: Gateway) -> None:
    who = await credentials(gateway)
    found = await routes(gateway, "post", "put", "patch")
    found = [(method, path) for method, path in found if not path.endswith(("/auth/token", "/cancel"))]
    assert len(found) >= 8
    for method, path in found:
        url = re.sub(r"\{\w+\}", str(uuid4()), path)
        headers = {**who[path.startswith("/v1")], **JSON}
        for name, body in HOSTILE_JSON.items():
            answer = await gateway.http.request(method, url, content=body, headers=headers)
            check(answer.status_code, answer.json(), answer.text, f"{method} {path} with {name}")


HOSTILE_TURNS: dict[str, dict[str, Any]] = {
    "a text of a wrong type": {"message": {"a": MARK}},
    "no text": {"message": ""},
    "an unknown field": {"message": "hi", "nonsense": MARK},
    "an id of 5 KB": {"message": "hi", "conversation_id": MARK * 400},
    "an id that is a list": {"message": "hi", "conversation_id": [MARK]},
    "a parent that is no id": {"message": "hi", "parent_id": MARK},
    "a huge number": {"message": "hi", "max_tokens": 10**30},
    "a negative number": {"message": "hi", "max_tokens": -1},
    "a temperature as text": {"message": "hi", "temperature": MARK},
    "an unknown model": {"message": "hi", "model": MARK},
    "a model of 5 KB": {"message": "hi", "model": MARK * 400},
    "tools of a wrong type": {"message": "hi", "tools": {"a": MARK}},
    "a deep object": {"message": "hi", "metadata": {"a": [[[[[[[MARK]]]]]]]} | {"b": MARK * 100_000}},
}


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/stream"])
@pytest.mark.parametrize("body", HOSTILE_TURNS.values(), ids=HOSTILE_TURNS.keys())
async def test_a_turn_with_a_wrong_field_is_a_4xx(gateway: Gateway, path: str, body: dict[str, Any]) -> None:
    person = await gateway.sign_up()
    answer = await gateway.http.post(path, json=body, headers=person.headers)
    if "metadata" in body and answer.status_code == 200:
        assert MARK not in answer.text
        return
    check(answer.status_code, answer.json(), answer.text, path)


async def test_any_valid_json_text_is_stored_unchanged(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    odd = "😀 \u2028 \u0001 \\u0000 \ufffe ‮ é\u0301 \U0010ffff"
    answer = await gateway.http.post("/api/chat/", json={"message": odd}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    conversation = answer.json()["conversation_id"]
    kept = await gateway.http.get(f"/api/conversations/{conversation}/messages/", headers=person.headers)
    assert kept.json()["items"][0]["content"] == odd


async def test_every_malformed_id_is_a_404(gateway: Gateway) -> None:
    who = await credentials(gateway)
    admin = await gateway.sign_up()
    await set_role(gateway, admin)
    found = [(m, p) for m, p in await routes(gateway, "get", "delete", "patch", "post") if "{" in p]
    assert found
    for method, path in found:
        for odd in ODD_IDS:
            url = re.sub(r"\{\w+\}", odd, path)
            body = {"json": {"title": "x"}} if method in ("patch", "post") else {}
            headers = who[path.startswith("/v1")]
            if path.startswith("/api/admin/"):
                headers, body = admin.headers, {"json": {}}
            answer = await gateway.http.request(method, url, headers=headers, **body)
            check(answer.status_code, answer.json(), answer.text, f"{method} {path} {odd[:20]}")
            assert answer.status_code in (404, 405), f"{method} {path} {odd[:20]}"


async def test_odd_queries_are_a_422_or_harmless(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    for query in (
        "cursor=%00",
        "cursor=secret-marker",
        "cursor=" + "a" * 5000,
        "limit=0",
        "limit=1e9",
        "limit=%F0",
        "cursor=%ED%A0%80",
    ):
        answer = await gateway.http.get(f"/api/conversations?{query}", headers=person.headers)
        check(answer.status_code, answer.json(), answer.text, query)


async def test_a_body_sent_as_something_else_is_a_415(gateway: Gateway) -> None:
    who = await credentials(gateway)
    for path in (
        "/api/chat",
        "/api/chat/stream",
        "/v1/chat/completions",
        "/api/auth/login",
        "/api/conversations",
    ):
        answer = await gateway.http.post(
            path,
            content=b'{"message": "hi"}',
            headers={**who[path.startswith("/v1")], "content-type": "text/plain"},
        )
        assert answer.status_code == 415, path
        check(answer.status_code, answer.json(), answer.text, path)


async def raw(gateway: Gateway, request: bytes) -> bytes:
    """The whole answer to bytes as they are, until the server closes or the answer's body is there."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        return head + (await reader.readexactly(int(length[1])) if length else await reader.read())
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/conversations/\xff\xfe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /api/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\x80\r\nconnection: close\r\n\r\n",
        b"GET /api/models HTTP/1.1\r\nhost: x\r\nx-api-key: gw_\xc3\xa9\r\nconnection: close\r\n\r\n",
        b"GET /api/models HTTP/1.1\r\nhost: x\r\nx-request-id: \xff\r\ntraceparent: \xff\r\nconnection: close\r\n\r\n",
        b"GET /api/models HTTP/1.1\r\nhost: x\r\nauthorization: " + b"a" * 20_000 + b"\r\nconnection: close\r\n\r\n",
        b"GET /" + b"%00" * 1000 + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\nconnection: close\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: \xff/\xff\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999\r\nconnection: close\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)  # fmt: skip
async def test_any_bytes_of_a_request_line_or_header_get_a_4xx(gateway: Gateway, head: bytes) -> None:
    answer = await raw(gateway, head)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer[:200]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_of_100_mb_is_rejected_with_a_response(gateway: Gateway, announced: bool) -> None:
    person = await gateway.sign_up()
    size = 100 * 1024 * 1024

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // 65536):
            yield b" " * 65536

    headers = {**person.headers, **JSON, **({"content-length": str(size)} if announced else {})}
    answer = await gateway.http.post("/api/chat/", content=body(), headers=headers)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    check(answer.status_code, answer.json(), answer.text, "100 MB")
    assert (await gateway.http.get("/health/live")).status_code == 200


async def test_an_endless_body_is_rejected_at_the_limit(gateway: Gateway) -> None:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    who = (await gateway.sign_up()).headers["authorization"]
    head = f"POST /api/chat HTTP/1.1\r\nhost: x\r\nauthorization: {who}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    while not answer.done():
        writer.write(chunk)
        sent += 65536
        await writer.drain()
        await asyncio.sleep(0)
    assert (await answer).startswith(b"HTTP/1.1 413 ")
    # What lies in the sockets' buffers when the answer comes is not read by anybody.
    assert sent < 30 * 1024 * 1024
    writer.close()
