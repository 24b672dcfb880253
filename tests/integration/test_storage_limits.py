"""What an account stores is bounded, and read back in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest

from gateway.core.database import create_session_factory
from gateway.repositories import bounded_pages
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.chat import stored_responses as response_service
from tests.support.gateway import Account, Gateway

CONFIG = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "mock": {
            "provider": "mock",
            "model": "mock",
            "context_window": 10_000_000,
            "capabilities": ["tools", "json"],
        }
    },
    "routing": {"light": "mock", "heavy": "mock"},
    "titles": {"enabled": False},
    "tiers": {"free": {}, "small": {"storage_mb": 1}},
}


@pytest.fixture
def gateway_config(clean_redis: str) -> dict[str, Any]:
    return CONFIG


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


async def _turn(gateway: Gateway, person: Account, message: str, **fields: object) -> dict[str, object]:
    body = {"message": message, "model": "mock", **fields}
    answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, object] = answer.json()
    return made


async def test_an_export_does_not_depend_on_its_page_size(
    gateway: Gateway, person: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _turn(gateway, person, "One " * 300)
    await _turn(gateway, person, "Two", conversation_id=first["conversation_id"])
    await _turn(gateway, person, "Three")
    await gateway.http.post("/api/conversations", json={"title": "Empty"}, headers=person.headers)
    path = "/api/user/me/export"
    whole = (await gateway.http.get(path, headers=person.headers)).json()
    assert sorted(len(one["messages"]) for one in whole["conversations"]) == [0, 2, 4]
    monkeypatch.setattr(bounded_pages, "MAX_PAGE_BYTES", 1)
    parts = (await gateway.http.get(path, headers=person.headers)).json()
    assert parts["conversations"] == whole["conversations"]


@pytest.mark.parametrize("large", ["text", "tools", "instructions"])
async def test_a_stored_response_with_large_parameters_is_rejected_by_name(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch, large: str
) -> None:
    schema = {"type": "object", "properties": {}, "description": "d" * 5000}
    fields: dict[str, object] = {
        "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}},
        "tools": [{"type": "function", "name": "x", "parameters": schema}],
        "instructions": "i" * 5000,
    }
    monkeypatch.setattr(response_service, "MAX_PARAMETERS_BYTES", 4000)
    body = {"model": "mock", "input": "Hi", large: fields[large]}
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await client.responses.create(**body)  # type: ignore[call-overload]
    assert refused.value.param == large
    kept = await client.responses.create(**body, store=False)  # type: ignore[call-overload]
    assert kept.status == "completed"


async def test_an_unstored_response_cannot_have_a_history_larger_than_a_request(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await client.responses.create(model="mock", input="Hello " * 100)
    follow = {"model": "mock", "input": "Go on", "previous_response_id": first.id}
    assert (await client.responses.create(**follow, store=False)).status == "completed"  # type: ignore[call-overload]
    monkeypatch.setattr(response_service, "LARGE_BODY", 500)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**follow, store=False)  # type: ignore[call-overload]
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("number", [2**31 - 1, 10**9])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_large_token_count_is_not_an_internal_error(
    gateway: Gateway, client: openai.AsyncOpenAI, field: str, number: int
) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    headers = {"authorization": f"Bearer {client.api_key}"}
    body = {"model": "mock", "messages": messages, field: number}
    answer = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code in (200, 400, 429), answer.text


async def _stored(gateway: Gateway, person: Account) -> int:
    async with UnitOfWork(create_session_factory(gateway.container.engine)) as uow:
        return (await uow.budgets.get(UUID(person.id))).stored_bytes


async def _ask(gateway: Gateway, person: Account, path: str, **body: object) -> httpx.Response:
    return await gateway.http.post(path, json=body, headers=person.headers)


async def test_storage_is_counted_and_freed_by_deletion(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI
) -> None:
    first = await _turn(gateway, person, "Hello " * 1000, metadata={"a": "b"}, system="s" * 700)
    after_first = await _stored(gateway, person)
    assert after_first > 6000 + 700
    path = f"/api/conversations/{first['conversation_id']}"
    await _turn(gateway, person, "x" * 5000, conversation_id=first["conversation_id"])
    after_second = await _stored(gateway, person)
    assert after_second - after_first > 5000
    question = first["message"]["id"]  # type: ignore[index]
    again = await _ask(gateway, person, f"/api/chat/{question}/regenerate", model="mock")
    assert again.status_code == 200
    assert 0 < await _stored(gateway, person) - after_second < 5000  # the question exists already
    before_change = await _stored(gateway, person)
    await gateway.http.patch(path, json={"system": "s" * 1700}, headers=person.headers)
    assert await _stored(gateway, person) == before_change + 1000
    made = (await _ask(gateway, person, "/api/conversations", system="s" * 300)).json()
    kept = await client.responses.create(model="mock", input="y" * 3000)
    assert await _stored(gateway, person) > before_change + 1000 + 300 + 3000
    await client.responses.delete(kept.id)
    await gateway.http.delete(path, headers=person.headers)
    assert await _stored(gateway, person) == 300
    await gateway.http.delete(f"/api/conversations/{made['id']}", headers=person.headers)
    assert await _stored(gateway, person) == 0


async def test_an_account_with_full_storage_is_rejected_until_it_deletes_something(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI
) -> None:
    admin, actor = gateway.container.operations.admin, await gateway.sign_up()
    await admin.change_user(UUID(actor.id), UUID(person.id), role=None, tier="small", status=None)
    first = await _turn(gateway, person, "a" * 990_000)
    refusals = [
        await _ask(gateway, person, "/api/chat", message="b" * 20_000, model="mock"),
        await _ask(gateway, person, "/api/conversations", system="s" * 20_000),
        await gateway.http.patch(
            f"/api/conversations/{first['conversation_id']}",
            json={"system": "s" * 20_000},
            headers=person.headers,
        ),
    ]
    for refused in refusals:
        assert refused.status_code == 429, refused.text
        assert refused.json()["error"]["code"] == "quota_exceeded"
        assert "storage of 1 MB is full" in refused.json()["error"]["message"]
        assert refused.headers["x-should-retry"] == "false"
        assert "retry-after" not in refused.headers
    with pytest.raises(openai.RateLimitError) as stored:
        await client.responses.create(model="mock", input="b" * 20_000)
    assert stored.value.code == "quota_exceeded"
    unkept = await client.responses.create(model="mock", input="b" * 20_000, store=False)
    assert unkept.status == "completed"
    path = f"/api/conversations/{first['conversation_id']}"
    assert (await gateway.http.delete(path, headers=person.headers)).status_code == 204
    await _turn(gateway, person, "b" * 20_000)
