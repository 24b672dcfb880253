"""The models, aliases and tools that an account may use."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.agent.context import AgentResources
from gateway.core.exceptions import ModelNotFound
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import AUTO
from gateway.domain.money import Price
from gateway.domain.requests import ToolSpec


@dataclass(frozen=True, slots=True)
class ModelOption:
    """A model name that requests may use.

    `models` are the models behind it, best first.
    """

    name: str
    kind: str
    models: tuple[str, ...]
    provider: str
    capabilities: tuple[str, ...]
    context_window: int
    price: Price | None


class ModelCatalogService:
    """Reads the catalog on behalf of one caller."""

    def __init__(self, parts: AgentResources) -> None:
        self._parts = parts

    def list_options(self, principal: Principal) -> tuple[ModelOption, ...]:
        """List `auto`, aliases and models that are configured and that the caller may use."""
        catalog = self._parts.catalog
        available = {name for name in catalog.models if self._parts.upstreams.for_model(name)}
        routed = tuple(
            dict.fromkeys(
                model for model in (catalog.routing.light, catalog.routing.heavy) if model is not None
            )
        )
        candidates = {
            AUTO: ("router", routed or tuple(available)),
            **{alias: ("alias", models) for alias, models in catalog.aliases.items()},
            **{name: ("model", (name,)) for name in catalog.models if name in available},
        }
        return tuple(
            self._build_option(name, kind, models)
            for name, (kind, models) in candidates.items()
            if principal.models is None or name in principal.models
        )

    def get_option(self, name: str, principal: Principal) -> ModelOption:
        """Return one of `list_options` by name.

        Raises:
            ModelNotFound: there is none.
        """
        for option in self.list_options(principal):
            if option.name == name:
                return option
        raise ModelNotFound(param="model")

    def list_tools(self) -> tuple[ToolSpec, ...]:
        """List the gateway's enabled tools."""
        return self._parts.tools.specs()

    def offers_tool(self, tool: str, name: str | None, principal: Principal) -> bool:
        """Return whether a model behind this name can be given this gateway tool."""
        if all(spec.name != tool for spec in self.list_tools()):
            return False
        try:
            return "tools" in self.get_option(name or AUTO, principal).capabilities
        except ModelNotFound:
            return False

    def _build_option(self, name: str, kind: str, models: tuple[str, ...]) -> ModelOption:
        configs = [self._parts.catalog.models[model] for model in models]
        capabilities = frozenset[str]().union(*(config.capabilities for config in configs))
        return ModelOption(
            name=name,
            kind=kind,
            models=models,
            provider=self._parts.upstreams.for_model(name)[0].provider.name if kind == "model" else "gateway",
            capabilities=tuple(sorted(capabilities)),
            context_window=max((config.context_window for config in configs), default=0),
            price=self._parts.catalog.price_of(name) if kind == "model" else None,
        )
