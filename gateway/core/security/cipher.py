"""Encrypts stored responses under a key that only the client has.

The key is derived from the gateway's secret and from what the client sends, such as an `Idempotency-Key`.
"""

from __future__ import annotations

import hmac
import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
# Compressing shorter data saves too little.
_COMPRESS_ABOVE_BYTES = 1024


class ResponseCipher:
    """AES-256-GCM with keys from the gateway's secret and the client's parts.

    Neither the database nor the secret alone is enough to decrypt: the client's parts are never stored.
    """

    def __init__(self, secret: str) -> None:
        self._root = hmac.digest(secret.encode(), b"sealed answers", "sha256")

    def fingerprint(self, *parts: bytes) -> bytes:
        """Return 32 bytes that identify the parts without revealing them."""
        return hmac.digest(self._root, _length_prefixed(b"name", *parts), "sha256")

    def encrypt(self, data: bytes, *parts: bytes) -> bytes:
        """Compress and encrypt `data` under these parts."""
        packed = b"z" + zlib.compress(data, 1) if len(data) > _COMPRESS_ABOVE_BYTES else b"-" + data
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._derive_key(*parts)).encrypt(nonce, packed, None)

    def decrypt(self, sealed: bytes, *parts: bytes) -> bytes | None:
        """Decrypt the data, or return None if the parts or the gateway's secret differ."""
        try:
            packed = AESGCM(self._derive_key(*parts)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError):
            return None
        return zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:]

    def _derive_key(self, *parts: bytes) -> bytes:
        return hmac.digest(self._root, _length_prefixed(b"key", *parts), "sha256")


def _length_prefixed(*parts: bytes) -> bytes:
    """Encode the parts so that different lists never produce the same bytes."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
