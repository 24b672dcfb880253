"""Password reset.

The reader of the account's mail sets a new password, once, and nobody learns more.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from structlog.testing import CapturingLogger

from gateway.core.email.mailer import MailNotSent
from gateway.services.accounts import notices, throttle
from tests.support.accounts import PASSWORD, AccountApp, SignedInAccount, account_app, status_and_code

NEW = "another good password"
ME = "/api/user/me"


@pytest.fixture
async def app(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url, mailbox=tmp_path) as running:
        yield running


async def forgot(app: AccountApp, email: str) -> httpx.Response:
    answer = await app.client.post("/api/auth/password/forgot", json={"email": email})
    await app.container.accounts.password_resets.aclose()
    return answer


async def reset(app: AccountApp, token: str, password: str = NEW) -> httpx.Response:
    return await app.client.post("/api/auth/password/reset", json={"token": token, "password": password})


def mails(folder: Path) -> list[str]:
    """Return the tokens in the mail folder, oldest first."""
    found = []
    for mail in sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns):
        message = message_from_bytes(mail.read_bytes(), policy=policy.default)
        [token] = set(re.findall(r"pr_[\w-]{43}", message.get_content()))
        found.append(token)
    return found


async def token_for(app: AccountApp, person: SignedInAccount, folder: Path) -> str:
    assert (await forgot(app, person.email)).status_code == 202
    return mails(folder)[-1]


async def test_a_new_password_by_mail_ends_every_session(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    assert (await person.request("GET", ME)).status_code == 200
    service = {"x-api-key": (await person.create_api_key())["secret"]}
    token = await token_for(app, person, tmp_path)
    answer = await reset(app, token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert status_and_code(await person.request("GET", ME)) == (401, "token_invalid")
    body = {"refresh_token": person.tokens["refresh_token"]}
    assert (await app.client.post("/api/auth/refresh", json=body)).status_code == 401
    assert (await app.client.get("/v1/probe", headers=service)).status_code == 200
    old = {"email": person.email, "password": PASSWORD}
    assert status_and_code(await app.client.post("/api/auth/login", json=old)) == (401, "invalid_credentials")
    await app.login(person.email, NEW)


async def test_a_token_works_once_also_concurrently(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    passwords = [f"a good password, number {number}" for number in range(6)]
    answers = await asyncio.gather(*(reset(app, token, password) for password in passwords))
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204] + [401] * 5
    await app.login(person.email, passwords[statuses.index(204)])
    assert status_and_code(await reset(app, token)) == (401, "token_invalid")


async def test_a_token_is_valid_for_an_hour(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    [(seconds,)] = await app.sql(
        "SELECT extract(epoch FROM expires_at - created_at)::int FROM password_resets"
        " WHERE user_id = CAST(:id AS uuid)",
        id=person.id,
    )
    assert seconds == 3600
    await app.sql(
        "UPDATE password_resets SET expires_at = now() WHERE user_id = CAST(:id AS uuid)", id=person.id
    )
    assert status_and_code(await reset(app, token)) == (401, "token_invalid")
    await app.login(person.email)


async def test_a_rejected_password_does_not_use_the_token(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    for bad in ("short", "password123", person.email, "x" * 257, "x" * 60_000):
        refused = await reset(app, token, bad)
        assert status_and_code(refused) == (422, "validation_failed")
        assert refused.json()["error"]["param"] == "password"
    assert (await reset(app, token)).status_code == 204


@pytest.mark.parametrize("what", ["password", "address", "another"])
async def test_a_token_is_invalid_once_its_reason_is_gone(app: AccountApp, tmp_path: Path, what: str) -> None:
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    if what == "password":
        body = {"current_password": PASSWORD, "new_password": "yet another password"}
        assert (await person.request("PUT", f"{ME}/password", json=body)).status_code == 204
    elif what == "address":
        moved = {"email": f"{secrets.token_hex(8)}@example.com", "current_password": PASSWORD}
        assert (await person.request("PUT", ME, json=moved)).status_code == 200
    else:
        assert (await reset(app, await token_for(app, person, tmp_path))).status_code == 204
    assert status_and_code(await reset(app, token)) == (401, "token_invalid")


async def test_the_response_does_not_reveal_whether_the_account_exists(
    app: AccountApp, tmp_path: Path
) -> None:
    person, disabled = await app.sign_up(), await app.sign_up()
    await app.sql("UPDATE users SET status = 'disabled' WHERE email = :e", e=disabled.email)
    addresses = [person.email, disabled.email, "nobody@example.com", "no address", "", "\u0130@x.de"]
    answers = [await forgot(app, address) for address in addresses]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert len(mails(tmp_path)) == 1


async def test_the_response_does_not_wait_for_the_mail(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(*letter: str) -> None:
        begun.set()
        await release.wait()

    monkeypatch.setattr(app.container.accounts.mailer, "send", slow)
    answer = await app.client.post("/api/auth/password/forgot", json={"email": person.email})
    assert answer.status_code == 202
    await begun.wait()
    release.set()


async def test_a_disabled_account_gets_no_new_password(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    await app.sql("UPDATE users SET status = 'disabled' WHERE email = :e", e=person.email)
    assert status_and_code(await reset(app, token)) == (403, "account_disabled")
    await app.sql("UPDATE users SET status = 'active' WHERE email = :e", e=person.email)
    assert (await reset(app, token)).status_code == 204


async def test_only_the_tokens_hash_is_stored_and_no_log_contains_it(
    app: AccountApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = CapturingLogger()
    for module in ("core.email.mailer", "services.accounts.password_reset"):
        monkeypatch.setattr(f"gateway.{module}.log", logs)
    person = await app.sign_up()
    token = await token_for(app, person, tmp_path)
    [(stored,)] = await app.sql("SELECT string_agg(r::text, ' ') FROM password_resets r")
    for secret in (token, token[3:], token.encode().hex()):
        assert secret not in stored
        assert secret not in repr(logs.calls)
    assert (await reset(app, token)).status_code == 204
    assert [call.args for call in logs.calls] == [("mail.written",), ("password.reset",)]
    assert person.email not in repr(logs.calls)
    assert token not in repr(logs.calls)


async def test_an_account_is_not_flooded_with_mail(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    assert {(await forgot(app, person.email)).status_code for _ in range(8)} == {202}
    assert len(mails(tmp_path)) == 3


async def test_an_address_that_requests_many_mails_is_throttled(
    app: AccountApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_MAILS_BY_ADDRESS", throttle.BackoffPolicy(free_attempts=4))
    for _ in range(4):
        assert (await forgot(app, f"{secrets.token_hex(8)}@example.com")).status_code == 202
    refused = await forgot(app, f"{secrets.token_hex(8)}@example.com")
    assert status_and_code(refused) == (429, "too_many_attempts")
    assert refused.headers["retry-after"] == "1"


async def test_a_reset_clears_the_login_delay(app: AccountApp, tmp_path: Path) -> None:
    person = await app.sign_up()
    wrong = {"email": person.email, "password": "wrong" * 3}
    for _ in range(6):
        last = await app.client.post("/api/auth/login", json=wrong)
    assert last.status_code == 429
    assert (await reset(app, await token_for(app, person, tmp_path))).status_code == 204
    await app.login(person.email, NEW)


async def test_a_failed_mail_is_retried(
    app: AccountApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await app.sign_up()
    monkeypatch.setattr(notices, "_RETRY_DELAYS", (0.0, 0.0))
    send, tries = app.container.accounts.mailer.send, 0

    async def fails_twice(*letter: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise MailNotSent("TimeoutError")
        await send(*letter)

    monkeypatch.setattr(app.container.accounts.mailer, "send", fails_twice)
    assert (await reset(app, await token_for(app, person, tmp_path))).status_code == 204


@pytest.mark.parametrize(
    "token", ["", "pr_", "nonsense", "pr_" + "A" * 43, "pr_" + "é" * 43, "rt_" + "A" * 43, "x" * 1024]
)
async def test_a_malformed_token_resets_nothing(app: AccountApp, token: str) -> None:
    assert status_and_code(await reset(app, token)) == (401, "token_invalid")
