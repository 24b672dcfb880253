"""OpenAI's API, also of compatible servers: chat, images and embeddings."""

from gateway.domain.config.provider_types import ProviderType

PROVIDER_TYPE = ProviderType(
    name="openai",
    chat="gateway.providers.openai.chat:OpenAIChat",
    images="gateway.providers.openai.images:OpenAIImages",
    embeddings="gateway.providers.openai.embeddings:OpenAIEmbeddings",
    env_key="OPENAI_API_KEY",
)
