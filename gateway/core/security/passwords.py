"""Password hashing (argon2id, and upgrades from bcrypt) and password policy."""

from __future__ import annotations

import asyncio
import os
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeVar

from passlib.context import CryptContext

from gateway.core.exceptions import Unavailable, ValidationFailed

T = TypeVar("T")

MIN_LENGTH, MAX_LENGTH = 10, 256  # characters, normalized
# Before normalization a password may be longer; nothing processes more than this.
MAX_RAW_LENGTH = 1024
# With one lane, OWASP's choice.
ARGON2_MEMORY_KIB, ARGON2_PASSES = 19_456, 2
# bcrypt reads 72 bytes, so imported hashes cover no more.
_BCRYPT_BYTES = 72
# Later callers would wait for a second or more, so they are rejected with Retry-After.
_MAX_WAITING = 64

# No hash starts with it, so no password matches.
_UNUSABLE_PREFIX = "!"


def unusable_password_hash() -> str:
    """Return what to store for an account without a password; different each time."""
    return f"{_UNUSABLE_PREFIX}{secrets.token_hex(8)}"


def is_unusable_hash(stored: str) -> bool:
    """Check whether `stored` was created by `unusable_password_hash`."""
    return stored.startswith(_UNUSABLE_PREFIX)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Whether the password matched, and a new hash if the old one is outdated."""

    ok: bool
    new_hash: str | None = None


class PasswordHasher:
    """Hashes and verifies in threads, at most one per core (19 MiB and 25 ms each).

    Both methods raise `Unavailable` if too many callers are waiting already.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        *,
        memory_kib: int = ARGON2_MEMORY_KIB,
        passes: int = ARGON2_PASSES,
    ) -> None:
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__type="ID",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=passes,
            argon2__parallelism=1,
        )
        self._threads = asyncio.Semaphore(concurrency or min(4, os.cpu_count() or 1))
        self._waiting = 0
        self._dummy_hash: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash to store. The policy is checked by `check_password`."""
        return await self._in_thread(lambda: str(self._context.hash(_normalize(password))))

    async def verify(self, password: str, stored: str | None) -> VerifyResult:
        """Verify the password against `stored`.

        None stands for an unknown account: verification takes as long, and always fails.
        """
        # Truncated instead of rejected, so that an overlong password takes as long as a wrong one.
        secret = password[: MAX_RAW_LENGTH + 1]
        return await self._in_thread(lambda: self._verify(secret, stored))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise Unavailable(retry_after=2)
        self._waiting += 1
        try:
            async with self._threads:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _verify(self, password: str, stored: str | None) -> VerifyResult:
        if stored is None or is_unusable_hash(stored):
            self._dummy_hash = self._dummy_hash or str(self._context.hash("dummy password"))
            self._matches(password, self._dummy_hash)
            return VerifyResult(ok=False)
        if not self._matches(password, stored):
            return VerifyResult(ok=False)
        outdated = self._context.needs_update(stored)
        return VerifyResult(
            ok=True, new_hash=str(self._context.hash(_normalize(password))) if outdated else None
        )

    def _matches(self, password: str, stored: str) -> bool:
        """Check the password against the hash; False for passwords that cannot be hashed."""
        secret: str | bytes = _normalize(password)
        if stored.startswith("$2"):
            secret = _normalize(password).encode()[:_BCRYPT_BYTES]
        try:
            return bool(self._context.verify(secret, stored))
        except ValueError:  # `stored` is not a hash, or the password is too long or contains NUL
            return False


def check_password(password: str, email: str, *, param: str = "password") -> None:
    """Check a new password against the policy.

    Raises:
        ValidationFailed: too short, too long, equal to the e-mail address or its local part, a common
            password, or containing NUL.
    """
    # The raw length first: normalizing a megabyte would be wasted work.
    normal = _normalize(password) if len(password) <= MAX_RAW_LENGTH else ""
    # The raw length counts too: normalization can turn one character into eighteen.
    if not (MIN_LENGTH <= len(normal) <= MAX_LENGTH and len(password) >= MIN_LENGTH):
        raise ValidationFailed(f"Use a password of {MIN_LENGTH} to {MAX_LENGTH} characters.", param=param)
    if "\x00" in normal:
        raise ValidationFailed("A password cannot contain a NUL character.", param=param)
    plain = normal.casefold().strip()
    address = _normalize(email).casefold()
    if plain in (address, address.rpartition("@")[0]):
        raise ValidationFailed(
            "The password must differ from the e-mail address and from the name in it.", param=param
        )
    if plain in common_passwords():
        raise ValidationFailed("This password is too common. Choose another one.", param=param)


@cache
def common_passwords() -> frozenset[str]:
    """Load the most common passwords of sufficient length."""
    text = resources.files("gateway.core.security").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def _normalize(password: str) -> str:
    # Keyboards differ in how they encode the same character. Lone surrogates cannot be encoded and come only
    # from malicious input.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()
