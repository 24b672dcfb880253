"""What lies in the database for a while and may be read only by who brings the key it was asked for with."""

from __future__ import annotations

import hmac
import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
# Only a text that is longer is worth the time.
_COMPRESS_ABOVE_BYTES = 1024


class ResponseCipher:
    """AES-256-GCM under keys that are made of the gateway's secret and of what the caller brings.

    Neither the database nor the secret alone opens anything: the caller's part is never stored.
    """

    def __init__(self, secret: str) -> None:
        self._root = hmac.digest(secret.encode(), b"sealed answers", "sha256")

    def fingerprint(self, *parts: bytes) -> bytes:
        """32 bytes that stand for the parts, and tell nothing of them to who has not the secret."""
        return hmac.digest(self._root, _length_prefixed(b"name", *parts), "sha256")

    def encrypt(self, data: bytes, *parts: bytes) -> bytes:
        """`data`, packed and encrypted for whoever brings the same parts again."""
        packed = b"z" + zlib.compress(data, 1) if len(data) > _COMPRESS_ABOVE_BYTES else b"-" + data
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._derive_key(*parts)).encrypt(nonce, packed, None)

    def decrypt(self, sealed: bytes, *parts: bytes) -> bytes | None:
        """What was sealed; None where the parts, or the gateway's secret, are others."""
        try:
            packed = AESGCM(self._derive_key(*parts)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError):
            return None
        return zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:]

    def _derive_key(self, *parts: bytes) -> bytes:
        return hmac.digest(self._root, _length_prefixed(b"key", *parts), "sha256")


def _length_prefixed(*parts: bytes) -> bytes:
    """The parts so that no two lists of them are the same bytes."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
