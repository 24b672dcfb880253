"""Response caches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ExactCache(ConfigModel):
    """Cache for identical requests; `ttl_seconds: 0` turns it off.

    Stores at most `max_entries` per account, each of at most `max_bytes`.
    """

    ttl_seconds: Annotated[int, Field(ge=0)] = 3600
    max_entries: Annotated[int, Field(gt=0, le=1_000_000)] = 1000
    max_bytes: Annotated[int, Field(gt=0)] = 65_536


class SemanticCacheConfig(ConfigModel):
    """Cache for questions with the same meaning; needs pgvector in the database.

    `min_score` is the minimum probability (0..1) that two questions are the same. Stores at most
    `max_entries` per account.
    """

    enabled: bool = False
    ttl_seconds: Annotated[int, Field(gt=0)] = 86_400
    max_entries: Annotated[int, Field(gt=0, le=100_000)] = 5000
    min_score: Annotated[float, Field(ge=0.5, le=1)] | None = None


class CacheConfig(ConfigModel):
    exact: ExactCache = ExactCache()
    semantic: SemanticCacheConfig = SemanticCacheConfig()
