"""The authentication cache is never older than a revocation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from gateway.cache.auth import AuthCache
from gateway.cache.auth import _account_entry as account_entry
from gateway.cache.client import ValkeyClient
from gateway.cache.rate_limit import NOT_COUNTED, CountResult, RateLimiter
from gateway.domain.accounts.models import AccountState, ApiKeyGrant
from gateway.domain.usage.budgets import MinuteLimits
from tests.support.accounts import PASSWORD, AccountApp, account_app, status_and_code
from tests.support.sql_statements import recorded_statements
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.valkey_commands import recorded_commands

ME = "/api/user/me"
STATE = AccountState(role="user", tier="free", status="active", token_version=1)


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[AuthCache]:
    client = ValkeyClient(redis_url)
    yield AuthCache(client, RateLimiter(client, {"free": MinuteLimits()}))
    await client.aclose()


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(redis_url) as running:
        yield running


@pytest.fixture
async def app(database_url: str, proxy: TcpProxy) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, proxy.url) as running:
        yield running


def grant(user_id: UUID) -> ApiKeyGrant:
    return ApiKeyGrant(
        key_id=uuid4(),
        user_id=user_id,
        scopes=frozenset({"chat"}),
        models=frozenset({"fast"}),
        requests_per_minute=7,
        expires_at=4102444800.5,
    )


async def test_stored_entries_are_found_until_invalidated(cache: AuthCache) -> None:
    user, session, key_hash = uuid4(), uuid4(), uuid4().bytes
    assert await cache.get_session(user, session, 1) is None
    await cache.store_session(user, session, STATE, True)
    assert await cache.get_session(user, session, 1) == (STATE, True, CountResult(None))
    key = grant(user)
    assert await cache.get_key(key_hash) is None
    await cache.store_key(key_hash, key, STATE)
    found = await cache.get_key(key_hash)
    assert found is not None
    assert found[:2] == (key, STATE)
    assert found[2].window is not None
    assert (found[2].window.limit, found[2].window.remaining) == (7, 6)
    await cache.invalidate_account(user)
    assert await cache.get_session(user, session, 1) is None
    assert await cache.get_key(key_hash) is None


async def test_revoked_session_is_cached_as_revoked(cache: AuthCache) -> None:
    user, session = uuid4(), uuid4()
    await cache.store_session(user, session, STATE, False)
    assert await cache.get_session(user, session, 1) == (STATE, False, NOT_COUNTED)


async def test_reader_cannot_store_state_from_before_an_invalidation(cache: AuthCache) -> None:
    user, session, key_hash = uuid4(), uuid4(), uuid4().bytes
    await cache.invalidate_sessions(session)
    await cache.store_session(user, session, STATE, True)  # read before the session was ended
    assert await cache.get_session(user, session, 1) is None
    await cache.invalidate_key(key_hash)
    await cache.store_key(key_hash, grant(user), STATE)
    assert await cache.get_key(key_hash) is None


async def test_every_entry_expires(cache: AuthCache, redis_url: str) -> None:
    user, session = uuid4(), uuid4()
    await cache.store_session(user, session, STATE, True)
    client = ValkeyClient(redis_url)
    for entry in (account_entry(user), f"auth:session:{session.hex}"):
        assert 0 < await client.execute("TTL", entry) <= 60
    await client.aclose()


async def test_without_valkey_every_request_reads_postgresql(database_url: str) -> None:
    async with account_app(database_url, "") as app:
        person = await app.sign_up()
        key = await person.create_api_key()
        service = {"x-api-key": key["secret"]}
        for _ in range(2):
            assert (await person.request("GET", ME)).status_code == 200
            assert (await app.client.get("/v1/probe", headers=service)).status_code == 200
        assert (await person.request("DELETE", f"/api/user/api-keys/{key['id']}")).status_code == 204
        assert status_and_code(await app.client.get("/v1/probe", headers=service)) == (401, "invalid_api_key")
        logout = {"refresh_token": person.tokens["refresh_token"]}
        assert (await app.client.post("/api/auth/logout", json=logout)).status_code == 204
        assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")


async def test_cached_caller_costs_one_round_trip_and_no_query(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    service = {"x-api-key": (await person.create_api_key())["secret"]}
    await app.client.get("/v1/probe", headers=service)
    await app.client.get("/api/chat/probe", headers=person.headers)
    await app.container.accounts.authenticator.aclose()
    with recorded_commands(monkeypatch) as commands, recorded_statements(monkeypatch) as statements:
        assert (await app.client.get("/v1/probe", headers=service)).status_code == 200
        assert (await app.client.get("/api/chat/probe", headers=person.headers)).status_code == 200
    assert (commands, statements) == (["EVALSHA", "EVALSHA"], [])


async def test_revocation_during_an_outage_holds_when_valkey_is_back(
    app: AccountApp, proxy: TcpProxy
) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    service = {"x-api-key": key["secret"]}
    assert (await person.request("GET", ME)).status_code == 200
    assert (await app.client.get("/v1/probe", headers=service)).status_code == 200
    await proxy.stop()
    assert (await person.request("GET", ME)).status_code == 200
    assert (await person.request("DELETE", f"/api/user/api-keys/{key['id']}")).status_code == 204
    logout = {"refresh_token": person.tokens["refresh_token"]}
    assert (await app.client.post("/api/auth/logout", json=logout)).status_code == 204
    await proxy.start()
    async with asyncio.timeout(30):
        while not app.container.valkey.available:  # noqa: ASYNC110 - the breaker has no event
            await asyncio.sleep(0.01)
    assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")
    assert status_and_code(await app.client.get("/v1/probe", headers=service)) == (401, "invalid_api_key")


async def test_revocation_is_visible_to_other_processes_at_once(
    app: AccountApp, database_url: str, redis_url: str
) -> None:
    person = await app.sign_up()
    async with account_app(database_url, redis_url) as other:
        assert (await other.client.get(ME, headers=person.headers)).status_code == 200
        second = await app.login(person.email)
        change = {"current_password": PASSWORD, "new_password": "another good password"}
        headers = {"authorization": f"Bearer {second['access_token']}"}
        await app.client.put(f"{ME}/password", json=change, headers=headers)
        assert status_and_code(await other.client.get(ME, headers=person.headers)) == (401, "token_invalid")
        assert (await other.client.get(ME, headers=headers)).status_code == 200


async def test_raised_token_version_revokes_all_access_tokens(app: AccountApp) -> None:
    person = await app.sign_up()
    assert (await person.request("GET", ME)).status_code == 200
    await app.sql("UPDATE users SET token_version = token_version + 1 WHERE email = :e", e=person.email)
    await app.container.cache.invalidate_account(UUID(person.id))
    assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")


async def test_new_role_applies_to_the_next_request(app: AccountApp) -> None:
    person = await app.sign_up()
    assert (await person.request("GET", "/api/admin/probe")).status_code == 403
    await app.sql("UPDATE users SET role = 'admin' WHERE email = :e", e=person.email)
    await app.container.cache.invalidate_account(UUID(person.id))
    assert (await person.request("GET", "/api/admin/probe")).status_code == 200


async def test_malformed_entries_in_valkey_are_ignored(app: AccountApp) -> None:
    person = await app.sign_up()
    session = app.tokens.verify(person.tokens["access_token"]).session_id
    for noise in (b"\x00\xff", b"[]", b"7", b"{}", b'["user"]', b'["admin","free","active",1,2]'):
        await app.container.valkey.execute("SET", account_entry(UUID(person.id)), noise, "EX", 60)
        await app.container.valkey.execute("SET", f"auth:session:{session.hex}", b"1", "EX", 60)
        assert (await person.request("GET", ME)).status_code == 200
        assert (await person.request("GET", "/api/admin/probe")).status_code == 403
