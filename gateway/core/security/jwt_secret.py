"""Policy for JWT_SECRET, the secret that signs access tokens, in production."""

from __future__ import annotations

from typing import Final

MIN_BYTES: Final = 32
# Placeholders of example files: a secret that contains one was copied.
PLACEHOLDERS: Final = ("change-me", "changeme", "change_me", "example", "replace", "your-", "secret-key")

HOW_TO_GENERATE: Final = "Generate one with `openssl rand -base64 48` and set JWT_SECRET to it."


class WeakSecret(ValueError):
    """JWT_SECRET is missing or guessable.

    The message says why and how to generate one.
    """


def check_jwt_secret(secret: str) -> None:
    """Reject a secret that is missing, too short or copied from an example.

    Raises:
        WeakSecret: the secret is not acceptable in production.
    """
    if not secret:
        raise WeakSecret(f"JWT_SECRET is not set, and ENVIRONMENT is production. {HOW_TO_GENERATE}")
    if len(secret.encode("utf-8", "replace")) < MIN_BYTES:
        raise WeakSecret(
            f"JWT_SECRET is shorter than {MIN_BYTES} bytes, and ENVIRONMENT is production. {HOW_TO_GENERATE}"
        )
    if len(set(secret)) < 8 or any(word in secret.casefold() for word in PLACEHOLDERS):
        raise WeakSecret(
            f"JWT_SECRET is a placeholder or a pattern, and ENVIRONMENT is production. {HOW_TO_GENERATE}"
        )
