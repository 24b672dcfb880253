"""The middleware around a small application.

Errors, ids, headers, limits, logs and metrics.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI

from gateway.core.body_limit import LARGE_BODY as MAX_BODY_BYTES
from gateway.core.metrics import registry as metrics
from gateway.core.settings import Settings
from gateway.middleware import access_log
from gateway.middleware import errors as failures
from tests.support.hostile_json import HOSTILE_JSON
from tests.support.middleware_app import USER_ID, middleware_app

MARK = "secret-marker"
JSON = {"content-type": "application/json"}


@pytest.fixture
def app() -> FastAPI:
    return middleware_app()


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the log lines of the middleware."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    monkeypatch.setattr(access_log, "log", logger)
    monkeypatch.setattr(failures, "log", logger)
    return capture.entries  # type: ignore[return-value]


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the error after checking its shape, and that it echoes no input."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"type", "code", "message", "param", "request_id"}
    assert body["error"]["code"] == code
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    assert MARK not in answer.text
    error: dict[str, Any] = body["error"]
    return error


def http_scope(path: str) -> dict[str, Any]:
    """Return the ASGI scope of a GET request."""
    return {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [],
        "query_string": b"", "root_path": "", "scheme": "http", "server": ("h", 80),
        "client": ("203.0.113.9", 1),
        "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip


def count(name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("path", ["/api/things", "/api/things/raw"])
@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
async def test_a_hostile_body_is_a_422_on_both_kinds_of_route(
    http: httpx.AsyncClient, path: str, body: bytes
) -> None:
    error_of(await http.post(path, content=body, headers=JSON), 422, "validation_failed")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "message", "required"),
        ({"message": 5}, "message", "string"),
        ({"message": MARK * 9}, "message", "at most 40"),
        ({"message": "rude"}, "message", "Say it politely."),
        ({"message": "a", "count": 11}, "count", "less than or equal to 10"),
        ({"message": "a", "count": 2**80}, "count", ""),
        ({"message": "a", "count": MARK}, "count", "integer"),
        ({"message": "a", "items": [{"content": "a"}, {"content": []}]}, "items.1.content", "string"),
        ({"message": "a", "email": f"{MARK}@@"}, "email", "not a valid e-mail"),
        ({"message": "a", "parent_id": MARK * 400}, "parent_id", "not a valid UUID"),
        ({"message": "a", "unknown": MARK}, "unknown", "not known"),
        ({"message": "a", f"{MARK} {'x' * 5000}": 1}, None, "not known"),
        ([MARK], None, ""),
        (MARK, None, ""),
        (None, None, ""),
    ],
)
async def test_an_invalid_field_is_named_but_not_echoed(
    http: httpx.AsyncClient, body: object, param: str | None, words: str
) -> None:
    error = error_of(await http.post("/api/things", json=body), 422, "validation_failed")
    assert error["param"] == param
    assert words in error["message"]


async def test_a_missing_body_is_a_422(http: httpx.AsyncClient) -> None:
    error_of(await http.post("/api/things"), 422, "validation_failed")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "json"]
)
@pytest.mark.parametrize("path", ["/api/things", "/api/things/raw"])
async def test_a_body_of_another_type_is_a_415(http: httpx.AsyncClient, path: str, kind: str) -> None:
    answer = await http.post(path, content=b'{"message": "hi"}', headers={"content-type": kind})
    error_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]
)
async def test_all_json_content_types_are_accepted(http: httpx.AsyncClient, kind: str) -> None:
    answer = await http.post("/api/things", content=b'{"message": "hi"}', headers={"content-type": kind})
    assert answer.json() == {"message": "hi"}


async def test_a_compressed_body_is_a_415(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/things", content=b"x", headers={**JSON, "content-encoding": "gzip"})
    error_of(answer, 415, "unsupported_media_type")


async def test_forms_follow_the_same_rules(http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/things/form", data={"username": "é"})).json() == {"length": 1}
    error_of(await http.post("/api/things/form", data={"username": "a\x00"}), 422, "validation_failed")
    error_of(await http.post("/api/things/form", json={"username": "a"}), 415, "unsupported_media_type")
    form = {"content-type": "application/x-www-form-urlencoded"}
    odd = await http.post("/api/things/form", content=b"username=%ED%A0%80", headers=form)
    assert odd.status_code == 200
    broken = await http.post(
        "/api/things/form",
        content=b"--x",
        headers={"content-type": "multipart/form-data; boundary=é".encode()},
    )
    error_of(broken, 400, "invalid_request")


@pytest.mark.parametrize("thing", ["%00", "a" * 5000, "%ED%A0%80", "1%00", "..%2f..", "null", "%F0%9F%98%80"])
async def test_a_malformed_id_is_a_404(http: httpx.AsyncClient, thing: str) -> None:
    error_of(await http.get(f"/api/things/{thing}"), 404, "not_found")


async def test_nul_in_a_query_is_a_422(http: httpx.AsyncClient) -> None:
    error_of(await http.get(f"/api/things/{uuid4()}?q=%00"), 422, "validation_failed")
    error = error_of(await http.get(f"/api/things/{uuid4()}?q={MARK}"), 422, "validation_failed")
    assert error["param"] == "q"


async def test_an_unknown_path_and_a_wrong_method_have_the_error_shape(http: httpx.AsyncClient) -> None:
    error_of(await http.get("/nowhere"), 404, "not_found")
    wrong = await http.put("/api/things", json={})
    error_of(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    error_of(await http.request("SECRET", "/api/things"), 405, "method_not_allowed")


async def test_error_headers_say_whether_and_when_to_retry(http: httpx.AsyncClient) -> None:
    key = await http.get("/api/things/errors/key")
    error_of(key, 401, "invalid_api_key")
    assert key.headers["www-authenticate"] == "Bearer"
    assert key.headers["x-should-retry"] == "false"
    limited = await http.get("/api/things/errors/limited")
    error_of(limited, 429, "rate_limited")
    assert (limited.headers["retry-after"], limited.headers["retry-after-ms"]) == ("3", "2250")
    assert "x-should-retry" not in limited.headers
    closed = await http.get("/api/things/errors/open")
    error_of(closed, 503, "circuit_open")
    assert closed.headers["retry-after"] == "1"
    vendor = await http.get("/api/things/errors/vendor")
    error_of(vendor, 429, "upstream_rate_limited")
    assert vendor.headers["retry-after-ms"] == "500"
    busy = await http.get("/api/things/errors/busy")
    error_of(busy, 409, "turn_in_progress")
    assert busy.headers["x-should-retry"] == "false"
    assert "retry-after" not in busy.headers


async def test_a_bug_is_a_500_logged_with_its_traceback(
    http: httpx.AsyncClient, lines: list[dict[str, Any]]
) -> None:
    answer = await http.get("/api/things/bugs/key")
    error = error_of(answer, 500, "internal_error")
    assert "secret words" not in answer.text
    assert error["type"] == "server_error"
    logged, access = lines
    assert isinstance(logged["exc_info"], KeyError)
    assert access["status"] == 500


async def test_a_bug_after_the_headers_truncates_the_response(
    app: FastAPI, lines: list[dict[str, Any]]
) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("/api/things/bugs/late"), receive, send)  # type: ignore[arg-type]
    assert [message.get("body") for message in sent] == [None, b"begun"]
    assert sent[-1]["more_body"] is True
    assert [line["event"] for line in lines] == ["request.unhandled_error", "request"]


@pytest.mark.parametrize("path", ["/api/things/{}", "/api/things/{}/", "/api/things/{}//"])
async def test_a_trailing_slash_makes_no_difference(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path.format(uuid4()))
    assert answer.status_code == 200
    assert not answer.history


async def test_request_and_trace_ids_are_accepted_and_returned(http: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-request-id": "mine-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await http.get("/health/live", headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-trace-id"] == trace
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    other = await http.get("/nowhere", headers={"x-request-id": "not an id"})
    assert re.fullmatch(r"req_[0-9a-f]{32}", other.headers["x-request-id"])


async def test_every_response_has_the_security_headers_once(http: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/nowhere", "/api/things/bugs/key", "/api/things/%00"):
        answer = await http.get(path)
        for name in ("x-content-type-options", "referrer-policy", "x-frame-options", "x-request-id"):
            assert len(answer.headers.get_list(name)) == 1, (path, name)


async def test_the_access_log_line_has_its_fields(
    http: httpx.AsyncClient, lines: list[dict[str, Any]]
) -> None:
    thing = uuid4()
    await http.get(f"/api/things/{thing}/?q=1", headers={"x-request-id": "r-1"})
    (line,) = lines
    assert line | {
        "event": "request", "log_level": "info", "request_id": "r-1", "user_id": str(USER_ID), "model": "m",
        "method": "GET", "path": f"/api/things/{thing}/", "status": 200, "client_ip": "203.0.113.9",
    } == line  # fmt: skip
    assert line["duration_ms"] >= 0
    assert len(line["trace_id"]) == 32
    assert "fallback_model" not in line


async def test_health_and_metrics_are_logged_at_debug(
    http: httpx.AsyncClient, lines: list[dict[str, Any]]
) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        await http.get(path)
    assert {line["log_level"] for line in lines} == {"debug"}
    await http.get("/healthy")
    assert lines[-1]["log_level"] == "info"


async def test_a_long_path_is_truncated_in_the_log(
    http: httpx.AsyncClient, lines: list[dict[str, Any]]
) -> None:
    await http.get("/" + "x" * 5000)
    assert len(lines[0]["path"]) < 600


async def test_requests_are_counted_by_template(http: httpx.AsyncClient) -> None:
    template = {"method": "GET", "path": "/api/things/{thing_id}"}
    before = count("gateway_requests_total", status="200", **template)
    unmatched = count("gateway_requests_total", method="GET", path="unmatched", status="404")
    for _ in range(3):
        await http.get(f"/api/things/{uuid4()}")
        await http.get(f"/{uuid4()}")
    await http.request(uuid4().hex.upper(), "/nowhere")
    assert count("gateway_requests_total", status="200", **template) == before + 3
    assert count("gateway_requests_total", method="GET", path="unmatched", status="404") == unmatched + 3
    assert count("gateway_request_latency_seconds_count", **template) >= 3
    assert count("gateway_in_flight_requests") == 0
    page = (await http.get("/metrics")).text
    assert {match.split("{")[0] for match in re.findall(r"^gateway_requests_total\S*", page, re.M)} == {
        "gateway_requests_total"
    }
    methods = set(re.findall(r'gateway_requests_total\{method="(\w+)"', page))
    assert methods <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"}


@pytest.mark.parametrize("path", ["/api/things/upload", "/nowhere"])
async def test_an_announced_body_over_the_limit_is_rejected_unread(app: FastAPI, path: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        assert sent, "the body was read before the answer"
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = http_scope(path) | {"method": "POST"}
    scope["headers"] = [(b"content-length", str(MAX_BODY_BYTES + 1).encode())]
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b"body_too_large" in sent[1]["body"]
    assert sent[-1]["more_body"] is False


@pytest.mark.parametrize("path", ["/api/things", "/api/things/raw", "/api/things/upload"])
async def test_a_chunked_body_is_rejected_at_the_limit(app: FastAPI, path: str) -> None:
    sent = answered_at = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1600):
            sent += 65536
            yield b"a" * 65536

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watch(message: Any) -> None:
            nonlocal answered_at
            if message["type"] == "http.response.start":
                answered_at = sent
            await send(message)

        await app(scope, receive, watch)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="http://gateway") as http:
        answer = await http.post(path, content=body(), headers=JSON)
    error_of(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert answered_at <= MAX_BODY_BYTES + 65536


async def test_a_body_of_exactly_the_limit_is_read(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/things/upload", content=b"a" * MAX_BODY_BYTES)
    assert answer.json() == {"size": MAX_BODY_BYTES}


async def test_a_client_disconnect_is_a_499_and_ends_the_stream(
    app: FastAPI, lines: list[dict[str, Any]]
) -> None:
    gone = asyncio.Event()
    sent: list[dict[str, Any]] = []
    got_first = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            got_first.set()

    task = asyncio.create_task(app(http_scope("/api/things/slow/stream"), receive, send))  # type: ignore[arg-type]
    await got_first.wait()
    assert [message.get("body") for message in sent[1:]] == [b"data: first\n\n"]
    gone.set()
    await task
    await app.state.ended.wait()
    assert lines[-1]["status"] == 499
    assert count("gateway_requests_total", method="GET", path="/api/things/slow/stream", status="499") >= 1


async def test_a_browser_of_an_allowed_origin_reads_errors_too() -> None:
    app = middleware_app(Settings(_env_file=None, cors_origins="https://console.example"))  # type: ignore[call-arg]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        ours = {"origin": "https://console.example"}
        for path, status in (("/health/live", 200), ("/nowhere", 404), ("/api/things/bugs/key", 500)):
            answer = await http.get(path, headers=ours)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://console.example"
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
        preflight = await http.options(
            "/api/things", headers={**ours, "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 200
        assert "x-request-id" in preflight.headers
        stranger = await http.get("/health/live", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_without_origins_there_is_no_cors(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health/live", headers={"origin": "https://console.example"})
    assert "access-control-allow-origin" not in answer.headers
