"""Conversation titles."""

from __future__ import annotations

from gateway.domain.config.base import ConfigModel


class TitlesConfig(ConfigModel):
    """Whether `routing.light` generates a title after a conversation's first answer."""

    enabled: bool = True
