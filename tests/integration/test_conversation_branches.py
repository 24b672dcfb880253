"""Branches of a conversation: regenerated answers and edited questions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateway import Account, Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence


@pytest.fixture
async def up() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


@pytest.fixture
def gateway_config(up: OpenAIUpstream) -> dict[str, Any]:
    return {
        "providers": {"up": {"type": "openai", "base_url": up.url}},
        "models": {
            name: {"provider": "up", "model": f"v-{name}", "context_window": 8192, "capabilities": ["tools"]}
            for name in ("small", "other")
        },
        "routing": {"light": "small", "heavy": "small"},
        "retry": {"attempts": 1},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }


async def post(gateway: Gateway, person: Account, path: str, **body: Any) -> dict[str, Any]:
    answer = await gateway.http.post(path, json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert isinstance(parsed, dict)
    return parsed


async def ask(gateway: Gateway, person: Account, message: str, **body: Any) -> dict[str, Any]:
    return await post(gateway, person, "/api/chat", message=message, **body)


async def read(gateway: Gateway, person: Account, conversation_id: str) -> dict[str, Any]:
    answer = await gateway.http.get(f"/api/conversations/{conversation_id}", headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert isinstance(parsed, dict)
    return parsed


def shown(conversation: dict[str, Any]) -> list[str]:
    return [message["content"] for message in conversation["messages"]]


def prompt(call: Any) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in call.body["messages"]]


async def test_a_regenerated_answer_is_a_sibling_and_becomes_the_head(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    up.script(Reply(text=("One.",)), Reply(text=("Two.",)), Reply(text=("Other two.",)))
    first = await ask(gateway, person, "First?", system="Be brief.")
    conversation_id = first["conversation_id"]
    second = await ask(gateway, person, "Second?", conversation_id=conversation_id)
    old = second["message"]["id"]
    path = f"/api/chat/{old}/regenerate"
    again = await post(gateway, person, path, model="other", temperature=0.9, max_tokens=7, tools="none")
    assert again["conversation_id"] == conversation_id
    assert again["message"]["content"] == "Other two."
    assert again["message"]["model"] == "other"
    assert again["cache"] == "bypass"
    assert again["message"]["id"] not in (old, first["message"]["id"])
    sent = up.calls[2].body
    assert prompt(up.calls[2]) == prompt(up.calls[1])
    assert (sent["model"], sent["temperature"]) == ("v-other", 0.9)
    assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    conversation = await read(gateway, person, conversation_id)
    assert conversation["head_id"] == again["message"]["id"]
    assert shown(conversation) == ["First?", "One.", "Second?", "Other two."]
    siblings = [message["siblings"] for message in conversation["messages"]]
    assert [len(of) for of in siblings] == [1, 1, 1, 2]
    assert siblings[3] == [old, again["message"]["id"]]
    kept = await gateway.http.get(f"/api/conversations/{conversation_id}/messages", headers=person.headers)
    assert [message["role"] for message in kept.json()["items"]].count("user") == 2


async def test_the_first_turn_can_be_regenerated_by_its_question(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    up.script(Reply(text=("One.",)), Reply(text=("Again.",)))
    first = await ask(gateway, person, "First?")
    question = (await read(gateway, person, first["conversation_id"]))["messages"][0]["id"]
    await post(gateway, person, f"/api/chat/{question}/regenerate")
    assert prompt(up.calls[1]) == [("user", "First?")]
    conversation = await read(gateway, person, first["conversation_id"])
    assert shown(conversation) == ["First?", "Again."]
    assert conversation["messages"][1]["parent_id"] == question


async def test_a_regeneration_without_a_body_may_be_streamed(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    first = await ask(gateway, person, "First?")
    path = f"/api/chat/{first['message']['id']}/regenerate"
    answer = await gateway.http.post(path, headers={**person.headers, "accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event")]
    assert (events[0], events[-1]) == ("turn", "done")
    assert "delta" in events
    turn = json.loads(answer.text.split("data: ", 2)[1].splitlines()[0])
    assert turn["conversation_id"] == first["conversation_id"]
    assert up.calls[1].body["stream"] is True


async def test_a_regeneration_is_rejected_for_foreign_busy_or_unknown_messages(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    first = await ask(gateway, person, "First?")
    message_id = first["message"]["id"]
    stranger = await gateway.sign_up()
    for headers, name in (
        (stranger.headers, message_id),
        (person.headers, "nonsense"),
        (person.headers, first["conversation_id"]),
    ):
        answer = await gateway.http.post(f"/api/chat/{name}/regenerate", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    path = f"/api/chat/{message_id}/regenerate"
    for body, param in (
        ({"tools": 3}, "tools"),
        ({"message": "x"}, "message"),
        ({"max_tokens": 0}, "max_tokens"),
    ):
        answer = await gateway.http.post(path, json=body, headers=person.headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["param"].startswith(param)
    up.script(Silence(), Reply())
    body = {"message": "Wait.", "conversation_id": first["conversation_id"]}
    waiting = asyncio.create_task(gateway.http.post("/api/chat", json=body, headers=person.headers))
    while len(up.calls) < 2:  # noqa: ASYNC110 - the upstream tells of its calls by their number alone
        await asyncio.sleep(0.01)
    answer = await gateway.http.post(path, headers=person.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "turn_in_progress")
    waiting.cancel()


async def test_a_failed_regeneration_keeps_the_earlier_answer(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    up.script(Reply(text=("One.",)), Refusal(500))
    first = await ask(gateway, person, "First?")
    good = first["message"]["id"]
    answer = await gateway.http.post(f"/api/chat/{good}/regenerate", headers=person.headers)
    assert answer.status_code == 502
    path = f"/api/conversations/{first['conversation_id']}"
    changed = await gateway.http.patch(path, json={"head_id": good}, headers=person.headers)
    assert changed.json()["head_id"] == good
    assert shown(await read(gateway, person, first["conversation_id"])) == ["First?", "One."]


async def test_the_first_question_is_edited_with_the_root_as_parent(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    up.script(Reply(text=("One.",)), Reply(text=("Two.",)), Reply(text=("Edited.",)))
    first = await ask(gateway, person, "First?", system="Be brief.")
    conversation_id = first["conversation_id"]
    await ask(gateway, person, "Second?", conversation_id=conversation_id)
    await ask(gateway, person, "First, edited?", conversation_id=conversation_id, parent_id="root")
    assert prompt(up.calls[2]) == [("system", "Be brief."), ("user", "First, edited?")]
    conversation = await read(gateway, person, conversation_id)
    assert shown(conversation) == ["First, edited?", "Edited."]
    siblings = conversation["messages"][0]["siblings"]
    assert len(siblings) == 2
    assert siblings[1] == conversation["messages"][0]["id"]
    # Reading the first question's branch again is reading it to its end.
    path = f"/api/conversations/{conversation_id}"
    changed = await gateway.http.patch(path, json={"head_id": siblings[0]}, headers=person.headers)
    conversation = await read(gateway, person, conversation_id)
    assert shown(conversation) == ["First?", "One.", "Second?", "Two."]
    assert changed.json()["head_id"] == conversation["head_id"] == conversation["messages"][-1]["id"]


async def test_the_newest_branch_of_a_message_is_read(
    gateway: Gateway, person: Account, up: OpenAIUpstream
) -> None:
    first = await ask(gateway, person, "First?")
    conversation_id, one = first["conversation_id"], first["message"]["id"]
    await ask(gateway, person, "Left?", conversation_id=conversation_id)
    right = await ask(gateway, person, "Right?", conversation_id=conversation_id, parent_id=one)
    path = f"/api/conversations/{conversation_id}"
    changed = await gateway.http.patch(path, json={"head_id": one}, headers=person.headers)
    assert changed.json()["head_id"] == right["message"]["id"]
    last = await ask(gateway, person, "And then?", conversation_id=conversation_id)
    assert prompt(up.calls[-1])[2][1] == "Right?"
    conversation = await read(gateway, person, conversation_id)
    assert conversation["messages"][-1]["id"] == last["message"]["id"]
    assert len(conversation["messages"][2]["siblings"]) == 2


async def test_a_root_without_a_conversation_starts_one(gateway: Gateway, person: Account) -> None:
    started = await ask(gateway, person, "First?", parent_id="root")
    assert shown(await read(gateway, person, started["conversation_id"]))[0] == "First?"
