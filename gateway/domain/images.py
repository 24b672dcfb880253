"""What is asked of an image provider, and what it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`n` pictures of `prompt`; pixels None leave the provider's own size.

    `model` is the provider's name of it; `workflow` names a file of `workflows/` for providers that have
    them, `placeholders` fills further marks of it. `rendering` holds OpenAI's words for how it is made:
    `quality`, `output_format`, `output_compression`, `background`, `style`.
    """

    model: str
    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    n: int = 1
    workflow: str | None = None
    placeholders: dict[str, Any] = field(default_factory=dict)
    rendering: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """How far a picture has come: `fraction` in 0..1, `step` a word for people (a workflow's node)."""

    fraction: float
    step: str


@dataclass(frozen=True, slots=True)
class ImageCompleted:
    """One finished picture: its bytes and media type, as the provider sent them."""

    content: bytes
    content_type: str
    seed: int | None = None


ImageEvent = ImageProgress | ImageCompleted


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """A picture that was made for a turn and is kept: where its owner finds it, and what it cost."""

    url: str
    width: int
    height: int
    model: str
    cost_usd: Decimal


GenerateImage = Callable[[ImageRequest], Awaitable[GeneratedImage]]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture that is kept; `digest` is the SHA-256 of its bytes in hex."""

    id: UUID
    digest: str
    content_type: str
    width: int
    height: int
    size: int
    prompt: str
    model: str
    provider: str
    seed: int | None
    created_at: datetime

    @property
    def url(self) -> str:
        """Where it is fetched from, with the credential of the account it was made for."""
        return f"/api/v1/media/images/{self.id}"
