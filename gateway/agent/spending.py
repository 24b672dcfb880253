"""No turn goes on for ever at somebody's cost: past `limits.usd_per_turn` it stops with what it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.agent import edges
from gateway.agent.state import AgentState
from gateway.core.exceptions import BudgetExceeded
from gateway.domain.catalog import Catalog
from gateway.domain.events import Attempt, cost_of
from gateway.domain.usage import Usage

_MESSAGE = "This turn has used up the money that a single turn may cost here, before it had an answer."


def within_money(
    update: AgentState, state: AgentState, catalog: Catalog, attempts: Sequence[Attempt]
) -> AgentState:
    """The update of a model call, without its wish for another call where that would cost too much.

    Another call sends at least the same prompt again. Text that was said stands, cut (`length`); without any,
    the turn fails with `BudgetExceeded`.
    """
    tools = state["tool_log"]
    if may_call_again(catalog, attempts, tools) or not _wants_more({**state, **update}):
        return update
    if update["text"]:
        return {**update, "tool_calls": (), "finish_reason": "length"}
    return {**update, "tool_calls": (), "failure": BudgetExceeded(_MESSAGE)}


def may_call_again(catalog: Catalog, attempts: Sequence[Attempt], tools: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a call like the last one fits into what a turn may cost; `tools` are the receipt's lines."""
    limit = catalog.limits.usd_per_turn
    if limit is None:
        return True
    spent = cost_of(attempts, tools)
    prompt = Usage(prompt_tokens=attempts[-1].usage.prompt_tokens)
    return spent + catalog.price_of(attempts[-1].model).cost(prompt) <= limit


def _wants_more(state: AgentState) -> bool:
    """Whether the edges would go on to another call of a model or to tools."""
    if state["failure"] is not None:
        return edges.falls_back(state) or edges.shrinks(state)
    return edges.tools_or_end(state) == "tools"
