"""Sessions of an account, and their revocation on every worker at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import uuid4

import pytest

from tests.support.accounts import PASSWORD, AccountApp, SignedInAccount, account_app, status_and_code

SESSIONS = "/api/user/sessions"
ME = "/api/user/me"


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


@pytest.fixture
async def other(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    """Another worker of the same gateway."""
    async with account_app(database_url, redis_url) as running:
        yield running


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def login_with(app: AccountApp, person: SignedInAccount, user_agent: str) -> dict[str, str]:
    body = {"email": person.email, "password": PASSWORD}
    answer = await app.client.post("/api/auth/login", json=body, headers={"user-agent": user_agent})
    return answer.json()


async def refresh(app: AccountApp, tokens: dict[str, str]):
    return await app.client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})


async def listed(person: SignedInAccount) -> list[dict[str, object]]:
    answer = await person.request("GET", SESSIONS)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_users_see_their_sessions(app: AccountApp) -> None:
    person = await app.sign_up()
    await login_with(app, person, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    newest, oldest = await listed(person)
    fields = {"id", "device", "user_agent", "address", "created_at", "last_used_at", "current"}
    assert set(newest) == set(oldest) == fields
    assert (newest["device"], newest["current"]) == ("Firefox on Linux", False)
    assert oldest["current"] is True
    assert newest["address"] == oldest["address"] == app.client._transport.client[0]
    assert datetime.fromisoformat(newest["created_at"]).tzinfo is not None


async def test_a_session_keeps_its_id_and_age_and_reports_its_last_use(app: AccountApp) -> None:
    person = await app.sign_up()
    [before] = await listed(person)
    person.tokens = (await refresh(app, person.tokens)).json()
    [after] = await listed(person)
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["last_used_at"] > before["last_used_at"]


async def test_use_is_recorded_in_the_background_once_a_minute(app: AccountApp, other: AccountApp) -> None:
    person = await app.sign_up()
    await app.sql(
        "UPDATE refresh_tokens SET last_used_at = now() - interval '1 hour'"
        " WHERE user_id = CAST(:id AS uuid)",
        id=person.id,
    )
    await app.client.get("/api/chat/probe", headers=person.headers)
    await app.container.accounts.authenticator.aclose()
    [noted] = await listed(person)
    assert (datetime.now().astimezone() - datetime.fromisoformat(noted["last_used_at"])).total_seconds() < 60
    await other.client.get("/api/chat/probe", headers=person.headers)
    await other.container.accounts.authenticator.aclose()
    assert await listed(person) == [noted]


async def test_revoking_one_session_keeps_the_others(app: AccountApp, other: AccountApp) -> None:
    person = await app.sign_up()
    second = await app.login(person.email)
    assert (await other.client.get(ME, headers=bearer(second))).status_code == 200
    ended = next(session["id"] for session in await listed(person) if not session["current"])
    assert (await person.request("DELETE", f"{SESSIONS}/{ended}")).status_code == 204
    assert status_and_code(await other.client.get(ME, headers=bearer(second))) == (401, "token_invalid")
    assert status_and_code(await refresh(other, second)) == (401, "token_invalid")
    assert [session["current"] for session in await listed(person)] == [True]
    assert status_and_code(await person.request("DELETE", f"{SESSIONS}/{ended}")) == (404, "not_found")


async def test_users_may_revoke_their_current_session(app: AccountApp) -> None:
    person = await app.sign_up()
    [session] = await listed(person)
    assert (await person.request("DELETE", f"{SESSIONS}/{session['id']}")).status_code == 204
    assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")


async def test_revoking_all_sessions_invalidates_every_token_on_every_worker(
    app: AccountApp, other: AccountApp
) -> None:
    person = await app.sign_up()
    tokens = [person.tokens, *[await app.login(person.email) for _ in range(3)]]
    service = {"x-api-key": (await person.create_api_key())["secret"]}
    for pair in tokens:
        assert (await other.client.get(ME, headers=bearer(pair))).status_code == 200
    assert (await person.request("DELETE", SESSIONS)).status_code == 204
    for pair in tokens:
        for worker in (app, other):
            assert status_and_code(await worker.client.get(ME, headers=bearer(pair))) == (
                401,
                "token_invalid",
            )
            assert status_and_code(await refresh(worker, pair)) == (401, "token_invalid")
    assert (await app.client.get("/v1/probe", headers=service)).status_code == 200
    person.tokens = await app.login(person.email)
    assert len(await listed(person)) == 1


async def test_other_accounts_sessions_are_neither_listed_nor_revoked(app: AccountApp) -> None:
    owner, stranger = await app.sign_up(), await app.sign_up()
    [session] = await listed(owner)
    assert session not in await listed(stranger)
    for wanted in (session["id"], str(uuid4()), "7", "x" * 5000, "%00"):
        assert status_and_code(await stranger.request("DELETE", f"{SESSIONS}/{wanted}")) == (404, "not_found")
    assert (await stranger.request("DELETE", SESSIONS)).status_code == 204
    assert (await owner.request("GET", ME)).status_code == 200


async def test_a_key_has_no_sessions(app: AccountApp) -> None:
    person = await app.sign_up()
    service = {"x-api-key": (await person.create_api_key())["secret"]}
    for method in ("GET", "DELETE"):
        answer = await app.client.request(method, SESSIONS, headers=service)
        assert status_and_code(answer) == (403, "forbidden")


@pytest.mark.parametrize("thief_first", [True, False])
async def test_a_reused_token_ends_the_session_on_both_workers_at_once(
    app: AccountApp, other: AccountApp, thief_first: bool
) -> None:
    person = await app.sign_up()
    stolen = person.tokens
    first, second = (other, app) if thief_first else (app, other)
    successor = (await refresh(first, stolen)).json()
    latest = (await refresh(first, successor)).json()
    for worker in (app, other):  # both workers have them cached
        for pair in (stolen, successor, latest):
            assert (await worker.client.get(ME, headers=bearer(pair))).status_code == 200
    assert status_and_code(await refresh(second, stolen)) == (401, "token_reused")
    for worker in (app, other):
        for pair in (stolen, successor, latest):
            assert status_and_code(await worker.client.get(ME, headers=bearer(pair))) == (
                401,
                "token_invalid",
            )
        assert (await refresh(worker, latest)).status_code == 401


async def test_two_workers_return_the_same_successor(app: AccountApp, other: AccountApp) -> None:
    person = await app.sign_up()
    here, there = await refresh(app, person.tokens), await refresh(other, person.tokens)
    assert here.json()["refresh_token"] == there.json()["refresh_token"]
