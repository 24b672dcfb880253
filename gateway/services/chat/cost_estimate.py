"""Estimates the cost of a turn with the most expensive model that may answer."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from gateway.agent.context import AgentResources
from gateway.agent.model_call.request_builder import prompt_tokens, prompt_tokens_to_reserve
from gateway.agent.tool_use.selection import fit_tools_to_window
from gateway.domain.config.catalog import AUTO, Catalog
from gateway.domain.money import Price, Usage
from gateway.domain.requests import ToolSpec, Turn
from gateway.domain.token_estimates import tokens_to_reserve
from gateway.domain.usage.budgets import Estimate
from gateway.domain.usage.turn_records import UsageOwner
from gateway.services.usage.turn_bill import TurnBill

_MILLION = Decimal(1_000_000)


class _Maximums(NamedTuple):
    """The highest prices and the largest limits among the models that may answer."""

    price: Price
    answer_tokens: int
    context_window: int
    supports_tools: bool


class CostEstimator:
    """Estimates costs from prices that are looked up once per configuration."""

    def __init__(self, resources: AgentResources) -> None:
        self._catalog = resources.catalog
        self._tools = resources.tools
        self._callable_models = frozenset(
            name for name in resources.catalog.models if resources.upstreams.for_model(name)
        )
        self._maximums_of_all = self._maximums_of(resources.catalog.models)
        self._maximums_by_name = {
            name: self._maximums_of(_possible_models(name, self._catalog)) for name in self._catalog.names()
        }

    def estimate(self, turn: Turn, bill: TurnBill | None = None) -> Estimate:
        """Return the amount to reserve for `turn`.

        A stored conversation's history is added when it is read.

        Args:
            bill: the turn's bill, which is stored with the reservation.
        """
        maximums = self._maximums_for(turn)
        prompt = prompt_tokens_to_reserve(turn.messages, self._offered_tools(turn, maximums))
        if turn.conversation is not None and turn.conversation.system:
            prompt += tokens_to_reserve(turn.conversation.system)
        price, max_tokens = maximums.price, turn.sampling.max_tokens
        answer = max_tokens or self._catalog.limits.default_max_tokens
        spare = Usage()
        if max_tokens is None:
            spare = Usage(0, max(0, maximums.answer_tokens - answer))
        return Estimate(
            prompt + answer,
            price.cost(Usage(prompt, answer)),
            spare.total_tokens,
            price.cost(spare),
            maximums.context_window,
            price.input / _MILLION,
            bill.initial() if bill is not None else None,
        )

    def bill(self, turn: Turn, owner: UsageOwner) -> TurnBill:
        """Return a bill with a running call of the model most likely to be called first."""
        requested = _requested_models(turn.model or AUTO, self._catalog)
        model = next((name for name in requested if name in self._callable_models), turn.model or AUTO)
        known = self._catalog.models.get(model)
        prompt = prompt_tokens(turn.messages, turn.client_tools)
        price = self._catalog.price_of(model) if known is not None else Price()
        return TurnBill(owner, model, known.provider if known is not None else "", prompt, price)

    def _offered_tools(self, turn: Turn, maximums: _Maximums) -> tuple[ToolSpec, ...]:
        """Return the tools whose definitions the first call may contain."""
        if turn.client_tools or not maximums.supports_tools or turn.gateway_tools == ():
            return turn.client_tools
        if turn.gateway_tools is not None:
            return self._tools.specs(turn.gateway_tools)
        return fit_tools_to_window(self._tools.specs(), maximums.context_window)

    def _maximums_for(self, turn: Turn) -> _Maximums:
        if turn.fallbacks is not None:
            names = [*_requested_models(turn.model or AUTO, self._catalog), *turn.fallbacks]
            return self._maximums_of(model for name in names for model in self._catalog.models_of(name))
        if turn.model is None and turn.conversation is not None and turn.conversation.id is not None:
            return self._maximums_of_all  # the conversation's own model, which is not known yet
        return self._maximums_by_name.get(turn.model or AUTO, self._maximums_of_all)

    def _maximums_of(self, models: Iterable[str]) -> _Maximums:
        names = [name for name in models if name in self._callable_models]
        prices = [self._catalog.price_of(name) for name in names]
        configured = [self._catalog.models[name] for name in names]
        return _Maximums(
            Price(
                max((price.input for price in prices), default=Price().input),
                max((price.output for price in prices), default=Price().output),
            ),
            max((model.reserved_answer_tokens for model in configured), default=0),
            max((model.context_window for model in configured), default=0),
            any("tools" in model.capabilities for model in configured),
        )


def _possible_models(name: str, catalog: Catalog) -> Iterable[str]:
    for model in _requested_models(name, catalog):
        yield model
        yield from catalog.fallbacks_of(model)


def _requested_models(name: str, catalog: Catalog) -> tuple[str, ...]:
    if models := catalog.models_of(name):
        return models
    routing = catalog.routing
    routed = [routing.light, routing.heavy, *(rule.model for rule in routing.rules)]
    return tuple(model for model in routed if model is not None) or tuple(catalog.models)
