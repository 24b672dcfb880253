"""The most that a turn is expected to take: its prompt as sent, its `max_tokens`, the dearest model."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.agent.context import AgentParts
from gateway.agent.request import prompt_tokens
from gateway.domain.budget import Estimate
from gateway.domain.catalog import AUTO, Catalog
from gateway.domain.chat import Turn
from gateway.domain.usage import Price, Usage, estimate_tokens


class Pricing:
    """Estimates of turns, by prices that are looked up once."""

    def __init__(self, parts: AgentParts) -> None:
        self._catalog = parts.catalog
        self._ready = frozenset(name for name in parts.catalog.models if parts.upstreams.of(name))
        self._any = self._dearest(parts.catalog.models)
        self._by_name = {
            name: self._dearest(_may_answer(name, self._catalog)) for name in self._catalog.names()
        }

    def estimate(self, turn: Turn) -> Estimate:
        """What to reserve for `turn`; a kept conversation's history is not known yet and left out."""
        prompt = prompt_tokens(turn.messages, turn.client_tools)
        if turn.persist and turn.system:
            prompt += estimate_tokens(turn.system)
        answer = turn.sampling.max_tokens or self._catalog.limits.default_max_tokens
        return Estimate(prompt + answer, self._price(turn).cost(Usage(prompt, answer)))

    def _price(self, turn: Turn) -> Price:
        if turn.fallbacks is not None:
            named = [*_wished(turn.model or AUTO, self._catalog), *turn.fallbacks]
            return self._dearest(model for name in named for model in self._catalog.models_of(name))
        if turn.model is None and turn.conversation_id is not None:
            return self._any  # the conversation's own model, which is read as it is taken
        return self._by_name.get(turn.model or AUTO, self._any)

    def _dearest(self, models: Iterable[str]) -> Price:
        """The higher of each price among those models that can answer at all."""
        prices = [self._catalog.price_of(name) for name in models if name in self._ready]
        return Price(
            max((price.input for price in prices), default=Price().input),
            max((price.output for price in prices), default=Price().output),
        )


def _may_answer(name: str, catalog: Catalog) -> Iterable[str]:
    for model in _wished(name, catalog):
        yield model
        yield from catalog.fallbacks_of(model)


def _wished(name: str, catalog: Catalog) -> tuple[str, ...]:
    if models := catalog.models_of(name):
        return models
    routing = catalog.routing
    routed = [routing.light, routing.heavy, *(rule.model for rule in routing.rules)]
    return tuple(model for model in routed if model is not None) or tuple(catalog.models)
