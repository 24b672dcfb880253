"""Access tokens are accepted only if everything about them is valid."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from gateway.core.exceptions import TokenExpired, TokenInvalid
from gateway.core.security.tokens import AUDIENCE, ISSUER, AccessTokens, hash_refresh_token, new_refresh_token

SECRET = "a secret of tests, and long enough"
TOKENS = AccessTokens(SECRET, 900)


def issue(tokens: AccessTokens = TOKENS) -> str:
    return tokens.issue(user_id=uuid4(), session_id=uuid4(), version=3, role="admin", tier="pro")


def claims(**changes: Any) -> dict[str, Any]:
    good = jwt.get_unverified_claims(issue())
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def signed(content: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(content, secret, algorithm=algorithm)


def part(content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_token_contains_its_claims() -> None:
    user, session = uuid4(), uuid4()
    token = TOKENS.issue(user_id=user, session_id=session, version=3, role="admin", tier="pro")
    for _ in range(2):  # the second time from memory
        read = TOKENS.verify(token)
        assert (read.user_id, read.session_id, read.version, read.role, read.tier) == (
            user,
            session,
            3,
            "admin",
            "pro",
        )
        assert 890 < read.expires_at - time.time() <= 900


def test_tokens_are_unique() -> None:
    user, session = uuid4(), uuid4()
    same = {"user_id": user, "session_id": session, "version": 1, "role": "user", "tier": "free"}
    assert TOKENS.issue(**same) != TOKENS.issue(**same)


@pytest.mark.parametrize("claim", ["exp", "iat", "aud", "iss", "sub", "jti", "sid", "ver", "token_use"])
def test_token_with_a_missing_claim_is_rejected(claim: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.verify(signed(claims(**{claim: ...})))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "somebody-else"},
        {"iss": "somebody-else"},
        {"token_use": "refresh"},
        {"sub": "7"},
        {"sub": 7},
        {"sid": None},
        {"ver": "3"},
        {"ver": True},
        {"exp": "soon"},
        {"exp": None},
        {"exp": [1]},
        {"iat": []},
        {"nbf": 4102444800},
    ],
)
def test_token_with_a_wrong_claim_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.verify(signed(claims(**changes)))


def test_token_of_another_secret_or_algorithm_is_rejected() -> None:
    for token in (signed(claims(), "another secret of the same length"), signed(claims(), SECRET, "HS512")):
        with pytest.raises(TokenInvalid):
            TOKENS.verify(token)
    assert TOKENS.verify(signed(claims())).version == 3


@pytest.mark.parametrize("algorithm", ["none", "None", "", None, 7, [], {}, ["HS256"]])
def test_token_without_signature_is_rejected(algorithm: object) -> None:
    token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."
    with pytest.raises(TokenInvalid):
        TOKENS.verify(token)


def test_altered_token_is_rejected() -> None:
    head, body, signature = issue().split(".")
    forged = part({**json.loads(base64.urlsafe_b64decode(body + "==")), "role": "owner"})
    with pytest.raises(TokenInvalid):
        TOKENS.verify(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\ud800.\ud800.x",
        "é.é.é",
        "\x00",
        "x" * 100_000,
        f"{part('[' * 700)}.{part('[' * 700)}.x",
        f"{part('1e999')}.{part('NaN')}.x",
    ],
)
def test_malformed_token_is_rejected(garbage: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.verify(garbage)


@given(st.text(max_size=200))
def test_any_text_is_rejected_as_invalid(text: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.verify(text)


def test_non_numeric_claims_are_rejected() -> None:
    head = part({"alg": "HS256", "typ": "JWT"})
    content = json.dumps(claims()).replace('"exp": ', '"exp": 1e999, "was": ')
    from jose import jwk

    message = f"{head}.{part(content)}"
    signature = jwk.construct(SECRET, "HS256").sign(message.encode())
    with pytest.raises(TokenInvalid):
        TOKENS.verify(f"{message}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


def test_cached_token_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue()
    expires_at = TOKENS.verify(token).expires_at
    monkeypatch.setattr("gateway.core.security.tokens.time.time", lambda: expires_at)
    with pytest.raises(TokenExpired):
        TOKENS.verify(token)
    with pytest.raises(TokenExpired):
        AccessTokens(SECRET, 900).verify(signed(claims(exp=int(time.time()) - 100)))


def test_token_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = AccessTokens(SECRET, 900)
    issued = [issue(tokens) for _ in range(5000)]
    for token in issued:
        tokens.verify(token)
    checked: list[str] = []
    decode = jwt.decode
    monkeypatch.setattr(
        jwt, "decode", lambda token, *args, **kw: checked.append(token) or decode(token, *args, **kw)
    )
    for token in reversed(issued):
        tokens.verify(token)
    assert checked == list(reversed(issued[: 5000 - 4096]))


def test_issuer_and_audience_are_those_of_the_gateway() -> None:
    read = claims()
    assert (read["iss"], read["aud"]) == (ISSUER, AUDIENCE)
    assert {"sub", "sid", "ver", "role", "tier", "iat", "exp", "jti"} <= set(read)


def test_repr_hides_the_secret() -> None:
    assert SECRET not in repr(TOKENS)


def test_refresh_tokens_are_long_and_unique() -> None:
    tokens = {new_refresh_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {(token[:3], len(token)) for token in tokens} == {("rt_", 46)}
    assert len({hash_refresh_token(token) for token in tokens}) == 100


@pytest.mark.parametrize("token", ["", "rt_", "rt_" + "é" * 43, "rt_" + "a" * 44, "at_" + "a" * 43, "\ud800"])
def test_malformed_refresh_token_is_rejected(token: str) -> None:
    with pytest.raises(TokenInvalid):
        hash_refresh_token(token)


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"zip": "DEF"},
        {"kid": "../../etc/passwd"},
    ],
)
def test_signed_token_with_an_unknown_header_is_rejected(headers: dict[str, Any]) -> None:
    """RFC 7515 has a critical header that is not understood refused."""
    token = jwt.encode(claims(), SECRET, algorithm="HS256", headers=headers)
    with pytest.raises(TokenInvalid):
        TOKENS.verify(token)
