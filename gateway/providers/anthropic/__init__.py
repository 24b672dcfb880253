"""Anthropic's Messages API: chat."""

from gateway.domain.config.provider_types import ProviderType

PROVIDER_TYPE = ProviderType(
    name="anthropic",
    chat="gateway.providers.anthropic.chat:AnthropicChat",
    env_key="ANTHROPIC_API_KEY",
)
