"""Forged, altered, oversized or wrong credentials are rejected by name and change nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from jose import jwt

from gateway.core.security.tokens import AUDIENCE, ISSUER
from tests.support.accounts import PASSWORD, SECRET, AccountApp, SignedInAccount, account_app, status_and_code

ME = "/api/user/me"


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[AccountApp]:
    async with account_app(database_url, redis_url) as running:
        yield running


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def claims_of(person: SignedInAccount, **changes: Any) -> dict[str, Any]:
    """Return the claims of the user's valid token, altered; `...` removes a claim."""
    good = jwt.get_unverified_claims(person.tokens["access_token"])
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


FORGERIES: dict[str, Any] = {
    "alg none": lambda person: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims_of(person))}.",
    "alg None, signed by nobody": lambda person: f"{part({'alg': 'None'})}.{part(claims_of(person))}.AAAA",
    "alg HS512": lambda person: signed(claims_of(person), algorithm="HS512"),
    "alg RS256 in name": lambda person: f"{part({'alg': 'RS256'})}.{part(claims_of(person))}.AAAA",
    "no alg": lambda person: f"{part({'typ': 'JWT'})}.{part(claims_of(person))}.AAAA",
    "another secret": lambda person: signed(claims_of(person), secret="another secret of the same length"),
    "an empty secret": lambda person: signed(claims_of(person), secret=""),
    "wrong aud": lambda person: signed(claims_of(person, aud="somebody-else")),
    "many auds": lambda person: signed(claims_of(person, aud=[AUDIENCE, 7])),
    "no aud": lambda person: signed(claims_of(person, aud=...)),
    "wrong iss": lambda person: signed(claims_of(person, iss=ISSUER + "x")),
    "no exp": lambda person: signed(claims_of(person, exp=...)),
    "exp as text": lambda person: signed(claims_of(person, exp="never")),
    "exp beyond all numbers": lambda person: signed(claims_of(person, exp=1e400)),
    "no sub": lambda person: signed(claims_of(person, sub=...)),
    "sub of nobody": lambda person: signed(claims_of(person, sub=str(uuid4()))),
    "sub as number": lambda person: signed(claims_of(person, sub=7)),
    "sub empty": lambda person: signed(claims_of(person, sub="")),
    "sub with NUL": lambda person: signed(claims_of(person, sub="\x00" + person.id)),
    "sub half a pair": lambda person: signed(claims_of(person, sub="\ud800")),
    "sid of nobody": lambda person: signed(claims_of(person, sid=str(uuid4()))),
    "ver of tomorrow": lambda person: signed(claims_of(person, ver=2)),
    "ver beyond all integers": lambda person: signed(claims_of(person, ver=2**70)),
    "another use": lambda person: signed(claims_of(person, token_use="refresh")),
    "the refresh token": lambda person: person.tokens["refresh_token"],
    "a list as claims": lambda person: f"{part({'alg': 'HS256'})}.{part([1, 2])}.AAAA",
    "nothing but dots": lambda person: "..",
    "one megabyte": lambda person: "e" * 1_000_000,
    "cut": lambda person: person.tokens["access_token"][:-1],
    "doubled": lambda person: person.tokens["access_token"] * 2,
}


async def get_me(app: AccountApp, token: str | bytes) -> httpx.Response:
    value = b"Bearer " + (token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass"))
    return await app.client.get(ME, headers=[(b"authorization", value)])


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_access_token_is_invalid(app: AccountApp, forgery: str) -> None:
    person = await app.sign_up()
    answer = await get_me(app, FORGERIES[forgery](person))
    assert status_and_code(answer) == (401, "token_invalid")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await person.request("GET", ME)).status_code == 200


@pytest.mark.parametrize("claims", [{"exp": int(time.time()) - 1}, {"exp": 0}, {"exp": -1}])
async def test_an_expired_access_token_is_reported(app: AccountApp, claims: dict[str, Any]) -> None:
    person = await app.sign_up()
    assert status_and_code(await get_me(app, signed(claims_of(person, **claims)))) == (401, "token_expired")


async def test_a_role_claim_in_a_token_is_ignored(app: AccountApp) -> None:
    person = await app.sign_up()
    token = signed(claims_of(person, role="admin", tier="enterprise"))
    headers = {"authorization": f"Bearer {token}"}
    assert status_and_code(await app.client.get("/api/admin/probe", headers=headers)) == (403, "forbidden")


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"bearer\t", b"Basic QTpC", b"Token x", b"\xed\xa0\x80", b"Bearer,Bearer"],
)
async def test_a_header_without_a_credential_is_unauthenticated(app: AccountApp, header: bytes) -> None:
    answer = await app.client.get(ME, headers=[(b"authorization", header)])
    assert status_and_code(answer) == (401, "invalid_credentials")


@pytest.mark.parametrize("token", [b"\xed\xa0\x80", b"\xff\xfe", b"a.\xed\xa0\x80.b", "\u202e.x.y".encode()])
async def test_bytes_that_are_not_text_are_not_a_token(app: AccountApp, token: bytes) -> None:
    assert status_and_code(await get_me(app, token)) == (401, "token_invalid")


