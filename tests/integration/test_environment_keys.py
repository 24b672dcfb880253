"""API keys from the environment, on real engines."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

from gateway.core.security.api_keys import hash_credential
from gateway.core.security.passwords import is_unusable_hash
from gateway.services.accounts.environment_keys import ACCOUNT_EMAIL, EnvironmentKeys, parse_keys
from tests.support.accounts import AccountApp, account_app, status_and_code

FIRST = "first-key-of-an-operator"


async def ask(app: AccountApp, secret: str) -> tuple[int, dict[str, str]]:
    answer = await app.client.get("/v1/probe", headers={"authorization": f"Bearer {secret}"})
    return answer.status_code, answer.json()


async def test_environment_keys_authenticate_as_one_account(database_url: str, redis_url: str) -> None:
    async with account_app(database_url, redis_url, environment_keys=(FIRST, "k")) as app:
        await app.container.accounts.environment_keys.persist()
        await app.container.accounts.environment_keys.persist()

        status, first = await ask(app, FIRST)
        answer = await app.client.get("/v1/probe", headers={"x-api-key": "k"})

        assert status == 200
        assert first == {"user_id": answer.json()["user_id"], "kind": "api_key"}
        assert (await ask(app, "another-key"))[0] == 401


async def test_a_removed_key_is_rejected_from_the_next_start(database_url: str, redis_url: str) -> None:
    async with account_app(database_url, redis_url, environment_keys=(FIRST, "second")) as app:
        await app.container.accounts.environment_keys.persist()
        assert (await ask(app, FIRST))[0] == 200
        later = EnvironmentKeys(("second",), app.container.uow, app.container.cache, tier="enterprise")
        await later.persist()

        assert (await ask(app, FIRST))[0] == 401
        assert (await ask(app, "second"))[0] == 200


async def test_each_key_has_the_configured_limit_also_after_a_change(
    database_url: str, redis_url: str
) -> None:
    async with account_app(database_url, redis_url, environment_keys=(FIRST,)) as app:
        for limit in (60, 7, None):
            keys = EnvironmentKeys(
                (FIRST,),
                app.container.uow,
                app.container.cache,
                tier="enterprise",
                requests_per_minute=limit,
            )
            await keys.persist()
            async with app.container.uow() as uow:
                account = await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)
                assert account is not None
                (key,) = await uow.api_keys.list_for(account.user_id)
            assert key.requests_per_minute == limit


async def test_keys_never_use_an_account_with_a_password(database_url: str, redis_url: str) -> None:
    """Earlier releases allowed registering the address, and assigned the keys to that account."""
    async with account_app(database_url, redis_url, environment_keys=(FIRST,)) as app:
        await _make_room(app)
        person = await app.sign_up()
        async with app.container.uow() as uow:
            await uow.users.update_profile(UUID(person.id), name=None, email=ACCOUNT_EMAIL)
            await uow.api_keys.sync(
                UUID(person.id),
                name="GATEWAY_API_KEYS",
                prefixes={hash_credential(FIRST): "env:1", hash_credential("gone"): "env:2"},
                scopes=["chat"],
                requests_per_minute=None,
            )

        await app.container.accounts.environment_keys.persist()
        await app.container.accounts.environment_keys.persist()

        status, found = await ask(app, FIRST)
        assert status == 200
        assert found["user_id"] != person.id
        assert (await ask(app, "gone"))[0] == 401
        async with app.container.uow() as uow:
            account = await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)
            former = await uow.users.get(UUID(person.id))
        assert str(account.user_id) == found["user_id"]
        assert is_unusable_hash(account.password_hash)
        assert former is not None
        assert former.email == f"{person.id}@moved.gateway.localhost"
        keys = await person.request("GET", "/api/user/api-keys")
        assert all(key["revoked_at"] for key in keys.json()["items"])


async def test_no_reset_is_sent_for_the_services_account(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with account_app(database_url, redis_url, environment_keys=(FIRST,), mailbox=tmp_path) as app:
        await app.container.accounts.environment_keys.persist()
        await app.client.post("/api/auth/password/forgot", json={"email": ACCOUNT_EMAIL})
        await app.container.accounts.password_resets.aclose()
        assert mails_in(tmp_path) == []


def mails_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.eml"))


async def _make_room(app: AccountApp) -> None:
    """Other tests on this database may have created the account already."""
    async with app.container.uow() as uow:
        if (known := await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)) is not None:
            await uow.users.delete(known.user_id)


async def test_the_services_account_cannot_sign_in(database_url: str, redis_url: str) -> None:
    async with account_app(database_url, redis_url, environment_keys=(FIRST,)) as app:
        await app.container.accounts.environment_keys.persist()
        sign_in = partial(app.client.post, "/api/auth/login")

        answer = await sign_in(json={"email": ACCOUNT_EMAIL, "password": FIRST})

        assert status_and_code(answer) == (401, "invalid_credentials")


async def test_nothing_stored_reveals_the_key(database_url: str, redis_url: str) -> None:
    async with account_app(database_url, redis_url, environment_keys=("k",)) as app:
        await app.container.accounts.environment_keys.persist()
        async with app.container.uow() as uow:
            account = await uow.users.get_credentials_by_email(ACCOUNT_EMAIL)
            assert account is not None
            (key,) = await uow.api_keys.list_for(account.user_id)

        assert key.prefix.startswith("env:")
        assert key.name == "GATEWAY_API_KEYS"


def test_a_list_of_keys_may_contain_blanks_and_duplicates() -> None:
    assert parse_keys(" a, b,,a ,") == ("a", "b")
    assert parse_keys("") == ()
