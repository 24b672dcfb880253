"""A turn's stream in the client, over a server that breaks off in every way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.client import (
    AsyncLLMGatewayClient,
    ConnectionLost,
    Delta,
    Done,
    LLMGatewayClient,
    NotFoundError,
    Replace,
    ServerError,
    TurnEnded,
    TurnEvent,
)
from gateway.client.sse import SseParser

TURN = {"conversation_id": "c", "user_message_id": "u", "message_id": "m", "request_id": "r"}


def done(text: str, status: str = "complete") -> dict[str, Any]:
    message = {"id": "m", "role": "assistant", "content": text, "status": status}
    return {"conversation_id": "c", "request_id": "r", "message": message}


def frame(number: int, event: str, data: dict[str, Any]) -> bytes:
    return f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode()


class Server:
    """Answers each request with the next of its scripts: frames, then `cut` (or not), or a status."""

    def __init__(self, *scripts: list[bytes] | int) -> None:
        self.scripts = list(scripts)
        self.requests: list[tuple[str, str, str | None]] = []
        self.keys: list[str | None] = []
        self.bodies: list[Any] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, request.headers.get("last-event-id")))
        self.bodies.append(await request.json() if request.can_read_body else None)
        self.keys.append(request.headers.get("idempotency-key"))
        script = self.scripts.pop(0)
        if isinstance(script, int):
            error = {"type": "t", "code": "c", "message": "No.", "param": None, "request_id": "r"}
            return web.json_response({"error": error}, status=script, headers={"retry-after-ms": "1"})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for data in script:
            if data == b"CUT":
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(data)
        return response


@asynccontextmanager
async def serving(*scripts: list[bytes] | int) -> AsyncIterator[Server]:
    server = Server(*scripts)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def follow(url: str, **options: Any) -> list[TurnEvent]:
    async with AsyncLLMGatewayClient(url, api_key="k", max_retries=0) as client:
        return [event async for event in client.stream_chat("Hello", **options)]


async def test_complete_stream_yields_its_events() -> None:
    script = [
        frame(1, "turn", TURN),
        frame(2, "delta", {"text": "Hi"}),
        frame(3, "news", {}),
        frame(4, "done", done("Hi")),
    ]
    async with serving(script) as server:
        events = await follow(server.url)

    assert [event.event for event in events] == ["turn", "delta", "done"]
    assert isinstance(events[-1], Done)
    assert events[-1].message.content == "Hi"


async def test_lost_stream_is_resumed_where_it_broke_off() -> None:
    first = [frame(1, "turn", TURN), frame(2, "delta", {"text": "Good "}), b"CUT"]
    second = [frame(3, "delta", {"text": "morning"}), frame(4, "done", done("Good morning"))]
    async with serving(first, 503, second) as server:
        events = await follow(server.url)

    assert "".join(event.text for event in events if isinstance(event, Delta)) == "Good morning"
    assert server.requests[1:] == [("GET", "/api/chat/stream/m", "2")] * 2


async def test_stream_without_final_event_is_resumed() -> None:
    first = [frame(1, "turn", TURN)]
    second = [frame(1, "turn", TURN), frame(2, "delta", {"text": "Hi"}), frame(3, "done", done("Hi"))]
    async with serving(first, second) as server:
        events = await follow(server.url)

    assert [event.event for event in events] == ["turn", "delta", "done"]


async def test_turn_interrupted_by_a_restart_is_regenerated() -> None:
    error = {"error": {"type": "unavailable_error", "code": "overloaded", "message": "Restarting."}}
    first = [frame(1, "turn", TURN), frame(2, "delta", {"text": "Half"}), frame(3, "error", error)]
    second = [
        frame(1, "turn", TURN | {"message_id": "m2"}),
        frame(2, "delta", {"text": "Whole"}),
        frame(3, "done", done("Whole")),
    ]
    wishes = {"model": "fast", "max_tokens": 7, "tools": "none"}
    async with serving(first, second) as server:
        events = await follow(server.url, **wishes, metadata={"a": "b"})

    assert server.requests[1][:2] == ("POST", "/api/chat/m/regenerate")
    assert server.bodies[1] == wishes
    assert [event.event for event in events] == ["turn", "delta", "replace", "delta", "done"]
    assert isinstance(events[2], Replace)


async def test_without_ask_again_an_interrupted_turn_raises_with_its_text() -> None:
    error = {"error": {"type": "unavailable_error", "code": "overloaded", "message": "Restarting."}}
    script = [frame(1, "turn", TURN), frame(2, "delta", {"text": "Half"}), frame(3, "error", error)]
    async with serving(script) as server:
        with pytest.raises(TurnEnded) as raised:
            await follow(server.url, ask_again=False)

    assert (raised.value.turn_status, raised.value.text, raised.value.code) == (
        "interrupted",
        "Half",
        "overloaded",
    )


async def test_failed_turn_is_not_regenerated() -> None:
    error = {"error": {"type": "upstream_error", "code": "upstream_failed", "message": "It failed."}}
    async with serving([frame(1, "turn", TURN), frame(2, "error", error)]) as server:
        with pytest.raises(TurnEnded) as raised:
            await follow(server.url)

    assert raised.value.turn_status == "failed"
    assert len(server.requests) == 1


async def test_cancelled_turn_is_not_regenerated() -> None:
    script = [frame(1, "turn", TURN), frame(2, "done", done("Half", "cancelled"))]
    async with serving(script) as server:
        with pytest.raises(TurnEnded) as raised:
            await follow(server.url)

    assert (raised.value.turn_status, raised.value.text) == ("cancelled", "Half")
    assert len(server.requests) == 1


async def test_turn_cancelled_after_a_lost_stream_is_regenerated() -> None:
    first = [frame(1, "turn", TURN), frame(2, "delta", {"text": "Half"}), b"CUT"]
    second = [frame(3, "done", done("Half", "cancelled"))]
    third = [frame(1, "turn", TURN | {"message_id": "m2"}), frame(2, "done", done("Whole"))]
    async with serving(first, second, third) as server:
        events = await follow(server.url)

    assert [path for _, path, _ in server.requests[1:]] == ["/api/chat/stream/m", "/api/chat/m/regenerate"]
    assert isinstance(events[-1], Done)
    assert events[-1].message.content == "Whole"


async def test_stream_lost_before_its_first_event_is_retried_with_the_same_key() -> None:
    whole = [frame(1, "turn", TURN), frame(2, "done", done("Hi"))]
    async with serving([b": ping\n\n", b"CUT"], whole) as server:
        events = await follow(server.url)

    assert [event.event for event in events] == ["turn", "done"]
    assert [path for _, path, _ in server.requests] == ["/api/chat/stream"] * 2
    assert server.keys[0] == server.keys[1] is not None


async def test_lost_response_is_retried_with_the_same_key() -> None:
    async with serving([b"CUT"], 404) as server:
        with LLMGatewayClient(server.url, api_key="k", max_retries=1) as client, pytest.raises(NotFoundError):
            await asyncio.to_thread(client.generate, "brand", {})

    assert server.keys[0] == server.keys[1] is not None


async def test_error_before_the_stream_is_raised_as_such() -> None:
    async with serving(503) as server:
        with pytest.raises(ServerError):
            await follow(server.url)
    async with serving(404) as server:
        with pytest.raises(NotFoundError):
            await follow(server.url)


async def test_stream_that_cannot_be_resumed_keeps_its_text() -> None:
    async with serving([frame(1, "turn", TURN), frame(2, "delta", {"text": "Half"}), b"CUT"], 503) as server:
        with pytest.raises(ConnectionLost) as raised:
            await follow(server.url, resume_seconds=0.0)

    assert raised.value.partial == "Half"


def test_unreachable_gateway_raises_connection_lost() -> None:
    with LLMGatewayClient("http://127.0.0.1:9", api_key="k", max_retries=0) as client:
        with pytest.raises(ConnectionLost):
            client.chat("Hello")
        with pytest.raises(ConnectionLost):
            list(client.stream_chat("Hello"))


def test_frames_do_not_depend_on_chunk_boundaries() -> None:
    text = frame(7, "delta", {"text": "고양이"}) + b": ping\r\n\r\n" + b"data: a\ndata: b\n\n"
    for size in (1, 2, 3, 7, 1000):
        parser = SseParser()
        found = [f for at in range(0, len(text), size) for f in parser.feed(text[at : at + size])]

        assert [(f.event, f.data) for f in found] == [
            ("delta", '{"text": "\\uace0\\uc591\\uc774"}'),
            ("message", "a\nb"),
        ]
        assert parser.last_id == "7"


@pytest.mark.parametrize(("api_key", "token"), [(None, None), ("a", "b")])
def test_exactly_one_credential_is_required(api_key: str | None, token: str | None) -> None:
    with pytest.raises(ValueError, match="api_key"):
        LLMGatewayClient("http://127.0.0.1:9", api_key=api_key, token=token)
