"""`/api/v1/llm/generate`.

One response format for all providers, and clear errors.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.domain.money import Usage
from gateway.schemas.generate import GenerateOut
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.paths import PROJECT
from tests.support.upstreams.http_server import Refusal, Reply
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

GENERATE = "/api/v1/llm/generate"
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 40}, "score": {"type": "integer"}},
    "required": ["title", "score"],
    "additionalProperties": False,
}
GOOD = '{"title": "Tea", "score": 3}'
FIELDS = {"role", "task", "mode", "model", "provider", "content", "data", "usage", "cost_usd", "request_id"}
Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        server.script(Reply(text=(GOOD,)))
        yield server


@pytest.fixture
async def ollama() -> AsyncIterator[OllamaUpstream]:
    async with OllamaUpstream() as server:
        server.script(Reply(text=(GOOD,)))
        yield server


@pytest.fixture
def serve(
    database_url: str, clean_redis: str, tmp_path: Path, upstream: OpenAIUpstream, ollama: OllamaUpstream
) -> Serve:
    def start(**sections: Any) -> AbstractAsyncContextManager[Gateway]:
        config: dict[str, Any] = {
            "providers": {
                "up": {"type": "openai", "base_url": upstream.url},
                "ollama": {"type": "ollama", "base_url": ollama.url},
                "mock": {"type": "mock"},
            },
            "models": {
                "small": {
                    "provider": "up",
                    "model": "v-small",
                    "capabilities": ["json"],
                    "price": {"input": 1, "output": 1},
                },
                "plain": {"provider": "up", "model": "v-plain"},
                "home": {"provider": "ollama", "model": "v-home", "capabilities": ["json"]},
                "best": {"provider": "up", "model": "v-best", "capabilities": ["json"]},
                "drill": {"provider": "mock", "model": "fail"},
                "mock": {"provider": "mock", "model": "mock", "capabilities": ["json"]},
            },
            "aliases": {"either": ["plain", "small"]},
            "routing": {
                "light": "small",
                "heavy": "small",
                "rules": [
                    {"role": ["critic"], "mode": "final", "model": "best"},
                    {"role": ["critic"], "model": "home"},
                ],
            },
            "roles": {
                "critic": {
                    "prompt": "Judge {{work!}} for {{who.name}}.",
                    "schema": SCHEMA,
                    "max_tokens": 300,
                    "tasks": {"short": {"prompt": "Judge {{work!}} in a word."}},
                },
                "named": {"prompt": "Judge it.", "schema": SCHEMA, "model": "small"},
                "without": {"prompt": "Judge it.", "schema": SCHEMA, "model": "plain"},
                "either": {"prompt": "Judge it.", "schema": SCHEMA, "model": "either"},
                "talker": {"prompt": "Talk about {{payload!}}.", "model": "small", "temperature": 0.5},
                "broken": {"prompt": "Fail.", "model": "drill"},
            },
            "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
            "retry": {"attempts": 1},
            **sections,
        }
        return running_gateway(database_url, clean_redis, tmp_path, config)

    return start


@pytest.fixture
async def gateway(serve: Serve) -> AsyncIterator[Gateway]:
    async with serve() as running:
        yield running


@pytest.fixture
async def person(gateway: Gateway) -> Account:
    return await gateway.sign_up()


async def ask(gateway: Gateway, person: Account, role: str, payload: Any = "tea", **fields: Any) -> Any:
    body = {"role": role, "payload": payload, **fields}
    return await gateway.http.post(GENERATE, json=body, headers=person.headers)


WORK = {"work": "a page", "who": {"name": "Ann"}}


@pytest.mark.parametrize(
    ("role", "payload", "mode", "model", "provider"),
    [
        ("critic", WORK, None, "home", "ollama"),
        ("critic", WORK, "live", "home", "ollama"),
        ("critic", WORK, "mock", "mock", "mock"),
        ("critic", WORK, "final", "best", "up"),
        ("named", "tea", "live", "small", "up"),
        ("named", "tea", "final", "small", "up"),
        ("without", "tea", "live", "plain", "up"),
    ],
)
async def test_every_mode_and_provider_returns_the_same_format(
    gateway: Gateway, person: Account, role: str, payload: Any, mode: str | None, model: str, provider: str
) -> None:
    answer = await ask(gateway, person, role, payload, mode=mode)
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == FIELDS
    GenerateOut.model_validate_json(answer.content, strict=True)
    assert (body["role"], body["task"], body["mode"]) == (role, None, mode or "live")
    assert (body["model"], body["provider"]) == (model, provider)
    assert json.loads(body["content"]) == body["data"]
    Draft202012Validator(SCHEMA).validate(body["data"])
    assert answer.headers["x-gateway-model"] == model
    assert answer.headers["x-request-id"] == body["request_id"]


async def test_prompt_schema_and_parameters_come_from_the_configuration(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    await ask(gateway, person, "critic", WORK, mode="final")
    sent = upstream.calls[0].body
    system, user = sent["messages"]
    assert system["role"] == "system"
    assert system["content"].startswith("Judge `work` for Ann.")
    assert json.loads(user["content"]) == WORK
    assert sent["max_tokens"] == 300
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    await ask(gateway, person, "critic", {"work": "a page"}, task="short", mode="final")
    assert upstream.calls[1].body["messages"][0]["content"].startswith("Judge `work` in a word.")
    await ask(gateway, person, "talker", "the weather")
    assert upstream.calls[2].body["temperature"] == 0.5
    assert upstream.calls[2].body["messages"][1]["content"] == "the weather"
    assert "response_format" not in upstream.calls[2].body


async def test_a_model_without_json_gets_the_schema_in_the_prompt_only(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=("Of course! ", f"```json\n{GOOD}\n```")))
    body = (await ask(gateway, person, "without")).json()
    assert body["data"] == {"title": "Tea", "score": 3}
    assert "response_format" not in upstream.calls[0].body
    assert json.dumps(SCHEMA) in upstream.calls[0].body["messages"][0]["content"]


async def test_each_model_of_an_alias_that_supports_schemas_gets_it(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Refusal(500), Reply(text=(GOOD,)))
    answer = await ask(gateway, person, "either")
    assert (answer.json()["model"], answer.headers["x-fallback-model"]) == ("small", "small")
    assert [call.body["model"] for call in upstream.calls] == ["v-plain", "v-small"]
    assert ["response_format" in call.body for call in upstream.calls] == [False, True]


async def test_a_role_without_a_schema_has_no_data(gateway: Gateway, person: Account) -> None:
    body = (await ask(gateway, person, "talker")).json()
    assert set(body) == FIELDS
    assert (body["data"], body["content"]) == (None, GOOD)


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ('{"title": "Tea"}', "the object violates «required»"),
        ('{"title": "Tea", "score": "three"}', "score violates «type»"),
        ("I would rather not.", "no JSON object"),
        ('{"title": "Tea", "sco', "not valid JSON"),
        ("", "no JSON object"),
    ],
)
async def test_one_schema_violation_is_retried(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream, first: str, complaint: str
) -> None:
    upstream.script(Reply(text=(first,), usage=(10, 5)), Reply(text=(GOOD,), usage=(20, 5)))
    answer = await ask(gateway, person, "named")
    body = answer.json()
    assert body["data"] == {"title": "Tea", "score": 3}
    assert body["usage"] == Usage(30, 10).as_json()
    assert body["cost_usd"] == "0.000040" == answer.headers["x-gateway-cost-usd"]
    again = upstream.calls[1].body["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert complaint in again[3]["content"]
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == 40


async def test_a_truncated_answer_is_retried_shorter(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=('{"title": "Te',), finish="length"), Reply(text=(GOOD,)))
    assert (await ask(gateway, person, "named")).status_code == 200
    assert "exceeded the maximum length" in upstream.calls[1].body["messages"][3]["content"]


async def test_two_schema_violations_are_a_clear_error(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=('{"title": "vendor secret", "score": "x"}',)))
    answer = await ask(gateway, person, "named")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "upstream_failed")
    assert error["message"].endswith(
        "does not match the schema of role named after two attempts: score violates «type»."
    )
    assert "secret" not in answer.text
    assert len(upstream.calls) == 2


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"role": "nobody"}, 404, "not_found", "role"),
        ({"role": "../critic"}, 404, "not_found", "role"),
        ({"role": "critic", "payload": {"who": {"name": "Ann"}}}, 422, "validation_failed", "payload.work"),
        ({"role": "critic", "payload": {"work": "x"}}, 422, "validation_failed", "payload.who.name"),
        (
            {"role": "critic", "payload": {"work": "x", "who": "Ann"}},
            422,
            "validation_failed",
            "payload.who.name",
        ),
        ({"role": "critic", "payload": "text"}, 422, "validation_failed", "payload.work"),
        ({"role": "critic", "payload": None}, 422, "validation_failed", "payload"),
        ({"role": "critic", "payload": [1]}, 422, "validation_failed", "payload"),
        ({"role": ""}, 422, "validation_failed", "role"),
        ({"role": "named", "mode": "dream"}, 422, "validation_failed", "mode"),
        ({"role": "named", "model": "small"}, 422, "validation_failed", "model"),
        ({"role": "broken"}, 502, "upstream_failed", None),
    ],
)
async def test_invalid_fields_are_named(
    gateway: Gateway,
    person: Account,
    upstream: OpenAIUpstream,
    fields: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    answer = await gateway.http.post(GENERATE, json={"payload": "tea", **fields}, headers=person.headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert (error["param"] or "").startswith(param or "")
    assert upstream.calls == []


async def test_the_mock_has_its_own_timeout(serve: Serve) -> None:
    models = {"mock": {"provider": "mock", "model": "timeout", "capabilities": ["json"]}}
    roles = {"named": {"prompt": "Judge it.", "schema": SCHEMA}}
    timeouts = {"mock": 0.2}
    async with serve(models=models, roles=roles, routing={}, aliases={}, timeouts=timeouts) as gateway:
        person = await gateway.sign_up()
        answer = await ask(gateway, person, "named", mode="mock")
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


def test_the_mock_has_five_seconds_and_models_have_a_hundred_and_eighty() -> None:
    given = yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))["timeouts"]
    assert (given["mock"], given["live"]) == (5, 180)


async def test_mock_mode_without_a_mock_is_rejected(serve: Serve) -> None:
    models = {"small": {"provider": "up", "model": "v-small", "capabilities": ["json"]}}
    roles = {"named": {"prompt": "Judge it.", "schema": SCHEMA}}
    async with serve(models=models, roles=roles, routing={}, aliases={}) as gateway:
        person = await gateway.sign_up()
        answer = await ask(gateway, person, "named", mode="mock")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "mode")


async def test_a_gateway_in_mock_mode_answers_every_role_and_reports_it(
    serve: Serve, upstream: OpenAIUpstream
) -> None:
    async with serve(mode="mock") as gateway:
        person = await gateway.sign_up()
        for role in ("critic", "named", "without", "talker"):
            for mode in ("live", "final", None):
                body = (await ask(gateway, person, role, WORK, mode=mode)).json()
                assert (body["mode"], body["provider"]) == ("mock", "mock")
                assert (body["data"] is None) is (role == "talker")
    assert upstream.calls == []


async def test_the_mock_answers_the_shipped_roles(serve: Serve, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "prompts", tmp_path / "prompts")
    shipped = yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))["roles"]
    roles = {name: {**role, "model": "mock"} for name, role in shipped.items()}
    everything = {key: {"a": "b"} for key in ("product", "brand", "brief", "structure", "copy", "image")}
    async with serve(roles=roles) as gateway:
        person = await gateway.sign_up()
        for role in roles:
            body = (await ask(gateway, person, role, everything, mode="mock")).json()
            schema = json.loads((PROJECT / "prompts" / f"{role}.json").read_text(encoding="utf-8"))
            Draft202012Validator(schema).validate(body["data"])
            again = (await ask(gateway, person, role, everything, mode="mock")).json()
            assert again["data"] == body["data"]


async def test_a_key_needs_the_scope_for_chats(gateway: Gateway, person: Account) -> None:
    headers = {"x-api-key": await gateway.create_api_key(person, scopes=["images"])}
    answer = await gateway.http.post(GENERATE, json={"role": "named", "payload": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")


async def test_a_client_disconnect_prevents_the_second_attempt(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=("nonsense",), gate=asyncio.Event()))
    headers = {"x-api-key": await gateway.create_api_key(person)}
    asking = asyncio.create_task(
        gateway.http.post(GENERATE, json={"role": "named", "payload": "x"}, headers=headers)
    )
    await asyncio.wait_for(upstream.wait_for_calls(1), 30)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
    await wait_settled(gateway.container.engine, person.id)
    assert len(upstream.calls) == 1
