"""Facts about types of providers that the configuration needs without importing a vendor's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ProviderCapability = Literal["chat", "images", "embeddings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderType:
    """One type of provider; `gateway.providers.registry` has all of them.

    Attributes:
        name: the value of `type` in the configuration.
        chat, images, embeddings: `module:Class` of the implementation, None if the vendor has no such API.
        free_to_run: it sends no bills, so a model without a price costs nothing.
        external: it is a server that may be unreachable, not a part of the gateway.
        default_timeouts: fields of `Timeouts` that differ from the defaults.
        env_key: the environment variable with its API key or URL.
        otel_name: its name by OpenTelemetry's conventions, `name` by default.
        setup_hint: what to do if it does not answer; "" for the usual hint about its URL.
    """

    name: str
    chat: str | None = None
    images: str | None = None
    embeddings: str | None = None
    free_to_run: bool = False
    external: bool = True
    default_timeouts: Mapping[str, float] = field(default_factory=dict)
    env_key: str = ""
    otel_name: str = ""
    setup_hint: str = ""

    def __post_init__(self) -> None:
        if not self.otel_name:
            object.__setattr__(self, "otel_name", self.name)

    @property
    def capabilities(self) -> frozenset[ProviderCapability]:
        """What its vendor has an API for."""
        classes: dict[ProviderCapability, str | None] = {
            "chat": self.chat,
            "images": self.images,
            "embeddings": self.embeddings,
        }
        return frozenset(capability for capability, path in classes.items() if path is not None)


ProviderTypes = Mapping[str, ProviderType]
# Of types that load a model at the first call and may run on a CPU.
SLOW_START_TIMEOUTS = {"first_token": 120.0, "live": 600.0}
_LITELLM_HINT = (
    "the provider type `litellm` is not part of this installation. Run your own LiteLLM proxy and "
    "configure it as `type: openai` with `base_url: http://…/v1`"
)


def provider_type_problem(name: str, known: ProviderTypes) -> str | None:
    """Return why a provider cannot have the type `name`, None if it can."""
    if name in known:
        return None
    if name == "litellm":
        return _LITELLM_HINT
    return f"there is no provider type with this name; available: {', '.join(sorted(known))}"
