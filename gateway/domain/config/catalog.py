"""The configuration of providers, models, names and limits, as pure types with the questions asked of them.

`gateway.domain.config.loader` parses `provider_config.yaml` into a `Catalog`; nothing here reads a file.
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
# Tokens of an answer that nobody set a length for: of a model whose longest is not configured, and of any.
_DEFAULT_ANSWER_TOKENS = 4096
_MAX_RESERVED_ANSWER_TOKENS = 16_384


class Timeouts(ConfigModel):
    """Seconds.

    `first_token` is how long a stream may be silent, before its first token and after it; comments, pings and
    empty pieces count as signs of life. The same holds for an answer that is not streamed, as long as another
    model or provider could give it. Where none is left, it may be silent for as long again for each 250
    tokens that it may have (1500 without a limit). `live` is the most that an answer takes in all that is not
    streamed, `stream` the most that a stream does. `mock` is of both for the mock.
    """

    mock: Annotated[float, Field(gt=0)] = 5
    live: Annotated[float, Field(gt=0)] = 180
    first_token: Annotated[float, Field(gt=0)] = 10
    stream: Annotated[float, Field(gt=0)] = 1800
    connect: Annotated[float, Field(gt=0)] = 5


class ProviderTimeouts(ConfigModel):
    """Seconds, for one provider in place of those of `timeouts`."""

    live: Annotated[float, Field(gt=0)] | None = None
    first_token: Annotated[float, Field(gt=0)] | None = None
    stream: Annotated[float, Field(gt=0)] | None = None
    connect: Annotated[float, Field(gt=0)] | None = None


class ProviderConfig(ConfigModel):
    """`type` is the name of a `ProviderType`; `options` are specific to it.

    Options of `openai`: `headers`; `max_tokens_field`, the vendor's name of the token limit, or patterns
    of models with such names; `message_fields`, `all` or `known`: whether fields of messages that OpenAI
    does not document are sent (`known` for api.openai.com, else `all`; a server that refuses such a field
    by its name is asked again without it). Of `anthropic`: `headers`, `betas`, and fields of the body such
    as `thinking`. Of `gemini`: `headers`, arguments of `ChatGoogleGenerativeAI`, and
    `placeholder_signature`. Of `ollama`: `headers`; `num_ctx`, the largest context window that its models
    are asked for, `reasoning`, `keep_alive`, and Ollama's own model options.
    `base_url` of an OpenAI-compatible server includes its `/v1`. `timeouts` are this provider's own; of the
    types `ollama` and `local`, which load models and may run on a CPU, `first_token` is 120 and `live` 600
    where nothing else is configured.
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
        """A path is put behind it, which a query or a fragment would swallow."""
        if value is not None and ("?" in value or "#" in value):
            raise ValueError("base_url takes no ?query and no #fragment; paths are put behind it")
        return value


# A bill of many tokens at a higher price does not fit a column of the ledger.
_Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class PriceConfig(ConfigModel):
    """US dollars per million tokens, and for each picture; what is left out is not known.

    Without `cached_input` or `cache_write`, prompt tokens read from or written to the provider's cache cost
    as much as `input`.
    """

    input: _Dollars | None = None
    output: _Dollars | None = None
    cached_input: _Dollars | None = None
    cache_write: _Dollars | None = None
    image: _Dollars | None = None


class ModelConfig(ConfigModel):
    """Without a price it costs what `Catalog.price_of` says.

    `max_output_tokens` is the length of an answer that the model can give. It is sent to vendors that demand
    a limit (`anthropic`) where a request has none.

    `thinking_budgets` says that a model of the types `anthropic` and `gemini` can think: for each
    `reasoning_effort` that a caller may ask for, how many tokens it may think. `none` is always 0. Without
    budgets, requests that name an effort are refused. A budget is at most half of the request's `max_tokens`.

    `provider` may be given as a list: all of `providers` answer for the model, the least busy one first, and
    `provider` is the first of them.
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
        """How long an answer may be that nobody set a length for, as far as a limit has to reckon with it."""
        return min(
            self.max_output_tokens or _DEFAULT_ANSWER_TOKENS, _MAX_RESERVED_ANSWER_TOKENS, self.context_window
        )

    @property
    def can_chat(self) -> bool:
        """Whether the model answers in words: not, where all it can do is make vectors or pictures."""
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
    """Matches when every given field holds the turn's value."""

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
    """None means unlimited.

    `requests_per_minute` counts turns and every call with an API key. `reads_per_minute` counts the other
    requests of a signed-in person, such as those of the console. `storage_mb` limits what an account keeps in
    conversations and images, in millions of bytes.
    """

    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    reads_per_minute: Annotated[int, Field(gt=0)] | None = 600
    tokens_per_day: Annotated[int, Field(gt=0)] | None = None
    usd_per_month: Annotated[Decimal, Field(gt=0)] | None = None
    concurrent_turns: Annotated[int, Field(gt=0)] | None = None
    storage_mb: Annotated[int, Field(gt=0)] | None = 1000

    @property
    def storage_bytes(self) -> int | None:
        """The most that an account may store; None: no limit."""
        return None if self.storage_mb is None else self.storage_mb * 1_000_000


