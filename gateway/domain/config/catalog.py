"""The configuration of providers, models, names and limits.

`gateway.domain.config.loader` parses `provider_config.yaml` into a `Catalog`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from gateway.domain.config.base import ConfigModel
from gateway.domain.config.caches import CacheConfig
from gateway.domain.config.concurrency import ConcurrencyConfig
from gateway.domain.config.context_windows import limit_context_windows
from gateway.domain.config.conversation_queue import ConversationQueueConfig
from gateway.domain.config.guardrails import Guardrails
from gateway.domain.config.intent import IntentConfig
from gateway.domain.config.limits import Limits, OnDisconnect, Pricing, Tier, default_tiers
from gateway.domain.config.media import MediaConfig
from gateway.domain.config.models import ModelConfig, PriceConfig
from gateway.domain.config.provider_types import ProviderTypes
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.config.resilience import CircuitBreakerConfig, RetryConfig
from gateway.domain.config.roles import RoleConfig
from gateway.domain.config.routing import Routing
from gateway.domain.config.titles import TitlesConfig
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.money import Price

AUTO = "auto"


class Catalog(ConfigModel):
    """The whole validated configuration: references between names always resolve."""

    mode: Literal["live", "mock"] = "live"
    timeouts: Timeouts = Timeouts()
    providers: dict[str, ProviderConfig] = Field(default_factory=dict)
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    intent: IntentConfig = IntentConfig()
    routing: Routing = Routing()
    roles: dict[str, RoleConfig] = Field(default_factory=dict)
    media: MediaConfig = MediaConfig()
    fallbacks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    circuit_breaker: CircuitBreakerConfig = CircuitBreakerConfig()
    retry: RetryConfig = RetryConfig()
    tools: ToolsConfig = ToolsConfig()
    cache: CacheConfig = CacheConfig()
    guardrails: Guardrails = Guardrails()
    on_disconnect: OnDisconnect = OnDisconnect()
    conversation_queue: ConversationQueueConfig = ConversationQueueConfig()
    tiers: Annotated[dict[str, Tier], Field(min_length=1)] = Field(default_factory=default_tiers)
    pricing: Pricing = Pricing()
    limits: Limits = Limits()
    concurrency: ConcurrencyConfig = ConcurrencyConfig()
    titles: TitlesConfig = TitlesConfig()
    _prices: dict[str, Price] = PrivateAttr(default_factory=dict)
    _provider_types: ProviderTypes = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Limit the context windows of Ollama's models, and price all models.

        Args:
            context: of pydantic; its `provider_types` say which types are free and need longer timeouts.
        """
        self._provider_types = (context or {}).get("provider_types", {})
        self.models.update(limit_context_windows(self.models, self.providers))
        for name, model in self.models.items():
            is_self_hosted = all(self._is_free_to_run(provider) for provider in model.providers)
            unknown = self.pricing.unknown
            default = Price() if is_self_hosted else Price(unknown.input, unknown.output, unknown.image)
            self._prices[name] = _price(model.price or PriceConfig(), default)

    def _is_free_to_run(self, provider: str) -> bool:
        config = self.providers.get(provider)
        provider_type = None if config is None else self._provider_types.get(config.type)
        return provider_type is not None and provider_type.free_to_run

    def timeouts_of(self, provider: ProviderConfig) -> Timeouts:
        """Timeouts of a provider: its own, the configured, its type's, or the defaults."""
        provider_type = self._provider_types.get(provider.type)
        type_timeouts = {} if provider_type is None else provider_type.default_timeouts
        of_type = {
            name: value for name, value in type_timeouts.items() if name not in self.timeouts.model_fields_set
        }
        configured = provider.timeouts.model_dump(exclude_none=True)
        return self.timeouts.model_copy(update={**of_type, **configured})

    def price_of(self, model: str) -> Price:
        """The price of a model: its own, 0 for self-hosted types, else `pricing.unknown`."""
        return self._prices[model]

    @property
    def registration_tier(self) -> str:
        """The tier of newly registered accounts: the first one."""
        return next(iter(self.tiers))

    @property
    def cli_admin_tier(self) -> str:
        """The tier of an admin created from the command line: the last one."""
        return next(reversed(self.tiers))

    def tier_of(self, name: str) -> Tier:
        """A tier by name; the first tier if the name is no longer configured."""
        return self.tiers.get(name) or self.tiers[self.registration_tier]

    def models_of(self, name: str) -> tuple[str, ...]:
        """The models behind a model's or alias's name, best first; empty for other names."""
        return (name,) if name in self.models else self.aliases.get(name, ())

    def names(self) -> tuple[str, ...]:
        """Every name a client may request: `auto`, aliases, models."""
        return (AUTO, *self.aliases, *self.models)

    def fallbacks_of(self, model: str) -> tuple[str, ...]:
        """Fallbacks of a model in order: its own chain, then `*`, without repeats."""
        chain: list[str] = []
        queue = list(self.fallbacks.get(model, ()))
        while queue:
            name = queue.pop(0)
            if name != model and name not in chain:
                chain.append(name)
                queue.extend(self.fallbacks.get(name, ()))
        for name in self.fallbacks.get("*", ()):
            if name != model and name not in chain:
                chain.append(name)
        return tuple(chain)


def _price(configured: PriceConfig, default: Price) -> Price:
    return Price(
        default.input if configured.input is None else configured.input,
        default.output if configured.output is None else configured.output,
        default.image if configured.image is None else configured.image,
        configured.cached_input,
        configured.cache_write,
    )
