"""Hashing, verification and policy of passwords."""

from __future__ import annotations

import asyncio
import threading

import pytest
from passlib.context import CryptContext

from gateway.core.exceptions import Unavailable, ValidationFailed
from gateway.core.security.passwords import (
    MIN_LENGTH,
    PasswordHasher,
    check_password,
    common_passwords,
    unusable_password_hash,
)

EMAIL = "ada@example.com"


async def test_password_is_hashed_with_argon2id_and_verified() -> None:
    hasher = PasswordHasher()
    stored = await hasher.hash("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await hasher.verify("correct horse battery", stored)).ok
    verdict = await hasher.verify("correct horse batterY", stored)
    assert not verdict.ok
    assert verdict.new_hash is None


async def test_equivalent_unicode_spellings_are_the_same_password() -> None:
    hasher = PasswordHasher()
    stored = await hasher.hash("Ångström ﬁne pass")
    assert (await hasher.verify("Ångström fine pass", stored)).ok


async def test_bcrypt_hash_is_verified_and_upgraded() -> None:
    hasher = PasswordHasher()
    long = "a password that is longer than the seventy-two bytes that bcrypt ever reads of one"
    for password in ("an old password", long):
        old = CryptContext(["bcrypt"], bcrypt__rounds=4).hash(password[:72])
        verdict = await hasher.verify(password, old)
        assert verdict.ok
        assert verdict.new_hash is not None
        assert verdict.new_hash.startswith("$argon2id$")
        again = await hasher.verify(password, verdict.new_hash)
        assert (again.ok, again.new_hash) == (True, None)
        assert not (await hasher.verify("not " + password, old)).ok


async def test_weaker_argon2_hash_is_upgraded() -> None:
    weak = CryptContext(["argon2"], argon2__memory_cost=1024, argon2__time_cost=1, argon2__parallelism=1)
    verdict = await PasswordHasher().verify("an old password", weak.hash("an old password"))
    assert verdict.ok
    assert verdict.new_hash is not None
    assert "m=19456" in verdict.new_hash


@pytest.mark.parametrize("stored", ["", "!", "garbage", "$2b$garbage", "$argon2id$garbage"])
async def test_invalid_hash_matches_no_password(stored: str) -> None:
    assert not (await PasswordHasher().verify("whatever it is", stored)).ok


@pytest.mark.parametrize("password", ["a\0b with a NUL in it", "\ud800 half of a pair", "x" * 1_000_000, ""])
@pytest.mark.parametrize("scheme", ["argon2", "bcrypt", "unknown"])
async def test_malicious_passwords_are_simply_wrong(password: str, scheme: str) -> None:
    stored = {
        "argon2": await PasswordHasher().hash("something else"),
        "bcrypt": CryptContext(["bcrypt"], bcrypt__rounds=4).hash("something else"),
        "unknown": None,
    }[scheme]
    assert not (await PasswordHasher().verify(password, stored)).ok


async def test_unknown_account_takes_as_long_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher()
    verified: list[str] = []
    real = CryptContext.verify

    def verify(self: CryptContext, secret: str, stored: str) -> bool:
        verified.append(stored)
        return bool(real(self, secret, stored))

    monkeypatch.setattr(CryptContext, "verify", verify)
    assert not (await hasher.verify("nobody's password", None)).ok
    assert len(verified) == 1
    assert verified[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_hashing_does_not_block_the_loop_and_limits_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = PasswordHasher(concurrency=2)
    inside, release = threading.Lock(), threading.Event()
    both = asyncio.Event()
    loop = asyncio.get_running_loop()
    running = most = 0

    def work(context: CryptContext, secret: str) -> str:
        nonlocal running, most
        with inside:
            running += 1
            most = max(most, running)
            if running == 2:
                loop.call_soon_threadsafe(both.set)
        release.wait(10)
        with inside:
            running -= 1
        return "hash"

    monkeypatch.setattr(CryptContext, "hash", work)
    tasks = [asyncio.create_task(hasher.hash("a password")) for _ in range(8)]
    await both.wait()
    release.set()
    await asyncio.gather(*tasks)
    assert most == 2


async def test_too_many_waiting_callers_are_rejected_until_slots_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = PasswordHasher(concurrency=1)
    release = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(CryptContext, "hash", lambda context, secret: release.wait(10))
        tasks = [asyncio.create_task(hasher.hash("a password")) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await hasher.hash("one too many")
        tasks[-1].cancel()
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (await hasher.hash("now there is a free slot")).startswith("$argon2id$")


@pytest.mark.parametrize(
    "password",
    [
        "xqzj" * 3,
        "x" * 256,
        "пароль пароль",
        "ten chars!",
        "e\u0301" * 200,  # four hundred, two hundred once normalised
        "ada@example.org",
    ],
)
def test_acceptable_password_passes(password: str) -> None:
    check_password(password, EMAIL)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "x" * 9,
        "x" * 257,
        "x" * 5_000_000,
        "e\u0301" * 9,  # eighteen characters, nine once normalised
        "\ufb03\ufb03\ufb03!",  # four characters, ten once normalised
        "\ufdfa",  # one, eighteen once normalised
        "\ufb03" * 100,
        "a NUL\x00 in the middle",
        EMAIL,
        "ADA@Example.com",
        "ａda@example.com",
    ],
)
def test_unacceptable_password_is_rejected(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_password(password, EMAIL, param="new_password")
    assert refused.value.param == "new_password"
    assert not password or password not in refused.value.message


def test_local_part_of_the_address_is_rejected() -> None:
    for password in ("augusta.ada.king", " Augusta.Ada.King "):
        with pytest.raises(ValidationFailed):
            check_password(password, "augusta.ada.king@example.com")
    check_password("augusta.ada.king", EMAIL)


@pytest.mark.parametrize(
    "password",
    ["1234567890", "Password123", "QWERTYUIOP", "1q2w3e4r5t", "ｐａｓｓｗｏｒｄ１２", " liverpool1"],
)
def test_common_password_is_rejected(password: str) -> None:
    with pytest.raises(ValidationFailed, match="too common"):
        check_password(password, EMAIL)


def test_list_contains_only_passwords_of_allowed_length() -> None:
    listed = common_passwords()
    assert len(listed) > 2000
    assert all(len(word) >= MIN_LENGTH and word == word.casefold().strip() for word in listed)


async def test_longest_allowed_password_is_verified() -> None:
    hasher = PasswordHasher()
    long = "e\u0301" * 256
    stored = await hasher.hash(long)
    assert (await hasher.verify(long, stored)).ok
    assert not (await hasher.verify(long[:-2] + "ee", stored)).ok


@pytest.mark.parametrize(
    "password",
    [
        "\ufdfa" * 228,
        "\ufdfa" * 1024,
        "x" * 5000,
        "a\0b",
        "\ud800" * 9,
        "",
        "e\u0301" * 500,
        "\U0001d400" * 999,
    ],
)
async def test_unusual_password_fails_alike_for_known_and_unknown_accounts(password: str) -> None:
    """Once a password that grows by normalising was an error for an unknown account alone."""
    hasher = PasswordHasher()
    old = CryptContext(["bcrypt"], bcrypt__rounds=4).hash("an old password")
    for stored in (
        None,
        unusable_password_hash(),
        await hasher.hash("another password"),
        old,
        "!",
        "garbage",
    ):
        verdict = await hasher.verify(password, stored)
        assert (verdict.ok, verdict.new_hash) == (False, None)


async def test_account_without_password_takes_as_long_as_one_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = PasswordHasher()
    verified: list[str] = []
    real = CryptContext.verify

    def verify(self: CryptContext, secret: str, stored: str) -> bool:
        verified.append(stored)
        return bool(real(self, secret, stored))

    monkeypatch.setattr(CryptContext, "verify", verify)
    for stored in (None, unusable_password_hash(), await hasher.hash("another password")):
        await hasher.verify("some password", stored)
    assert [stored.split("$")[1:4] for stored in verified] == [["argon2id", "v=19", "m=19456,t=2,p=1"]] * 3
