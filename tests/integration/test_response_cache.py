"""The exact response cache through the whole gateway: hits, misses, costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import text

from gateway.domain.money import Usage
from gateway.services.execution.disconnect import WATCH_AFTER_SECONDS
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall


def config(first: str, second: str, **sections: Any) -> dict[str, Any]:
    able = {"context_window": 8192, "capabilities": ["tools", "json", "logprobs"]}
    return {
        "providers": {
            "first": {"type": "openai", "base_url": first},
            "second": {"type": "openai", "base_url": second},
        },
        "models": {
            "small": {"provider": "first", "model": "v-small", "price": {"input": 1, "output": 2}, **able},
            "spare": {"provider": "second", "model": "v-spare", "price": {"input": 1, "output": 2}, **able},
        },
        "routing": {"light": "small", "heavy": "small"},
        "fallbacks": {"small": ["spare"]},
        "retry": {"attempts": 1},
        "titles": {"enabled": False},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"requests_per_minute": 1000, "tokens_per_day": 100000}},
        **sections,
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


async def chat(gateway: Gateway, person: Account, **body: Any) -> dict[str, Any]:
    body = {"message": "What is a monad?", "temperature": 0, **body}
    answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert answer.headers["x-gateway-cache"] == parsed["cache"] == parsed["receipt"]["cache"]["result"]
    assert isinstance(parsed, dict)
    return parsed


async def complete(gateway: Gateway, key: str, **body: Any) -> Any:
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, **body}
    return await gateway.http.post(
        "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
    )


async def rows_of(gateway: Gateway, request_id: str) -> list[tuple[Any, ...]]:
    query = (
        "SELECT outcome, model, prompt_tokens, completion_tokens, cost_usd FROM usage_records"
        " WHERE request_id = :id"
    )
    async with gateway.container.engine.connect() as db:
        return [tuple(row) for row in await db.execute(text(query), {"id": request_id})]


async def test_a_repeated_question_is_a_free_cache_hit(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    made = await chat(gateway, person)
    again = await chat(gateway, person)
    assert (made["cache"], again["cache"]) == ("miss", "hit")
    assert len(first.calls) == 1
    message = again["message"]
    assert message["content"] == made["message"]["content"] == "Hello, world!"
    assert message["usage"] == Usage().as_json()
    assert message["cost_usd"] == "0.000000"
    assert (message["model"], message["provider"], message["finish_reason"]) == ("small", "first", "stop")
    receipt = again["receipt"]
    assert receipt["cache"]["request_id"] == made["request_id"]
    assert [a["outcome"] for a in receipt["attempts"]] == ["cached"]
    assert (receipt["intent"], receipt["reason"]) == (made["receipt"]["intent"], made["receipt"]["reason"])
    assert await rows_of(gateway, again["request_id"]) == [("cached", "small", 0, 0, 0)]


async def test_a_hit_is_stored_as_a_message_and_leaves_no_reservation(
    gateway: Gateway, person: Account
) -> None:
    await chat(gateway, person)
    again = await chat(gateway, person)
    listed = await gateway.http.get(
        f"/api/conversations/{again['conversation_id']}/messages", headers=person.headers
    )
    answers = [m for m in listed.json()["items"] if m["role"] == "assistant"]
    assert [(m["content"], m["status"]) for m in answers] == [("Hello, world!", "complete")]
    assert answers[0]["receipt"]["cache"]["result"] == "hit"
    async with gateway.container.engine.connect() as db:
        query = text("SELECT tokens_reserved FROM budgets WHERE user_id = :id")
        assert (await db.execute(query, {"id": person.id})).scalar_one() == 0
    metrics = (await gateway.http.get("/metrics")).text
    assert 'gateway_cache_total{result="hit"}' in metrics


async def test_a_hit_streams_the_events_of_a_turn(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    await chat(gateway, person)
    answer = await gateway.http.post(
        "/api/chat/stream", json={"message": "What is a monad?", "temperature": 0}, headers=person.headers
    )
    names = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names == ["turn", "route", "delta", "done"]
    assert '"cache":"hit"' in answer.text
    assert len(first.calls) == 1


async def test_openai_clients_get_hits_as_json_and_as_a_stream(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    first.script(
        Reply(
            text=(),
            tools=(ScriptedToolCall("weather", ('{"city":', '"Oslo"}'), id="call_1"),),
            finish="tool_calls",
        )
    )
    key = await gateway.create_api_key(person)
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    asked: Any = {
        "model": "small",
        "messages": [{"role": "user", "content": "Weather in Oslo?"}],
        "temperature": 0,
        "tools": tools,
    }
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        made = await client.chat.completions.with_raw_response.create(**asked)
        again = await client.chat.completions.with_raw_response.create(**asked)
        chunks = [chunk async for chunk in await client.chat.completions.create(stream=True, **asked)]
    assert (made.headers["x-gateway-cache"], again.headers["x-gateway-cache"]) == ("miss", "hit")
    assert again.parse().choices == made.parse().choices
    calls = [c for chunk in chunks for c in (chunk.choices[0].delta.tool_calls or ())]
    assert [(c.function.name, c.function.arguments) for c in calls if c.function] == [
        ("weather", '{"city":"Oslo"}')
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert len(first.calls) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"temperature": None}, ["bypass", "bypass"]),
        ({"temperature": 0.7}, ["bypass", "bypass"]),
        ({"temperature": 0.7, "cache": True}, ["bypass", "bypass"]),
        ({"cache": False}, ["bypass", "bypass"]),
        ({"temperature": None, "cache": True}, ["miss", "hit"]),
        ({"cache": True}, ["miss", "hit"]),
    ],
)
async def test_only_cacheable_turns_get_hits(
    gateway: Gateway, person: Account, body: dict[str, Any], expected: list[str]
) -> None:
    assert [(await chat(gateway, person, **body))["cache"] for _ in expected] == expected


async def test_other_accounts_questions_and_parameters_miss(gateway: Gateway, person: Account) -> None:
    await chat(gateway, person)
    others: list[dict[str, Any]] = [
        {"message": "What is a functor?"},
        {"max_tokens": 7},
        {"system": "Be brief."},
        {"model": "small"},
        {"tools": "none"},
    ]
    for other in others:
        assert (await chat(gateway, person, **other))["cache"] == "miss", other
    assert (await chat(gateway, await gateway.sign_up()))["cache"] == "miss"
    assert (await chat(gateway, person))["cache"] == "hit"


async def test_api_keys_share_the_cache_only_with_equal_model_lists(
    gateway: Gateway, person: Account
) -> None:
    keys = [await gateway.create_api_key(person), await gateway.create_api_key(person)]
    narrow = await gateway.create_api_key(person, models=["small"])
    seen = [(await complete(gateway, key)).headers["x-gateway-cache"] for key in (*keys, narrow)]
    assert seen == ["miss", "hit", "miss"]


async def test_history_is_part_of_the_key(gateway: Gateway, person: Account) -> None:
    opened = await chat(gateway, person)
    follow = await chat(gateway, person, conversation_id=opened["conversation_id"])
    assert follow["cache"] == "miss"


async def test_a_fallbacks_answer_is_not_cached(
    gateway: Gateway, person: Account, first: OpenAIUpstream, second: OpenAIUpstream
) -> None:
    first.script(Refusal(503), Reply(text=("From the first.",)))
    key = await gateway.create_api_key(person)
    assert (await complete(gateway, key)).json()["model"] == "spare"
    again = await complete(gateway, key)
    assert (again.headers["x-gateway-cache"], again.json()["model"]) == ("miss", "small")


async def test_failed_turns_and_turns_with_tools_are_not_cached(
    gateway: Gateway, person: Account, first: OpenAIUpstream, second: OpenAIUpstream
) -> None:
    first.script(Refusal(400))
    key = await gateway.create_api_key(person)
    assert (await complete(gateway, key)).status_code == 400
    first.script(
        Reply(
            text=(), tools=(ScriptedToolCall("calculator", ('{"expression":"1+1"}',)),), finish="tool_calls"
        ),
        Reply(text=("Two.",)),
        Reply(text=("Still two.",)),
    )
    assert (await chat(gateway, person, tools=["calculator"]))["message"]["content"] == "Two."
    assert (await chat(gateway, person, tools=["calculator"]))["message"]["content"] == "Still two."


async def test_a_regeneration_bypasses_the_cache(gateway: Gateway, person: Account) -> None:
    made = await chat(gateway, person)
    again = await gateway.http.post(f"/api/chat/{made['message']['id']}/regenerate", headers=person.headers)
    assert (again.status_code, again.json()["cache"]) == (200, "bypass")


async def test_without_a_ttl_nothing_is_cached(
    database_url: str, redis_url: str, tmp_path: Path, first: OpenAIUpstream
) -> None:
    off = config(first.url, first.url, cache={"exact": {"ttl_seconds": 0}})
    async with running_gateway(database_url, redis_url, tmp_path, off) as gateway:
        person = await gateway.sign_up()
        assert [(await chat(gateway, person))["cache"] for _ in range(2)] == ["bypass", "bypass"]


async def test_a_changed_configuration_invalidates_the_cache(
    database_url: str, redis_url: str, tmp_path: Path, first: OpenAIUpstream
) -> None:
    seen = []
    person: Account | None = None
    for name in ("v-small", "v-small", "v-new"):
        changed = config(first.url, first.url)
        changed["models"]["small"]["model"] = name
        async with running_gateway(database_url, redis_url, tmp_path, changed) as gateway:
            person = person or await gateway.sign_up()
            seen.append((await chat(gateway, person))["cache"])
    assert seen == ["miss", "hit", "miss"]


async def test_a_hundred_callers_of_an_uncached_key_make_one_call(
    database_url: str, redis_url: str, tmp_path: Path, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, text=("Once.",)))
    # Without budgets, so that no turn waits for its account's row: the pool is not tested here.
    unlimited = config(first.url, first.url, tiers={"free": {}})
    async with running_gateway(database_url, redis_url, tmp_path, unlimited) as gateway:
        person = await gateway.sign_up()
        await _a_hundred(gateway, person, first, gate)


async def _a_hundred(gateway: Gateway, person: Account, first: OpenAIUpstream, gate: asyncio.Event) -> None:
    key = await gateway.create_api_key(person)
    calls = [asyncio.create_task(complete(gateway, key, stream=i % 2 == 1)) for i in range(100)]
    await all_running(gateway, 100)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert all("Once." in answer.text for answer in answers)
    assert len(first.calls) == 1
    async with gateway.container.engine.connect() as db:
        query = text(
            "SELECT outcome, count(*) FROM usage_records WHERE user_id = :id GROUP BY outcome ORDER BY 1"
        )
        outcomes = [tuple(row) for row in await db.execute(query, {"id": person.id})]
    assert outcomes == [("cached", 99), ("ok", 1)]


async def test_two_workers_with_an_uncached_key_make_one_call(
    database_url: str, redis_url: str, tmp_path: Path, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, text=("Once.",)))
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    same = config(first.url, first.url)
    async with (
        running_gateway(database_url, redis_url, here, same) as one,
        running_gateway(database_url, redis_url, there, same) as other,
    ):
        key = await one.create_api_key(await one.sign_up())
        calls = [asyncio.create_task(complete(gateway, key)) for gateway in (one, other) * 10]
        await first.wait_for_calls(1)
        gate.set()
        answers = await asyncio.gather(*calls)
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["Once."] * 20
    assert len(first.calls) == 1


async def test_a_disconnected_leaders_call_continues_for_its_waiters(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, text=("Once.",)))
    key = await gateway.create_api_key(person)
    leader = asyncio.create_task(complete(gateway, key))
    await first.wait_for_calls(1)
    others = [asyncio.create_task(complete(gateway, key)) for _ in range(10)]
    await all_running(gateway, 11)
    leader.cancel()
    await asyncio.sleep(WATCH_AFTER_SECONDS + 0.2)  # by then the disconnect has been detected
    gate.set()
    answers = await asyncio.gather(*others)
    assert {a.json()["choices"][0]["message"]["content"] for a in answers} == {"Once."}
    assert len(first.calls) == 1


async def test_a_disconnected_waiter_affects_no_other(
    gateway: Gateway, person: Account, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, text=("Once.",)))
    key = await gateway.create_api_key(person)
    leader = asyncio.create_task(complete(gateway, key))
    await first.wait_for_calls(1)
    others = [asyncio.create_task(complete(gateway, key)) for _ in range(4)]
    await all_running(gateway, 5)
    others.pop().cancel()
    gate.set()
    answers = await asyncio.gather(leader, *others)
    assert {a.json()["choices"][0]["message"]["content"] for a in answers} == {"Once."}
    assert len(first.calls) == 1


async def test_without_valkey_one_worker_makes_one_call_and_caches_nothing(
    database_url: str, tmp_path: Path, first: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    first.script(Reply(gate=gate, text=("Once.",)), Reply(text=("Again.",)))
    nowhere = "redis://127.0.0.1:1/0"
    async with running_gateway(database_url, nowhere, tmp_path, config(first.url, first.url)) as gateway:
        key = await gateway.create_api_key(await gateway.sign_up())
        calls = [asyncio.create_task(complete(gateway, key)) for _ in range(5)]
        await all_running(gateway, 5)
        gate.set()
        together = await asyncio.gather(*calls)
        later = await complete(gateway, key)
    assert {a.json()["choices"][0]["message"]["content"] for a in together} == {"Once."}
    assert later.json()["choices"][0]["message"]["content"] == "Again."


async def test_deleting_an_account_deletes_its_cached_answers(gateway: Gateway, person: Account) -> None:
    await chat(gateway, person)
    valkey = gateway.container.valkey
    name = f"answers:{person.id.replace('-', '')}"
    assert await valkey.execute("EXISTS", name) == 1
    gone = await gateway.http.request(
        "DELETE", "/api/user/me", json={"password": "correct horse battery staple"}, headers=person.headers
    )
    assert gone.status_code == 204, gone.text
    assert await valkey.execute("EXISTS", name) == 0


async def all_running(gateway: Gateway, count: int) -> None:
    """Wait until this many turns are running."""
    for _ in range(1000):
        if len(gateway.container.tasks) == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the turns were not all admitted")
