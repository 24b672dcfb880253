"""Turns through the whole gateway: real PostgreSQL, real Valkey, upstream servers on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from gateway.domain.money import Usage
from tests.support.gateway import Account, Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall


def config(first: str, second: str) -> dict[str, Any]:
    able = {"context_window": 8192, "capabilities": ["tools", "json"]}
    return {
        "providers": {
            "first": {"type": "openai", "base_url": first},
            "second": {"type": "openai", "base_url": second},
        },
        "models": {
            "small": {"provider": "first", "model": "v-small", "price": {"input": 1, "output": 2}, **able},
            "spare": {"provider": "second", "model": "v-spare", "price": {"input": 1, "output": 2}, **able},
        },
        "aliases": {"fast": ["small"]},
        "routing": {"light": "small", "heavy": "small"},
        "fallbacks": {"small": ["spare"]},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }


@pytest.fixture
async def first() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


@pytest.fixture
async def second() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


@pytest.fixture
def gateway_config(first: OpenAIUpstream, second: OpenAIUpstream) -> dict[str, Any]:
    return config(first.url, second.url)


def parse_sse(body: str) -> list[tuple[int, str, dict[str, Any]]]:
    events = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


async def ask(gateway: Gateway, person: Account, **body: Any) -> dict[str, Any]:
    answer = await gateway.http.post("/api/chat/", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert isinstance(parsed, dict)
    return parsed


async def messages_of(gateway: Gateway, person: Account, conversation_id: str) -> list[dict[str, Any]]:
    answer = await gateway.http.get(f"/api/conversations/{conversation_id}/messages", headers=person.headers)
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert isinstance(items, list)
    return sorted(items, key=lambda item: item["id"])


async def wait_for_status(
    gateway: Gateway, person: Account, conversation_id: str, status: str
) -> dict[str, Any]:
    for _ in range(200):
        last = (await messages_of(gateway, person, conversation_id))[-1]
        if last["status"] == status:
            return last
        await asyncio.sleep(0.02)
    raise AssertionError(f"the message never became {status}: {last}")


async def test_a_turn_is_answered_stored_and_charged(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.post("/api/chat", json={"message": "Hi there"}, headers=person.headers)
    body = answer.json()
    message = body["message"]
    assert answer.status_code == 200
    assert message["content"] == "Hello, world!"
    assert (message["status"], message["model"], message["provider"]) == ("complete", "small", "first")
    assert message["usage"] == Usage(11, 4).as_json()
    assert message["cost_usd"] == "0.000019"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["receipt"]["attempts"][0]["outcome"] == "ok"
    assert answer.headers["x-gateway-model"] == "small"
    assert answer.headers["x-gateway-cost-usd"] == "0.000019"
    assert "x-fallback-model" not in answer.headers
    kept = await messages_of(gateway, person, body["conversation_id"])
    assert [(m["role"], m["content"], m["status"]) for m in kept] == [
        ("user", "Hi there", "complete"),
        ("assistant", "Hello, world!", "complete"),
    ]
    async with gateway.container.engine.connect() as db:
        rows = (
            await db.execute(
                text(
                    "SELECT model, prompt_tokens, completion_tokens, outcome "
                    "FROM usage_records WHERE user_id = :u"
                ),
                {"u": person.id},
            )
        ).all()
    assert [tuple(row) for row in rows] == [("small", 11, 4, "ok")]


async def test_the_next_turn_gets_the_history(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    opened = await ask(gateway, person, message="My name is Ada.", system="Be brief.")
    await ask(gateway, person, message="What is my name?", conversation_id=opened["conversation_id"])
    assert [(m["role"], m["content"]) for m in first.calls[1].body["messages"]] == [
        ("system", "Be brief."),
        ("user", "My name is Ada."),
        ("assistant", "Hello, world!"),
        ("user", "What is my name?"),
    ]


async def test_a_question_after_an_earlier_message_creates_a_branch(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    opened = await ask(gateway, person, message="One.")
    conversation = opened["conversation_id"]
    await ask(gateway, person, message="Two.", conversation_id=conversation)
    parent = opened["message"]["id"]
    await ask(gateway, person, message="Two, again.", conversation_id=conversation, parent_id=parent)
    sent = [m["content"] for m in first.calls[2].body["messages"]]
    assert sent == ["One.", "Hello, world!", "Two, again."]
    kept = await messages_of(gateway, person, conversation)
    assert [m["content"] for m in kept if m["parent_id"] == parent] == ["Two.", "Two, again."]


async def test_a_stream_has_the_documented_events(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.post("/api/chat/stream", json={"message": "Hi"}, headers=person.headers)
    events = parse_sse(answer.text)
    names = [name for _, name, _ in events]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert names[:2] == ["turn", "route"]
    assert names[-1] == "done"
    assert set(names[2:-1]) == {"delta"}
    assert [i for i, _, _ in events] == sorted({i for i, _, _ in events})
    turn, done = events[0][2], events[-1][2]
    assert set(turn) == {"conversation_id", "user_message_id", "message_id", "request_id"}
    assert done["message"]["id"] == turn["message_id"]
    assert done["conversation_id"] == turn["conversation_id"]
    assert "".join(data["text"] for _, name, data in events if name == "delta") == done["message"]["content"]
    kept = await messages_of(gateway, person, turn["conversation_id"])
    assert [m["id"] for m in kept] == [turn["user_message_id"], turn["message_id"]]


async def test_gateway_tool_calls_are_streamed(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    call = ScriptedToolCall("calculator", ('{"expression":"2+2"}',), "call_9")
    first.script(Reply(text=(), tools=(call,), finish="tool_calls"), Reply(text=("Four.",)))
    answer = await gateway.http.post("/api/chat/stream", json={"message": "2+2?"}, headers=person.headers)
    events = parse_sse(answer.text)
    shown = {name: data for _, name, data in events}
    assert shown["tool_call"] == {"id": "call_9", "name": "calculator", "arguments": '{"expression":"2+2"}'}
    assert shown["tool_result"]["ok"] is True
    assert "4" in shown["tool_result"]["content"]
    assert shown["done"]["message"]["content"] == "Four."


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/stream"])
async def test_reasoning_and_tool_results_are_stored_counted_exported_and_deleted(
    gateway: Gateway, person: Account, first: OpenAIUpstream, path: str
) -> None:
    call = ScriptedToolCall("calculator", ('{"expression":"2+2"}',), "call_9")
    thought = "Two and two. " * 400
    first.script(
        Reply(text=(), reasoning=(thought,), tools=(call,), finish="tool_calls"), Reply(text=("Four.",))
    )
    answer = await gateway.http.post(path, json={"message": "2+2?"}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    listed = await gateway.http.get("/api/conversations", headers=person.headers)
    conversation = f"/api/conversations/{listed.json()['items'][0]['id']}"
    read = (await gateway.http.get(conversation, headers=person.headers)).json()["messages"]
    assert read[0]["details"] is None
    details = read[1]["details"]
    assert (details["reasoning"], details["truncated"]) == (thought, False)
    [run] = details["tools"]
    assert run["ms"] >= 0
    assert (run["name"], run["arguments"], run["ok"]) == ("calculator", '{"expression":"2+2"}', True)
    assert "4" in run["content"]
    pages = (await gateway.http.get(f"{conversation}/messages", headers=person.headers)).json()
    assert pages["items"][1]["details"] == details
    export = (await gateway.http.get("/api/user/me/export", headers=person.headers)).json()
    assert export["conversations"][0]["messages"][1]["details"] == details
    assert export["budgets"][0]["stored_bytes"] > len(thought)
    assert (await gateway.http.delete(conversation, headers=person.headers)).status_code == 204
    after = (await gateway.http.get("/api/user/me/export", headers=person.headers)).json()
    assert after["budgets"][0]["stored_bytes"] == 0


async def test_a_cancelled_answer_keeps_its_reasoning(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(reasoning=("Hm. ", "Let me see."), text=("Well", " then"), gate=gate, gate_at=3))
    body = {"message": "Say something."}
    async with gateway.http.stream("POST", "/api/chat/stream", json=body, headers=person.headers) as stream:
        message_id = conversation_id = ""
        async for line in stream.aiter_lines():
            data = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            message_id = message_id or data.get("message_id", "")
            conversation_id = conversation_id or data.get("conversation_id", "")
            if data == {"text": "Well"}:
                await gateway.http.post(f"/api/chat/{message_id}/cancel", headers=person.headers)
    gate.set()
    kept = await messages_of(gateway, person, conversation_id)
    assert (kept[1]["status"], kept[1]["content"]) == ("cancelled", "Well")
    assert kept[1]["details"] == {"reasoning": "Hm. Let me see.", "tools": [], "truncated": False}


async def test_a_users_answer_is_stored_after_a_disconnect(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, gate_at=2))
    request = gateway.http.stream("POST", "/api/chat/stream", json={"message": "Hi"}, headers=person.headers)
    async with request as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:") and "conversation_id" in line:
                conversation = json.loads(line[6:])["conversation_id"]
            if line == "event: delta":
                break
    gate.set()
    last = await wait_for_status(gateway, person, conversation, "complete")
    assert last["content"] == "Hello, world!"


async def test_an_api_keys_turn_is_cancelled_on_disconnect_and_stored_partially(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    key = await gateway.create_api_key(person)
    first.script(Reply(gate=asyncio.Event(), gate_at=2))
    headers = {"authorization": f"Bearer {key}"}
    request = gateway.http.stream("POST", "/api/chat/stream", json={"message": "Hi"}, headers=headers)
    async with request as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:") and "conversation_id" in line:
                conversation = json.loads(line[6:])["conversation_id"]
            if line == "event: delta":
                break
    await asyncio.wait_for(first.calls[0].disconnected.wait(), 30)
    last = await wait_for_status(gateway, person, conversation, "cancelled")
    assert last["content"] == "Hello, "
    # The conversation is usable again.
    first.script(Reply())
    await ask(gateway, person, message="Again", conversation_id=conversation)


async def test_a_fallback_answers_if_the_first_model_is_down(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    first.script(Refusal(503))
    answer = await gateway.http.post("/api/chat", json={"message": "Hi"}, headers=person.headers)
    assert answer.headers["x-fallback-model"] == "spare"
    assert answer.json()["message"]["model"] == "spare"
    attempts = [(a["model"], a["outcome"]) for a in answer.json()["receipt"]["attempts"]]
    assert attempts == [("small", "upstream_failed"), ("small", "upstream_failed"), ("spare", "ok")]


async def test_a_failed_turn_has_an_error_status_and_leaves_the_conversation_usable(
    gateway: Gateway, person: Account, first: OpenAIUpstream, second: OpenAIUpstream
) -> None:
    opened = await ask(gateway, person, message="One.")
    conversation = opened["conversation_id"]
    first.script(Refusal(500))
    second.script(Refusal(500))
    failed = await gateway.http.post(
        "/api/chat", json={"message": "Two.", "conversation_id": conversation}, headers=person.headers
    )
    assert failed.status_code == 502
    assert failed.json()["error"]["code"] == "upstream_failed"
    assert "vendor secret detail" not in failed.text
    kept = await messages_of(gateway, person, conversation)
    assert [m["status"] for m in kept] == ["complete", "complete", "complete", "failed"]
    first.script(Reply(text=("Three.",)))
    again = await ask(gateway, person, message="Three?", conversation_id=conversation)
    assert again["message"]["content"] == "Three."


async def test_an_interrupted_upstream_stream_ends_with_an_error_and_keeps_its_text(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    first.script(Reply(fault="cut", after=2))
    answer = await gateway.http.post("/api/chat/stream", json={"message": "Hi"}, headers=person.headers)
    events = parse_sse(answer.text)
    assert answer.status_code == 200
    assert events[-1][1] == "error"
    assert events[-1][2]["error"]["code"] == "upstream_failed"
    assert "done" not in [name for _, name, _ in events]
    last = (await messages_of(gateway, person, events[0][2]["conversation_id"]))[-1]
    assert (last["status"], last["content"]) == ("failed", "Hello, ")


async def test_a_second_turn_in_a_busy_conversation_is_rejected(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    opened = await ask(gateway, person, message="One.")
    conversation = opened["conversation_id"]
    gate = asyncio.Event()
    first.script(Reply(gate=gate), Reply())
    running = asyncio.create_task(ask(gateway, person, message="Two.", conversation_id=conversation))
    await first.wait_for_calls(2)
    busy = await gateway.http.post(
        "/api/chat", json={"message": "Three.", "conversation_id": conversation}, headers=person.headers
    )
    gate.set()
    await running
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "turn_in_progress")
    assert busy.headers["x-should-retry"] == "false"
    kept = await messages_of(gateway, person, conversation)
    assert [m["content"] for m in kept if m["role"] == "user"] == ["One.", "Two."]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 422, "validation_failed", "message"),
        ({"message": ""}, 422, "validation_failed", "message"),
        ({"message": "x", "colour": "red"}, 422, "validation_failed", "colour"),
        ({"message": "x", "temperature": 3}, 422, "validation_failed", "temperature"),
        ({"message": "x", "model": "no-such"}, 404, "model_not_found", "model"),
        ({"message": "x", "conversation_id": "zzz"}, 404, "not_found", None),
        ({"message": "x", "conversation_id": str(uuid4())}, 404, "not_found", None),
        ({"message": "x", "parent_id": str(uuid4())}, 404, "not_found", None),
        ({"message": "x", "tools": ["no_such_tool"]}, 422, "validation_failed", "tools"),
    ],
)
async def test_an_invalid_turn_is_rejected_and_nothing_is_stored(
    gateway: Gateway,
    person: Account,
    body: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    answer = await gateway.http.post("/api/chat/stream", json=body, headers=person.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["request_id"] == answer.headers["x-request-id"]
    listed = await gateway.http.get("/api/conversations", headers=person.headers)
    assert listed.json()["items"] == []


async def test_another_accounts_conversation_is_not_found(gateway: Gateway, person: Account) -> None:
    mine = await ask(gateway, person, message="Secret.")
    stranger = await gateway.sign_up()
    body = {"message": "Tell me", "conversation_id": mine["conversation_id"]}
    answer = await gateway.http.post("/api/chat", json=body, headers=stranger.headers)
    assert answer.status_code == 404
    assert len(await messages_of(gateway, person, mine["conversation_id"])) == 2


async def test_chat_routes_require_credentials(gateway: Gateway) -> None:
    for path in ("/api/chat", "/api/chat/stream", "/v1/chat/completions"):
        answer = await gateway.http.post(path, json={"message": "x"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
