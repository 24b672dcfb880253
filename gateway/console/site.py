"""The built console's files, with the compressed variants that the build created."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DIST = Path(__file__).parent / "dist"
_BASE = b'<base href="./"'
_MAX_DEPTH = 32
# File names below this path contain a hash of the content.
_IMMUTABLE = "assets/"
# In order of preference; the build writes the compressed files beside the originals.
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's content and the values of its response headers."""

    body: bytes
    content_type: str
    etag: str
    encoding: str | None = None
    immutable: bool = False


class ConsoleSite:
    """The files of a folder at startup; contents are read on the first request and cached."""

    def __init__(self, folder: Path) -> None:
        self._files: Mapping[str, Path] = {
            path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
        }
        self._read = lru_cache(maxsize=512)(self._read_file)
        self._index = lru_cache(maxsize=_MAX_DEPTH + 1)(self._read_index)

    @classmethod
    def load(cls, folder: Path = DIST) -> ConsoleSite | None:
        """The built console, or None if it has not been built."""
        return cls(folder) if (folder / "index.html").is_file() else None

    def get_asset(self, name: str, accept_encoding: str = "") -> StaticFile | None:
        """The file with this path below the folder, in the best accepted encoding; None if missing."""
        if name not in self._files or name.endswith((".br", ".gz")):
            return None
        accepted = {part.partition(";")[0].strip() for part in accept_encoding.lower().split(",")}
        for encoding, suffix in _ENCODINGS:
            if encoding in accepted and name + suffix in self._files:
                return self._read(name, encoding, suffix)
        return self._read(name, None, "")

    def get_index(self, path: str) -> StaticFile:
        """The application's page for `path`; its `<base>` is relative, so any path prefix works."""
        return self._index(min(max(path.count("/") - 1, 0), _MAX_DEPTH))

    def _read_file(self, name: str, encoding: str | None, suffix: str) -> StaticFile:
        body = self._files[name + suffix].read_bytes()
        extension = Path(name).suffix
        content_type = _TYPES.get(extension) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return StaticFile(body, content_type, _etag(body), encoding, name.startswith(_IMMUTABLE))

    def _read_index(self, depth: int) -> StaticFile:
        body = self._files["index.html"].read_bytes()
        if depth:
            body = body.replace(_BASE, b'<base href="' + b"../" * depth + b'"', 1)
        return StaticFile(body, _TYPES[".html"], _etag(body))


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
