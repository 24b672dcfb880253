"""Content-addressed files, written atomically and verified when they are read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from pathlib import Path
from uuid import uuid4

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """Stores files under `<folder>/ab/abcdef…`, named by their SHA-256.

    Several processes, and several machines with a shared folder, may use one store at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, content: bytes) -> str:
        """Store `content` durably and return its SHA-256 in hex.

        Raises:
            OSError: the disk is full or not writable.
        """
        return await asyncio.to_thread(self._put, content)

    async def get(self, digest: str) -> bytes | None:
        """Return the content with this digest, or None if it is missing or damaged."""
        return await asyncio.to_thread(self._get, digest)

    async def older_than(self, seconds: float) -> list[str]:
        """List the digests of old files, and delete old temporary files."""
        return await asyncio.to_thread(self._older_than, seconds)

    async def delete(self, digest: str) -> None:
        """Delete the content if it exists."""
        await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    def _older_than(self, seconds: float) -> list[str]:
        before = time.time() - seconds
        found = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            try:
                if path.stat().st_mtime > before:
                    continue
                if _DIGEST.fullmatch(path.name):
                    found.append(path.name)
                elif path.name.startswith("."):
                    path.unlink()
            except FileNotFoundError:
                continue  # another worker deleted it first
        return found

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a SHA-256 in hex")
        return self._folder / digest[:2] / digest

    def _put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if self._get(digest) is not None:
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, because a rename is atomic only within one file system.
        temporary = path.with_name(f".{digest}.{uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return digest

    def _get(self, digest: str) -> bytes | None:
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == digest else None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
