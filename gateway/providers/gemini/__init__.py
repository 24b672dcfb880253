"""Google's Gemini API: chat and images."""

from gateway.domain.config.provider_types import ProviderType

PROVIDER_TYPE = ProviderType(
    name="gemini",
    chat="gateway.providers.gemini.chat:GeminiChat",
    images="gateway.providers.gemini.images:GeminiImages",
    env_key="GOOGLE_API_KEY",
    otel_name="gcp.gemini",
)
