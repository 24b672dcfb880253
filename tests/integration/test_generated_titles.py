"""Titles by the light model: once per conversation, after the turn, never over a user's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from gateway.domain.accounts.principal import Principal
from gateway.services.chat.titles import FirstExchange
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence

QUESTION = "Could you please tell me at great length how the tides follow the moon around the earth?"
BY_QUESTION = "Could you please tell me at great length how the tides…"


@pytest.fixture
async def light() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        upstream.script(Reply(text=('"Tides and the moon."\n',), usage=(90, 6)))
        yield upstream


@pytest.fixture
async def big() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


def config_of(big: OpenAIUpstream, light: OpenAIUpstream, **sections: Any) -> dict[str, Any]:
    return {
        "providers": {
            "big": {"type": "openai", "base_url": big.url},
            "light": {"type": "openai", "base_url": light.url},
        },
        "models": {
            name: {"provider": name, "model": f"v-{name}", "price": {"input": 1, "output": 2}}
            for name in ("big", "light")
        },
        "routing": {"light": "light", "heavy": "big"},
        "retry": {"attempts": 1},
        "titles": {"enabled": True},
        "tiers": {"free": {"tokens_per_day": 10**6, "usd_per_month": 10}},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        **sections,
    }


@pytest.fixture
def gateway_config(big: OpenAIUpstream, light: OpenAIUpstream) -> dict[str, Any]:
    return config_of(big, light)


@asynccontextmanager
async def configured(
    database_url: str, redis_url: str, directory: Path, config: dict[str, Any]
) -> AsyncIterator[tuple[Gateway, Account]]:
    async with running_gateway(database_url, redis_url, directory, config) as gateway:
        yield gateway, await gateway.sign_up()


async def ask(
    gateway: Gateway, headers: dict[str, str], message: str = QUESTION, **body: Any
) -> dict[str, Any]:
    answer = await gateway.http.post(
        "/api/chat", json={"message": message, "model": "big", **body}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert isinstance(parsed, dict)
    return parsed


async def title_of(gateway: Gateway, person: Account, conversation_id: str) -> str:
    await gateway.container.chat.service.titles.wait_idle()
    found = await gateway.http.get(f"/api/conversations/{conversation_id}", headers=person.headers)
    return str(found.json()["title"])


async def test_a_title_is_generated_once_and_charged_as_a_separate_request(
    gateway: Gateway, light: OpenAIUpstream
) -> None:
    person = await gateway.sign_up()
    first = await ask(gateway, person.headers)
    conversation_id = first["conversation_id"]
    assert await title_of(gateway, person, conversation_id) == "Tides and the moon"
    [call] = light.calls
    assert QUESTION in call.body["messages"][-1]["content"]
    assert "Hello, world!" in call.body["messages"][-1]["content"]
    await ask(gateway, person.headers, "And the sun?", conversation_id=conversation_id)
    assert await title_of(gateway, person, conversation_id) == "Tides and the moon"
    assert len(light.calls) == 1
    async with gateway.container.engine.connect() as db:
        rows = await db.execute(
            text(
                "SELECT kind, request_id, message_id, prompt_tokens, cost_usd, outcome FROM usage_records "
                "WHERE user_id = :u AND model = 'light'"
            ),
            {"u": person.id},
        )
        [(kind, request_id, message_id, prompt_tokens, cost, outcome)] = rows.all()
        reserved = await db.execute(
            text("SELECT tokens_reserved, usd_reserved FROM budgets WHERE user_id = :u"), {"u": person.id}
        )
    assert (kind, message_id, prompt_tokens, str(cost), outcome) == ("chat", None, 90, "0.0001020000", "ok")
    assert request_id != first["request_id"]
    assert tuple(reserved.one()) == (0, 0)
    assert [attempt["step"] for attempt in first["receipt"]["attempts"]] == ["answer"]


async def test_no_turn_waits_for_its_title(gateway: Gateway, light: OpenAIUpstream) -> None:
    gate = asyncio.Event()
    light.script(Reply(text=("Tides",), gate=gate))
    person = await gateway.sign_up()
    conversation_id = (await ask(gateway, person.headers))["conversation_id"]
    await light.wait_for_calls(1)
    listed = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
    assert [item["title"] for item in listed] == [BY_QUESTION]
    await ask(gateway, person.headers, "And the sun?", conversation_id=conversation_id)
    gate.set()
    assert await title_of(gateway, person, conversation_id) == "Tides"
    assert len(light.calls) == 1


async def test_the_owners_title_wins_even_during_generation(gateway: Gateway, light: OpenAIUpstream) -> None:
    gate = asyncio.Event()
    light.script(Reply(text=("Tides",), gate=gate))
    person = await gateway.sign_up()
    conversation_id = (await ask(gateway, person.headers))["conversation_id"]
    await light.wait_for_calls(1)
    path = f"/api/conversations/{conversation_id}"
    await gateway.http.patch(path, json={"title": "My own"}, headers=person.headers)
    gate.set()
    assert await title_of(gateway, person, conversation_id) == "My own"
    mine = await gateway.http.post("/api/conversations", json={"title": "Mine"}, headers=person.headers)
    await ask(gateway, person.headers, conversation_id=mine.json()["id"])
    assert await title_of(gateway, person, mine.json()["id"]) == "Mine"
    assert len(light.calls) == 1


async def test_a_conversation_created_without_a_title_gets_one(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    empty = await gateway.http.post("/api/conversations", json={}, headers=person.headers)
    await ask(gateway, person.headers, conversation_id=empty.json()["id"])
    assert await title_of(gateway, person, empty.json()["id"]) == "Tides and the moon"


async def test_a_new_title_does_not_reorder_the_list(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    conversation_id = (await ask(gateway, person.headers))["conversation_id"]
    before = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"][0]
    await title_of(gateway, person, conversation_id)
    after = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"][0]
    assert before["updated_at"] == after["updated_at"]


@pytest.mark.parametrize("trouble", ["refusal", "nonsense", "empty"])
async def test_without_a_generated_title_the_questions_is_used_for_good(
    gateway: Gateway, light: OpenAIUpstream, trouble: str
) -> None:
    steps = {"refusal": Refusal(400), "nonsense": Reply(text=("- - -\n",)), "empty": Reply(text=("",))}
    light.script(steps[trouble])
    person = await gateway.sign_up()
    conversation_id = (await ask(gateway, person.headers))["conversation_id"]
    assert await title_of(gateway, person, conversation_id) == BY_QUESTION
    await ask(gateway, person.headers, "Again?", conversation_id=conversation_id)
    assert await title_of(gateway, person, conversation_id) == BY_QUESTION
    assert len(light.calls) == 1


async def test_a_failed_first_answer_leaves_the_title_to_the_next(
    gateway: Gateway, big: OpenAIUpstream, light: OpenAIUpstream
) -> None:
    big.script(Refusal(400), Reply())
    person = await gateway.sign_up()
    failed = await gateway.http.post(
        "/api/chat", json={"message": QUESTION, "model": "big"}, headers=person.headers
    )
    assert failed.status_code == 400
    listed = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
    assert light.calls == []
    await ask(gateway, person.headers, conversation_id=listed[0]["id"])
    assert await title_of(gateway, person, listed[0]["id"]) == "Tides and the moon"


async def test_two_workers_generate_one_title(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    gateway: Gateway,
    big: OpenAIUpstream,
    light: OpenAIUpstream,
) -> None:
    (tmp_path / "other").mkdir()
    async with running_gateway(database_url, redis_url, tmp_path / "other", config_of(big, light)) as other:
        big.script(Refusal(400), Reply())
        person = await gateway.sign_up()
        await gateway.http.post(
            "/api/chat", json={"message": QUESTION, "model": "big"}, headers=person.headers
        )
        listed = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
        first = FirstExchange(UUID(listed[0]["id"]), QUESTION, "Hello.")
        principal = Principal(UUID(person.id), "user")
        for _ in range(4):
            gateway.container.chat.service.titles.schedule(principal, first)
            other.container.chat.service.titles.schedule(principal, first)
        await other.container.chat.service.titles.wait_idle()
        assert await title_of(gateway, person, listed[0]["id"]) == "Tides and the moon"
    assert len(light.calls) == 1


async def test_titles_of_an_api_key_are_charged_to_it(gateway: Gateway, light: OpenAIUpstream) -> None:
    person = await gateway.sign_up()
    conversation_id = (await ask(gateway, {"x-api-key": await gateway.create_api_key(person)}))[
        "conversation_id"
    ]
    assert await title_of(gateway, person, conversation_id) == "Tides and the moon"
    async with gateway.container.engine.connect() as db:
        rows = await db.execute(
            text("SELECT count(*) FROM usage_records WHERE user_id = :u AND api_key_id IS NOT NULL"),
            {"u": person.id},
        )
    assert rows.scalar_one() == 2


async def test_without_budget_no_title_is_generated(
    database_url: str, redis_url: str, tmp_path: Path, big: OpenAIUpstream, light: OpenAIUpstream
) -> None:
    config = config_of(
        big, light, tiers={"free": {"tokens_per_day": 140}}, limits={"default_max_tokens": 100}
    )
    async with configured(database_url, redis_url, tmp_path, config) as (gateway, person):
        conversation_id = (await ask(gateway, person.headers))["conversation_id"]
        assert await title_of(gateway, person, conversation_id) == BY_QUESTION
    assert light.calls == []


async def test_titles_can_be_disabled_and_mocks_generate_none(
    database_url: str, redis_url: str, tmp_path: Path, big: OpenAIUpstream, light: OpenAIUpstream
) -> None:
    mock = {
        "providers": {"mock": {"type": "mock"}},
        "models": {"big": {"provider": "mock", "model": "mock"}},
        "routing": {"light": "big"},
        "titles": {"enabled": True},
    }
    async with AsyncExitStack() as stack:
        for name, config in (("off", config_of(big, light, titles={"enabled": False})), ("mock", mock)):
            (tmp_path / name).mkdir()
            made = configured(database_url, redis_url, tmp_path / name, config)
            gateway, person = await stack.enter_async_context(made)
            conversation_id = (await ask(gateway, person.headers))["conversation_id"]
            assert await title_of(gateway, person, conversation_id) == BY_QUESTION
    assert light.calls == []


async def test_shutdown_cancels_slow_titles_and_settles_their_calls(
    database_url: str, redis_url: str, tmp_path: Path, big: OpenAIUpstream, light: OpenAIUpstream
) -> None:
    light.script(Silence())
    async with configured(database_url, redis_url, tmp_path, config_of(big, light)) as (gateway, person):
        await ask(gateway, person.headers)
        await light.wait_for_calls(1)
        titles = gateway.container.chat.service.titles
        await titles.aclose()
        await titles.wait_idle()
        async with gateway.container.engine.connect() as db:
            rows = await db.execute(
                text("SELECT outcome FROM usage_records WHERE user_id = :u AND model = 'light'"),
                {"u": person.id},
            )
            assert rows.scalars().all() == ["cancelled"]
            reserved = await db.execute(
                text("SELECT tokens_reserved FROM budgets WHERE user_id = :u"), {"u": person.id}
            )
            assert reserved.scalar_one() == 0
        await ask(gateway, person.headers)
    assert len(light.calls) == 1


@pytest.mark.parametrize(
    ("models", "asked"),
    [(["big"], 0), (["big", "light"], 1), (["big", "cheap"], 1), (None, 1), (["auto"], 1)],
)
async def test_titles_respect_the_api_keys_models(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    big: OpenAIUpstream,
    light: OpenAIUpstream,
    models: list[str] | None,
    asked: int,
) -> None:
    config = config_of(big, light, aliases={"cheap": ["light"]})
    async with configured(database_url, redis_url, tmp_path, config) as (gateway, person):
        key = await gateway.create_api_key(person, models=models)
        model = "auto" if models == ["auto"] else "big"
        answer = await ask(gateway, {"x-api-key": key}, model=model)
        title = await title_of(gateway, person, answer["conversation_id"])
        titles = [call for call in light.calls if "title" in str(call.body["messages"][0]["content"])]
        assert len(titles) == asked
        assert (title == BY_QUESTION) == (not asked)
