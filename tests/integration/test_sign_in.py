"""Registration, login, logout and refresh tokens, on real engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.security.tokens import hash_refresh_token, new_refresh_token
from gateway.domain.accounts.models import ClientDevice
from tests.support.accounts import PASSWORD, AccountApp, account_app, status_and_code


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


async def refresh(app: AccountApp, token: str):
    return await app.client.post("/api/auth/refresh", json={"refresh_token": token})


async def test_registering_returns_the_user_without_secrets(app: AccountApp) -> None:
    body = {"email": "  New.Person@Example.COM ", "password": PASSWORD, "name": "New"}
    await app.sql("DELETE FROM users WHERE email = 'new.person@example.com'")
    answer = await app.client.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    user = answer.json()
    assert set(user) == {"id", "email", "name", "role", "tier", "status", "created_at"}
    assert (user["email"], user["role"], user["status"]) == ("new.person@example.com", "user", "active")
    [(stored,)] = await app.sql("SELECT password_hash FROM users WHERE id = CAST(:id AS uuid)", id=user["id"])
    assert stored.startswith("$argon2id$")


async def test_an_address_is_taken_whatever_its_case(app: AccountApp) -> None:
    person = await app.sign_up()
    body = {"email": person.email.upper(), "password": PASSWORD}
    assert status_and_code(await app.client.post("/api/auth/register", json=body)) == (409, "email_taken")


async def test_concurrent_registrations_of_one_address_create_one_account(app: AccountApp) -> None:
    body = {"email": f"race-{id(app)}@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(app.client.post("/api/auth/register", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": "x" * 257}, "password"),
        ({"email": "a@example.com", "password": "x" * 60_000}, "password"),
        ({"email": "somebody@example.com", "password": "Somebody@Example.com"}, "password"),
        ({"email": "no address", "password": PASSWORD}, "email"),
        ({"email": "a@example.com"}, "password"),
        ({"email": 7, "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": PASSWORD, "role": "admin"}, "role"),
        ({"email": "a@example.com", "password": PASSWORD, "name": "x" * 201}, "name"),
    ],
)
async def test_an_invalid_registration_names_the_field(app: AccountApp, body: dict, param: str) -> None:
    answer = await app.client.post("/api/auth/register", json=body)
    assert status_and_code(answer) == (422, "validation_failed")
    assert answer.json()["error"]["param"] == param


async def test_login_returns_tokens_that_must_not_be_cached(app: AccountApp) -> None:
    person = await app.sign_up()
    answer = await app.client.post(
        "/api/auth/login", json={"email": person.email.title(), "password": PASSWORD}
    )
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 900)


async def test_the_oauth2_form_signs_in_too(app: AccountApp) -> None:
    person = await app.sign_up()
    form = {"username": person.email, "password": PASSWORD}
    answer = await app.client.post("/api/auth/token", data=form)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
    form["password"] = "x" * 2000
    assert status_and_code(await app.client.post("/api/auth/token", data=form)) == (422, "validation_failed")


@pytest.mark.parametrize("email", ["nobody@example.com", "no address", "\u0130@x.de", ""])
async def test_an_unknown_address_and_a_wrong_password_get_the_same_response(
    app: AccountApp, email: str
) -> None:
    person = await app.sign_up()
    unknown = await app.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    wrong = await app.client.post("/api/auth/login", json={"email": person.email, "password": "wrong" * 3})
    assert status_and_code(unknown) == status_and_code(wrong) == (401, "invalid_credentials")
    assert unknown.json()["error"]["message"] == wrong.json()["error"]["message"]


async def test_a_disabled_account_can_neither_sign_in_nor_refresh(app: AccountApp) -> None:
    person = await app.sign_up()
    await app.sql("UPDATE users SET status = 'disabled' WHERE email = :email", email=person.email)
    login = {"email": person.email, "password": PASSWORD}
    assert status_and_code(await app.client.post("/api/auth/login", json=login)) == (403, "account_disabled")
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (403, "account_disabled")
    await app.sql("UPDATE users SET status = 'active' WHERE email = :email", email=person.email)
    assert (await refresh(app, person.tokens["refresh_token"])).status_code == 200


async def test_a_bcrypt_hash_is_replaced_at_sign_in(app: AccountApp) -> None:
    person = await app.sign_up()
    old = "$2b$04$oEDn47dVwHJHA0TLFlJTGOUZEvBbLvLoqEG1.gWcZDBBTbsgK5UKq"
    await app.sql("UPDATE users SET password_hash = :h WHERE email = :e", h=old, e=person.email)
    await app.login(person.email, "an old password")
    [(stored,)] = await app.sql("SELECT password_hash FROM users WHERE email = :e", e=person.email)
    assert stored.startswith("$argon2id$")
    await app.login(person.email, "an old password")


async def test_refreshing_returns_new_tokens_of_the_same_session(app: AccountApp) -> None:
    person = await app.sign_up()
    answer = await refresh(app, person.tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != person.tokens["refresh_token"]
    before = app.tokens.verify(person.tokens["access_token"])
    assert app.tokens.verify(answer.json()["access_token"]).session_id == before.session_id


async def test_a_reused_refresh_token_ends_its_session(app: AccountApp) -> None:
    person = await app.sign_up()
    elsewhere = await app.login(person.email)
    second = (await refresh(app, person.tokens["refresh_token"])).json()
    third = (await refresh(app, second["refresh_token"])).json()
    assert (await person.request("GET", "/api/user/me")).status_code == 200
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (401, "token_reused")
    for token in (third, second):
        assert (await refresh(app, token["refresh_token"])).status_code == 401
        headers = {"authorization": f"Bearer {token['access_token']}"}
        assert status_and_code(await app.client.get("/api/user/me", headers=headers)) == (
            401,
            "token_invalid",
        )
    assert status_and_code(await person.request("GET", "/api/user/me")) == (401, "token_invalid")
    assert (await refresh(app, elsewhere["refresh_token"])).status_code == 200


async def test_concurrent_refreshes_get_the_same_successor(app: AccountApp) -> None:
    person = await app.sign_up()
    answers = await asyncio.gather(*(refresh(app, person.tokens["refresh_token"]) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    [(rows,)] = await app.sql(
        "SELECT count(*) FROM refresh_tokens WHERE user_id = CAST(:id AS uuid)", id=person.id
    )
    assert rows == 2
    assert (await refresh(app, successor)).status_code == 200


async def test_a_used_token_with_a_used_successor_is_theft_at_once(app: AccountApp) -> None:
    person = await app.sign_up()
    second = (await refresh(app, person.tokens["refresh_token"])).json()
    assert (await refresh(app, second["refresh_token"])).status_code == 200
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (401, "token_reused")


async def test_a_used_token_is_theft_after_the_grace_period(app: AccountApp) -> None:
    person = await app.sign_up()
    second = (await refresh(app, person.tokens["refresh_token"])).json()
    age = "UPDATE refresh_tokens SET used_at = now() - interval ':s seconds' WHERE used_at IS NOT NULL"
    await app.sql(age.replace(":s", "9") + " AND user_id = CAST(:id AS uuid)", id=person.id)
    again = (await refresh(app, person.tokens["refresh_token"])).json()
    assert again["refresh_token"] == second["refresh_token"]
    await app.sql(age.replace(":s", "11") + " AND user_id = CAST(:id AS uuid)", id=person.id)
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (401, "token_reused")
    assert status_and_code(await refresh(app, second["refresh_token"])) == (401, "token_invalid")


async def test_an_ended_session_returns_no_successor_within_the_grace_period(app: AccountApp) -> None:
    person = await app.sign_up()
    second = (await refresh(app, person.tokens["refresh_token"])).json()
    await app.client.post("/api/auth/logout", json={"refresh_token": second["refresh_token"]})
    assert (await refresh(app, person.tokens["refresh_token"])).status_code == 401


@pytest.mark.parametrize("token", ["", "rt_", "nonsense", "rt_" + "A" * 43, "rt_" + "é" * 43])
async def test_a_malformed_refresh_token_is_rejected(app: AccountApp, token: str) -> None:
    assert status_and_code(await refresh(app, token)) == (401, "token_invalid")


async def test_an_access_token_does_not_refresh(app: AccountApp) -> None:
    person = await app.sign_up()
    assert status_and_code(await refresh(app, person.tokens["access_token"])) == (401, "token_invalid")


async def test_a_refresh_token_does_not_give_access(app: AccountApp) -> None:
    person = await app.sign_up()
    person.tokens["access_token"] = person.tokens["refresh_token"]
    assert status_and_code(await person.request("GET", "/api/user/me")) == (401, "token_invalid")


async def test_an_expired_refresh_token_is_reported(app: AccountApp) -> None:
    person = await app.sign_up()
    await app.sql(
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 second'"
        " WHERE user_id = CAST(:id AS uuid)",
        id=person.id,
    )
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (401, "token_expired")


async def test_logging_out_ends_the_session_and_its_access_tokens_at_once(app: AccountApp) -> None:
    person = await app.sign_up()
    assert (await person.request("GET", "/api/user/me")).status_code == 200
    body = {"refresh_token": person.tokens["refresh_token"]}
    answer = await app.client.post("/api/auth/logout", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert status_and_code(await person.request("GET", "/api/user/me")) == (401, "token_invalid")
    assert status_and_code(await refresh(app, person.tokens["refresh_token"])) == (401, "token_invalid")


@pytest.mark.parametrize("token", ["nonsense", "rt_" + "A" * 43])
async def test_logging_out_with_a_malformed_token_is_not_an_error(app: AccountApp, token: str) -> None:
    answer = await app.client.post("/api/auth/logout", json={"refresh_token": token})
    assert answer.status_code == 204


async def test_a_session_renewed_while_all_are_being_ended_ends_too(app: AccountApp) -> None:
    person = await app.sign_up()
    other = await app.login(person.email)
    change = {"current_password": PASSWORD, "new_password": "another good password"}
    secret = new_refresh_token()
    async with app.container.uow() as uow:  # what a refresh does, stopped before its commit
        spent = await uow.refresh_tokens.find(hash_refresh_token(other["refresh_token"]))
        await uow.users.lock(spent.user_id)
        await uow.refresh_tokens.rotate(
            spent, token_hash=hash_refresh_token(secret), ttl_seconds=60, device=ClientDevice()
        )
        changing = asyncio.create_task(person.request("PUT", "/api/user/me/password", json=change))
        await app.wait_until_blocked(changing)
    assert (await changing).status_code == 204
    assert status_and_code(await refresh(app, secret)) == (401, "token_invalid")
    assert (await refresh(app, person.tokens["refresh_token"])).status_code == 200


async def test_only_hashes_of_secrets_are_stored(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    [(stored,)] = await app.sql(
        "SELECT concat((SELECT string_agg(r::text, ' ') FROM refresh_tokens r),"
        " (SELECT string_agg(k::text, ' ') FROM api_keys k), (SELECT string_agg(u::text, ' ') FROM users u))"
    )
    for secret in (person.tokens["refresh_token"], key["secret"], PASSWORD):
        assert secret not in stored
        assert secret.encode().hex() not in stored
