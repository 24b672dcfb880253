"""The built console: files by their paths, each in the encodings that the build made."""

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
# Their names hold a hash of what is in them: another content is another name.
_IMMUTABLE = "assets/"
# Best first; the build writes a file beside each that is worth it.
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
    """One answer: a body and the headers that go with it."""

    body: bytes
    content_type: str
    etag: str
    encoding: str | None = None
    immutable: bool = False


class ConsoleSite:
    """Files of one folder, read when they are first asked for; what comes into it later is not there."""

    def __init__(self, folder: Path) -> None:
        self._files: Mapping[str, Path] = {
            path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
        }
        self._read = lru_cache(maxsize=512)(self._from_disk)
        self._index = lru_cache(maxsize=_MAX_DEPTH + 1)(self._index_at)

    @classmethod
    def load(cls, folder: Path = DIST) -> ConsoleSite | None:
        """The console that was built, or None where there is none."""
        return cls(folder) if (folder / "index.html").is_file() else None

    def get_asset(self, name: str, accept_encoding: str = "") -> StaticFile | None:
        """The file `name`, its path below the folder; None where there is none."""
        if name not in self._files or name.endswith((".br", ".gz")):
            return None
        accepted = {part.partition(";")[0].strip() for part in accept_encoding.lower().split(",")}
        for encoding, suffix in _ENCODINGS:
            if encoding in accepted and name + suffix in self._files:
                return self._read(name, encoding, suffix)
        return self._read(name, None, "")

    def get_index(self, path: str) -> StaticFile:
        """The application's page for `path`, with a `<base>` that goes up to the root, whatever is above."""
        return self._index(min(max(path.count("/") - 1, 0), _MAX_DEPTH))

    def _from_disk(self, name: str, encoding: str | None, suffix: str) -> StaticFile:
        body = self._files[name + suffix].read_bytes()
        ending = Path(name).suffix
        content_type = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return StaticFile(body, content_type, _etag(body), encoding, name.startswith(_IMMUTABLE))

    def _index_at(self, depth: int) -> StaticFile:
        body = self._files["index.html"].read_bytes()
        if depth:
            body = body.replace(_BASE, b'<base href="' + b"../" * depth + b'"', 1)
        return StaticFile(body, _TYPES[".html"], _etag(body))


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
