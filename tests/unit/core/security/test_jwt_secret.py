"""Weak secrets are rejected in production."""

from __future__ import annotations

import secrets

import pytest
from dotenv import dotenv_values

from gateway.core.security.jwt_secret import WeakSecret, check_jwt_secret
from tests.support.paths import PROJECT

EXAMPLE = PROJECT / ".env.example"


@pytest.mark.parametrize(
    "secret",
    ["", "a" * 31, "a" * 64, "abcabcabc" * 8, "change-me-to-48-random-bytes-of-your-own-please", "é" * 15],
)
def test_weak_secret_is_rejected_without_showing_it(secret: str) -> None:
    with pytest.raises(WeakSecret) as refused:
        check_jwt_secret(secret)
    assert "JWT_SECRET" in str(refused.value)
    assert not secret or secret not in str(refused.value)


def test_random_secret_is_accepted() -> None:
    check_jwt_secret(secrets.token_urlsafe(48))


def test_example_secret_is_rejected() -> None:
    with pytest.raises(WeakSecret):
        check_jwt_secret(dotenv_values(EXAMPLE).get("JWT_SECRET") or "")