class UnknownPrice(ConfigModel):
    """US dollars per million tokens, and for each picture."""

    input: Annotated[Decimal, Field(ge=0)] = Decimal(5)
    output: Annotated[Decimal, Field(ge=0)] = Decimal(15)
    image: Annotated[Decimal, Field(ge=0)] = Decimal("0.2")


class Pricing(ConfigModel):
    """`unknown` is the price of a vendor's model that has none: dear, for what is not known is not free."""

    unknown: UnknownPrice = UnknownPrice()


class Limits(ConfigModel):
    """Limits of single turns, and of the keys that `GATEWAY_API_KEYS` gives.

    Past `usd_per_turn` no further model call is begun (None: no such limit). `default_max_tokens` is what is
    reserved for an answer whose caller set no `max_tokens`. Each key of `GATEWAY_API_KEYS` may send
    `environment_key_requests_per_minute` (None: as many as its tier allows).
    """

    usd_per_turn: Annotated[Decimal, Field(gt=0)] | None = None
    default_max_tokens: Annotated[int, Field(gt=0)] = 1024
    environment_key_requests_per_minute: Annotated[int, Field(gt=0)] | None = 60


def default_tiers() -> dict[str, Tier]:
    """The tiers of a configuration that has no `tiers` section (CONTRACT §2)."""
    return {
        "free": Tier(requests_per_minute=20, tokens_per_day=200_000, usd_per_month=Decimal(1)),
        "pro": Tier(requests_per_minute=120, tokens_per_day=5_000_000, usd_per_month=Decimal(50)),
        "enterprise": Tier(requests_per_minute=2000),
    }


class Catalog(ConfigModel):
    """The whole configuration; names in it have been checked, so a look-up of a known name cannot fail."""

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
        """The provider's own timeouts, else the configured ones, else its type's, else the defaults."""
        provider_type = self._provider_types.get(provider.type)
        type_timeouts = {} if provider_type is None else provider_type.default_timeouts
        of_type = {
            name: value for name, value in type_timeouts.items() if name not in self.timeouts.model_fields_set
        }
        configured = provider.timeouts.model_dump(exclude_none=True)
        return self.timeouts.model_copy(update={**of_type, **configured})

    def price_of(self, model: str) -> Price:
        """Its own price; without one nothing on hardware of one's own, `pricing.unknown` elsewhere."""
        return self._prices[model]

    @property
    def registration_tier(self) -> str:
        """The tier of who registers: the first of the file."""
        return next(iter(self.tiers))

    @property
    def cli_admin_tier(self) -> str:
        """The tier of an admin made from the command line: the last of the file."""
        return next(reversed(self.tiers))

    def tier_of(self, name: str) -> Tier:
        """The tier of an account; one that has left the file means the first, never no limits at all."""
        return self.tiers.get(name) or self.tiers[self.registration_tier]

    def models_of(self, name: str) -> tuple[str, ...]:
        """The models that a model's or an alias's name stands for, best first; none for any other name."""
        return (name,) if name in self.models else self.aliases.get(name, ())

    def names(self) -> tuple[str, ...]:
        """Every name a client may ask for: `auto`, aliases, models."""
        return (AUTO, *self.aliases, *self.models)

    def fallbacks_of(self, model: str) -> tuple[str, ...]:
        """The models that may answer for `model`, in order: its own chain, then `*`, without repeats."""
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
