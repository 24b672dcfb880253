"""Deterministic answers, images and embeddings without a model, for tests and mock mode."""

from gateway.domain.config.provider_types import ProviderType

PROVIDER_TYPE = ProviderType(
    name="mock",
    chat="gateway.providers.mock.chat:MockChat",
    images="gateway.providers.mock.images:MockImages",
    embeddings="gateway.providers.mock.embeddings:MockEmbeddings",
    free_to_run=True,
    external=False,
)
