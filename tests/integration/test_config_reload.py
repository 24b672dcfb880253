"""The provider configuration is reloaded as a whole or not at all, without affecting running turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.version import VERSION
from gateway.providers.openai.chat import OpenAIChat
from gateway.services.operations.config_file import config_file_fingerprint
from tests.support.gateway import Account, Gateway, running_gateway, set_role
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply


def config_of(up: OpenAIUpstream, *models: str, **sections: Any) -> dict[str, Any]:
    return {
        "titles": {"enabled": False},
        "guardrails": {"people": {"injection": "off"}},
        "providers": {"up": {"type": "openai", "base_url": up.url}},
        "models": {name: {"provider": "up", "model": f"vendor-{name}"} for name in models},
        **sections,
    }


def write(path: Path, config: dict[str, Any] | str) -> None:
    text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
async def up() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=("fine",)))
        yield up


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "provider_config.yaml"


@pytest.fixture
async def gateway(
    clean_database: str, clean_redis: str, tmp_path: Path, up: OpenAIUpstream
) -> AsyncIterator[Gateway]:
    async with running_gateway(clean_database, clean_redis, tmp_path, config_of(up, "old")) as gateway:
        yield gateway


async def administrator(gateway: Gateway) -> Account:
    person = await gateway.sign_up()
    await set_role(gateway, person)
    return person


async def ask(gateway: Gateway, person: Account, model: str) -> int:
    body = {"message": "How are you?", "model": model}
    return (await gateway.http.post("/api/chat", json=body, headers=person.headers)).status_code


async def reload(gateway: Gateway, admin: Account) -> dict[str, Any]:
    answer = await gateway.http.post("/api/admin/reload", headers=admin.headers)
    assert answer.status_code == 200, answer.text
    received: dict[str, Any] = answer.json()
    return received


async def test_a_changed_file_is_applied_at_once_and_audited(
    gateway: Gateway, up: OpenAIUpstream, path: Path
) -> None:
    admin = await administrator(gateway)
    assert await ask(gateway, admin, "new") == 404
    write(path, config_of(up, "old", "new"))
    done = await reload(gateway, admin)
    assert (done["models"], done["providers"], done["told"]) == (2, 1, "valkey")
    assert await ask(gateway, admin, "new") == 200
    assert up.calls[-1].body["model"] == "vendor-new"
    listed = (await gateway.http.get("/api/models", headers=admin.headers)).json()
    assert "new" in str(listed)
    [entry] = (
        await gateway.http.get("/api/admin/audit?action=configuration.reloaded", headers=admin.headers)
    ).json()["items"]
    assert (entry["actor_id"], entry["details"]["digest"]) == (admin.id, done["digest"])


async def test_the_metrics_name_the_version_and_the_configuration_in_force(
    gateway: Gateway, up: OpenAIUpstream, path: Path
) -> None:
    before = config_file_fingerprint(path)
    page = (await gateway.http.get("/metrics")).text
    assert f'gateway_build_info{{version="{VERSION}"}} 1.0' in page
    assert f'gateway_configuration_info{{digest="{before}"}} 1.0' in page
    admin = await administrator(gateway)
    write(path, config_of(up, "old", "newer"))
    after = (await reload(gateway, admin))["digest"]
    page = (await gateway.http.get("/metrics")).text
    assert f'gateway_configuration_info{{digest="{before}"}} 0.0' in page
    assert f'gateway_configuration_info{{digest="{after}"}} 1.0' in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mode: live\nprovidres: {}\n", ":2"),
        ("providers: {up: {type: mock}}\nmodels:\n  m: {provider: nobody, model: x}\n", ":3"),
        ("tools: {enabled: [nonesuch]}\n", "nonesuch"),
        ("providers: {up: {type: openai, base_url: 'ftp://nowhere'}}\n", "base_url"),
        ("roles: {writer: {prompt: no-such-file}}\n", "no-such-file"),
        ("a: [\n", ":"),
        ("", "no model is configured"),
        ("# all of it commented out\n", "no model is configured"),
        ("tiers: {free: {}}\n", "no model is configured"),
    ],
)
async def test_an_invalid_file_changes_nothing_and_is_explained(
    gateway: Gateway, path: Path, text: str, words: str
) -> None:
    admin = await administrator(gateway)
    write(path, text)
    container = gateway.container
    answer = await gateway.http.post("/api/admin/reload", headers=admin.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "validation_failed"
    assert words in answer.json()["error"]["message"]
    assert gateway.container is container
    assert await ask(gateway, admin, "old") == 200
    audit = await gateway.http.get("/api/admin/audit?action=configuration.rejected", headers=admin.headers)
    assert words in audit.json()["items"][0]["details"]["reason"]


async def test_a_running_turn_ends_on_the_old_configuration_which_is_then_closed(
    gateway: Gateway, up: OpenAIUpstream, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await administrator(gateway)
    write(path, config_of(up, "old"))
    closed: asyncio.Queue[None] = asyncio.Queue()

    async def close(self: OpenAIChat) -> None:
        closed.put_nowait(None)

    monkeypatch.setattr(OpenAIChat, "aclose", close)
    for _ in range(2):  # no turn uses these two configurations
        await reload(gateway, admin)
        await asyncio.wait_for(closed.get(), 30)

    gate = asyncio.Event()
    up.script(Reply(text=("one ", "two"), gate=gate))
    body = {"message": "How are you?", "model": "old"}
    seen = len(up.calls)
    turn = asyncio.create_task(gateway.http.post("/api/chat/stream", json=body, headers=admin.headers))
    await up.wait_for_calls(seen + 1)
    async with OpenAIUpstream() as another:
        another.script(Reply(text=("elsewhere",)))
        write(path, config_of(another, "new"))
        await reload(gateway, admin)
        assert await ask(gateway, admin, "old") == 404
        assert await ask(gateway, admin, "new") == 200
        assert len(another.calls) == 1
        assert not turn.done()
        assert closed.empty()
        gate.set()
        said = (await turn).text
        assert "event: done" in said
        assert "two" in said
        await asyncio.wait_for(closed.get(), 30)


async def test_limits_of_the_new_file_apply(gateway: Gateway, up: OpenAIUpstream, path: Path) -> None:
    admin = await administrator(gateway)
    person = await gateway.sign_up()
    for _ in range(3):
        assert await ask(gateway, person, "old") == 200
    tiers = {"tiers": {"free": {"requests_per_minute": 3}, "last": {"requests_per_minute": None}}}
    write(path, config_of(up, "old", **tiers))
    await reload(gateway, admin)
    assert await ask(gateway, person, "old") == 429


async def test_other_workers_reload_too(
    clean_database: str, clean_redis: str, tmp_path: Path, up: OpenAIUpstream, path: Path
) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(
                running_gateway(clean_database, clean_redis, tmp_path, config_of(up, "old"))
            )
            for _ in range(2)
        ]
        admin = await administrator(first)
        write(path, config_of(up, "new"))
        await reload(first, admin)
        async with asyncio.timeout(30):
            while "new" not in second.container.catalog.models:  # noqa: ASYNC110 - there is no notification
                await asyncio.sleep(0.02)
        assert await ask(second, admin, "new") == 200


async def test_without_valkey_other_workers_are_not_reported_as_notified(
    clean_database: str, tmp_path: Path, up: OpenAIUpstream, path: Path
) -> None:
    async with running_gateway(clean_database, "", tmp_path, config_of(up, "old")) as gateway:
        admin = await administrator(gateway)
        write(path, config_of(up, "new"))
        assert (await reload(gateway, admin))["told"] is None
        assert await ask(gateway, admin, "new") == 200


async def test_many_reloads_under_load_lose_no_turn(gateway: Gateway, up: OpenAIUpstream, path: Path) -> None:
    admin = await administrator(gateway)
    asking = [asyncio.create_task(ask(gateway, admin, "old")) for _ in range(5)]
    unlimited = {"tiers": {"all": {"requests_per_minute": None}}}
    for number in range(6):
        write(path, config_of(up, "old", f"other-{number}", **unlimited))
        await reload(gateway, admin)
        asking += [asyncio.create_task(ask(gateway, admin, "old")) for _ in range(5)]
    assert set(await asyncio.gather(*asking)) == {200}
