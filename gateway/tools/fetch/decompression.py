"""Reads a response body with a limit on its decompressed size."""

from __future__ import annotations

import zlib

import httpx

from gateway.tools.base import ToolError

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # gzip or zlib, by the header
_RAW_DEFLATE = -zlib.MAX_WBITS
_CORRUPT_BODY = "The compressed data of this page is corrupt; try another page."


async def read_body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Return at most `limit` decompressed bytes, and whether there was more.

    Raises:
        ToolError: the body is corrupt, or has an unknown compression.
    """
    decompress = _decompressor_for(response.headers.get("content-encoding", ""))
    body, received = bytearray(), 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        body += decompress(chunk, limit + 1 - len(body)) if decompress else chunk
        # `received` is limited too: a compressed stream may continue forever without output.
        if len(body) > limit or received > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _decompressor_for(encoding: str) -> _Decompressor | None:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip", "deflate"}:
        return _Decompressor()
    raise ToolError(
        "The site uses an unsupported compression; try another page.",
        kind="not_text",
    )


class _Decompressor:
    """Decompresses one gzip or deflate member; data after its end is ignored."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._started = False

    def __call__(self, chunk: bytes, max_bytes: int) -> bytes:
        """Decompress at most `max_bytes` bytes (at least 1).

        The rest is dropped, as the limit is reached.
        """
        if self._stream.eof:
            return b""
        try:
            return self._inflate(chunk, max_bytes)
        except zlib.error:
            raise ToolError(_CORRUPT_BODY, kind="not_text") from None

    def _inflate(self, chunk: bytes, max_bytes: int) -> bytes:
        try:
            data = self._stream.decompress(chunk, max_bytes)
        except zlib.error:
            if self._started:
                raise
            # Some servers send raw deflate, without zlib's header.
            self._stream = zlib.decompressobj(_RAW_DEFLATE)
            data = self._stream.decompress(chunk, max_bytes)
        self._started = True
        return data
