"""A response's body up to a limit that counts what was unpacked: no small file becomes a large one."""

from __future__ import annotations

import zlib

import httpx

from gateway.tools.base import ToolError

_AUTO = zlib.MAX_WBITS | 32  # gzip or zlib, by the header
_RAW = -zlib.MAX_WBITS
_DAMAGED = "The site sends this page packed, and it is damaged; try another page."


async def read_body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes, unpacked, and whether there was more. ToolError for an unknown packing."""
    unpack = _unpacker(response.headers.get("content-encoding", ""))
    body, received = bytearray(), 0
    async for piece in response.aiter_raw():
        received += len(piece)
        body += unpack(piece, limit + 1 - len(body)) if unpack else piece
        # `received`: a packed stream may go on forever without a single byte in it.
        if len(body) > limit or received > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _unpacker(encoding: str) -> _Unpacker | None:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip", "deflate"}:
        return _Unpacker()
    raise ToolError(
        "The site sends this page packed in a way that cannot be read here; try another page.",
        kind="not_text",
    )


class _Unpacker:
    """gzip and deflate, one member; whatever follows its end is left out."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_AUTO)
        self._begun = False

    def __call__(self, piece: bytes, room: int) -> bytes:
        """At most `room` bytes, at least 1; the rest of the piece is lost: its reader is at its limit."""
        if self._stream.eof:
            return b""
        try:
            return self._inflate(piece, room)
        except zlib.error:
            raise ToolError(_DAMAGED, kind="not_text") from None

    def _inflate(self, piece: bytes, room: int) -> bytes:
        try:
            out = self._stream.decompress(piece, room)
        except zlib.error:
            if self._begun:
                raise
            # Some servers call it deflate and leave out zlib's header.
            self._stream = zlib.decompressobj(_RAW)
            out = self._stream.decompress(piece, room)
        self._begun = True
        return out
