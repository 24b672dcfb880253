"""A response's body up to a limit that counts what was unpacked: no small file becomes a large one."""

from __future__ import annotations

import zlib

import httpx

from gateway.tools.base import ToolError

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # gzip or zlib, by the header
_RAW_DEFLATE = -zlib.MAX_WBITS
_CORRUPT_BODY = "The site sends this page packed, and it is damaged; try another page."


async def read_body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes, unpacked, and whether there was more. ToolError for an unknown packing."""
    decompress = _decompressor_for(response.headers.get("content-encoding", ""))
    body, received = bytearray(), 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        body += decompress(chunk, limit + 1 - len(body)) if decompress else chunk
        # `received`: a packed stream may go on forever without a single byte in it.
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
        "The site sends this page packed in a way that cannot be read here; try another page.",
        kind="not_text",
    )


class _Decompressor:
    """gzip and deflate, one member; whatever follows its end is left out."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._started = False

    def __call__(self, chunk: bytes, max_bytes: int) -> bytes:
        """At most `room` bytes, at least 1; the rest of the piece is lost: its reader is at its limit."""
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
            # Some servers call it deflate and leave out zlib's header.
            self._stream = zlib.decompressobj(_RAW_DEFLATE)
            data = self._stream.decompress(chunk, max_bytes)
        self._started = True
        return data
