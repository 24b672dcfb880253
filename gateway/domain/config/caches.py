"""Which answers are kept for those who ask the same again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ExactCache(ConfigModel):
    """`ttl_seconds: 0` turns it off."""

    ttl_seconds: Annotated[int, Field(ge=0)] = 3600


class SemanticCache(ConfigModel):
    enabled: bool = False


class CacheConfig(ConfigModel):
    exact: ExactCache = ExactCache()
    semantic: SemanticCache = SemanticCache()
