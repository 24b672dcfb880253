"""Tokens: signed access tokens (JWT), opaque refresh and reset tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
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
_TOKEN_USE = "access"  # noqa: S105 - the value of a claim
_HEADERS = frozenset({"alg", "typ"})
_MAX_LENGTH = 2048
_CACHE_SIZE = 4096
# Without these, python-jose accepts tokens that lack the claim.
_OPTIONS = {f"require_{claim}": True for claim in ("exp", "iat", "aud", "iss", "sub", "jti")}
# The library raises these for malformed tokens (surrogates, infinities, deep nesting).
_MALFORMED_ERRORS = (
    JOSEError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    AttributeError,
)

REFRESH_PREFIX = "rt_"
RESET_PREFIX = "pr_"
INVALID_RESET_TOKEN = "The token is not valid or was already used. Request a new one."  # noqa: S105 - a message
_SECRET_LENGTH = 43  # characters of 256 bits


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Claims of an access token.

    `version` is the account's `token_version`; times are Unix seconds.
    """

    user_id: UUID
    session_id: UUID
    version: int
    role: str
    tier: str
    expires_at: int


class AccessTokens:
    """Issues and verifies access tokens that are valid for `ttl_seconds`.

    Verified tokens are cached (bounded LRU) until they expire, so a signature is checked once and not with
    every request. Whether the session is still active is checked by
    `services.accounts.authenticator`.
    """

    def __init__(self, secret: str, ttl_seconds: int) -> None:
        self._key = jwk.construct(secret, _ALGORITHM)
        self._verified: OrderedDict[str, AccessClaims] = OrderedDict()
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
            "token_use": _TOKEN_USE,
            "iat": now,
            "exp": now + self.ttl_seconds,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def verify(self, token: str) -> AccessClaims:
        """Return the token's claims.

        Raises:
            TokenExpired: the token was valid once.
            TokenInvalid: anything else, including malformed input.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decode(token)
            self._verified[token] = claims
            if len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(token)
        if claims.expires_at <= time.time():
            self._verified.pop(token, None)
            raise TokenExpired
        return claims

    def _decode(self, token: str) -> AccessClaims:
        if len(token) > _MAX_LENGTH:
            raise TokenInvalid
        try:
            # `crit` names extensions that must be understood (RFC 7515, RFC 7797); none are supported.
            if not _HEADERS.issuperset(jwt.get_unverified_header(token)):
                raise TokenInvalid
            claims = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], options=_OPTIONS, audience=AUDIENCE, issuer=ISSUER
            )
            return _parse_claims(claims)
        except ExpiredSignatureError:
            raise TokenExpired from None
        except _MALFORMED_ERRORS:
            raise TokenInvalid from None


def _parse_claims(claims: Mapping[str, Any]) -> AccessClaims:
    if claims["token_use"] != _TOKEN_USE or type(claims["ver"]) is not int:
        raise ValueError("not an access token")
    return AccessClaims(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        version=claims["ver"],
        role=str(claims["role"]),
        tier=str(claims["tier"]),
        expires_at=int(claims["exp"]),
    )


def derive_key(secret: str, purpose: str) -> bytes:
    """Derive a key of 32 bytes for one purpose from the server's secret."""
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


class RefreshTokens:
    """Refresh tokens: the first is random, each next one derived from it.

    A client that rotates one token twice within a moment (two tabs) receives the same successor, although
    only a hash is stored. Without the server's secret no token reveals its successor.
    """

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, "refresh token successors")

    def __repr__(self) -> str:
        return "RefreshTokens()"

    def new(self) -> str:
        return new_refresh_token()

    def successor(self, token: str) -> str:
        """Return the successor of `token`, the same every time."""
        return _format_token(REFRESH_PREFIX, hmac.digest(self._key, token.encode("ascii"), "sha256"))


def new_refresh_token() -> str:
    """Generate `rt_` and 43 characters that carry 256 random bits."""
    return _format_token(REFRESH_PREFIX, secrets.token_bytes(32))


def hash_refresh_token(token: str) -> bytes:
    """Return the SHA-256 of a refresh token; random tokens need no slower hash.

    Raises:
        TokenInvalid: not in the format of a refresh token.
    """
    return _hash_token(token, REFRESH_PREFIX, "The refresh token is not valid.")


def new_reset_token() -> str:
    """Generate `pr_` and 43 characters that carry 256 random bits."""
    return _format_token(RESET_PREFIX, secrets.token_bytes(32))


def hash_reset_token(token: str) -> bytes:
    """Return the SHA-256 of a password reset token.

    Raises:
        TokenInvalid: not in the format of a reset token.
    """
    return _hash_token(token, RESET_PREFIX, INVALID_RESET_TOKEN)


def _format_token(prefix: str, secret: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def _hash_token(token: str, prefix: str, refusal: str) -> bytes:
    if len(token) != len(prefix) + _SECRET_LENGTH or not token.isascii() or not token.startswith(prefix):
        raise TokenInvalid(refusal)
    return hashlib.sha256(token.encode("ascii")).digest()
