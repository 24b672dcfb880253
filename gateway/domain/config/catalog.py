"""The configuration of providers, models, names and limits.

`gateway.domain.config.loader` parses `provider_config.yaml` into a `Catalog`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from gateway.domain.config.base import ConfigModel
from gateway.domain.config.caches import CacheConfig
from gateway.domain.config.concurrency import ConcurrencyConfig
from gateway.domain.config.context_windows import limit_context_windows
from gateway.domain.config.conversation_queue import ConversationQueueConfig
from gateway.domain.config.guardrails import Guardrails
from gateway.domain.config.intent import IntentConfig
from gateway.domain.config.media import MediaConfig
from gateway.domain.config.provider_types import ProviderTypes
from gateway.domain.config.resilience import CircuitBreakerConfig, RetryConfig
from gateway.domain.config.roles import RoleConfig
from gateway.domain.config.titles import TitlesConfig
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.money import Price

Capability = Literal["tools", "json", "vision", "embeddings", "images", "logprobs"]
AUTO = "auto"
# Tokens assumed for an answer without a limit: for a model without `max_output_tokens`, and at most.
_DEFAULT_ANSWER_TOKENS = 4096
_MAX_RESERVED_ANSWER_TOKENS = 16_384


class Timeouts(ConfigModel):
    """Timeouts in seconds.

    `first_token` is how long a stream may be silent; comments, pings and empty chunks count as activity. It
    also applies to unstreamed answers as long as another model or provider could answer. Otherwise such an
    answer may be silent for this time again for each 250 tokens it may have (1500 without a limit). `live`
    limits the duration of an unstreamed answer, `stream` that of a stream. `mock` replaces both for the mock.
    """

    mock: Annotated[float, Field(gt=0)] = 5
    live: Annotated[float, Field(gt=0)] = 180
    first_token: Annotated[float, Field(gt=0)] = 10
    stream: Annotated[float, Field(gt=0)] = 1800
    connect: Annotated[float, Field(gt=0)] = 5


class ProviderTimeouts(ConfigModel):
    """Timeouts in seconds that override `timeouts` for one provider."""

    live: Annotated[float, Field(gt=0)] | None = None
    first_token: Annotated[float, Field(gt=0)] | None = None
    stream: Annotated[float, Field(gt=0)] | None = None
    connect: Annotated[float, Field(gt=0)] | None = None


class ProviderConfig(ConfigModel):
    """A provider: a vendor endpoint. `options` depend on its `ProviderType`.

    Options of `openai`: `headers`; `max_tokens_field`, the vendor's name of the token limit, or patterns of
    models with such names; `message_fields`, `all` or `known`: whether fields of messages that OpenAI does
    not document are sent (`known` for api.openai.com, else `all`; if a server rejects such a field by name,
    the request is repeated without it). Of `anthropic`: `headers`, `betas`, and fields of the body such as
    `thinking`. Of
    `gemini`: `headers`, arguments of `ChatGoogleGenerativeAI`, and `placeholder_signature`. Of `ollama`:
    `headers`; `num_ctx`, the largest context window requested; `reasoning`, `keep_alive`, and Ollama's model
    options. `base_url` of an OpenAI-compatible server includes its `/v1`. For `ollama` and `local`, which
    load models and may run on a CPU, `first_token` defaults to 120 and `live` to 600.
    """

    type: str
    base_url: str | None = None
    api_key: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    timeouts: ProviderTimeouts = ProviderTimeouts()

    @field_validator("base_url", "api_key", mode="after")
    @classmethod
    def _blank_is_none(cls, value: str | None) -> str | None:
        return value.strip() or None if value is not None else None

    @field_validator("base_url", mode="after")
    @classmethod
    def _is_a_base(cls, value: str | None) -> str | None:
        """Reject a query or fragment, because paths are appended."""
        if value is not None and ("?" in value or "#" in value):
            raise ValueError("base_url takes no ?query and no #fragment; paths are put behind it")
        return value


# Larger prices could overflow a column of the ledger.
_Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class PriceConfig(ConfigModel):
    """US dollars per million tokens, and per image; missing prices are unknown.

    Without `cached_input` or `cache_write`, prompt tokens read from or written to the provider's cache cost
    as much as `input`.
    """

    input: _Dollars | None = None
    output: _Dollars | None = None
    cached_input: _Dollars | None = None
    cache_write: _Dollars | None = None
    image: _Dollars | None = None


class ModelConfig(ConfigModel):
    """A model; without a price it costs what `Catalog.price_of` returns.

    `max_output_tokens` is the longest answer the model can give. It is sent to vendors that require a limit
    (`anthropic`) if a request has none.

    `thinking_budgets` enables thinking for models of the types `anthropic` and `gemini`: the thinking tokens
    for each accepted `reasoning_effort`. `none` is always 0. Without budgets, requests with an effort are
    rejected. A budget is at most half of the request's `max_tokens`.

    `provider` may be a list: all of `providers` serve the model, the least busy one first, and `provider` is
    the first of them.
    """

    provider: str
    providers: Annotated[tuple[str, ...], Field(min_length=1)] = ()
    model: str
    context_window: Annotated[int, Field(gt=0)] = 8192
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    thinking_budgets: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    capabilities: frozenset[Capability] = frozenset()
    price: PriceConfig | None = None

    @property
    def reserved_answer_tokens(self) -> int:
        """Answer tokens to reserve for a request without `max_tokens`."""
        return min(
            self.max_output_tokens or _DEFAULT_ANSWER_TOKENS, _MAX_RESERVED_ANSWER_TOKENS, self.context_window
        )

    @property
    def can_chat(self) -> bool:
        """Whether the model generates text, not only embeddings or images."""
        return not self.capabilities or bool(self.capabilities - {"embeddings", "images"})

    @model_validator(mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("providers"):
            return value
        given = value.get("provider")
        if isinstance(given, list | tuple) and given:
            return {**value, "provider": given[0], "providers": tuple(dict.fromkeys(given))}
        return {**value, "providers": (given,)} if isinstance(given, str) else value


class RoutingRule(ConfigModel):
    """Matches if every given field contains the turn's value."""

    role: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    intent: tuple[str, ...] = ()
    mode: Literal["final"] | None = None
    model: str


