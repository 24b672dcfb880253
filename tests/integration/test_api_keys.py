"""API keys, and which callers may call which routes, on real engines."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.security.api_keys import is_well_formed, new_api_key
from tests.support.accounts import AccountApp, account_app, status_and_code

KEYS = "/api/user/api-keys"


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_a_new_key_shows_its_secret_once(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key(name="ci")
    assert set(key) == {"id", "name", "prefix", "secret", "scopes", "models", "expires_at", "created_at"}
    assert is_well_formed(key["secret"])
    assert key["prefix"] == key["secret"][:10]
    assert key["scopes"] == ["chat", "embeddings", "images", "models", "usage"]
    assert key["models"] is None
    listed = await person.request("GET", KEYS)
    assert [item["id"] for item in listed.json()["items"]] == [key["id"]]
    assert key["secret"] not in listed.text


async def test_both_headers_carry_a_key(app: AccountApp) -> None:
    person = await app.sign_up()
    secret = (await person.create_api_key())["secret"]
    for headers in (bearer(secret), {"x-api-key": secret}, {"authorization": f"bearer  {secret}"}):
        answer = await app.client.get("/v1/probe", headers=headers)
        assert answer.json() == {"user_id": person.id, "kind": "api_key"}


async def test_keys_and_users_may_call_their_routes(app: AccountApp) -> None:
    person = await app.sign_up()
    service, human = bearer((await person.create_api_key())["secret"]), person.headers
    for headers, path, expected in [
        (service, "/v1/probe", 200),
        (human, "/v1/probe", 403),
        (service, "/api/chat/probe", 200),
        (human, "/api/chat/probe", 200),
        (service, "/api/user/me", 403),
        (human, "/api/user/me", 200),
        (service, KEYS, 403),
        (service, "/api/admin/probe", 403),
        (human, "/api/admin/probe", 403),
    ]:
        answer = await app.client.get(path, headers=headers)
        assert answer.status_code == expected, (path, answer.text)
        if expected == 403:
            assert answer.json()["error"]["code"] == "forbidden"


async def test_an_admins_key_is_not_an_admin(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    await app.sql("UPDATE users SET role = 'admin' WHERE email = :e", e=person.email)
    answer = await app.client.get("/api/admin/probe", headers=bearer(key["secret"]))
    assert status_and_code(answer) == (403, "forbidden")


async def test_a_key_without_the_scope_is_rejected_by_name(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key(scopes=["models"])
    assert key["scopes"] == ["models"]
    answer = await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    assert status_and_code(answer) == (403, "scope_missing")


async def test_a_revoked_key_is_rejected_at_the_next_request(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    for _ in range(3):
        assert (await app.client.get("/v1/probe", headers=bearer(key["secret"]))).status_code == 200
    assert (await person.request("DELETE", f"{KEYS}/{key['id']}")).status_code == 204
    assert status_and_code(await app.client.get("/v1/probe", headers=bearer(key["secret"]))) == (
        401,
        "invalid_api_key",
    )
    assert (await person.request("GET", KEYS)).json()["items"] == []
    assert status_and_code(await person.request("DELETE", f"{KEYS}/{key['id']}")) == (404, "not_found")


async def test_another_accounts_key_is_not_found(app: AccountApp) -> None:
    owner, stranger = await app.sign_up(), await app.sign_up()
    key = await owner.create_api_key()
    assert status_and_code(await stranger.request("DELETE", f"{KEYS}/{key['id']}")) == (404, "not_found")
    assert (await app.client.get("/v1/probe", headers=bearer(key["secret"]))).status_code == 200


@pytest.mark.parametrize("key_id", ["7", "x" * 5000, "%00", "%ed%a0%80", "0199-not-a-uuid"])
async def test_a_malformed_id_is_not_found(app: AccountApp, key_id: str) -> None:
    person = await app.sign_up()
    assert status_and_code(await person.request("DELETE", f"{KEYS}/{key_id}")) == (404, "not_found")


async def test_a_key_stops_working_when_it_expires(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key(expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await app.client.get("/v1/probe", headers=bearer(key["secret"]))).status_code == 200
    await app.sql(
        "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = CAST(:id AS uuid)",
        id=key["id"],
    )
    [(key_hash,)] = await app.sql("SELECT key_hash FROM api_keys WHERE id = CAST(:id AS uuid)", id=key["id"])
    await app.container.cache.invalidate_key(key_hash)
    answer = await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    assert status_and_code(answer) == (401, "invalid_api_key")


async def test_a_cached_key_stops_working_when_it_expires(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    key = await person.create_api_key(expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await app.client.get("/v1/probe", headers=bearer(key["secret"]))).status_code == 200
    later = datetime.now(UTC).timestamp() + 3601
    monkeypatch.setattr("gateway.services.accounts.authenticator.time.time", lambda: later)
    answer = await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    assert status_and_code(answer) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "models": []}, "models"),
        ({"name": "x", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "x", "requests_per_minute": 21}, "requests_per_minute"),  # the owner's tier has 20
        ({"name": "x", "models": ["small", "no-such-model"]}, "models"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": 1e300}, "expires_at"),
        ({"name": "x", "user_id": "y"}, "user_id"),
    ],
)
async def test_an_invalid_key_request_is_rejected(app: AccountApp, body: dict, param: str) -> None:
    person = await app.sign_up()
    answer = await person.request("POST", KEYS, json=body)
    assert status_and_code(answer) == (422, "validation_failed")
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "invalid_credentials"),
        ({"authorization": "Bearer"}, "invalid_credentials"),
        ({"authorization": "Basic YTpi"}, "invalid_credentials"),
        ({"authorization": "Bearer nonsense"}, "token_invalid"),
        ({"authorization": "Bearer é.é.é".encode()}, "token_invalid"),
        ({"authorization": "Bearer \xff".encode("latin-1")}, "token_invalid"),
        ({"authorization": "Bearer " + "[" * 3000}, "token_invalid"),
        ({"authorization": "Bearer gw_short"}, "invalid_api_key"),
        ({"x-api-key": "gw_" + "A" * 38}, "invalid_api_key"),
        ({"x-api-key": "sk-something"}, "invalid_api_key"),
        ({"x-api-key": "é".encode()}, "invalid_api_key"),
    ],
)
async def test_a_bad_credential_has_its_own_error_code(app: AccountApp, headers: dict, code: str) -> None:
    answer = await app.client.get("/v1/probe", headers=headers)
    assert status_and_code(answer) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_well_formed_unknown_key_is_rejected(app: AccountApp) -> None:
    assert status_and_code(await app.client.get("/v1/probe", headers=bearer(new_api_key()))) == (
        401,
        "invalid_api_key",
    )


async def test_a_malformed_key_is_rejected_without_a_lookup(app: AccountApp) -> None:
    await app.container.valkey.aclose()
    await app.engine.dispose()
    answer = await app.client.get("/v1/probe", headers={"x-api-key": "gw_" + secrets.token_hex(19)})
    assert status_and_code(answer) == (401, "invalid_api_key")


async def test_the_use_of_a_key_is_recorded_in_the_background(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    await app.container.accounts.authenticator.aclose()
    [item] = (await person.request("GET", KEYS)).json()["items"]
    first = datetime.fromisoformat(item["last_used_at"])
    assert abs((datetime.now(UTC) - first).total_seconds()) < 30
    await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    await app.container.accounts.authenticator.aclose()
    [item] = (await person.request("GET", KEYS)).json()["items"]
    assert datetime.fromisoformat(item["last_used_at"]) == first


async def test_a_keys_limit_may_reach_its_owners(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key(models=["large", "fast", "small", "large"], requests_per_minute=20)
    assert key["models"] == ["fast", "large", "small"]
    [item] = (await person.request("GET", KEYS)).json()["items"]
    fields = {"id", "name", "prefix", "scopes", "models", "requests_per_minute", "expires_at"}
    assert set(item) == fields | {"last_used_at", "created_at"}
    assert (item["requests_per_minute"], item["last_used_at"]) == (20, None)


async def test_a_keys_limit_depends_on_the_owners_tier(app: AccountApp) -> None:
    person = await app.sign_up()
    for tier, wanted, expected in [
        ("pro", 120, 201),
        ("pro", 121, 422),
        ("gone", 20, 201),
        ("gone", 21, 422),
    ]:
        await app.sql("UPDATE users SET tier = :t WHERE email = :e", t=tier, e=person.email)
        made = await person.request("POST", KEYS, json={"name": "x", "requests_per_minute": wanted})
        assert made.status_code == expected, made.text


async def test_a_revoked_key_is_rejected_on_every_worker(
    app: AccountApp, database_url: str, redis_url: str
) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    async with account_app(database_url, redis_url) as other:
        assert (await other.client.get("/v1/probe", headers=bearer(key["secret"]))).status_code == 200
        assert (await person.request("DELETE", f"{KEYS}/{key['id']}")).status_code == 204
        answer = await other.client.get("/v1/probe", headers=bearer(key["secret"]))
        assert status_and_code(answer) == (401, "invalid_api_key")


async def test_a_disabled_accounts_key_is_rejected(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    await app.sql("UPDATE users SET status = 'disabled' WHERE email = :e", e=person.email)
    answer = await app.client.get("/v1/probe", headers=bearer(key["secret"]))
    assert status_and_code(answer) == (403, "account_disabled")
