"""A Valkey that answers with errors costs no more than one that is down."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest
import redis.asyncio

from gateway.cache import health_check
from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.cli.checks import valkey as valkey_check
from tests.support.failing_valkey import REFUSALS, failing_valkey
from tests.support.gateway import PASSWORD, Gateway, running_gateway

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {"mock": {"provider": "mock", "model": "mock"}},
}


async def use_everything(gateway: Gateway) -> None:
    """Registration, sign-in, a key, and both chats; each has to succeed."""
    person = await gateway.sign_up()
    key = await gateway.create_api_key(person)
    chat = await gateway.http.post("/api/chat", json={"message": "Hello"}, headers=person.headers)
    assert chat.status_code == 200, chat.text
    body = {"model": "mock", "messages": [{"role": "user", "content": "Hello"}]}
    for stream in (False, True):
        answer = await gateway.http.post(
            "/v1/chat/completions",
            json={**body, "stream": stream},
            headers={"authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.text
    wrong = {"email": person.email, "password": "wrong" + PASSWORD}
    assert (await gateway.http.post("/api/auth/login", json=wrong)).status_code == 401
    assert (await gateway.http.post("/api/auth/logout", headers=person.headers)).status_code < 500


async def test_no_kind_of_error_reply_fails_a_request(database_url: str, tmp_path: Path) -> None:
    async with (
        failing_valkey() as refusing,
        running_gateway(database_url, refusing.url, tmp_path, CONFIG) as gateway,
    ):
        for reply in REFUSALS.values():
            refusing.reply = reply
            await use_everything(gateway)
            ready = await gateway.http.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["checks"]["valkey"] in ("refusing", "down")


async def test_doctor_explains_missing_permissions(redis_url: str) -> None:
    owner = redis.asyncio.Redis.from_url(redis_url)
    user, password = f"poor-{secrets.token_hex(4)}", secrets.token_hex(8)
    await owner.execute_command("ACL", "SETUSER", user, "on", f">{password}", "~*", "&*", "+@all", "-xadd")
    scheme, _, rest = redis_url.partition("://")
    url = f"{scheme}://{user}:{password}@{rest}"
    client = ValkeyClient(url)
    try:
        assert await client.check_state() == "refusing"
        assert await client.execute("GET", "nothing") is None
        with pytest.raises(ValkeyUnavailable):
            await client.execute("XADD", "probe:x", "*", "a", "1")
        assert client.available
        found = valkey_check.check_valkey(url)
        assert found.ok is False
        assert "NOPERM" in found.message
        assert "lacks permissions" in found.message
        assert valkey_check.check_valkey(redis_url).ok
    finally:
        await client.aclose()
        await owner.execute_command("ACL", "DELUSER", user)
        await owner.aclose()


@pytest.mark.parametrize("code", ["MISCONF", "CROSSSLOT", "MOVED", "NOPERM", "READONLY", "OOM"])
async def test_doctor_names_the_error_and_its_remedy(code: str) -> None:
    async with failing_valkey() as refusing:
        refusing.reply = REFUSALS[code]
        found = await asyncio.to_thread(valkey_check.check_valkey, refusing.url)
    assert found.ok is False
    assert f"({code})" in found.message
    assert health_check.remedy_for(code) in found.message
