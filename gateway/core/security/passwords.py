"""Passwords: argon2id off the event loop, older bcrypt hashes verified and replaced, one policy."""

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

MIN_LENGTH, MAX_LENGTH = 10, 256  # characters, normalised
# Before that a password may be longer (an accent of its own, a wide letter); beyond this nothing looks at it.
MAX_RAW_LENGTH = 1024
# With one lane, OWASP's choice.
ARGON2_MEMORY_KIB, ARGON2_PASSES = 19_456, 2
# bcrypt reads 72 bytes; hashes that come from elsewhere were made of no more.
_BCRYPT_BYTES = 72
# Whoever comes after these would wait for a second or more: better told to come again.
_MAX_WAITING = 64

# No hash begins with it, so no password opens an account that has it in a hash's place.
_UNUSABLE_PREFIX = "!"


def unusable_password_hash() -> str:
    """What to store for an account that nobody signs in to; different each time."""
    return f"{_UNUSABLE_PREFIX}{secrets.token_hex(8)}"


def is_unusable_hash(stored: str) -> bool:
    """Whether `stored` is what `no_password` gave."""
    return stored.startswith(_UNUSABLE_PREFIX)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Whether the password was right, and the hash to store instead of an outdated one."""

    ok: bool
    new_hash: str | None = None


class PasswordHasher:
    """Hashes and verifies in threads, no more at once than there are cores (19 MiB and 25 ms each).

    Both methods raise `Unavailable` where too many callers wait for a turn already.
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
        """The hash to store; the password's policy is `check_password`'s matter."""
        return await self._in_thread(lambda: str(self._context.hash(_normalize(password))))

    async def verify(self, password: str, stored: str | None) -> VerifyResult:
        """Checks against `stored`; None stands for an unknown account: as slow, and always wrong."""
        # Cut rather than refused, so that an overlong password takes no other time than a wrong one.
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
            self._dummy_hash = self._dummy_hash or str(self._context.hash("nobody's password"))
            self._matches(password, self._dummy_hash)
            return VerifyResult(ok=False)
        if not self._matches(password, stored):
            return VerifyResult(ok=False)
        outdated = self._context.needs_update(stored)
        return VerifyResult(
            ok=True, new_hash=str(self._context.hash(_normalize(password))) if outdated else None
        )

    def _matches(self, password: str, stored: str) -> bool:
        """Whether `stored` is the password's hash; the same for a password that no hash can be of."""
        secret: str | bytes = _normalize(password)
        if stored.startswith("$2"):
            secret = _normalize(password).encode()[:_BCRYPT_BYTES]
        try:
            return bool(self._context.verify(secret, stored))
        except ValueError:  # `stored` is no hash, or the password is too long for one or holds a NUL
            return False


def check_password(password: str, email: str, *, param: str = "password") -> None:
    """The policy for a new password.

    Raises:
        ValidationFailed: it is too short, too long, the account's own address or the name in it, among the
        commonest, or holds a NUL character.
    """
    # The raw length first: normalising a megabyte is work for nothing.
    normal = _normalize(password) if len(password) <= MAX_RAW_LENGTH else ""
    # As typed too: normalised, a single character can become eighteen.
    if not (MIN_LENGTH <= len(normal) <= MAX_LENGTH and len(password) >= MIN_LENGTH):
        raise ValidationFailed(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", param=param)
    if "\x00" in normal:
        raise ValidationFailed("A password cannot hold a NUL character.", param=param)
    plain = normal.casefold().strip()
    address = _normalize(email).casefold()
    if plain in (address, address.rpartition("@")[0]):
        raise ValidationFailed("A password must not be the e-mail address, nor the name in it.", param=param)
    if plain in common_passwords():
        raise ValidationFailed(
            "This password is among the commonest, which are tried first; choose another.", param=param
        )


@cache
def common_passwords() -> frozenset[str]:
    """Passwords that are tried first, of those that are long enough; normalised and case-folded."""
    text = resources.files("gateway.core.security").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def _normalize(password: str) -> str:
    # One character has several spellings, and keyboards differ in which they send. A lone surrogate,
    # which no encoding takes, can only come from a hostile body.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()
