"""Models that come with the gateway.

These are an embedded chat server, and embeddings in this process.
"""

from gateway.domain.config.provider_types import SLOW_START_TIMEOUTS, ProviderType

PROVIDER_TYPE = ProviderType(
    name="local",
    chat="gateway.providers.local.chat:LocalChat",
    embeddings="gateway.providers.local.embeddings:LocalEmbeddings",
    free_to_run=True,
    external=False,
    default_timeouts=SLOW_START_TIMEOUTS,
    otel_name="llama.cpp",
)
