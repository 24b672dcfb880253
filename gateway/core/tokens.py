"""Tokens of a session: signed access tokens (JWT, HS256) and opaque refresh tokens."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from jose import jwk, jwt
from jose.exceptions import ExpiredSignatureError, JOSEError

from gateway.core.exceptions import TokenExpired, TokenInvalid

ISSUER = "llm-gateway"
AUDIENCE = "llm-gateway-api"
_ALGORITHM = "HS256"
_USE = "access"
_MAX_LENGTH = 2048
_CACHED = 4096
# Without these python-jose accepts a token that lacks the claim.
_OPTIONS = {f"require_{claim}": True for claim in ("exp", "iat", "aud", "iss", "sub", "jti")}
# What garbled tokens make the library raise besides its own: surrogates, infinities, deep nesting.
_GARBAGE = (JOSEError, ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError)

REFRESH_PREFIX = "rt_"
_REFRESH_LENGTH = len(REFRESH_PREFIX) + 43


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says; `version` is the account's `token_version`, times are Unix seconds."""

    user_id: UUID
    session_id: UUID
    version: int
    role: str
    tier: str
    expires_at: int


class AccessTokens:
    """Issues and verifies access tokens of one secret, each valid for `ttl_seconds`.

    A verified token is remembered (in a bounded LRU) until it expires: its signature is checked once, not
    with every request. Whether its session still lives is not this class's matter.
    """

    def __init__(self, secret: str, ttl_seconds: int) -> None:
        self._key = jwk.construct(secret, _ALGORITHM)
        self._seen: OrderedDict[str, AccessClaims] = OrderedDict()
        self.ttl_seconds = ttl_seconds

    def __repr__(self) -> str:
        return f"AccessTokens(ttl_seconds={self.ttl_seconds})"

    def issue(self, *, user_id: UUID, session_id: UUID, version: int, role: str, tier: str) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "ver": version,
            "role": role,
            "tier": tier,
            "token_use": _USE,
            "iat": now,
            "exp": now + self.ttl_seconds,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def verify(self, token: str) -> AccessClaims:
        """The token's claims.

        Raises:
            TokenExpired: it was good once.
            TokenInvalid: anything else, however garbled.
        """
        claims = self._seen.get(token)
        if claims is None:
            claims = self._decode(token)
            self._seen[token] = claims
            if len(self._seen) > _CACHED:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(token)
        if claims.expires_at <= time.time():
            self._seen.pop(token, None)
            raise TokenExpired
        return claims

    def _decode(self, token: str) -> AccessClaims:
        if len(token) > _MAX_LENGTH:
            raise TokenInvalid
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], options=_OPTIONS, audience=AUDIENCE, issuer=ISSUER
            )
            return _read(claims)
        except ExpiredSignatureError:
            raise TokenExpired from None
        except _GARBAGE:
            raise TokenInvalid from None


def _read(claims: Mapping[str, Any]) -> AccessClaims:
    if claims["token_use"] != _USE or type(claims["ver"]) is not int:
        raise ValueError("not an access token")
    return AccessClaims(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        version=claims["ver"],
        role=str(claims["role"]),
        tier=str(claims["tier"]),
        expires_at=int(claims["exp"]),
    )


def new_refresh_token() -> str:
    """`rt_` and 43 characters that carry 256 random bits."""
    return REFRESH_PREFIX + secrets.token_urlsafe(32)


def hash_refresh_token(token: str) -> bytes:
    """SHA-256 of a refresh token; the token is random, so nothing slower is needed.

    Raises:
        TokenInvalid: it has not the form of one.
    """
    if len(token) != _REFRESH_LENGTH or not token.isascii() or not token.startswith(REFRESH_PREFIX):
        raise TokenInvalid("The refresh token is not valid.")
    return hashlib.sha256(token.encode("ascii")).digest()
