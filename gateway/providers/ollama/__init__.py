"""An Ollama server: chat and embeddings."""

from gateway.domain.config.provider_types import SLOW_START_TIMEOUTS, ProviderType

PROVIDER_TYPE = ProviderType(
    name="ollama",
    chat="gateway.providers.ollama.chat:OllamaChat",
    embeddings="gateway.providers.ollama.embeddings:OllamaEmbeddings",
    free_to_run=True,
    default_timeouts=SLOW_START_TIMEOUTS,
    env_key="OLLAMA_URL",
    setup_hint="start it (`ollama serve`), or set OLLAMA_URL to its address.",
)