class Routing(ConfigModel):
    light: str | None = None
    heavy: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    rules: tuple[RoutingRule, ...] = ()


class OnDisconnect(ConfigModel):
    people: Literal["continue", "cancel"] = "continue"
    api_keys: Literal["continue", "cancel"] = "cancel"


class Tier(ConfigModel):
    """Limits of an account; None means unlimited.

    `requests_per_minute` counts turns and every call with an API key. `reads_per_minute` counts other
    requests of a signed-in user, such as those of the console. `storage_mb` limits conversations and images,
    in millions of bytes.
    """

    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    reads_per_minute: Annotated[int, Field(gt=0)] | None = 600
    tokens_per_day: Annotated[int, Field(gt=0)] | None = None
    usd_per_month: Annotated[Decimal, Field(gt=0)] | None = None
    concurrent_turns: Annotated[int, Field(gt=0)] | None = None
    storage_mb: Annotated[int, Field(gt=0)] | None = 1000

    @property
    def storage_bytes(self) -> int | None:
        """The storage limit in bytes; None: no limit."""
        return None if self.storage_mb is None else self.storage_mb * 1_000_000


class UnknownPrice(ConfigModel):
    """US dollars per million tokens, and per image."""

    input: Annotated[Decimal, Field(ge=0)] = Decimal(5)
    output: Annotated[Decimal, Field(ge=0)] = Decimal(15)
    image: Annotated[Decimal, Field(ge=0)] = Decimal("0.2")


class Pricing(ConfigModel):
    """`unknown` is the price of a vendor's model without one: high, not free."""

    unknown: UnknownPrice = UnknownPrice()


class Limits(ConfigModel):
    """Limits of single turns, and of keys in `GATEWAY_API_KEYS`.

    Above `usd_per_turn` no further model call starts (None: no limit). `default_max_tokens` is reserved for
    an answer without `max_tokens`. Each key of `GATEWAY_API_KEYS` may send
    `environment_key_requests_per_minute` (None: its tier's limit).
    """

    usd_per_turn: Annotated[Decimal, Field(gt=0)] | None = None
    default_max_tokens: Annotated[int, Field(gt=0)] = 1024
    environment_key_requests_per_minute: Annotated[int, Field(gt=0)] | None = 60


def default_tiers() -> dict[str, Tier]:
    """The tiers of a configuration without a `tiers` section (CONTRACT §2)."""
    return {
        "free": Tier(requests_per_minute=20, tokens_per_day=200_000, usd_per_month=Decimal(1)),
        "pro": Tier(requests_per_minute=120, tokens_per_day=5_000_000, usd_per_month=Decimal(50)),
        "enterprise": Tier(requests_per_minute=2000),
    }


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
