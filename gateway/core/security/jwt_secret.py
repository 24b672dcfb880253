"""What a production gateway demands of the secret that signs its tokens."""

from __future__ import annotations

from typing import Final

MIN_BYTES: Final = 32
# What examples are filled with: a secret that holds one of these was copied, not made.
PLACEHOLDERS: Final = ("change-me", "changeme", "change_me", "example", "replace", "your-", "secret-key")

HOW_TO_GENERATE: Final = "Make one with `openssl rand -base64 48` and set JWT_SECRET to it."


class WeakSecret(ValueError):
    """JWT_SECRET is missing or could be guessed; the message says which, and how to make a good one."""


def check_jwt_secret(secret: str) -> None:
    """Raises WeakSecret where `secret` is missing, shorter than 32 bytes, or one from an example."""
    if not secret:
        raise WeakSecret(f"JWT_SECRET is not set, and ENVIRONMENT is production. {HOW_TO_GENERATE}")
    if len(secret.encode("utf-8", "replace")) < MIN_BYTES:
        raise WeakSecret(
            f"JWT_SECRET has less than {MIN_BYTES} bytes, and ENVIRONMENT is production. {HOW_TO_GENERATE}"
        )
    if len(set(secret)) < 8 or any(word in secret.casefold() for word in PLACEHOLDERS):
        raise WeakSecret(
            f"JWT_SECRET is an example's or a pattern, and ENVIRONMENT is production. {HOW_TO_GENERATE}"
        )
