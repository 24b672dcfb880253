"""Which answers are kept for those who ask the same again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ExactCache(ConfigModel):
    """Answers to the very same request; `ttl_seconds: 0` turns it off.

    At most `max_entries` are kept of one account, each of at most `max_bytes`.
    """

    ttl_seconds: Annotated[int, Field(ge=0)] = 3600
    max_entries: Annotated[int, Field(gt=0, le=1_000_000)] = 1000
    max_bytes: Annotated[int, Field(gt=0)] = 65_536


class SemanticCacheConfig(ConfigModel):
    """Answers to the same question in other words; needs pgvector in the database.

    `min_score` is how sure (0..1) it has to be that two questions are the same; at most `max_entries` are
    kept of one account.
    """

    enabled: bool = False
    ttl_seconds: Annotated[int, Field(gt=0)] = 86_400
    max_entries: Annotated[int, Field(gt=0, le=100_000)] = 5000
    min_score: Annotated[float, Field(ge=0.5, le=1)] | None = None


class CacheConfig(ConfigModel):
    exact: ExactCache = ExactCache()
    semantic: SemanticCacheConfig = SemanticCacheConfig()
