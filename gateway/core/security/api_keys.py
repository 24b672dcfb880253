"""The form of API keys: `gw_`, 32 random base62 characters and a CRC32 of them in 6 more."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib

KEY_PREFIX = "gw_"
VISIBLE_PREFIX_LENGTH = 10  # characters by which an owner recognises a key

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH, _CHECKSUM_LENGTH = 32, 6
_KEY_PATTERN = re.compile(rf"gw_([0-9A-Za-z]{{{_RANDOM_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})")


def new_api_key() -> str:
    """A new secret of 190 random bits; to be shown once and never stored."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return KEY_PREFIX + body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether `key` can be a key at all, told without any look-up; typing errors and noise cannot."""
    match = _KEY_PATTERN.fullmatch(key)
    return match is not None and _checksum(match[1]) == match[2]


def hash_api_key(key: str) -> bytes:
    """SHA-256 of a well-formed key: what is stored and looked up."""
    return hashlib.sha256(key.encode("ascii")).digest()


def hash_credential(secret: str) -> bytes:
    """The same of a credential of any form, as an operator may give one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
