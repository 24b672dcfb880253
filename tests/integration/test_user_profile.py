"""An account's own profile, password and deletion, on real engines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.exceptions import EmailTaken, LastAdmin, NotFound, ValidationFailed
from tests.support.accounts import PASSWORD, AccountApp, account_app, status_and_code

ME = "/api/user/me"


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


async def test_users_read_and_change_their_profile(app: AccountApp) -> None:
    person = await app.sign_up()
    assert (await person.request("GET", ME)).json()["email"] == person.email
    moved = f"moved-{secrets.token_hex(4)}@Example.com"
    body = {"name": "  Ada  ", "email": moved, "current_password": PASSWORD}
    answer = await person.request("PUT", ME, json=body)
    assert (answer.json()["name"], answer.json()["email"]) == ("Ada", moved.lower())
    assert (await person.request("PUT", ME, json={})).json() == answer.json()
    await app.login(moved)


async def test_another_accounts_address_is_taken(app: AccountApp) -> None:
    person, other = await app.sign_up(), await app.sign_up()
    body = {"email": other.email.upper(), "current_password": PASSWORD}
    answer = await person.request("PUT", ME, json=body)
    assert status_and_code(answer) == (409, "email_taken")


async def test_a_new_address_needs_the_password(app: AccountApp) -> None:
    person = await app.sign_up()
    moved = f"{secrets.token_hex(6)}@example.org"

    missing = await person.request("PUT", ME, json={"email": moved})
    assert status_and_code(missing) == (422, "validation_failed")
    assert missing.json()["error"]["param"] == "current_password"
    wrong = await person.request("PUT", ME, json={"email": moved, "current_password": "wrong" * 3})
    assert status_and_code(wrong) == (401, "invalid_credentials")
    assert (await person.request("GET", ME)).json()["email"] == person.email
    # The console sends the address also if only the name changed.
    same = await person.request("PUT", ME, json={"name": "Ada", "email": person.email.upper()})
    assert (same.status_code, same.json()["name"]) == (200, "Ada")


async def test_a_new_address_ends_other_sessions_and_notifies_the_old_one(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with account_app(database_url, redis_url, mailbox=tmp_path) as app:
        person = await app.sign_up()
        other = await app.login(person.email)
        other_headers = {"authorization": f"Bearer {other['access_token']}"}
        moved = f"{secrets.token_hex(6)}@example.org"
        body = {"email": moved, "current_password": PASSWORD}

        assert (await person.request("PUT", ME, json=body)).status_code == 200

        assert status_and_code(await app.client.get(ME, headers=other_headers)) == (401, "token_invalid")
        assert (await person.request("GET", ME)).status_code == 200
        await app.container.accounts.notices.aclose()
        [mail] = mails_in(tmp_path)
        assert f"To: {person.email}" in mail
        assert moved not in mail


def mails_in(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("*.eml")]


@pytest.mark.parametrize("address", ["services@gateway.localhost", "Me@GATEWAY.Localhost", "a@b.localhost"])
async def test_reserved_addresses_cannot_be_used(app: AccountApp, address: str) -> None:
    person = await app.sign_up()
    body = {"email": address, "current_password": PASSWORD}
    for answer in (
        await person.request("PUT", ME, json=body),
        await app.client.post("/api/auth/register", json={"email": address, "password": PASSWORD}),
    ):
        assert status_and_code(answer) == (422, "validation_failed")
        assert answer.json()["error"]["param"] == "email"


async def test_administrators_cannot_use_the_address_of_the_environment_keys(app: AccountApp) -> None:
    with pytest.raises(ValidationFailed, match="reserved"):
        await app.container.accounts.users.create_admin("Services@gateway.localhost", PASSWORD)


@pytest.mark.parametrize("body", [{"role": "admin"}, {"email": "x"}, {"name": 7}, [], "text", None])
async def test_an_invalid_profile_is_rejected(app: AccountApp, body: object) -> None:
    person = await app.sign_up()
    assert status_and_code(await person.request("PUT", ME, json=body)) == (422, "validation_failed")


async def test_a_new_password_ends_every_other_session_at_once(app: AccountApp) -> None:
    person = await app.sign_up()
    other = await app.login(person.email)
    other_headers = {"authorization": f"Bearer {other['access_token']}"}
    assert (await app.client.get(ME, headers=other_headers)).status_code == 200
    body = {"current_password": PASSWORD, "new_password": "another good password"}
    assert (await person.request("PUT", f"{ME}/password", json=body)).status_code == 204
    assert status_and_code(await app.client.get(ME, headers=other_headers)) == (401, "token_invalid")
    assert (await person.request("GET", ME)).status_code == 200
    refused = await app.client.post("/api/auth/login", json={"email": person.email, "password": PASSWORD})
    assert status_and_code(refused) == (401, "invalid_credentials")
    await app.login(person.email, "another good password")


async def test_a_new_password_needs_the_old_one_and_a_good_new_one(app: AccountApp) -> None:
    person = await app.sign_up()
    wrong = {"current_password": "wrong" * 3, "new_password": "another good password"}
    assert status_and_code(await person.request("PUT", f"{ME}/password", json=wrong)) == (
        401,
        "invalid_credentials",
    )
    own = {"current_password": PASSWORD, "new_password": person.email}
    answer = await person.request("PUT", f"{ME}/password", json=own)
    assert status_and_code(answer) == (422, "validation_failed")
    assert answer.json()["error"]["param"] == "new_password"


async def test_a_deleted_accounts_credentials_stop_working(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    probe = {"x-api-key": key["secret"]}
    assert (await app.client.get("/v1/probe", headers=probe)).status_code == 200
    refused = await person.request("DELETE", ME, json={"password": "wrong" * 3})
    assert status_and_code(refused) == (401, "invalid_credentials")
    assert (await person.request("DELETE", ME, json={"password": PASSWORD})).status_code == 204
    assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")
    assert status_and_code(await app.client.get("/v1/probe", headers=probe)) == (401, "invalid_api_key")
    [(left,)] = await app.sql(
        "SELECT count(*) FROM refresh_tokens WHERE user_id = CAST(:id AS uuid)", id=person.id
    )
    assert left == 0


async def test_an_admin_may_have_a_local_address(app: AccountApp) -> None:
    email = f"admin-{secrets.token_hex(4)}@gateway.localhost"
    admin = await app.container.accounts.users.create_admin(email, PASSWORD, "Admin")
    assert (admin.role, admin.email) == ("admin", email)
    tokens = await app.login(email)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await app.client.get("/api/admin/probe", headers=headers)).status_code == 200
    assert (await app.container.accounts.users.find_by_email(email.upper())).id == admin.id
    with pytest.raises(EmailTaken):
        await app.container.accounts.users.create_admin(email, PASSWORD, "Again")
    with pytest.raises(ValidationFailed):
        await app.container.accounts.users.create_admin("no address", PASSWORD, "")


async def test_the_last_admin_stays(clean_database: str, redis_url: str) -> None:
    async with account_app(clean_database, redis_url) as app:
        users = app.container.accounts.users
        first = await users.create_admin("first@gateway.localhost", PASSWORD)
        with pytest.raises(LastAdmin):
            await app.container.accounts.deletion.delete(first.id, PASSWORD)
        await users.create_admin("second@gateway.localhost", PASSWORD)
        assert await users.count() == 2
        await app.container.accounts.deletion.delete(first.id, PASSWORD)
        assert await users.count() == 1


async def test_of_two_admins_deleted_concurrently_one_stays(clean_database: str, redis_url: str) -> None:
    async with account_app(clean_database, redis_url) as app:
        first = await app.container.accounts.users.create_admin("first@gateway.localhost", PASSWORD)
        second = await app.container.accounts.users.create_admin("second@gateway.localhost", PASSWORD)
        async with app.container.uow() as uow:  # the first deletion, stopped before its commit
            assert await uow.users.lock_and_count_other_admins(first.id) == 1
            await uow.users.delete(first.id)
            leaving = asyncio.create_task(app.container.accounts.deletion.delete(second.id, PASSWORD))
            await app.wait_until_blocked(leaving)
        with pytest.raises(LastAdmin):
            await leaving
        assert (await app.container.accounts.users.get(second.id)).role == "admin"


async def test_the_operator_sets_a_password_and_every_session_ends(app: AccountApp) -> None:
    person = await app.sign_up()
    users, new = app.container.accounts.users, "another long pass phrase"
    with pytest.raises(ValidationFailed):
        await users.set_password(person.email, "short")
    with pytest.raises(NotFound):
        await users.set_password(f"nobody-{person.email}", new)
    assert (await person.request("GET", ME)).status_code == 200

    await users.set_password(person.email.upper(), new)

    assert (await person.request("GET", ME)).status_code == 401
    for password, status in ((PASSWORD, 401), (new, 200)):
        body = {"email": person.email, "password": password}
        assert (await app.client.post("/api/auth/login", json=body)).status_code == status
