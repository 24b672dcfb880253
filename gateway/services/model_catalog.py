"""What an account may choose from: models, aliases and tools."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.agent.context import AgentParts
from gateway.core.exceptions import ModelNotFound
from gateway.domain.catalog import AUTO
from gateway.domain.chat import ToolSpec
from gateway.domain.principal import Principal
from gateway.domain.usage import Price


@dataclass(frozen=True, slots=True)
class Choice:
    """A name that a request may ask for; `models` are what it stands for, best first."""

    name: str
    kind: str
    models: tuple[str, ...]
    provider: str
    capabilities: tuple[str, ...]
    context_window: int
    price: Price | None


class ModelCatalogService:
    """Reads the catalogue for one caller."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    def choices(self, principal: Principal) -> tuple[Choice, ...]:
        """`auto`, then aliases, then models: those whose provider is configured and the key allows."""
        catalog = self._parts.catalog
        ready = {name for name in catalog.models if self._parts.upstreams.of(name)}
        routed = tuple(
            dict.fromkeys(n for n in (catalog.routing.light, catalog.routing.heavy) if n is not None)
        )
        names = {
            AUTO: ("router", routed or tuple(ready)),
            **{alias: ("alias", models) for alias, models in catalog.aliases.items()},
            **{name: ("model", (name,)) for name in catalog.models if name in ready},
        }
        return tuple(
            self._choice(name, kind, models)
            for name, (kind, models) in names.items()
            if principal.models is None or name in principal.models
        )

    def choice(self, name: str, principal: Principal) -> Choice:
        """One of `choices`.

        Raises:
            ModelNotFound
        """
        for choice in self.choices(principal):
            if choice.name == name:
                return choice
        raise ModelNotFound(param="model")

    def tools(self) -> tuple[ToolSpec, ...]:
        """The gateway's own tools that are enabled."""
        return self._parts.tools.specs()

    def offers_tool(self, tool: str, name: str | None, principal: Principal) -> bool:
        """Whether a model behind this name may be offered this tool of the gateway."""
        if all(spec.name != tool for spec in self.tools()):
            return False
        try:
            return "tools" in self.choice(name or AUTO, principal).capabilities
        except ModelNotFound:
            return False

    def _choice(self, name: str, kind: str, models: tuple[str, ...]) -> Choice:
        configs = [self._parts.catalog.models[model] for model in models]
        capabilities = frozenset[str]().union(*(config.capabilities for config in configs))
        return Choice(
            name=name,
            kind=kind,
            models=models,
            provider=self._parts.upstreams.of(name)[0].provider.name if kind == "model" else "gateway",
            capabilities=tuple(sorted(capabilities)),
            context_window=max((config.context_window for config in configs), default=0),
            price=self._parts.catalog.price_of(name) if kind == "model" else None,
        )
