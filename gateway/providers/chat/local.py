"""The small model that `gateway serve` starts: a llama.cpp server that speaks OpenAI's wire format."""

from __future__ import annotations

from gateway.providers.chat.openai import OpenAIProvider


class LocalProvider(OpenAIProvider):
    """Without an address (no embedded server was started) it is not configured."""

    type = "local"

    @property
    def configured(self) -> bool:
        return bool(self.config.base_url)
