"""Secrets and prompts appear in no log, trace, metric or error."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.gateway_process import GatewayProcess
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw, Refusal, Reply, ScriptedToolCall
from tests.support.upstreams.otlp_server import OtlpCollector

pytestmark = pytest.mark.timeout(180)

PASSWORD = "plover-quartz-sphinx-71"
WRONG = "vixen-jumbo-wrong-password-9"
VENDOR_KEY = "sk-proj-Zq8WvendorKeyThatMustNotShow"
ODD_KEY = "vendor_key_of_no_known_form_5150"
PROMPT = "wherefore the cormorant sings at noon"
SYSTEM = "you are a heliotrope and say so"
ANSWER = "because halcyon tides said it"
ARGUMENT = "31415926*27182818"
VENDORS_WORDS = "upstream-says-hexagon-badger"
MAIL = "marigold.person@example.org"
SECRETS = (
    PASSWORD,
    WRONG,
    VENDOR_KEY,
    ODD_KEY,
    PROMPT,
    SYSTEM,
    ANSWER,
    "halcyon",
    ARGUMENT,
    VENDORS_WORDS,
    MAIL,
)
# A vendor's reason for a refusal is passed on, without its key and without what was asked.
PASSED_ON = {("errors", VENDORS_WORDS), ("logs", VENDORS_WORDS)}


def config(up: OpenAIUpstream) -> dict[str, Any]:
    provider = {"type": "openai", "base_url": up.url, "api_key": VENDOR_KEY}
    return {
        "providers": {
            "up": {**provider, "options": {"headers": {"x-special": ODD_KEY}}},
            "away": {**provider, "base_url": f"http://user:{PASSWORD}@127.0.0.1:1/v1"},
        },
        "models": {
            "good": {"provider": "up", "model": "v", "capabilities": ["tools", "json"]},
            "away": {"provider": "away", "model": "v"},
        },
        "fallbacks": {"away": ["good"]},
        "retry": {"attempts": 1},
        "tools": {"enabled": ["calculator"]},
        "tiers": {"all": {"requests_per_minute": None}},
    }


@asynccontextmanager
async def serving(
    database_url: str, redis_url: str, directory: Path, up: OpenAIUpstream, **more: str
) -> AsyncIterator[tuple[GatewayProcess, httpx.AsyncClient, str]]:
    path = directory / "providers.yaml"
    path.write_text(yaml.safe_dump(config(up)))
    given = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PROVIDER_CONFIG": str(path),
        "ADMIN_PASSWORD": PASSWORD,
        "LOG_LEVEL": "DEBUG",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **more,
    }
    with GatewayProcess("--data-dir", str(directory / "data"), cwd=directory, **given) as served:
        banner = await asyncio.to_thread(served.wait_for_banner)
        key = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
        assert key is not None
        async with httpx.AsyncClient(base_url=served.address, timeout=30) as http:
            yield served, http, key[1]
        await asyncio.to_thread(served.stop, signal.SIGTERM)


async def tell_everything(
    http: httpx.AsyncClient, up: OpenAIUpstream, key: str
) -> tuple[list[str], list[str]]:
    """(what was answered to errors, the credentials that came to be)."""
    errors: list[str] = []

    async def send(method: str, path: str, **options: Any) -> httpx.Response:
        answer = await http.request(method, path, **options)
        if answer.status_code >= 400:
            errors.append(answer.text)
        return answer

    account = {"email": MAIL, "password": PASSWORD, "name": "Mari"}
    await send("POST", "/api/auth/register", json=account)
    await send("POST", "/api/auth/login", json={**account, "password": WRONG})
    tokens = (await send("POST", "/api/auth/login", json={"email": MAIL, "password": PASSWORD})).json()
    signed = {"authorization": f"Bearer {tokens['access_token']}"}
    made = (await send("POST", "/api/user/api-keys", json={"name": "k"}, headers=signed)).json()
    turn = {"message": PROMPT, "system": SYSTEM, "model": "good"}
    call = ScriptedToolCall("calculator", (json.dumps({"expression": ARGUMENT}),))

    up.script(
        Reply(text=(), tools=(call,), finish="tool_calls"), Reply(text=("because halcyon ", "tides said it"))
    )
    streamed = await send("POST", "/api/chat/stream", json=turn, headers=signed)
    assert "halcyon" in streamed.text
    up.script(Reply(text=(ANSWER,)))
    await send("POST", "/api/chat", json={**turn, "model": "away"}, headers=signed)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    completion = {"model": "good", "messages": messages}
    await send("POST", "/v1/chat/completions", json=completion, headers={"x-api-key": made["secret"]})

    up.script(Refusal(400, body=json.dumps({"error": {"message": f"{VENDORS_WORDS} {PROMPT}"}}).encode()))
    await send("POST", "/v1/chat/completions", json=completion, headers={"x-api-key": key})
    up.script(Refusal(401, body=f"{VENDORS_WORDS} {VENDOR_KEY}".encode()))
    await send("POST", "/v1/chat/completions", json=completion, headers={"x-api-key": key})
    up.script(Raw((b"data: " + VENDORS_WORDS.encode() + b"\n\n",)))
    await send(
        "POST", "/v1/chat/completions", json={**completion, "stream": True}, headers={"x-api-key": key}
    )
    up.script(Reply(text=("half ", ANSWER), fault="cut"))
    await send("POST", "/api/chat/stream", json=turn, headers=signed)

    for body in (
        f'{{"message": "{PROMPT}"',
        f'"{PROMPT}"',
        f'{{"{PROMPT}": 1}}',
        f'{{"message": {{"a": "{PROMPT}"}}}}',
    ):
        await send("POST", "/api/chat", content=body, headers={**signed, "content-type": "application/json"})
    await send("POST", "/api/chat", json={**turn, "temperature": PROMPT}, headers=signed)
    await send("POST", "/api/chat", json={**turn, "model": PROMPT}, headers=signed)
    await send("GET", f"/api/models?q={PROMPT}&token={tokens['access_token']}", headers=signed)
    await send("GET", "/v1/models", headers={"authorization": f"Bearer {WRONG}"})
    await send("GET", "/v1/models", headers={"x-api-key": made["secret"][:-1] + "?"})
    await send("POST", "/api/auth/refresh", json={"refresh_token": tokens["refresh_token"][:-2]})
    await send(
        "PUT",
        "/api/user/me/password",
        json={"current_password": WRONG, "new_password": WRONG},
        headers=signed,
    )
    await send("POST", "/api/auth/password/forgot", json={"email": MAIL})
    return errors, [tokens["access_token"], tokens["refresh_token"], made["secret"]]


async def test_secrets_and_prompts_appear_in_no_output(
    clean_database: str, clean_redis: str, tmp_path: Path
) -> None:
    with OtlpCollector() as collector:
        async with OpenAIUpstream() as up:
            given = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
            async with serving(clean_database, clean_redis, tmp_path, up, **given) as (served, http, key):
                errors, credentials = await tell_everything(http, up, key)
                metrics = (await http.get("/metrics")).text
        lines = [json.loads(line) for line in served.output.splitlines() if line.startswith("{")]
        logs = "\n".join(line for line in served.output.splitlines() if line.startswith("{"))

    assert len(errors) > 10
    places = {
        "errors": "\n".join(errors),
        "logs": logs,
        "standard error": served.errors,
        "metrics": metrics,
        "traces": collector.raw.decode("utf-8", "replace"),
    }
    found = [
        (place, secret)
        for place, text in places.items()
        for secret in (*SECRETS, *credentials, key)
        if secret in text and (place, secret) not in PASSED_ON
    ]
    assert found == [], [line for line in logs.splitlines() if any(secret in line for _, secret in found)]

    # And the lines are there, and are what operators were promised.
    requests = [line for line in lines if line["event"] == "request"]
    for line in requests:
        assert {
            "timestamp",
            "level",
            "logger",
            "request_id",
            "trace_id",
            "user_id",
            "method",
            "path",
            "status",
        } <= set(line)
        assert {"duration_ms", "client_ip"} <= set(line)
    fallen = [line for line in requests if line.get("fallback_model")]
    assert [(line["upstream"], line["model"], line["fallback_model"]) for line in fallen] == [
        ("up", "good", "good")
    ]
    failed = [line for line in requests if line.get("code") == "upstream_failed"]
    assert {(line["upstream"], line["model"]) for line in failed} == {("up", "good")}
    loggers = {line["logger"] for line in lines}
    assert "uvicorn.error" in loggers
    assert "sqlalchemy.engine.Engine" in loggers
    assert len(collector.spans) > 20
