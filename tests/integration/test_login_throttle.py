"""Guessing passwords is slow, per account and per address, and locks nobody out permanently."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.core.exceptions import Unavailable
from gateway.services.accounts import throttle
from tests.support.accounts import PASSWORD, AccountApp, account_app, status_and_code

WRONG = "wrong" * 3


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


@pytest.fixture
async def elsewhere(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    """Another worker, called from another address."""
    async with account_app(database_url, redis_url) as running:
        yield running


async def sign_in(app: AccountApp, email: str, password: str = WRONG) -> httpx.Response:
    return await app.client.post("/api/auth/login", json={"email": email, "password": password})


def stranger() -> str:
    return f"{secrets.token_hex(8)}@example.com"


def sameness(answer: httpx.Response) -> tuple[int, dict[str, Any], set[str]]:
    body = answer.json()
    del body["error"]["request_id"]
    return answer.status_code, body, set(answer.headers)


async def test_known_and_unknown_accounts_are_throttled_alike(app: AccountApp, elsewhere: AccountApp) -> None:
    person, nobody = await app.sign_up(), stranger()
    for _ in range(5):
        known, unknown = await sign_in(elsewhere, person.email), await sign_in(elsewhere, nobody)
        assert sameness(known) == sameness(unknown)
        assert status_and_code(known) == (401, "invalid_credentials")
    known, unknown = await sign_in(elsewhere, person.email), await sign_in(elsewhere, nobody)
    assert sameness(known) == sameness(unknown)
    assert status_and_code(known) == (429, "too_many_attempts")
    assert (known.headers["retry-after"], unknown.headers["retry-after"]) == ("1", "1")
    # The correct password does not shorten the wait.
    assert status_and_code(await sign_in(elsewhere, person.email, PASSWORD)) == (429, "too_many_attempts")


async def test_the_delay_ends_and_the_right_password_resets_the_count(
    app: AccountApp, elsewhere: AccountApp
) -> None:
    person = await app.sign_up()
    for _ in range(5):
        await sign_in(elsewhere, person.email)
    refused = await sign_in(elsewhere, person.email, PASSWORD)
    await asyncio.sleep(int(refused.headers["retry-after-ms"]) / 1000)
    await elsewhere.login(person.email)
    for _ in range(5):
        assert (await sign_in(elsewhere, person.email)).status_code == 401


async def test_all_spellings_of_an_address_count_together(app: AccountApp) -> None:
    name = secrets.token_hex(8)
    for spelling in (f"{name}@example.com", f" {name}@EXAMPLE.com", f"{name.upper()}@example.com") * 2:
        last = await sign_in(app, spelling)
    assert status_and_code(last) == (429, "too_many_attempts")


async def test_a_strangers_guesses_do_not_lock_the_owner_out(app: AccountApp, elsewhere: AccountApp) -> None:
    person = await app.sign_up()
    for _ in range(7):
        last = await sign_in(elsewhere, person.email)
    assert last.status_code == 429
    await app.login(person.email)  # the owner signed in from here before


@pytest.mark.usefixtures("patient_engines")
async def test_concurrent_guesses_are_throttled_like_sequential_ones(
    app: AccountApp, elsewhere: AccountApp
) -> None:
    person = await app.sign_up()
    answers = await asyncio.gather(*(sign_in(elsewhere, person.email) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 15


async def test_one_address_that_tries_many_accounts_is_throttled(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    monkeypatch.setattr(
        throttle, "_LOGIN_BY_ADDRESS", throttle.BackoffPolicy(free_attempts=8, forgive_every=1000)
    )
    for _ in range(8):
        assert (await sign_in(app, stranger())).status_code == 401
    assert status_and_code(await sign_in(app, stranger())) == (429, "too_many_attempts")
    assert status_and_code(await sign_in(app, person.email, PASSWORD)) == (429, "too_many_attempts")


async def test_signing_in_does_not_clear_the_address(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    monkeypatch.setattr(
        throttle, "_LOGIN_BY_ADDRESS", throttle.BackoffPolicy(free_attempts=6, forgive_every=1000)
    )
    for _ in range(5):
        assert (await sign_in(app, stranger())).status_code == 401
        await app.login(person.email)  # does not count, and undoes nothing
    assert (await sign_in(app, stranger())).status_code == 401
    assert status_and_code(await sign_in(app, stranger())) == (429, "too_many_attempts")


async def test_a_forwarded_address_is_trusted_from_a_proxy_only(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        throttle, "_LOGIN_BY_ADDRESS", throttle.BackoffPolicy(free_attempts=4, forgive_every=1000)
    )

    async def statuses(app: AccountApp) -> list[int]:
        found = []
        for number in range(8):
            headers = {"x-forwarded-for": f"192.0.2.{secrets.randbelow(250)}, 198.51.100.{number}"}
            body = {"email": stranger(), "password": WRONG}
            found.append((await app.client.post("/api/auth/login", json=body, headers=headers)).status_code)
        return found

    async with account_app(database_url, redis_url) as app:
        assert await statuses(app) == [401] * 4 + [429] * 4
    async with account_app(database_url, redis_url, address="10.9.9.9", trusted_proxies="10.9.9.9") as app:
        assert await statuses(app) == [401] * 8
        person = await app.sign_up()
        body = {"email": person.email, "password": PASSWORD}
        headers = {"x-forwarded-for": "203.0.113.7"}
        pair = (await app.client.post("/api/auth/login", json=body, headers=headers)).json()
        listed = await app.client.get(
            "/api/user/sessions", headers={"authorization": f"Bearer {pair['access_token']}"}
        )
        assert {"203.0.113.7", "10.9.9.9"} == {item["address"] for item in listed.json()["items"]}


async def test_addresses_of_one_ipv6_network_count_together(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        throttle, "_LOGIN_BY_ADDRESS", throttle.BackoffPolicy(free_attempts=4, forgive_every=1000)
    )
    network = f"2001:db8:{secrets.randbelow(65536):x}:1"
    answers = []
    for host in range(6):
        async with account_app(database_url, redis_url, address=f"{network}::{host:x}") as app:
            answers.append((await sign_in(app, stranger())).status_code)
    assert answers == [401] * 4 + [429] * 2


async def test_an_unprocessed_login_is_not_a_failure(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = stranger()
    with monkeypatch.context() as patch:

        async def busy(password: str, stored: str | None) -> None:
            raise Unavailable(retry_after=2)

        patch.setattr(app.container.accounts.passwords, "verify", busy)
        for _ in range(10):
            assert (await sign_in(app, email)).status_code == 503
    assert (await sign_in(app, email)).status_code == 401


async def test_a_stolen_session_cannot_guess_the_password(app: AccountApp) -> None:
    person = await app.sign_up()
    body = {"current_password": WRONG, "new_password": "another good password"}
    for _ in range(5):
        assert (await person.request("PUT", "/api/user/me/password", json=body)).status_code == 401
    refused = await person.request("PUT", "/api/user/me/password", json=body)
    assert status_and_code(refused) == (429, "too_many_attempts")
    deleting = await person.request("DELETE", "/api/user/me", json={"password": PASSWORD})
    assert status_and_code(deleting) == (429, "too_many_attempts")
    await app.login(person.email)


async def test_without_valkey_guessing_is_throttled_too(database_url: str) -> None:
    async with account_app(database_url, "") as app:
        person = await app.sign_up()
        await app.sql("UPDATE refresh_tokens SET ip = NULL WHERE user_id = CAST(:id AS uuid)", id=person.id)
        answers = [(await sign_in(app, person.email)).status_code for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2


async def test_counters_reveal_no_account_or_address(app: AccountApp, redis_url: str) -> None:
    person = await app.sign_up()
    await sign_in(app, person.email)
    kept = []
    for key in await app.container.valkey.execute("KEYS", "attempts:*"):
        kept += [key, *await app.container.valkey.execute("HGETALL", key)]
    text = json.dumps([item.decode() for item in kept])
    assert kept
    address = app.client._transport.client[0]
    for secret in (person.email, person.email.partition("@")[0], person.id, address):
        assert secret not in text


async def test_registrations_from_one_address_are_throttled(
    app: AccountApp, elsewhere: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = throttle.BackoffPolicy(free_attempts=3, first_delay=60.0, forgive_every=3600.0)
    monkeypatch.setattr(throttle, "_REGISTRATION_BY_ADDRESS", few)

    async def sign_up(where: AccountApp) -> httpx.Response:
        body = {"email": stranger(), "password": PASSWORD}
        return await where.client.post("/api/auth/register", json=body)

    assert [(await sign_up(app)).status_code for _ in range(3)] == [201, 201, 201]
    refused = await sign_up(app)
    assert status_and_code(refused) == (429, "too_many_attempts")
    assert int(refused.headers["retry-after"]) > 30
    assert (await sign_up(elsewhere)).status_code == 201
