"""Revoking a session or account cancels its running turns on every worker."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from gateway.cache.client import ValkeyClient
from gateway.cache.pubsub import CHANNELS, PubSub
from gateway.domain.accounts.principal import Principal
from gateway.services.accounts.revocation import RevocationService
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

Act = Callable[[Gateway, Account], Awaitable[Any]]


def config(url: str) -> dict[str, Any]:
    return {
        "providers": {"up": {"type": "openai", "base_url": url}},
        "models": {"small": {"provider": "up", "model": "v", "context_window": 8192}},
        "routing": {"light": "small", "heavy": "small"},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    }


@pytest.fixture
def gate() -> asyncio.Event:
    """Answers pause half-way until it is set, at the end of the test."""
    return asyncio.Event()


@pytest.fixture
async def upstream(gate: asyncio.Event) -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as running:
        running.script(Reply(gate=gate, gate_at=2))
        yield running


@pytest.fixture
async def here(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream, gate: asyncio.Event
) -> AsyncIterator[Gateway]:
    async with running_gateway(database_url, redis_url, tmp_path, config(upstream.url)) as running:
        yield running
        gate.set()


@pytest.fixture
async def there(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream, gate: asyncio.Event
) -> AsyncIterator[Gateway]:
    """Another worker of the same gateway."""
    (tmp_path / "there").mkdir()
    async with running_gateway(database_url, redis_url, tmp_path / "there", config(upstream.url)) as running:
        yield running
        gate.set()


@dataclass
class Stream:
    """A stream that has started; `rest` are the events after that."""

    rest: asyncio.Task[list[tuple[str, dict[str, Any]]]]

    async def status(self) -> str:
        """Return the stream's final event."""
        name, data = (await asyncio.wait_for(self.rest, 30))[-1]
        assert name == "done", data
        return data["message"]["status"]


@asynccontextmanager
async def streaming(gateway: Gateway, headers: dict[str, str]) -> AsyncIterator[Stream]:
    request = gateway.http.stream("POST", "/api/chat/stream", json={"message": "Hi"}, headers=headers)
    async with request as answer:
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: delta":
                break

        async def read() -> list[tuple[str, dict[str, Any]]]:
            events, name = [], "delta"
            async for line in lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    events.append((name, json.loads(line[6:])))
            return events

        task = asyncio.create_task(read())
        yield Stream(task)
        task.cancel()
        await asyncio.wait({task})


async def change_password(gateway: Gateway, person: Account) -> None:
    body = {"current_password": PASSWORD, "new_password": "another good password"}
    answer = await gateway.http.put("/api/user/me/password", json=body, headers=person.headers)
    assert answer.status_code == 204, answer.text


async def log_out(gateway: Gateway, person: Account) -> None:
    body = {"refresh_token": person.refresh_token}
    assert (await gateway.http.post("/api/auth/logout", json=body)).status_code == 204


async def log_out_everywhere(gateway: Gateway, person: Account) -> None:
    assert (await gateway.http.delete("/api/user/sessions", headers=person.headers)).status_code == 204


