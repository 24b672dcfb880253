"""API key format: `gw_`, 32 random base62 characters, 6 characters of CRC32."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib

KEY_PREFIX = "gw_"
VISIBLE_PREFIX_LENGTH = 10  # characters shown in lists, so that owners can tell their keys apart

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH, _CHECKSUM_LENGTH = 32, 6
_KEY_PATTERN = re.compile(rf"gw_([0-9A-Za-z]{{{_RANDOM_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})")


def new_api_key() -> str:
    """Generate a secret of 190 random bits. Show it once and never store it."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return KEY_PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Check prefix, length and checksum, which needs no database lookup."""
    match = _KEY_PATTERN.fullmatch(key)
    return match is not None and _checksum(match[1]) == match[2]


def hash_api_key(key: str) -> bytes:
    """Return the SHA-256 of a well-formed key, which is what the database stores."""
    return hashlib.sha256(key.encode("ascii")).digest()


def hash_credential(secret: str) -> bytes:
    """Return the SHA-256 of a credential of any format."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
