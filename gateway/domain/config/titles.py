"""Whether a model names conversations."""

from __future__ import annotations

from gateway.domain.config.base import ConfigModel


class TitlesConfig(ConfigModel):
    """`routing.light` gives a conversation its title, once, after its first answer."""

    enabled: bool = True
