"""Image generation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class MediaConfig(ConfigModel):
    """Limits of image requests; `default` is the image model if a request names none."""

    default: str | None = None
    max_side: Annotated[int, Field(gt=0, le=8192)] = 2048
    max_count: Annotated[int, Field(gt=0, le=10)] = 4
    max_bytes: Annotated[int, Field(gt=0)] = 32 * 1024 * 1024
