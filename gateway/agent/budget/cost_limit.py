"""Enforces `limits.usd_per_turn`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.agent import edges
from gateway.agent.routing.fallback import should_fall_back
from gateway.agent.state import AgentState
from gateway.core.exceptions import BudgetExceeded
from gateway.domain.config.catalog import Catalog
from gateway.domain.events import ModelCall, total_cost
from gateway.domain.money import Usage

_MESSAGE = "The turn reached its cost limit (limits.usd_per_turn) before it had an answer."


def enforce_cost_limit(
    update: AgentState, state: AgentState, catalog: Catalog, model_calls: Sequence[ModelCall]
) -> AgentState:
    """Drop the update's request for another call if it would exceed the limit.

    Another call sends at least the same prompt again. Existing text is kept with finish reason `length`;
    without text the turn fails with `BudgetExceeded`.
    """
    tool_runs = state["tool_runs"]
    if affords_another_call(catalog, model_calls, tool_runs) or not _continues({**state, **update}):
        return update
    if update["text"]:
        return {**update, "tool_calls": (), "finish_reason": "length"}
    return {**update, "tool_calls": (), "failure": BudgetExceeded(_MESSAGE)}


def affords_another_call(
    catalog: Catalog, model_calls: Sequence[ModelCall], tool_runs: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether another call like the last one stays within the limit."""
    limit = catalog.limits.usd_per_turn
    if limit is None:
        return True
    spent = total_cost(model_calls, tool_runs)
    prompt = Usage(prompt_tokens=model_calls[-1].usage.prompt_tokens)
    return spent + catalog.price_of(model_calls[-1].model).cost(prompt) <= limit


def _continues(state: AgentState) -> bool:
    """Whether the edges would continue with another model call or tools."""
    if state["failure"] is not None:
        return should_fall_back(state) or edges.should_shrink(state)
    return edges.tools_or_format(state) == "tools"
