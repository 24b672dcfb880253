"""What a turn is expected to take: its prompt and tools, its `max_tokens`, the dearest model for it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from gateway.agent.context import AgentParts
from gateway.agent.request import prompt_tokens, reserved_prompt_tokens
from gateway.agent.tooluse.offer import most_of_auto
from gateway.domain.budget import Estimate
from gateway.domain.catalog import AUTO, Catalog
from gateway.domain.chat import ToolSpec, Turn
from gateway.domain.ledger import UsageOwner
from gateway.domain.tokens import reserved_tokens
from gateway.domain.usage import Price, Usage
from gateway.services.bill import Bill

_MILLION = Decimal(1_000_000)


class _Most(NamedTuple):
    """What the models that may answer take at most: prices, the longest answer, the largest window, tools."""

    price: Price
    answer: int
    window: int
    tools: bool


class Pricing:
    """Estimates of turns, by prices that are looked up once."""

    def __init__(self, parts: AgentParts) -> None:
        self._catalog = parts.catalog
        self._tools = parts.tools
        self._ready = frozenset(name for name in parts.catalog.models if parts.upstreams.of(name))
        self._any = self._dearest(parts.catalog.models)
        self._by_name = {
            name: self._dearest(_may_answer(name, self._catalog)) for name in self._catalog.names()
        }

    def estimate(self, turn: Turn, bill: Bill | None = None) -> Estimate:
        """What to reserve for `turn`; a stored conversation's history is counted where it is read.

        Args:
            bill: the turn's, which is kept with the reservation.
        """
        most = self._most(turn)
        prompt = reserved_prompt_tokens(turn.messages, self._offered(turn, most))
        if turn.persist and turn.system:
            prompt += reserved_tokens(turn.system)
        price, asked = most.price, turn.sampling.max_tokens
        answer = asked or self._catalog.limits.default_max_tokens
        spare = Usage()
        if asked is None:
            spare = Usage(0, max(0, most.answer - answer))
        return Estimate(
            prompt + answer,
            price.cost(Usage(prompt, answer)),
            spare.total_tokens,
            price.cost(spare),
            most.window,
            price.input / _MILLION,
            bill.begun() if bill is not None else None,
        )

    def bill(self, turn: Turn, owner: UsageOwner) -> Bill:
        """A bill whose running call is most likely of the first model asked for."""
        wished = [name for name in _wished(turn.model or AUTO, self._catalog) if name in self._ready]
        model = next(iter(wished), turn.model or AUTO)
        known = self._catalog.models.get(model)
        prompt = prompt_tokens(turn.messages, turn.client_tools)
        price = self._catalog.price_of(model) if known is not None else Price()
        return Bill(owner, model, known.provider if known is not None else "", prompt, price)

    def _offered(self, turn: Turn, most: _Most) -> tuple[ToolSpec, ...]:
        """The tools whose definitions the first call may be sent with."""
        if turn.client_tools or not most.tools or turn.gateway_tools == ():
            return turn.client_tools
        if turn.gateway_tools is not None:
            return self._tools.specs(turn.gateway_tools)
        return most_of_auto(self._tools.specs(), most.window)

    def _most(self, turn: Turn) -> _Most:
        if turn.fallbacks is not None:
            named = [*_wished(turn.model or AUTO, self._catalog), *turn.fallbacks]
            return self._dearest(model for name in named for model in self._catalog.models_of(name))
        if turn.model is None and turn.conversation_id is not None:
            return self._any  # the conversation's own model, which is read as it is taken
        return self._by_name.get(turn.model or AUTO, self._any)

    def _dearest(self, models: Iterable[str]) -> _Most:
        """The higher of each price, and the most tokens, among those models that can answer at all."""
        ready = [name for name in models if name in self._ready]
        prices = [self._catalog.price_of(name) for name in ready]
        configured = [self._catalog.models[name] for name in ready]
        return _Most(
            Price(
                max((price.input for price in prices), default=Price().input),
                max((price.output for price in prices), default=Price().output),
            ),
            max((model.longest_answer for model in configured), default=0),
            max((model.context_window for model in configured), default=0),
            any("tools" in model.capabilities for model in configured),
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
