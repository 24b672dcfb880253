"""The small model that `gateway serve` starts: a llama.cpp server that speaks OpenAI's wire format."""

from __future__ import annotations

from gateway.domain.catalog import ModelConfig
from gateway.providers.chat.openai import OpenAIProvider


class LocalProvider(OpenAIProvider):
    """Without an address (no embedded server was started) it is not configured."""

    type = "local"

    @property
    def configured(self) -> bool:
        return bool(self.config.base_url)

    def serves(self, model: ModelConfig) -> bool:
        # Vectors are made in this process, with or without a server.
        return self.configured or not model.chats