async def reset_password(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.post("/api/auth/password/forgot", json={"email": person.email})
    assert answer.status_code == 202
    await gateway.container.accounts.password_resets.aclose()
    [mail] = (gateway.container.settings.data_dir / "mailbox").glob("*.eml")
    message = message_from_bytes(mail.read_bytes(), policy=policy.default).get_content()
    body = {"token": re.findall(r"pr_[\w-]{43}", message)[0], "password": "another good password"}
    assert (await gateway.http.post("/api/auth/password/reset", json=body)).status_code == 204


async def steal(gateway: Gateway, person: Account) -> None:
    token = person.refresh_token
    for _ in range(2):
        answer = await gateway.http.post("/api/auth/refresh", json={"refresh_token": token})
        token = answer.json()["refresh_token"]
    answer = await gateway.http.post("/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert answer.json()["error"]["code"] == "token_reused"


async def delete(gateway: Gateway, person: Account) -> None:
    answer = await gateway.http.request(
        "DELETE", "/api/user/me", json={"password": PASSWORD}, headers=person.headers
    )
    assert answer.status_code == 204, answer.text


async def disable(gateway: Gateway, person: Account) -> None:
    admin = await gateway.sign_up()
    await sql(gateway, "UPDATE users SET role = 'admin' WHERE id = CAST(:id AS uuid)", id=admin.id)
    await gateway.container.accounts.revocation.revoke_account(
        UUID(admin.id)
    )  # so that the new role is loaded
    answer = await gateway.http.patch(
        f"/api/admin/users/{person.id}", json={"status": "disabled"}, headers=admin.headers
    )
    assert answer.status_code == 200, answer.text


async def sql(gateway: Gateway, statement: str, **values: Any) -> None:
    async with gateway.container.engine.begin() as connection:
        await connection.execute(text(statement), values)


@pytest.mark.parametrize(
    "act", [change_password, log_out, log_out_everywhere, reset_password, steal, disable, delete]
)
async def test_revoking_a_session_ends_its_streams_on_every_worker(
    here: Gateway, there: Gateway, upstream: OpenAIUpstream, act: Act
) -> None:
    person, bystander = await here.sign_up(), await here.sign_up()
    async with (
        streaming(here, person.headers) as near,
        streaming(there, person.headers) as far,
        streaming(here, bystander.headers) as unharmed,
    ):
        await act(here, person)
        assert await near.status() == "cancelled"
        assert await far.status() == "cancelled"
        assert not unharmed.rest.done()


async def test_other_sessions_of_the_account_continue(here: Gateway, there: Gateway) -> None:
    person = await here.sign_up()
    login = {"email": person.email, "password": PASSWORD}
    other = (await here.http.post("/api/auth/login", json=login)).json()
    async with (
        streaming(there, person.headers) as ended,
        streaming(there, {"authorization": f"Bearer {other['access_token']}"}) as unharmed,
    ):
        await log_out(here, person)
        assert await ended.status() == "cancelled"
        assert not unharmed.rest.done()


@pytest.mark.parametrize(
    ("act", "ends"), [(log_out_everywhere, False), (change_password, False), (disable, True), (delete, True)]
)
async def test_a_keys_streams_end_only_with_the_account(
    here: Gateway, there: Gateway, act: Act, ends: bool
) -> None:
    person = await here.sign_up()
    service = {"x-api-key": await here.create_api_key(person)}
    async with streaming(here, person.headers) as own, streaming(there, service) as keys:
        await act(here, person)
        assert await own.status() == "cancelled"
        if ends:
            assert await keys.status() == "cancelled"
        else:
            assert not keys.rest.done()


async def test_without_valkey_revocation_is_found_in_the_database(
    database_url: str,
    tmp_path: Path,
    upstream: OpenAIUpstream,
    gate: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.services.accounts.revocation.POLL_SECONDS", 0.05)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        running_gateway(database_url, "", tmp_path / "one", config(upstream.url)) as one,
        running_gateway(database_url, "", tmp_path / "two", config(upstream.url)) as two,
    ):
        person, bystander = await one.sign_up(), await one.sign_up()
        leaver = await one.sign_up()
        async with (
            streaming(two, person.headers) as session,
            streaming(two, leaver.headers) as account,
            streaming(two, bystander.headers) as unharmed,
        ):
            await log_out(one, person)
            assert await session.status() == "cancelled"
            await sql(one, "UPDATE users SET status = 'disabled' WHERE id = CAST(:id AS uuid)", id=leaver.id)
            assert await account.status() == "cancelled"
            assert not unharmed.rest.done()
        gate.set()


async def test_invalid_messages_are_ignored_and_the_listener_continues(redis_url: str) -> None:
    valkey, tasks = ValkeyClient(redis_url), TurnTaskRegistry()
    pubsub = PubSub(valkey)
    revocation, channel = (
        RevocationService(tasks, None, pubsub, None, poll_seconds=3600),
        CHANNELS["revocation"],
    )
    owner = Principal(user_id=uuid4(), kind="user", session_id=uuid4())
    turn = tasks.start(lambda turn: asyncio.Event().wait(), owner=owner)
    async with revocation.running(), pubsub.running():
        async with asyncio.timeout(30):
            while not (await valkey.execute("PUBSUB", "NUMSUB", channel))[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for noise in (
            b"",
            b"\xff",
            b"7",
            b"[]",
            b'["x",null]',
            b"[7,null]",
            b'["%s",7]' % uuid4().hex.encode(),
        ):
            await valkey.execute("PUBLISH", channel, noise)
        assert not turn.task.done()
        await valkey.execute("PUBLISH", channel, json.dumps([owner.user_id.hex, None]))
        await asyncio.wait({turn.task}, timeout=10)
        assert turn.task.cancelled()
    await valkey.aclose()