async def test_an_altered_key_is_rejected_in_every_header(app: AccountApp) -> None:
    person = await app.sign_up()
    secret = (await person.create_api_key())["secret"]
    last = "A" if secret[-1] != "A" else "B"
    [(key_hash,)] = await app.sql(
        "SELECT key_hash FROM api_keys WHERE user_id = CAST(:id AS uuid)", id=person.id
    )
    assert key_hash == hashlib.sha256(secret.encode()).digest()
    bent = [
        secret[:-1] + last,  # the checksum
        secret[:5] + ("x" if secret[5] != "x" else "y") + secret[6:],
        secret + "A",
        secret[:-1],
        "gw_" + secret[3:].swapcase(),
        secret[:10],  # as listed
        "gw_" + key_hash.hex(),
        "gw_" + base64.urlsafe_b64encode(key_hash).decode().rstrip("="),
        "gw_" + "a" * 1_000_000,
        "gw_",
        "gw_" + "\u0131" * 38,
    ]
    for key in bent:
        for headers in (
            [(b"x-api-key", key.encode())],
            [(b"authorization", b"Bearer " + key.encode())],
        ):
            answer = await app.client.get("/v1/probe", headers=headers)
            assert status_and_code(answer) == (401, "invalid_api_key"), key[:60]
    answer = await app.client.get("/v1/probe", headers={"x-api-key": key_hash.hex()})
    assert status_and_code(answer) == (401, "invalid_api_key")
    assert (await app.client.get("/v1/probe", headers={"x-api-key": secret})).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "rt_", "rt_" + "A" * 43, "rt_" + "\u0131" * 43, "x" * 1024, "x" * 1025, "A" * 1_000_000]
)
@pytest.mark.parametrize("path", ["refresh", "logout"])
async def test_a_malformed_refresh_token_changes_nothing(app: AccountApp, path: str, token: str) -> None:
    person = await app.sign_up()
    answer = await app.client.post(f"/api/auth/{path}", json={"refresh_token": token})
    if len(token) > 64 * 1024:
        expected = 413  # the body limit of routes with credentials
    elif len(token) > 1024:
        expected = 422
    else:
        expected = 204 if path == "logout" else 401
    assert answer.status_code == expected
    assert (await person.request("GET", ME)).status_code == 200


HOSTILE = ["x" * 1_000_000, "x" * 1025, "\ufdfa" * 1024, " " * 300, "", "\u0000" * 12, "\ud800" * 12]


@pytest.mark.parametrize("password", HOSTILE, ids=lambda text: f"{text[:1]!r}x{len(text)}")
async def test_a_hostile_password_is_rejected_everywhere_and_changes_nothing(
    app: AccountApp, password: str
) -> None:
    person = await app.sign_up()
    signed_in = person.headers
    before = await app.sql("SELECT * FROM users WHERE id = CAST(:id AS uuid)", id=person.id)
    attempts = [
        ("POST", "/api/auth/register", {"email": "new-" + person.email, "password": password}, {}),
        ("POST", "/api/auth/login", {"email": person.email, "password": password}, {}),
        ("POST", "/api/auth/password/reset", {"token": "pr_" + "A" * 43, "password": password}, {}),
        ("DELETE", ME, {"password": password}, signed_in),
        (
            "PUT",
            f"{ME}/password",
            {"current_password": password, "new_password": "quite new"},
            signed_in,
        ),
        ("PUT", f"{ME}/password", {"current_password": PASSWORD, "new_password": password}, signed_in),
    ]
    for method, path, body, headers in attempts:
        content = json.dumps(body).encode()  # escapes what UTF-8 cannot encode
        answer = await app.client.request(
            method, path, content=content, headers={**headers, "content-type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert password[:50] not in answer.text or not password.strip()
    assert await app.sql("SELECT * FROM users WHERE id = CAST(:id AS uuid)", id=person.id) == before
    assert await app.sql("SELECT 1 FROM users WHERE email = :e", e="new-" + person.email) == []
    await app.login(person.email)


async def test_a_hostile_form_is_rejected(app: AccountApp) -> None:
    person = await app.sign_up()
    for form in (
        {"username": person.email, "password": "x" * 1_000_000},
        {"username": "x" * 1_000_000, "password": PASSWORD},
        {"username": person.email, "password": ""},
        {"username": person.email + "\x00", "password": PASSWORD},
    ):
        answer = await app.client.post("/api/auth/token", data=form)
        assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "field",
    [{"role": "admin"}, {"tier": "enterprise"}, {"status": "active"}, {"token_version": 1}],
)
async def test_protected_fields_cannot_be_set(app: AccountApp, field: dict[str, Any]) -> None:
    person = await app.sign_up()
    bodies = [
        ("POST", "/api/auth/register", {"email": "other-" + person.email, "password": PASSWORD}),
        ("PUT", ME, {"name": "Ada"}),
        ("POST", "/api/user/api-keys", {"name": "ci"}),
        ("POST", "/api/auth/login", {"email": person.email, "password": PASSWORD}),
    ]
    for method, path, body in bodies:
        answer = await person.request(method, path, json={**body, **field})
        assert status_and_code(answer) == (422, "validation_failed")
    me = (await person.request("GET", ME)).json()
    assert (me["role"], me["tier"], me["name"]) == ("user", "free", "")
