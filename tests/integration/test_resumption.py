"""Coming back to a turn whose stream was lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_server import Gateway, running_gateway
from tests.upstreams.openai_server import OpenAIUpstream, Reply


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as up:
        yield up


@pytest.fixture
async def gateway(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> AsyncIterator[Gateway]:
    config: dict[str, object] = {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {"m": {"provider": "up", "model": "gpt-test"}},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }
    async with running_gateway(database_url, redis_url, tmp_path, config) as running:
        yield running


def events(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_a_finished_turn_is_told_once_more(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    turn = {"message": "Hello", "model": "m"}
    told = (await gateway.http.post("/api/chat", json=turn, headers=person.headers)).json()
    message_id = told["message"]["id"]

    answer = await gateway.http.get(f"/api/chat/stream/{message_id}", headers=person.headers)

    assert answer.headers["content-type"].startswith("text/event-stream")
    again = events(answer.text)
    assert [(number, name) for number, name, _ in again] == [(1, "turn"), (2, "replace"), (3, "done")]
    assert again[0][2]["message_id"] == message_id
    assert again[1][2]["text"] == told["message"]["content"]
    assert again[2][2]["message"]["usage"] == told["message"]["usage"]
    assert again[2][2]["receipt"] == told["receipt"] | {"overhead_ms": again[2][2]["receipt"]["overhead_ms"]}


async def test_ids_go_on_where_the_lost_stream_had_come_to(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    told = await gateway.http.post("/api/chat", json={"message": "Hi", "model": "m"}, headers=person.headers)
    path = f"/api/chat/stream/{told.json()['message']['id']}"

    answer = await gateway.http.get(path, headers={**person.headers, "last-event-id": "7"})

    assert [(number, name) for number, name, _ in events(answer.text)] == [(8, "replace"), (9, "done")]


async def test_a_running_turn_is_waited_for(gateway: Gateway, upstream: OpenAIUpstream) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(text=("Good ", "morning"), gate=gate, gate_at=1))
    person = await gateway.sign_up()
    turn = {"message": "Hello", "model": "m"}
    async with gateway.http.stream("POST", "/api/chat/stream", json=turn, headers=person.headers) as lost:
        lines = lost.aiter_lines()
        while not (line := await anext(lines)).startswith("data: "):
            continue
        message_id = json.loads(line.removeprefix("data: "))["message_id"]
    following = asyncio.create_task(
        gateway.http.get(f"/api/chat/stream/{message_id}", headers=person.headers)
    )
    await asyncio.sleep(0)
    gate.set()

    told = events((await following).text)

    assert [name for _, name, _ in told] == ["turn", "replace", "done"]
    assert told[1][2]["text"] == "Good morning"


async def test_a_failed_turn_ends_with_its_error(gateway: Gateway, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(fault="reset", after=2))
    person = await gateway.sign_up()
    turn = {"message": "Hello", "model": "m"}
    answer = await gateway.http.post("/api/chat/stream", json=turn, headers=person.headers)
    message_id = events(answer.text)[0][2]["message_id"]

    told = events((await gateway.http.get(f"/api/chat/stream/{message_id}", headers=person.headers)).text)

    assert [name for _, name, _ in told] == ["turn", "replace", "error"]
    assert told[1][2]["text"] == "Hello, "
    assert told[2][2]["error"]["code"] == "upstream_failed"


async def test_a_question_has_no_stream(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    turn = {"message": "Hello", "model": "m"}
    streamed = await gateway.http.post("/api/chat/stream", json=turn, headers=person.headers)
    question_id = events(streamed.text)[0][2]["user_message_id"]

    answer = await gateway.http.get(f"/api/chat/stream/{question_id}", headers=person.headers)

    assert answer.status_code == 404
