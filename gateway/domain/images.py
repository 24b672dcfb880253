"""Image requests, provider events and stored images."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A request for `n` images; without a size the provider's default applies.

    `model` is the provider's name for it. `workflow` names a file in `workflows/` for providers that use
    them, and `placeholders` fills its further placeholders. `rendering` holds OpenAI's parameters `quality`,
    `output_format`, `output_compression`, `background` and `style`.
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
    """Progress of one image; `fraction` in 0..1, `step` names a workflow node."""

    fraction: float
    step: str


@dataclass(frozen=True, slots=True)
class ImageCompleted:
    """A completed image: bytes and media type as sent by the provider."""

    content: bytes
    content_type: str
    seed: int | None = None


ImageEvent = ImageProgress | ImageCompleted


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """An image generated and stored during a turn: its URL, size and cost."""

    url: str
    width: int
    height: int
    model: str
    cost_usd: Decimal


GenerateImage = Callable[[ImageRequest], Awaitable[GeneratedImage]]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A stored image; `digest` is the SHA-256 of its bytes in hex."""

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
        """Return the path to fetch it from, with the owner's credential."""
        return f"/api/v1/media/images/{self.id}"
